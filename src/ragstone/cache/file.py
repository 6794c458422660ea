"""What outlives the process: DATA/cache.db, an SQLite file of its own beside the store.

It can be deleted at any moment. One that is damaged, or of another version of this module, is made anew. Several
processes use it at once; write-ahead logging without an fsync for each commit, because losing the last entries in a
power cut costs nothing, and every value carries a checksum.

Deleting means gone: each value names the chunks and documents that it holds text of. A value is written only while all
of its chunks are in the store, asked inside the file's write transaction; and whoever deletes documents removes what
holds them, in a write transaction of its own, before it says so. Whichever comes first, nothing stays. The file notes
up to which entry of the operation log this was done (`seq`), so that what a killed process left undone is done by the
next one. `secure_delete` overwrites what is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from ..errors import DiskFull, StoreBusy, StoreError
from ..protocols import Store

CACHE: Final = "cache.db"
LOCK: Final = "cache.lock"
VERSION: Final = 1
"""Of the tables below; a file of another version is made anew."""
BUSY_MS: Final = 2_000
"""For writers, none of which a question waits for; a transaction takes milliseconds."""
MOST_QUESTIONS: Final = 2_000
"""Questions whose number is kept. Above it all numbers are halved and the rarer half is forgotten."""
_CHANGES: Final = 10_000
_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SQLError, apsw.MismatchError)

_TABLES = """
CREATE TABLE kept (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key BLOB NOT NULL, checksum BLOB NOT NULL,
    size INTEGER NOT NULL, stored REAL NOT NULL, weight REAL NOT NULL, value BLOB NOT NULL, UNIQUE (kind, key)
) STRICT;
CREATE INDEX kept_by_weight ON kept (weight, size);
CREATE TABLE holds (
    id INTEGER NOT NULL REFERENCES kept ON DELETE CASCADE, chunk INTEGER NOT NULL, document INTEGER NOT NULL
) STRICT;
CREATE INDEX holds_of ON holds (id);
CREATE INDEX holds_chunk ON holds (chunk);
CREATE INDEX holds_document ON holds (document);
CREATE TABLE questions (request TEXT PRIMARY KEY, asked REAL NOT NULL) STRICT;
CREATE TABLE state (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
"""

Key = tuple[str, bytes]
"""Kind and digest."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A value on its way to the file, with (chunk id, document id) of all whose text is in it."""

    value: bytes
    evidence: tuple[tuple[int, int], ...] = ()


class CacheFile:
    """Synchronous and for one thread at a time. Raises apsw.Error, and StoreError from `settle`, `forget` and `purge`;
    `Persistent` decides what becomes of the first. `limits` are entries and bytes. `weight_of` gives the weight of a
    value that was used (its weight so far, the weight of what went last, how often); the smallest goes first."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        limits: tuple[int, int],
        *,
        weight_of: Callable[[float, float, int], float],
        writable: bool,
    ) -> None:
        self._path = folder / CACHE
        self._lock = folder / LOCK
        self._store = store
        self._entries, self._most_bytes = limits
        self._weight_of = weight_of
        self._writable = writable
        self._connection: apsw.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.evictions = 0

    # ------------------------------------------------------------------ reading and writing
    def read(self, key: Key, oldest: float) -> bytes | None:
        """None also for a value that was stored before `oldest` (POSIX seconds), or that its checksum does not fit."""
        row = self._open().execute("SELECT value, checksum, stored FROM kept WHERE kind = ? AND key = ?", key).get
        if row is None or row[2] < oldest or row[1] != _checksum(key, row[0]):
            return None
        value: bytes = row[0]
        return value

    def write(
        self, puts: Mapping[Key, Kept], uses: Mapping[Key, int], asked: Mapping[str, int], oldest: float
    ) -> None:
        """All in one transaction: new values, what was used how often, which questions were asked."""
        with self._writing() as connection:
            age = self._state(connection, "age")
            for key, kept in puts.items():
                if not self._all_there(kept):
                    continue
                connection.execute("DELETE FROM kept WHERE kind = ? AND key = ?", key)
                size = len(kept.value) + 32 * len(kept.evidence) + 100
                values = (*key, _checksum(key, kept.value), size, time.time(), self._weight_of(age, age, 1), kept.value)
                connection.execute(
                    "INSERT INTO kept (kind, key, checksum, size, stored, weight, value) VALUES (?,?,?,?,?,?,?)", values
                )
                id_ = connection.last_insert_rowid()
                connection.executemany("INSERT INTO holds VALUES (?, ?, ?)", [(id_, *held) for held in kept.evidence])
            for key, times in uses.items():
                row = connection.execute("SELECT id, weight FROM kept WHERE kind = ? AND key = ?", key).get
                if row is not None:
                    weight = self._weight_of(row[1], age, times)
                    connection.execute("UPDATE kept SET weight = ? WHERE id = ?", (weight, row[0]))
            if oldest > 0:  # reads the whole table
                connection.execute("DELETE FROM kept WHERE stored < ?", (oldest,))
            self._evict(connection)
            self._count(connection, asked)

    def _all_there(self, kept: Kept) -> bool:
        chunks = {chunk for chunk, _ in kept.evidence}
        return len(self._store.chunks(sorted(chunks))) == len(chunks)

    def _evict(self, connection: apsw.Connection) -> None:
        rows, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM kept").get
        while rows > self._entries or size > self._most_bytes:
            id_, weight, bytes_ = connection.execute("SELECT id, weight, size FROM kept ORDER BY weight LIMIT 1").get
            connection.execute("DELETE FROM kept WHERE id = ?", (id_,))
            self._set_state(connection, "age", max(weight, self._state(connection, "age")))
            rows, size = rows - 1, size - bytes_
            self.evictions += 1

    def _count(self, connection: apsw.Connection, asked: Mapping[str, int]) -> None:
        if not asked:
            return
        connection.executemany(
            "INSERT INTO questions VALUES (?, ?) ON CONFLICT DO UPDATE SET asked = asked + excluded.asked",
            list(asked.items()),
        )
        if connection.execute("SELECT count(*) FROM questions").get > MOST_QUESTIONS:
            connection.execute("UPDATE questions SET asked = asked / 2")
            kept = "SELECT request FROM questions ORDER BY asked DESC LIMIT ?"
            connection.execute(f"DELETE FROM questions WHERE request NOT IN ({kept})", (MOST_QUESTIONS // 2,))  # noqa: S608

    def frequent(self, count: int) -> list[str]:
        """The requests that were made most often, first the most frequent."""
        found = self._open().execute("SELECT request FROM questions ORDER BY asked DESC, request LIMIT ?", (count,))
        return [row[0] for row in found]

    def size(self, kind: str) -> tuple[int, int]:
        """Values of that kind, and their bytes."""
        found: tuple[int, int] = (
            self._open().execute("SELECT count(*), coalesce(sum(size), 0) FROM kept WHERE kind = ?", (kind,)).get
        )
        return found

    def questions(self) -> int:
        return int(self._open().execute("SELECT count(*) FROM questions").get)

    def check(self) -> None:
        """Raises CorruptError."""
        found = self._open().execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise apsw.CorruptError(str(found))

    def discard(self, kind: str) -> None:
        """Every value of that kind."""
        with self._writing() as connection:
            connection.execute("DELETE FROM kept WHERE kind = ?", (kind,))

    # ------------------------------------------------------------------ delete means gone
    def settle(self) -> None:
        """Removes what holds text of chunks that the operation log says are gone. Raises StoreError where that cannot
        be done now; then a later call does it."""

        def work() -> None:
            with self._writing() as connection:
                seq = int(self._state(connection, "seq"))
                gone, last = self._gone_since(connection, seq)
                removed = self._remove(connection, "chunk", gone)
                if last != seq:
                    self._set_state(connection, "seq", last)
            if removed:
                self._truncate(connection)

        self._certainly(work)

    def _gone_since(self, connection: apsw.Connection, seq: int) -> tuple[Iterable[int], int]:
        """Chunks that went after entry `seq` of the log, and its last entry."""
        held = "SELECT DISTINCT chunk FROM holds"
        if connection.execute(f"{held} LIMIT 1").get is None:
            return (), self._store.last_seq()
        gone: dict[int, None] = {}
        last = seq
        while changes := self._store.changes(last, _CHANGES):
            gone.update((change.chunk_id, None) for change in changes if change.op == "delete")
            last = changes[-1].seq
        end = self._store.last_seq()
        if seq > end:  # another store was put in this one's place
            return [row[0] for row in connection.execute(held)], end
        # Asked after reading: what is missing now may have been missing in what was read.
        if seq < self._store.first_seq() - 1:
            there = {int(id_) for name in self._store.every_collection() for id_ in self._store.chunk_ids(name)}
            return [row[0] for row in connection.execute(held) if row[0] not in there], end
        return gone, last

    def forget(self, documents: Iterable[int]) -> None:
        """Removes what holds text of these documents, by id. Raises StoreError."""

        def work() -> None:
            with self._writing() as connection:
                self._remove(connection, "document", documents)
            self._truncate(connection)

        self._certainly(work)

    def _remove(self, connection: apsw.Connection, column: str, ids: Iterable[int]) -> bool:
        """Whether there was anything to remove."""
        before = connection.total_changes()
        statement = f"DELETE FROM kept WHERE id IN (SELECT id FROM holds WHERE {column} = ?)"  # noqa: S608 - ours
        connection.executemany(statement, [(id_,) for id_ in ids])
        return bool(connection.total_changes() != before)

    def purge(self) -> None:
        """Removes everything, so that no byte of it stays in the file or beside it. Raises StoreError."""

        def work() -> None:
            with self._writing() as connection:
                connection.execute("DELETE FROM kept")
                connection.execute("DELETE FROM questions")
                self._set_state(connection, "seq", self._store.last_seq())
            connection.execute("VACUUM")
            if not self._truncate(connection):
                raise StoreBusy("the cache is being read by another process.", "Try again.")

        self._certainly(work)

    def _truncate(self, connection: apsw.Connection) -> bool:
        """Takes what was removed out of the log file as well; False where a reader of another process is in the way."""
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.BusyError, apsw.LockedError):
            return False
        return True

    def _certainly(self, work: Callable[[], None]) -> None:
        """Does it where there is a file. A damaged one is removed, and all that it holds with it."""
        if not self._path.exists():
            return
        try:
            try:
                work()
            except _DAMAGED:
                self.make_anew()
        except (apsw.BusyError, apsw.LockedError) as error:
            raise StoreBusy("another process holds the cache for too long.", "Try again.") from error
        except apsw.FullError as error:
            raise DiskFull(f"no space is left for the cache {self._path}.", "Free some, or delete the file.") from error
        except apsw.Error as error:
            raise StoreError(
                f"the cache {self._path} cannot be written ({error}).", "Free space, or delete the file."
            ) from error

    # ------------------------------------------------------------------ the file
    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _open(self) -> apsw.Connection:
        if self._connection is not None and self._identity != _identity(self._path):
            self.close()  # it was deleted or replaced
        if self._connection is None:
            self._connection = self._connect() if self._writable else self._connect_reader()
        return self._connection

    def _connect_reader(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        self._identity = _identity(self._path)
        if connection.pragma("user_version") != VERSION:
            connection.close()
            raise apsw.FormatError(f"{self._path} is of another version")
        return connection

    def _connect(self) -> apsw.Connection:
        # Made exclusively: to open and close a file that is there would take this process's locks from it.
        with suppress(FileExistsError), _as_apsw():
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_MS)
            connection.pragma("temp_store", "MEMORY")
            connection.pragma("foreign_keys", "ON")
            connection.pragma("secure_delete", "ON")
            connection.pragma("synchronous", "NORMAL")
            connection.pragma("cache_size", -1_000)
            if connection.pragma("user_version") == 0:
                connection.pragma("journal_mode", "WAL")
                connection.execute("BEGIN IMMEDIATE")
                if connection.pragma("user_version") == 0:  # no other process was first
                    connection.execute(_TABLES)
                    self._set_state(connection, "seq", self._store.last_seq())
                    connection.pragma("user_version", VERSION)
                connection.execute("COMMIT")
            if connection.pragma("user_version") != VERSION:
                raise apsw.FormatError(f"{self._path} is of another version")
        except BaseException:
            self._identity = _identity(self._path)
            connection.close(True)
            raise
        self._identity = _identity(self._path)
        return connection

    def make_anew(self) -> None:
        """Removes the file that was found damaged, unless another process did; the next call makes a new one. Raises
        apsw.Error."""
        self.close()
        with _as_apsw():
            lock = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self._identity is None or self._identity == _identity(self._path):
                    remove(self._path.parent)
            finally:
                os.close(lock)
        self._identity = None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(apsw.Error):  # closing a damaged file cannot tidy it up, and need not
                self._connection.close(True)
            self._connection = None

    def _state(self, connection: apsw.Connection, name: str) -> float:
        return float(connection.execute("SELECT value FROM state WHERE name = ?", (name,)).get or 0.0)

    def _set_state(self, connection: apsw.Connection, name: str, value: float) -> None:
        connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, float(value)))


def remove(folder: Path) -> None:
    """Takes the file away. Raises OSError."""
    if (folder / CACHE).exists():
        for suffix in ("-wal", "-shm", ""):
            Path(f"{folder / CACHE}{suffix}").unlink(missing_ok=True)


def damaged(error: apsw.Error) -> bool:
    """Whether only making the file anew helps."""
    return isinstance(error, _DAMAGED)


def digest(parts: Sequence[bytes]) -> bytes:
    """32 bytes that are equal exactly when all parts are."""
    hashed = hashlib.blake2b(digest_size=32)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()


def _checksum(key: Key, value: bytes) -> bytes:
    return digest([key[0].encode(), key[1], value])[:16]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _as_apsw() -> Iterator[None]:
    """The operating system's errors as those of SQLite, so that callers meet one kind. FileExistsError passes."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise apsw.CantOpenError(str(error)) from error
