"""The store in one SQLite file. `protocols.Store` is the contract; the schema is in sql/0001_first.sql.

    DATA/ragstone.db (-wal, -shm)   the truth          DATA/segments/   sealed index files, derived
    DATA/write.lock                 who writes next    DATA/scratch/    temporary files
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import numpy as np

from ..errors import DiskFull, InputError, NotFound, StoreDamaged, StoreReadOnly
from ..memory_types import MEMORY
from ..protocols import (
    ChangeSpaces,
    Guard,
    Ids,
    Known,
    Owners,
    Pending,
    PutResult,
    Segment,
    SegmentKind,
    Store,
    Vectors,
)
from ..text.analysis import ANALYSIS_VERSION
from ..types import Change, Chunk, Document, Filter, PreparedDocument, SpaceUse, Terms
from . import oplog, rows, space_uses, vectors, writes
from . import segments as index_files
from .chats import SqliteChats
from .checks import problems
from .connect import ReaderPool, array, connect_reader, fetch, let_go, mapped, prepare_folder, require_data
from .graph import SqliteGraph
from .memory import SqliteMemory, followed
from .memory_sources import follow_changed
from .migrations import queries, require_current
from .opening import initialise
from .selection import Selections, selected_documents
from .writer import Work, Writer

T = TypeVar("T")
SQL = queries()

BUSY_SECONDS: Final = 60.0
DOCUMENTS_READ: Final = 200
"""Documents in one read of `documents`: no read stays open while the caller works."""
TRIMMED: Final = 5_000
"""Log entries forgotten in one transaction, so that other writers get in between."""
_NAME = re.compile(r"[\w][\w .@+-]{0,127}")


class SqliteStore(Store):
    """Opens (and makes, or migrates) the data folder `folder`. `read_only` writes nothing at all, and works in a
    folder that cannot be written. While less than `free_disk` bytes are free on the disk, what adds is refused with
    DiskFull. Raises StoreReadOnly, StoreNewer, StoreDamaged, StoreBusy, DiskFull; NotFound
    where `read_only` finds no data."""

    def __init__(
        self, folder: Path, *, read_only: bool = False, busy_timeout: float = BUSY_SECONDS, free_disk: int = 0
    ) -> None:
        self._folder = Path(folder)
        self._free_disk = free_disk
        self._read_only = read_only
        self._readers = ReaderPool(self._folder)
        self._version_lock = threading.Lock()
        self._version_connection: apsw.Connection | None = None
        self._selections = Selections()
        if read_only:
            require_data(self._folder)
        else:
            prepare_folder(self._folder)
            initialise(self._folder, busy_timeout)
        with self._readers.use() as connection:
            require_current(connection, self._folder)
        self._writer = Writer(self._folder, busy_timeout)
        self._memory = SqliteMemory(self._readers, self._write)
        self._chats = SqliteChats(self._readers, self._write)
        self._graph = SqliteGraph(self._readers, self._write)

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def memory(self) -> SqliteMemory:
        return self._memory

    @property
    def chats(self) -> SqliteChats:
        return self._chats

    @property
    def graph(self) -> SqliteGraph:
        return self._graph

    @property
    def read_only(self) -> bool:
        return self._read_only

    def close(self) -> None:
        # The writer last: whoever closes the file last copies the log into the database, which a reader cannot.
        self._readers.close()
        with self._version_lock:
            if self._version_connection is not None:
                let_go(self._version_connection)
                self._version_connection = None
        self._writer.close()

    def require_room(self) -> None:
        free = shutil.disk_usage(self._folder).free  # 2 µs
        if free < self._free_disk:
            raise DiskFull(
                f"the disk of the data folder is nearly full: {free >> 20} MiB are free, {self._free_disk >> 20} MiB "
                "are kept so; nothing is added, searching goes on.",
                "Free space there, or set data.free_disk lower; it goes on by itself then.",
            )

    def _write(self, work: Work[T], *, frees: bool = False) -> T:
        """`frees`: allowed on a disk that is nearly full, because it makes room sooner or later."""
        if self._read_only:
            raise StoreReadOnly(
                f"the data folder {self._folder} was opened for reading only.", "Open it without read-only to write."
            )
        if not frees:
            self.require_room()
        return self._writer.run(work)

    # ------------------------------------------------------------------ collections
    def collections(self) -> list[str]:
        return [name for name in self.every_collection() if name != MEMORY]

    def every_collection(self) -> list[str]:
        with self._readers.use() as connection:
            return [row[0] for row in connection.execute(SQL["collection_names"])]

    def create_collection(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} cannot be the name of a collection.",
                "Use up to 128 letters, digits, spaces and . @ + - _, beginning with a letter or digit.",
            )
        with self._readers.use() as connection:
            if connection.execute(SQL["collection"], (name,)).fetchone() is not None:
                return
        self._write(lambda connection: _run(connection, "create_collection", (name,)))

    def drop_collection(self, name: str) -> None:
        self._write(followed(lambda connection: writes.drop_collection(connection, name)), frees=True)

    def revision(self, collection: str) -> int:
        with self._readers.use() as connection:
            return writes.collection_at(connection, collection)[1]

    # ------------------------------------------------------------------ documents
    def put(
        self, collection: str, documents: Sequence[PreparedDocument], *, guard: Guard | None = None
    ) -> list[PutResult]:
        with self._readers.snapshot() as connection:
            unchanged = writes.unchanged(connection, collection, documents)
        if unchanged is not None:
            return unchanged
        return self._write(_guarded(guard, lambda connection: _put(connection, collection, documents)))

    def delete(self, collection: str, uris: Sequence[str], *, guard: Guard | None = None) -> list[str]:
        work: Work[list[str]] = followed(lambda connection: writes.delete(connection, collection, uris))
        return self._write(_guarded(guard, work), frees=True)

    def known(self, collection: str, uris: Iterable[str] | None = None) -> dict[str, Known]:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            if uris is None:
                found = connection.execute(SQL["known"], (owner,))
            else:
                found = connection.execute(SQL["known_of"], (owner, json.dumps([uri for uri in uris if _stored(uri)])))
            return {row[0]: Known(*row[1:]) for row in found}

    def document(self, collection: str, uri: str) -> Document:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            row = connection.execute(SQL["document"], (owner, uri)).fetchone()
            if row is not None:
                return rows.document(row)
        raise NotFound(f"there is no document {uri!r} in {collection!r}.", "`ragstone list` shows what is there.")

    def documents(self, collection: str, filter: Filter | None = None) -> Iterator[Document]:
        """By uri. What is removed meanwhile is left out."""
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            ids = selected_documents(connection, owner, filter or Filter())
        return self._documents(ids)

    def documents_by_id(self, ids: Sequence[int]) -> list[Document]:
        return list(self._documents(list(ids)))

    def document_page(
        self, collection: str, limit: int, *, after: str = "", language: str = "", contains: str = ""
    ) -> list[Document]:
        wanted = {"after": after, "language": language, "contains": contains.lower(), "limit": limit}
        with self._readers.snapshot() as connection:
            wanted["collection"] = writes.collection_id(connection, collection)
            return [rows.document(row) for row in fetch(connection, SQL["document_page"], wanted)]

    def _documents(self, ids: list[int]) -> Iterator[Document]:
        for first in range(0, len(ids), DOCUMENTS_READ):
            wanted = array(ids[first : first + DOCUMENTS_READ])
            with self._readers.use() as connection:
                found = [rows.document(row) for row in fetch(connection, SQL["documents_by_id"], (wanted,))]
            yield from found

    def document_text(self, document_id: int) -> str:
        with self._readers.snapshot() as connection:
            if connection.execute(SQL["document_exists"], (document_id,)).fetchone() is None:
                raise NotFound(f"there is no document {document_id}.", "It was removed meanwhile; search again.")
            return "".join(row[0] for row in connection.execute(SQL["text_of_document"], (document_id,)))

    # ------------------------------------------------------------------ chunks
    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        with self._readers.use() as connection:
            return rows.chunks(fetch(connection, SQL["chunks"], (array(ids),))) if len(ids) else []

    def document_chunks(self, document_id: int) -> list[Chunk]:
        with self._readers.snapshot() as connection:
            ids = [row[0] for row in connection.execute(SQL["chunks_of_document"], (document_id,))]
            return rows.chunks(fetch(connection, SQL["chunks"], (array(ids),))) if ids else []

    def whole_documents(self, ids: Sequence[int]) -> list[tuple[int, int, str, str]]:
        with self._readers.use() as connection:
            return fetch(connection, SQL["whole_documents"], (array(ids),)) if len(ids) else []

    def chunk_ids(self, collection: str, filter: Filter | None = None) -> Ids:
        """Read-only array: it may be given to several callers."""
        with self._readers.snapshot() as connection:
            return self._selections.chunk_ids(connection, collection, filter)

    def owners(self, collection: str) -> Owners:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            found = np.array(fetch(connection, SQL["owners"], (owner,)), dtype=np.int64).reshape(-1, 2)
        found = found[np.argsort(found[:, 0])]
        return Owners(found[:, 0].copy(), found[:, 1].copy())

    def languages(self, collection: str) -> dict[str, int]:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            return dict(fetch(connection, SQL["languages"], (owner,)))

    def in_another_language(self, ids: Ids, language: str) -> Ids:
        if not len(ids):
            return ids
        with self._readers.use() as connection:
            found = fetch(connection, SQL["chunks_in_another_language"], (array(ids.tolist()), language))
        return np.array(found, dtype=np.int64).reshape(-1)

    # ------------------------------------------------------------------ operation log
    def last_seq(self) -> int:
        with self._readers.use() as connection:
            return oplog.last_seq(connection)

    def first_seq(self) -> int:
        with self._readers.snapshot() as connection:
            return oplog.first_seq(connection)

    def changes(self, since: int, limit: int, collection: str | None = None) -> list[Change]:
        with self._readers.use() as connection:
            return oplog.changes(connection, since, limit, collection)

    def trim_log(self, below: int) -> None:
        bound = self.first_seq()
        while bound < below:
            bound = min(bound + TRIMMED, below)
            self._write(partial(oplog.trim, below=bound), frees=True)

    def data_version(self) -> int:
        """Read on a connection that never writes, which therefore sees the commits of this process as well."""
        with self._version_lock, mapped(self._folder):
            if self._version_connection is None:
                self._version_connection = connect_reader(self._folder)
            return int(self._version_connection.execute("PRAGMA data_version").get)

    def terms(self, ids: Sequence[int]) -> dict[int, Terms]:
        if not len(ids):
            return {}
        with self._readers.use() as connection:
            found = fetch(connection, SQL["terms"], (array(ids), ANALYSIS_VERSION))
        return {id_: Terms(keys, length) for id_, length, keys in found}

    # ------------------------------------------------------------------ vectors
    def pending(self, collection: str, space: str, limit: int) -> list[Pending]:
        with self._readers.snapshot() as connection:
            return vectors.pending(connection, collection, space, limit)

    def count_pending(self, collection: str, space: str) -> int:
        with self._readers.snapshot() as connection:
            return vectors.count_pending(connection, collection, space)

    def put_embeddings(self, space: str, embeddings: Mapping[bytes, bytes]) -> int:
        if not embeddings:
            return 0
        return self._write(lambda connection: writes.put_embeddings(connection, space, embeddings))

    def embeddings(self, space: str, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        with self._readers.snapshot() as connection:
            return vectors.embeddings(connection, space, ids)

    def space_uses(self, collection: str) -> list[SpaceUse]:
        with self._readers.snapshot() as connection:
            return space_uses.read(connection, writes.collection_id(connection, collection))

    def change_spaces(self, collection: str, change: ChangeSpaces) -> list[SpaceUse]:
        return self._write(lambda connection: space_uses.change(connection, collection, change), frees=True)

    def drop_vectors(self, space: str, after: bytes, limit: int) -> bytes:
        return self._write(lambda connection: space_uses.drop_vectors(connection, space, after, limit), frees=True)

    # ------------------------------------------------------------------ segments, roots, state
    def segments(self, collection: str) -> list[Segment]:
        with self._readers.snapshot() as connection:
            return index_files.read(connection, collection)

    def publish(
        self, collection: str, kind: SegmentKind, space: str, segments: Sequence[Segment]
    ) -> None:
        if any((segment.kind, segment.space) != (kind, space) for segment in segments):
            raise InputError("a segment of another kind or space cannot be published here.", "Publish each set alone.")

        # whoever writes files for it asks for room first
        self._write(lambda c: index_files.publish(c, collection, kind, space, segments), frees=True)

    def roots(self, collection: str) -> list[str]:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            return [row[0] for row in connection.execute(SQL["roots"], (owner,))]

    def add_root(self, collection: str, path: str) -> None:
        if path not in self.roots(collection):
            self._write(lambda c: _run(c, "add_root", (writes.collection_id(c, collection), path)))

    def remove_root(self, collection: str, path: str) -> None:
        if path in self.roots(collection):
            self._write(lambda c: _run(c, "remove_root", (writes.collection_id(c, collection), path)), frees=True)

    def get_state(self, key: str) -> str | None:
        with self._readers.use() as connection:
            row = connection.execute(SQL["get_state"], (key,)).fetchone()
            return row[0] if row else None

    def set_state(self, key: str, value: str) -> None:
        if self.get_state(key) != value:
            self._write(lambda connection: _run(connection, "set_state", (key, value)))

    # ------------------------------------------------------------------ checks
    def check(self) -> list[str]:
        found: list[str] = []
        try:
            with self._readers.snapshot() as connection:
                found.extend(problems(connection))
        except StoreDamaged as error:
            found.append(error.message)
        return found


def _put(connection: apsw.Connection, collection: str, documents: Sequence[PreparedDocument]) -> list[PutResult]:
    results = writes.put(connection, collection, documents)
    follow_changed(connection, [result.document_id for result in results if result.state == "updated"])
    return results


def _guarded(guard: Guard | None, work: Work[T]) -> Work[T]:
    if guard is None:
        return work

    def guarded(connection: apsw.Connection) -> T:
        guard()
        return work(connection)

    return guarded


def _run(connection: apsw.Connection, name: str, values: tuple[Any, ...]) -> None:
    connection.execute(SQL[name], values)


def _stored(text: str) -> bool:
    """Whether the database can hold it: it has no halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
