"""Answers, their citations in their surroundings, and how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from ...chat_types import ChatAnswer, ChatSession, ChatTurn, Cited
from ...errors import NotFound
from ...memory_types import MEMORY
from ..terminal import flat, plural
from .chat import EXTRACTIVE, FROM_MEMORY, Chat, shortened
from .rendering import Output

AROUND: Final = 400
"""Characters shown on each side of a cited part, at most."""
QUOTED: Final = 60
RESUMED: Final = 3
"""Turns that are shown when a session goes on."""
_STATES: Final = {"answered": "complete", "stopped": "stopped", "failed": "broken off"}
_UNSUPPORTED: Final = {"de": "nicht belegt", "en": "not supported by the documents"}


def body(output: Output, answer: ChatAnswer) -> None:
    """Its text: what a model or memory wrote is markdown, sentences of documents are shown letter by letter."""
    if answer.model in ("", EXTRACTIVE):
        output.line(answer.text)
    else:
        output.markdown(answer.text)


def foot(output: Output, turn: ChatTurn) -> None:
    """What stands below an answer: citations, what nothing supports, notes."""
    answer = turn.answer
    if answer is None:
        output.line("A passage that this was made from is gone, so the answer is not kept.", "yellow")
        return
    for cited in answer.citations:
        output.line(f"[{cited.number}] {place(cited)}", "cyan")
    mark = _UNSUPPORTED.get(answer.language, _UNSUPPORTED["en"])
    for sentence in answer.unsupported:
        output.line(f"{mark}: {flat(sentence)}", "yellow")
    if answer.state == "stopped":
        output.line("(stopped)", "yellow")
    for note in answer.notes if answer.state != "failed" else ():
        output.line(f"Note: {note}", "dim")


def place(cited: Cited) -> str:
    """Title, section and page as one line."""
    title = cited.title or cited.uri.rpartition("/")[2] or cited.uri
    name = " › ".join(flat(part) for part in (title, *(s for s in cited.section if s != title)) if part)
    return f"{name}, p. {cited.page}" if cited.page is not None else name


def opened(chat: Chat, output: Output, number: int) -> None:
    """The passage of citation `number` of the last answer, in its document. Raises NotFound."""
    cited = next((c for c in chat.last_answer().citations if c.number == number), None)
    if cited is None:
        raise NotFound(f"the last answer has no citation [{number}].", "Its citations stand below it.")
    output.line(f"[{cited.number}] {place(cited)}", "cyan")
    if cited.collection == MEMORY:
        _memory(chat, output, cited)
        return
    page = "" if cited.page is None else f", page {cited.page}"
    output.line(f"{flat(cited.uri)}:{cited.line}{page} (characters {cited.start}:{cited.end})", "dim")
    text = chat.kb.text(cited.uri, cited.collection)
    output.line()
    output.cited(*surroundings(text, cited.start, cited.end))


def surroundings(text: str, start: int, end: int) -> tuple[str, str, str]:
    """Before, cited, after: from the beginning of a paragraph to the end of one where these are near, else cut at
    spaces with an ellipsis."""
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    before, after = text[first:start], text[end:last]
    if first:
        cut = before.find("\n\n")
        cut = cut + 2 if cut >= 0 else before.find(" ") + 1
        before = ("" if before[max(0, cut - 2) : cut] == "\n\n" else "… ") + before[cut:]
    if last < len(text):
        cut = after.rfind("\n\n")
        after = after[:cut] if cut >= 0 else after[: after.rfind(" ") + 1] + "…"
    return before.lstrip("\n"), text[start:end], after.rstrip("\n")


def _memory(chat: Chat, output: Output, cited: Cited) -> None:
    item = chat.kb.memory.get(cited.uri)
    about = [item.type or item.kind, moment(item.at), item.who, item.project, item.state, f"told {item.told}×"]
    output.line(f"{item.id} ({', '.join(filter(None, map(flat, about)))})", "dim")
    output.line()
    output.cited("", item.text, "")
    for source in item.sources:
        output.line(f"from {flat(source.uri)} (characters {source.start}:{source.end})", "dim")


def why(chat: Chat, output: Output) -> None:
    """How the last answer came about."""
    turn = chat.last()
    answer = turn.answer
    if answer is None:
        raise NotFound("there is no answer to the last question.", "`/retry` asks it again.")
    writer = {EXTRACTIVE: "sentences of the documents", FROM_MEMORY: "what is remembered"}
    kept = "cache" in answer.timings
    rows = [
        ("answer", f"{_STATES[answer.state]}, from {writer.get(answer.model, answer.model or 'nothing')}"),
        ("cache", "kept from before" if kept else "made for this question"),
        ("stages", ", ".join(f"{stage} {ms:,.0f} ms" for stage, ms in answer.timings.items()) or "none"),
    ]
    if answer.prompt_tokens:
        tokens = f"{answer.prompt_tokens:,} read ({answer.cached_tokens:,} of them computed before), "
        rows.append(("tokens", f"{tokens}{answer.completion_tokens:,} written"))
        rows.append(("cost", "nothing" if not answer.cost else f"${answer.cost:.6f}"))
    if answer.remembered:
        rows.append(("remembered", answer.remembered))
    rows += [("note", note) for note in answer.notes]
    output.rows(rows)
    if answer.found:
        output.line()
        output.rows(_hits(chat, answer))


def _hits(chat: Chat, answer: ChatAnswer) -> Iterable[tuple[str, ...]]:
    """Each passage that was found: score and its parts, where the answer cites it, where it stands."""
    chunks = {chunk.id: chunk for chunk in chat.kb.store.chunks([found.chunk for found in answer.found])}
    cites: dict[int, list[str]] = {}
    for cited in answer.citations:
        cites.setdefault(cited.chunk, []).append(f"[{cited.number}]")
    for rank, found in enumerate(answer.found, 1):
        parts = [("words", found.lexical), ("meaning", found.dense), ("reranked", found.rerank)]
        scores = " ".join(f"{name} {value:.2f}" for name, value in parts if value is not None)
        chunk = chunks.get(found.chunk)
        where = "(removed since)"
        if chunk is not None:
            title = chunk.title or chunk.uri.rpartition("/")[2]
            where = " › ".join([title, *(s for s in chunk.section if s != title)])
        yield f"{rank}", f"{found.score:.3f}", scores, f"{''.join(cites.get(found.chunk, ()))} {where}".strip()


def resumed(chat: Chat, output: Output) -> None:
    """Where a session stands that goes on."""
    left_out = len(chat.turns) - RESUMED
    output.line(f"Session {chat.name}, {plural(len(chat.turns), 'question')}", "dim")
    if left_out > 0:
        output.line(f"… {left_out} earlier", "dim")
    for turn in chat.turns[-RESUMED:]:
        output.line(f"> {turn.question}", "bold")
        if turn.answer is not None:
            body(output, turn.answer)
        if turn.answer is not None or turn.withdrawn:
            foot(output, turn)
        else:
            output.line("(no answer was stored; /retry asks again)", "yellow")
        output.line()


def session_rows(sessions: Sequence[ChatSession], current: str) -> Iterable[tuple[str, ...]]:
    for one in sessions:
        first = shortened(one.first, QUOTED)
        here = "current" if one.name == current else ""
        yield one.name, moment(one.changed), plural(one.turns, "question"), here, first


def exported(chat: Chat) -> str:
    """The session as markdown, with where each citation stands."""
    parts = [f"# {chat.name}"]
    for turn in chat.turns:
        parts.append(f"## {' '.join(turn.question.split())[:200]}")
        if "\n" in turn.question.strip() or len(turn.question) > 200:
            parts.append("\n".join(f"> {line}" for line in turn.question.strip().splitlines()))
        answer = turn.answer
        if answer is None:
            parts.append("*(withdrawn)*" if turn.withdrawn else "*(no answer)*")
            continue
        parts.append(answer.text + (f"\n\n*({answer.state})*" if answer.state != "answered" else ""))
        cited = [f"- [{c.number}] {place(c)}: `{c.uri}`, line {c.line}, {c.start}:{c.end}" for c in answer.citations]
        parts += ["\n".join(cited)] if cited else []
        parts.append(f"*{moment(turn.at)}, {answer.model}*")
    return "\n\n".join(parts) + "\n"


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M}"
