"""Commands that ask: search and ask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, NotFound
from ..records import answer_record, search_record
from ..types import Answer, Citation, Filter, Hit, Mode, SearchResult
from .filters import After, Before, Languages, MediaTypes, MetaFilter, PathGlobs, chosen
from .options import Model
from .session import Session, command, commands
from .terminal import Terminal, escape, flat

if TYPE_CHECKING:
    from rich.text import Text

    from ..knowledge_base import KnowledgeBase

app = commands()

SNIPPET = 320
"""Characters of a hit that are shown unless --full."""

_UNSUPPORTED = {"de": "(nicht belegt)", "en": "(not supported by the documents)"}


@command(app)
def search(
    session: Session,
    query: Annotated[str | None, typer.Argument(help="Words or a question.", show_default=False)] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", "--hits", metavar="N", min=1, max=100, help="Hits. Default: search.k.", show_default=False
        ),
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="Which parts run. Default: search.mode.", show_default=False),
    ] = None,
    path: PathGlobs = None,
    media_type: MediaTypes = None,
    language: Languages = None,
    meta: MetaFilter = None,
    after: After = None,
    before: Before = None,
    diversity: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="0 (off) to 1. Default: search.diversity.", show_default=False),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Search for every line of a file; one result a line.", show_default=False),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole passages instead of excerpts.")] = False,
) -> int:
    """Find passages.

    Without --collection, all collections are searched. --json gives document, page, section, offsets, text and
    score with its parts.
    """
    if (query is None) == (batch is None):
        raise InputError("give a question, or --batch FILE with one on each line.")
    defaults = session.settings.search
    wanted = chosen(path, media_type, language, meta, after, before)
    with session.open(read_only=True, remember=True) as kb:
        results = kb.search_batch(
            _lines(batch) if batch is not None else [query or ""],
            collections=session.collections,
            k=defaults.k if k is None else k,
            filter=wanted,
            mode=mode or defaults.mode,
            diversity=defaults.diversity if diversity is None else diversity,
        )
    if batch is not None and session.terminal.as_json:
        for result in results:
            print(json.dumps(search_record(result)))
        return 0
    for result in results:
        if session.terminal.as_json:
            session.terminal.json(search_record(result))
        else:
            if batch is not None:
                session.terminal.line(flat(result.query), style="bold")
            _show_hits(session.terminal, result, full=full)
    return 0


@command(app)
def ask(
    session: Session,
    question: Annotated[str, typer.Argument(help="A question, in German or English.")],
    path: PathGlobs = None,
    media_type: MediaTypes = None,
    language: Languages = None,
    meta: MetaFilter = None,
    after: After = None,
    before: Before = None,
    mode: Annotated[
        Mode,
        typer.Option(help="Which parts of search run."),
    ] = "hybrid",
    model: Model = None,
    deadline: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Default: answer.deadline.", show_default=False),
    ] = None,
) -> int:
    """Answer a question with citations.

    Every sentence names the spans that support it, or is marked as unsupported; where nothing supports an
    answer, it says so. `ragstone show URI --span START:END` shows a span in its document.
    """
    if model is not None:
        session.override("answer.model", model)
    seconds = session.settings.answer.deadline if deadline is None else deadline
    wanted = chosen(path, media_type, language, meta, after, before)
    with session.open(read_only=True, remember=True) as kb:
        show_answer(session, answer(session, kb, question, wanted, time.monotonic() + seconds, mode))
    return 0


def answer(
    session: Session,
    kb: KnowledgeBase,
    question: str,
    wanted: Filter | None,
    deadline: float,
    mode: Mode = "hybrid",
) -> Answer:
    """Asks; on a terminal the words of a generating model are shown as they come, until the answer with its
    citations takes their place."""
    events = kb.ask_stream(
        question, collections=session.collections, filter=wanted, deadline=deadline,
        mode=mode,
    )  # fmt: skip
    final = None
    terminal = session.terminal
    if not terminal.out_is_terminal or terminal.as_json:
        for event in events:
            final = event.answer or final
    else:
        from rich.live import Live
        from rich.text import Text

        text = ""
        with Live(Text(""), console=terminal.console(), transient=True, refresh_per_second=12) as live:
            for event in events:
                if event.kind == "token":
                    text += event.text
                    live.update(Text(escape(text)))
                elif event.kind == "stage" and not text:
                    live.update(Text(f"{event.text} …", style="dim"))
                final = event.answer or final
    if final is None:
        raise NotFound("the answer ended without a result.", "Ask again.")
    return final


def show_answer(session: Session, result: Answer) -> None:
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(answer_record(result))
        return
    unsupported = [s.text for s in result.sentences if not s.supported]
    text = result.text
    if result.answered:
        mark = _UNSUPPORTED.get(result.language, _UNSUPPORTED["en"])
        for sentence in unsupported:
            text = text.replace(sentence, f"{sentence} {mark}", 1)
    terminal.line(escape(text), style="bold")
    if result.citations:
        terminal.line()
    for citation in result.citations:
        _show_citation(terminal, citation)
    for note in result.notes:
        terminal.note(f"Note: {note}")


def _show_citation(terminal: Terminal, citation: Citation) -> None:
    place = _place(citation.title or _file_name(citation.uri), citation.page, citation.section)
    terminal.line(f"[{citation.number}] {place}", style="cyan" if terminal.color_out else "")
    terminal.line(f"    {flat(citation.uri)}:{citation.line} (characters {citation.start}:{citation.end})", style="dim")
    terminal.line(f"    “{flat(citation.text.strip())}”")


def _show_hits(terminal: Terminal, result: SearchResult, *, full: bool) -> None:
    if not result.hits:
        terminal.note("Nothing found.")
    for rank, hit in enumerate(result.hits, 1):
        chunk = hit.chunk
        terminal.line(
            f"{rank:>2}  {_place(chunk.title or _file_name(chunk.uri), chunk.page, chunk.section)}  {hit.score:.3f}",
            style="cyan" if terminal.color_out else "",
        )
        terminal.line(f"    {flat(chunk.uri)}:{chunk.line} (characters {chunk.start}:{chunk.end})", style="dim")
        if hit.reason:
            terminal.line(f"    by the graph: {flat(hit.reason)}", style="dim")
        _show_passage(terminal, hit, full=full)
    for note in result.notes:
        terminal.note(f"Note: {note}")


def _show_passage(terminal: Terminal, hit: Hit, *, full: bool) -> None:
    start, end = (0, len(hit.chunk.text)) if full else _window(hit)
    text = hit.chunk.text[start:end]
    marks = [(s - hit.chunk.start - start, e - hit.chunk.start - start) for s, e in hit.highlights]
    before, after = "…" if start else "", "…" if end < len(hit.chunk.text) else ""
    if not terminal.out_is_terminal:
        terminal.line(f"    {before}{flat(text).strip()}{after}")
        return
    from rich.padding import Padding

    terminal.console().print(Padding(_marked(text, marks, before, after), (0, 0, 0, 4)))


def _marked(text: str, marks: Iterable[tuple[int, int]], before: str, after: str) -> Text:
    """`text` escaped, with the marked spans in bold."""
    from rich.text import Text

    shown = Text(before)
    at = 0
    for start, end in marks:
        if 0 <= at <= start < end <= len(text):
            shown.append(flat(text[at:start]))
            shown.append(flat(text[start:end]), style="bold")
            at = end
    shown.append(flat(text[at:]))
    shown.append(after)
    return shown


def _window(hit: Hit) -> tuple[int, int]:
    """The part of the passage that shows most of the question's words, cut at spaces."""
    text = hit.chunk.text
    if len(text) <= SNIPPET:
        return 0, len(text)
    starts = [s - hit.chunk.start for s, _ in hit.highlights]
    if not starts:
        begin = 0
    else:
        begin = max(starts, key=lambda s: sum(s <= other < s + SNIPPET - 60 for other in starts))
        begin = max(0, begin - 40)
    begin = text.find(" ", begin) + 1 if begin and " " in text[begin : begin + 40] else begin
    end = min(len(text), begin + SNIPPET)
    return begin, end if end == len(text) else max(text.rfind(" ", begin, end), begin + 1)


def _file_name(uri: str) -> str:
    """What a document without a title is called."""
    return uri.rpartition("/")[2] or uri


def _place(title: str, page: int | None, section: Sequence[str]) -> str:
    """Title, section path and page as one line."""
    parts = [title, *(heading for heading in section if heading != title)]
    name = " › ".join(flat(p) for p in parts if p)
    return f"{name}, p. {page}" if page is not None else name


def _lines(file: Path) -> list[str]:
    """Raises NotFound, InputError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", "It must be UTF-8 text.") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions:
        raise InputError(f"{file} has no questions.", "Write one on each line.")
    return questions
