"""Documents: pages of them, each with its text and passages, and their removal."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...knowledge_base import KnowledgeBase
from ...text.passage import clipped
from ...types import Chunk, Document, MetadataValue
from ..cursors import cursor, opened, unknown
from ..ids import number, public
from ..operations import Call, Operation, PreconditionFailed, Reply, etag_among, unchanged
from ..wire import rfc3339

CHUNKS: Final = 200
"""Passages on one page."""


class DocumentItem(TypedDict):
    id: str
    uri: Annotated[str, "stable name of the document"]
    title: str
    collection: str
    media_type: str
    language: Annotated[str, "ISO 639-1, or empty"]
    size: Annotated[int, "bytes of the source"]
    characters: int
    chunks: int
    pages: int
    added: Annotated[str, "RFC 3339"]
    modified: Annotated[str, "RFC 3339"]
    metadata: dict[str, MetadataValue]


class DocumentPage(TypedDict):
    items: list[DocumentItem]
    next: Annotated[str | None, "cursor of the next page; null at the end"]


class DocumentText(TypedDict):
    id: str
    start: int
    end: int
    characters: Annotated[int, "of the whole text"]
    text: str


class ChunkItem(TypedDict):
    id: str
    ordinal: int
    start: int
    end: int
    page: int | None
    line: int
    section: list[str]
    text: str


class ChunkPage(TypedDict):
    items: list[ChunkItem]
    next: Annotated[str | None, "cursor of the next page; null at the end"]


class DocumentQuery(Struct, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=8_192)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    q: Annotated[str, Meta(max_length=1_000, description="looked for in uri and title")] = ""
    language: Annotated[str, Meta(max_length=8)] = ""


class SpanQuery(Struct, forbid_unknown_fields=True):
    start: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    end: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None


class ChunkQuery(Struct, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=CHUNKS)] = 50


def list_documents(call: Call, kb: KnowledgeBase) -> Any:
    query: DocumentQuery = call.query
    after = opened(query.cursor)
    found = kb.store.document_page(
        call.path["collection"], query.limit + 1, after=after, language=query.language, contains=query.q
    )
    shown = found[: query.limit]
    secret = call.service.tenant(call).secret
    following = cursor(shown[-1].uri) if len(found) > len(shown) else None
    return {"items": [document_item(d, secret) for d in shown], "next": following}


def show(call: Call, kb: KnowledgeBase) -> Reply:
    found = document_of(call, kb)
    etag = _etag(found)
    headers = [(b"etag", etag.encode()), (b"cache-control", b"private, no-cache")]
    if unchanged(call, etag):
        return Reply(None, 304, headers)
    return Reply(document_item(found, call.service.tenant(call).secret), 200, headers)


def text(call: Call, kb: KnowledgeBase) -> Any:
    found = document_of(call, kb)
    whole = kb.store.document_text(found.id)
    query: SpanQuery = call.query
    start, end = clipped(len(whole), query.start, query.end)
    return {
        "id": call.path["document"], "start": start, "end": end, "characters": len(whole), "text": whole[start:end],
    }  # fmt: skip


def chunks(call: Call, kb: KnowledgeBase) -> Any:
    found = document_of(call, kb)
    query: ChunkQuery = call.query
    if query.cursor and not (query.cursor.isascii() and query.cursor.isdecimal()):
        raise unknown()
    first = min(int(query.cursor or 0), 1 << 40)
    all_chunks = kb.store.document_chunks(found.id)
    secret = call.service.tenant(call).secret
    following = first + query.limit
    return {
        "items": [_chunk(c, secret) for c in all_chunks[first:following]],
        "next": str(following) if following < len(all_chunks) else None,
    }


def remove(call: Call, kb: KnowledgeBase) -> Reply:
    found = document_of(call, kb)
    wanted = call.headers.get("if-match", "*")
    if not etag_among(wanted, _etag(found)):
        raise PreconditionFailed("the document is another one by now.", "Read it again, and decide anew.")
    kb.remove_documents([found.uri], collection=found.collection)
    call.record("document.delete", call.path["document"])
    return Reply(None, 204)


def _etag(document: Document) -> str:
    return f'"{document.content_hash.hex()[:32]}"'


def document_item(document: Document, secret: bytes) -> DocumentItem:
    return {
        "id": public("doc", document.id, secret),
        "uri": document.uri,
        "title": document.title,
        "collection": document.collection,
        "media_type": document.media_type,
        "language": document.language,
        "size": document.size,
        "characters": document.characters,
        "chunks": document.chunks,
        "pages": len(document.pages),
        "added": rfc3339(document.added),
        "modified": rfc3339(document.modified),
        "metadata": dict(document.metadata),
    }


def _chunk(chunk: Chunk, secret: bytes) -> ChunkItem:
    return {
        "id": public("chunk", chunk.id, secret),
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "line": chunk.line,
        "section": list(chunk.section),
        "text": chunk.text,
    }


def document_of(call: Call, kb: KnowledgeBase) -> Document:
    """Raises NotFound."""
    return kb.document_by_id(number("doc", call.path["document"], call.service.tenant(call).secret))


_NOT_FOUND: Final = (404,)
FROM_DOCUMENT: Final = ("showDocument", "documentText", "documentChunks", "documentPages", "deleteDocument")
"""Operations on a document whose id an answer gave."""

OPERATIONS = [
    Operation(
        "GET", "/v1/collections/{collection}/documents", "listDocuments", "List documents by uri, a page at a time.",
        list_documents, query=DocumentQuery, result=DocumentPage, conditional=True, group="documents",
        errors=_NOT_FOUND,
        links={name: {"document": "$response.body#/items/0/id"} for name in FROM_DOCUMENT},
    ),
    Operation(
        "GET", "/v1/documents/{document}", "showDocument", "Show a document; carries an ETag.", show, conditional=True,
        result=DocumentItem, group="documents", errors=_NOT_FOUND,
    ),
    Operation(
        "GET", "/v1/documents/{document}/text", "documentText", "The text that every offset refers to, or a span.",
        text, query=SpanQuery, result=DocumentText, conditional=True, group="documents", errors=_NOT_FOUND,
    ),
    Operation(
        "GET", "/v1/documents/{document}/chunks", "documentChunks", "The passages of a document.", chunks,
        query=ChunkQuery, result=ChunkPage, conditional=True, group="documents", errors=_NOT_FOUND,
    ),
    Operation(
        "DELETE", "/v1/documents/{document}", "deleteDocument", "Remove a document; it is found no more on return.",
        remove, scope="write", status=204, group="documents", errors=(404, 412),
        description="With If-Match, only where it is still as that ETag says; else 412.",
    ),
]  # fmt: skip
