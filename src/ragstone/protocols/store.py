"""Documents, chunks, vectors and the log of what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ..types import Change, Chunk, Document, Filter, PreparedDocument, SpaceUse, Terms
from .arrays import Ids, Vectors
from .chats import ChatStore
from .graph import GraphStore
from .indexes import Owners
from .memory import MemoryStore

SegmentKind = Literal["lexical", "vector", "graph"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed index file. `checksum` is BLAKE2b-128 of its bytes; `dead` are ids deleted since it was written.
    `space` is "" where the kind is not vector. The set of segments of a (collection, kind, space) stands at
    `watermark`."""

    kind: SegmentKind
    space: str
    name: str
    checksum: bytes
    size: int
    rows: int
    watermark: int
    dead: bytes = b""


@dataclass(frozen=True, slots=True)
class PutResult:
    """`state` "unchanged" means that nothing was written."""

    uri: str
    state: Literal["added", "updated", "unchanged"]
    document_id: int
    chunks_added: int
    chunks_removed: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a source, to skip it when it did not change."""

    content_hash: bytes
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Pending:
    """A chunk that has no vector yet. `text` is what is embedded: context and text."""

    chunk_id: int
    content_hash: bytes
    text: str


Guard = Callable[[], None]
"""Called inside a write transaction, when no other process can write to that store. What it raises undoes the
transaction, and reaches the caller."""
ChangeSpaces = Callable[[Sequence[SpaceUse], Callable[[str], int]], Sequence[SpaceUse]]
"""From the uses of a collection and a function that counts what waits in a space to the new uses. Raises to refuse."""


class Store(Protocol):
    """The truth. Every method is safe from several threads, and several processes may use one data folder.
    A write is durable when it returns (fsync). Each write transaction that changes a collection raises its
    revision by one and appends to the operation log in the same transaction."""

    # collections
    def collections(self) -> list[str]:
        """Those of documents."""
        ...

    def every_collection(self) -> list[str]:
        """Those of documents, and that of memory where something was remembered."""
        ...

    def create_collection(self, name: str) -> None:
        """No effect where it exists. Raises InputError for a bad name."""
        ...

    def drop_collection(self, name: str) -> None: ...
    def revision(self, collection: str) -> int:
        """0 for an empty collection. Raises NotFound."""
        ...

    # documents
    def put(
        self, collection: str, documents: Sequence[PreparedDocument], *, guard: Guard | None = None
    ) -> list[PutResult]:
        """One transaction for all. Chunks whose content hash stays keep their ids; only the difference is
        deleted and added. Raises StoreReadOnly, DiskFull, StoreBusy."""
        ...

    def delete(self, collection: str, uris: Sequence[str], *, guard: Guard | None = None) -> list[str]:
        """Removes documents and all that stood on them alone; returns the uris that were there."""
        ...

    def known(self, collection: str, uris: Iterable[str] | None = None) -> dict[str, Known]:
        """By uri: all documents, or those of `uris` and the members of archives of these uris. Raises NotFound."""
        ...

    def document(self, collection: str, uri: str) -> Document:
        """Raises NotFound."""
        ...

    def documents(self, collection: str, filter: Filter | None = None) -> Iterator[Document]: ...
    def documents_by_id(self, ids: Sequence[int]) -> list[Document]:
        """In the order asked; ids that no longer exist are left out."""
        ...

    def document_page(
        self, collection: str, limit: int, *, after: str = "", language: str = "", contains: str = ""
    ) -> list[Document]:
        """The first `limit` by uri whose uri is greater than `after`; `contains` is looked for in uri and title,
        without regard to the case of ASCII letters. Raises NotFound."""
        ...

    def document_text(self, document_id: int) -> str: ...

    # chunks
    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """In the order asked; ids that no longer exist are left out. One read."""
        ...

    def document_chunks(self, document_id: int) -> list[Chunk]: ...
    def whole_documents(self, ids: Sequence[int]) -> list[tuple[int, int, str, str]]:
        """Of those of the documents that are one chunk: id, the chunk's id, collection and title, by rising id."""
        ...

    def chunk_ids(self, collection: str, filter: Filter | None = None) -> Ids:
        """Sorted."""
        ...

    def owners(self, collection: str) -> Owners:
        """Chunks and their documents."""
        ...

    def languages(self, collection: str) -> dict[str, int]:
        """Chunks by language."""
        ...

    def in_another_language(self, ids: Ids, language: str) -> Ids:
        """Those of these chunks whose document is in a known language that is not `language`; rising."""
        ...

    # operation log
    def last_seq(self) -> int: ...
    def changes(self, since: int, limit: int, collection: str | None = None) -> list[Change]:
        """Entries with seq > since, rising."""
        ...

    def first_seq(self) -> int:
        """Smallest seq still in the log (last_seq + 1 where it is empty): a follower that stands before
        first_seq - 1 must open the sealed segments again."""
        ...

    def trim_log(self, below: int) -> None:
        """Forgets entries with seq < below, and the terms that were kept for chunks whose `add` they are."""
        ...

    def data_version(self) -> int:
        """Changes whenever any process committed; microseconds."""
        ...

    def terms(self, ids: Sequence[int]) -> dict[int, Terms]:
        """Index terms kept with log entries, for the ids that still have them."""
        ...

    # vectors
    def pending(self, collection: str, space: str, limit: int) -> list[Pending]:
        """Newest first."""
        ...

    def count_pending(self, collection: str, space: str) -> int: ...
    def put_embeddings(self, space: str, embeddings: Mapping[bytes, bytes]) -> int:
        """content hash → float16 little-endian bytes. Logs an `embed` change for every chunk with that hash;
        hashes that no chunk has any more are dropped, and so are those that no collection wants: one that uses
        spaces wants no other. Returns the number of chunks."""
        ...

    def embeddings(self, space: str, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """Those of `ids` that have a vector, in the order asked."""
        ...

    # spaces that a collection uses
    def space_uses(self, collection: str) -> list[SpaceUse]:
        """The active one first. None where no use was recorded: then every space may have vectors."""
        ...

    def change_spaces(self, collection: str, change: ChangeSpaces) -> list[SpaceUse]:
        """Replaces the uses by what `change` makes of them, in one transaction, and returns them. Exactly one is active
        and at most one preferred. A new use finds what was embedded in its space before; one that becomes `dropping`
        waits for no vectors and has no segments any more."""
        ...

    def drop_vectors(self, space: str, after: bytes, limit: int) -> bytes:
        """Removes those that no collection wants of the next `limit` vectors, by hash, after `after`; returns the last
        hash looked at, empty at the end. b"" begins."""
        ...

    # sealed segments
    def segments(self, collection: str) -> list[Segment]: ...
    def publish(
        self, collection: str, kind: SegmentKind, space: str, segments: Sequence[Segment]
    ) -> None:
        """Replaces the set of segments of that kind and space in one transaction. Does nothing for a space that the
        collection does not use, where it has uses."""
        ...

    # sources that `sync` and `watch` follow, and small named values
    def roots(self, collection: str) -> list[str]: ...
    def add_root(self, collection: str, path: str) -> None: ...
    def remove_root(self, collection: str, path: str) -> None: ...
    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...

    def require_room(self) -> None:
        """Raises DiskFull where less space is free than is to be left so. Asked by every write that adds, and before
        files are written."""
        ...

    @property
    def memory(self) -> MemoryStore: ...

    @property
    def chats(self) -> ChatStore: ...

    @property
    def graph(self) -> GraphStore: ...

    def check(self) -> list[str]:
        """Problems of the database itself (integrity, foreign keys, coverage of texts by chunks)."""
        ...

    @property
    def folder(self) -> Path: ...
    def close(self) -> None: ...
