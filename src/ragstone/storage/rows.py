"""Rows of the database as values of the vocabulary, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from ..errors import InputError
from ..protocols import Segment
from ..types import Change, Chunk, Document, Metadata, Page, PreparedChunk, PreparedDocument, Turn

Row = Sequence[Any]
OPERATIONS: Final = ("add", "delete", "embed", "extract")
ADD, DELETE, EMBED, EXTRACT = range(4)

_encode_json = msgspec.json.Encoder().encode
_decode_metadata = msgspec.json.Decoder(dict[str, str | int | float | bool]).decode
_decode_section = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_turns = msgspec.json.Decoder(tuple[Turn, ...]).decode
_decode_pages = msgspec.msgpack.Decoder(tuple[tuple[int, int, int, str], ...]).decode


def encode_metadata(metadata: Metadata) -> str:
    for name, value in metadata.items():
        if not isinstance(value, (str, int, float, bool)):
            raise InputError(
                f"the metadata {name!r} has a value of type {type(value).__name__}.",
                "Metadata values are texts, numbers, true or false.",
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"the metadata {name!r} is {value}, which is no number.", "Leave it out.")
    return _encode_json(dict(metadata)).decode() if metadata else "{}"


def encode_section(section: tuple[str, ...]) -> str:
    return _encode_json(section).decode() if section else "[]"


def encode_pages(pages: tuple[Page, ...]) -> bytes:
    return msgspec.msgpack.encode([(page.number, page.start, page.end, page.label) for page in pages])


def document_columns(document: PreparedDocument, added: float) -> tuple[Any, ...]:
    """In the order content_hash … pages of the table."""
    characters = document.chunks[-1].span.end if document.chunks else 0
    return (
        document.content_hash, document.size, float(document.modified), added, document.language,
        document.media_type, characters, len(document.chunks), document.title,
        encode_metadata(document.metadata), encode_pages(document.pages),
    )  # fmt: skip


def position_columns(ordinal: int, chunk: PreparedChunk) -> tuple[Any, ...]:
    """Where a chunk stands in its document: ordinal, start, end, page, line, section, turns."""
    span = chunk.span
    turns = _encode_json(span.turns).decode() if span.turns else "[]"
    return ordinal, span.start, span.end, span.page, span.line, encode_section(span.section), turns


def document(row: Row) -> Document:
    (
        id_, collection, uri, title, media_type, language, metadata, content_hash, size, characters, chunks,
        modified, added, pages,
    ) = row  # fmt: skip
    return Document(
        id_, collection, uri, title, media_type, language, _decode_metadata(metadata), content_hash, size,
        characters, chunks, modified, added, tuple(Page(*page) for page in _decode_pages(pages)),
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _section(text: str) -> tuple[str, ...]:
    return _decode_section(text)


def chunks(rows: Sequence[Row]) -> list[Chunk]:
    """Of one read: metadata of a document are decoded once and shared by its chunks."""
    metadata: dict[int, Mapping[str, str | int | float | bool]] = {}
    found = []
    for (
        id_, document_id, collection, uri, title, media_type, language, ordinal, start, end, page, line, section,
        turns, text, context, content_hash, encoded,
    ) in rows:  # fmt: skip
        values = metadata.get(document_id)
        if values is None:
            values = metadata[document_id] = _decode_metadata(encoded)
        sections = _section(section) if section != "[]" else ()
        chunk = Chunk(
            id_, document_id, collection, uri, title, media_type, language, ordinal, start, end, page, line,
            sections, text, context, content_hash, values, _decode_turns(turns) if turns != "[]" else (),
        )  # fmt: skip
        found.append(chunk)
    return found


def change(row: Row) -> Change:
    seq, collection, op, chunk_id, space = row
    return Change(seq, collection, OPERATIONS[op], chunk_id, space or "")


def segment(row: Row) -> Segment:
    kind, space, name, checksum, size, count, watermark, dead = row
    return Segment(kind, space, name, checksum, size, count, watermark, dead)


def embedded_text(context: str, text: str) -> str:
    """What is embedded for a chunk."""
    return f"{context}\n{text}" if context else text
