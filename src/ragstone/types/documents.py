"""Documents: as parsed, as prepared for the store, as stored; and what happens to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MetadataValue = str | int | float | bool
Metadata = Mapping[str, MetadataValue]


@dataclass(frozen=True, slots=True)
class Page:
    """One page (PDF page, slide, sheet): it covers `text[start:end]`. Pages are in order and do not overlap."""

    number: int
    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: `level` 1 is the outermost, `start` is where its section begins (the heading line included)."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes to be read, and what is known of them. `uri` is an absolute path or any other stable name."""

    uri: str
    data: bytes
    media_type: str = ""
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a reader gives: plain text and where things are in it. `language` is ISO 639-1 or ""."""

    text: str
    title: str = ""
    media_type: str = "text/plain"
    language: str = ""
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """Where page or section changes inside a chunk: what they are from `at` on, in characters from its start."""

    at: int
    page: int | None
    section: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk before it is stored. Chunks of a document follow each other without gap or overlap, so the
    concatenation of their texts is the document's text. `page`, `line` and `section` are those of the first visible
    character; `turns`, rising, tell where others begin."""

    start: int
    end: int
    page: int | None = None
    line: int = 1
    section: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """Index terms of one text: `keys`, the 64-bit key of each term (text/analysis.py: `term_key`), little-endian, one
    after the other, in order with repeats; and `length`, the number of token positions (alternative forms at one
    position count once), which BM25 normalises by."""

    keys: bytes
    length: int

    def __post_init__(self) -> None:
        """Raises ValueError: what a parser worker says is checked where it is decoded."""
        if len(self.keys) % 8 or not 0 <= self.length < 1 << 32:
            raise ValueError("these are not the terms of a text")

    def __add__(self, other: Terms) -> Terms:
        return Terms(self.keys + other.keys, self.length + other.length)


@dataclass(frozen=True, slots=True)
class PreparedChunk:
    """A chunk ready for the store. `content_hash` (16 bytes) covers context and text: equal hash means equal
    index terms and equal embedding. `context` is title and heading path, which is indexed with the text."""

    span: ChunkSpan
    text: str
    context: str
    content_hash: bytes
    terms: Terms


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready for the store. `content_hash` (32 bytes, BLAKE2b) is that of the source bytes together
    with everything else that decides the result (metadata, reader and chunker version)."""

    uri: str
    content_hash: bytes
    size: int
    modified: float
    title: str
    media_type: str
    language: str
    metadata: Metadata
    pages: tuple[Page, ...]
    chunks: tuple[PreparedChunk, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document without its text (`Store.document_text` gives that)."""

    id: int
    collection: str
    uri: str
    title: str
    media_type: str
    language: str
    metadata: Metadata
    content_hash: bytes
    size: int
    characters: int
    chunks: int
    modified: float
    added: float
    pages: tuple[Page, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored chunk with what a hit shows of its document."""

    id: int
    document_id: int
    collection: str
    uri: str
    title: str
    media_type: str
    language: str
    ordinal: int
    start: int
    end: int
    page: int | None
    line: int
    section: tuple[str, ...]
    text: str
    context: str
    content_hash: bytes
    metadata: Metadata
    turns: tuple[Turn, ...] = ()

    def place(self, offset: int) -> tuple[int | None, int, tuple[str, ...]]:
        """Page, line and section of an offset in the document's text that lies in this chunk."""
        at = offset - self.start
        turn = next((t for t in reversed(self.turns) if t.at <= at), None)
        page, section = (self.page, self.section) if turn is None else (turn.page, turn.section)
        first = len(self.text) - len(self.text.lstrip())
        return page, self.line + self.text.count("\n", first, max(first, at)), section


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the operation log. `add`: the chunk exists (if its row still does); `delete`: it is gone;
    `embed`: it has a vector now in `space`; `extract`: what it mentions is known now, or known anew."""

    seq: int
    collection: str
    op: Literal["add", "delete", "embed", "extract"]
    chunk_id: int
    space: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent, at `path`; `uri` names its document, `media_type` is what the sender says it is."""

    path: Path
    uri: str
    media_type: str = ""
