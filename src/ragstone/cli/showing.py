"""The command `show`: a document, a page or a span of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, NotFound
from ..records import SCHEMA_VERSION, document_record
from ..types import Document
from .records.documents import ShowRecord
from .session import Session, command, commands, existing
from .terminal import Terminal, escape, flat, moment, plural, size

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

app = commands()

EXCERPT = 1_000
"""Characters of a document that `show` prints unless told otherwise."""


@command(app)
def show(
    session: Session,
    uri: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Uri, path, or the end of a uri.")],
    page: Annotated[int | None, typer.Option(help="One page.", min=1, show_default=False)] = None,
    span: Annotated[
        str | None, typer.Option(metavar="START:END", help="From one character to another.", show_default=False)
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="The whole text and nothing else.")] = False,
) -> int:
    """Show a document, a page or a span of it.

    Offsets are those that citations and hits carry. Without --collection, it may lie in any.
    """
    if sum((page is not None, span is not None, text)) > 1:
        raise InputError("--page, --span and --text exclude each other.")
    with session.open(read_only=True) as kb:
        document = _find(kb, existing(uri), session.one_or_all)
        whole = kb.text(document.uri, document.collection)
    start, end = 0, len(whole)
    if page is not None:
        start, end = _page(document, page)
    elif span is not None:
        start, end = _span(span, len(whole))
    terminal = session.terminal
    if terminal.as_json:
        record: ShowRecord = {
            "schema_version": SCHEMA_VERSION,
            "document": document_record(document),
            "start": start,
            "end": end,
            "text": whole[start:end],
        }
        terminal.json(record)
    elif page is not None or span is not None or text:
        _print_text(terminal, whole[start:end])
    else:
        _overview(terminal, document, whole)
    return 0


def _find(kb: KnowledgeBase, uri: str, collection: str | None) -> Document:
    """The document in `collection`, or, with None, in whichever collection it is. Raises NotFound."""
    names = kb.store.collections() if collection is None else [collection]
    found: list[Document] = []
    refused: list[str] = []
    for name in names:
        try:
            found.append(kb.document(uri, name))
        except NotFound as error:
            refused.append(error.message)
    if not found:
        raise NotFound(" ".join(refused) or "there are no documents yet.", "`ragstone list` shows what is there.")
    if len(found) > 1:
        where = ", ".join(document.collection for document in found)
        raise NotFound(f"{uri} is in several collections: {where}.", "Name one with --collection.")
    return found[0]


def _page(document: Document, number: int) -> tuple[int, int]:
    for page in document.pages:
        if page.number == number:
            return page.start, page.end
    last = document.pages[-1].number if document.pages else 0
    there = "It has no pages." if not last else "It has one page." if last == 1 else f"It has pages 1 to {last}."
    raise NotFound(f"{document.uri} has no page {number}.", there)


def _span(text: str, length: int) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        start, end = int(first or 0), int(last) if last else length
    except ValueError:
        colon = ""
    if not colon:
        raise InputError(f"--span {text} is not START:END.", "Two character offsets, e.g. --span 120:260.")
    if not 0 <= start <= end <= length:
        raise InputError(f"--span {text} is outside of the document.", f"It has {length} characters.")
    return start, end


def _overview(terminal: Terminal, document: Document, text: str) -> None:
    facts = [
        ("Title", document.title),
        ("Type", document.media_type),
        ("Language", document.language or "unknown"),
        ("Size", f"{size(document.size)}, {document.characters:,} characters, {plural(document.chunks, 'chunk')}"),
        ("Pages", str(len(document.pages)) if document.pages else ""),
        ("Modified", moment(document.modified)),
        ("Added", moment(document.added)),
        *((f"  {key}", str(value)) for key, value in document.metadata.items()),
    ]
    terminal.line(flat(document.uri), style="bold")
    for name, value in facts:
        if value:
            terminal.line(f"{flat(name):<10}{flat(value)}")
    terminal.line()
    _print_text(terminal, text[:EXCERPT])
    if len(text) > EXCERPT:
        terminal.note(f"… {len(text) - EXCERPT:,} more characters: ragstone show --text {document.uri}")


def _print_text(terminal: Terminal, text: str) -> None:
    """Document text: as it is into a pipe, so that offsets stay true; with visible controls on a terminal."""
    if terminal.out_is_terminal:
        terminal.line(escape(text))
    else:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
