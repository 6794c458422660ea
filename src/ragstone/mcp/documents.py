"""Tools over documents."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..errors import InputError
from ..memory_types import MEMORY
from ..records import collection_record, search_record
from ..text.dates import parse_date
from ..types import AnswerEvent, Filter, Progress
from . import shapes
from .reach import ToolCall
from .shapes import MOST_SPAN, NOTICE

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase


def moment(text: str | None) -> float | None:
    """Raises QueryError."""
    return None if text is None else parse_date(text)


async def search(call: ToolCall) -> shapes.Passages:
    given: shapes.SearchArguments = call.arguments
    wanted = Filter(
        path=tuple(given.path), language=tuple(given.language),
        modified_after=moment(given.modified_after), modified_before=moment(given.modified_before),
    )  # fmt: skip
    found = await call.reach.run(
        "search",
        lambda kb: kb.search(
            given.query, collections=given.collections or None, k=given.k, filter=wanted or None, highlights=False,
            mode=given.mode,
        ),
    )
    record = search_record(found)
    return {
        "passages": [
            _chosen(hit, shapes.Passage, number=hit["rank"]) for hit in record["hits"]
        ],
        "notes": record["notes"],
        "notice": NOTICE,
    }  # fmt: skip


async def ask(call: ToolCall) -> shapes.AnswerResult:
    given: shapes.AskArguments = call.arguments
    record: Mapping[str, Any] | None = None
    steps = tokens = 0
    async with aclosing(call.reach.ask(given.question, given.collections or None, given.mode)) as events:
        async for event in events:
            if not isinstance(event, AnswerEvent):
                record = event
            elif event.kind == "stage":
                steps += 1
                call.tell(steps, None, event.text)
            else:
                tokens += 1
                if tokens % TOKENS_TOLD == 0:
                    steps += 1
                    call.tell(steps, None, f"{tokens} tokens")
    if record is None:
        raise InputError("the answer ended without a result.", "Ask again.")
    return {
        "answer": record["answer"],
        "answered": record["answered"],
        "citations": [_chosen(citation, shapes.Cited) for citation in record["citations"]],
        "model": record["model"],
        "notes": record["notes"],
        "notice": NOTICE,
    }


TOKENS_TOLD: Final = 20
"""Tokens of an answer between two notices of progress."""


async def add_document(call: ToolCall) -> shapes.AddedResult:
    given: shapes.AddDocumentArguments = call.arguments
    if not given.uri.strip() or not given.uri.isprintable():
        raise InputError("a uri has no line breaks or control characters.", "Use a name such as notes/today.")

    def told(progress: Progress) -> None:
        call.tell(progress.done, progress.total, progress.stage)

    def add(kb: KnowledgeBase) -> shapes.AddedResult:
        call.reach.may_add(kb, given.collection)
        document = (given.uri, given.title, given.text, given.metadata)
        report = kb.add_texts([document], collection=given.collection, progress=told)
        (file,) = report.files
        if file.state in ("failed", "skipped"):
            raise InputError(f"the document was not stored: {file.reason}", "Change the text and add it again.")
        call.reach.record("document.add", given.uri)
        return {
            "uri": given.uri, "collection": given.collection, "state": file.state, "revision": report.revision
        }  # fmt: skip

    return await call.reach.run("work", add)


async def get_span(call: ToolCall) -> shapes.SpanResult:
    given: shapes.SpanArguments = call.arguments
    return await call.reach.run("search", lambda kb: span(kb, given.collection, given.uri, given.start, given.end))


def span(kb: KnowledgeBase, collection: str, uri: str, start: int, end: int | None) -> shapes.SpanResult:
    """Raises NotFound, InputError."""
    from ..text.passage import clipped

    document = kb.document(uri, collection)
    text = kb.store.document_text(document.id)
    start, end = clipped(len(text), start, end)
    end = min(end, start + MOST_SPAN)
    return {
        "uri": document.uri, "collection": document.collection, "title": document.title, "start": start, "end": end,
        "characters": len(text), "text": text[start:end], "notice": NOTICE,
    }  # fmt: skip


async def list_collections(call: ToolCall) -> shapes.CollectionsResult:
    def collect(kb: KnowledgeBase) -> shapes.CollectionsResult:
        return {
            "collections": [_chosen(collection_record(one), shapes.CollectionResult) for one in kb.collections()]
        }

    return await call.reach.run("work", collect)


async def describe_collection(call: ToolCall) -> shapes.CollectionResult:
    given: shapes.CollectionArguments = call.arguments
    found = await call.reach.run("work", lambda kb: kb.collection(given.name))
    chosen: shapes.CollectionResult = _chosen(collection_record(found), shapes.CollectionResult)
    return chosen


async def status(call: ToolCall) -> shapes.StatusResult:
    def collect(kb: KnowledgeBase) -> shapes.StatusResult:
        shown = kb.collections()
        return {
            "state": kb.writing(),
            "writable": call.reach.writable,
            "collections": len(shown),
            "documents": sum(one.documents for one in shown),
            "waiting": sum(one.waiting for one in shown),
            "memory_items": kb.memory.statistics().items if MEMORY in kb.store.every_collection() else 0,
            "current_project": kb.memory.current_project(),
            "version": __version__,
        }

    return await call.reach.run("work", collect)


def _chosen(record: Mapping[str, Any], kind: Any, **more: Any) -> Any:
    """The members of `record` that `kind` has."""
    return {**{name: record[name] for name in kind.__annotations__ if name in record}, **more}
