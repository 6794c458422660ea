"""Connections to the database file: how they are opened, pooled, and how SQLite's errors become ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw
import msgspec
import numpy as np

from ..errors import DiskFull, InputError, NotFound, RagstoneError, StoreBusy, StoreDamaged, StoreError, StoreReadOnly

DATABASE: Final = "ragstone.db"
SEGMENTS: Final = "segments"
SCRATCH: Final = "scratch"
BUILDING: Final = "restoring"
"""Folder of a restore that is under way (storage/restore.py)."""
CACHES: Final = ("cache.db", "cache.db-wal", "cache.db-shm")
"""Files in the data folder that hold answers to earlier questions and nothing else."""
PAGE_SIZE: Final = 8192
"""Bytes; 10 % more rows per second on insert than 4096 (docs/decisions/0003-store.md)."""
LOG_BYTES: Final = 64 << 20
"""To which the log is cut when it starts again."""
READER_CACHE_KIB: Final = 4_000
WRITER_CACHE_KIB: Final = 16_000
MAPPED_BYTES: Final = 256 << 20
"""Of the file, by each reader: a look-up of ten chunks costs 77 µs mapped and 122 µs read."""
READ_BUSY_MS: Final = 10_000
"""A reader meets a lock only while another process makes, recovers or closes the log."""
POOLED: Final = 16


@contextmanager
def mapped(folder: Path) -> Iterator[None]:
    """Inside, errors of SQLite, of values that it cannot hold and of rows that nobody wrote leave as RagstoneError."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, folder) from error
    except UnicodeEncodeError as error:
        raise InputError(
            "the text holds a character that is not valid Unicode (a lone surrogate).", "Replace it before adding."
        ) from error
    except OverflowError as error:
        raise InputError("a number has more than 64 bits.", "Give it as text, or round it.") from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise _damaged(error, folder) from error


def translate(error: apsw.Error, folder: Path) -> RagstoneError:
    """The typed error for an error of SQLite met while using the data folder `folder`."""
    where = str(folder)
    if isinstance(error, apsw.FullError):
        return DiskFull(
            f"no space is left for the data folder {where}; nothing acknowledged was lost.",
            "Free space on that disk and run the command again.",
        )
    if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError, apsw.AuthError)):
        return StoreReadOnly(
            f"the data folder {where} cannot be written.",
            "Check its owner and permissions, or choose another with --data.",
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)):
        return _damaged(error, folder)
    if isinstance(error, (apsw.BusyError, apsw.LockedError, apsw.ProtocolError)):
        return StoreBusy(
            f"another process holds the data folder {where} for too long.",
            "Try again; `fuser` shows which process has it open.",
        )
    if isinstance(error, apsw.IOError):
        return StoreError(f"the disk of the data folder {where} failed ({error}).", "Check the disk, then try again.")
    return StoreError(f"the store refused an operation ({type(error).__name__}: {error}).", "Please report this.")


def _damaged(error: Exception, folder: Path) -> StoreDamaged:
    return StoreDamaged(
        f"the database in {folder} is damaged ({error}).",
        "Restore a backup, or move the folder away and add the documents again.",
    )


def prepare_folder(folder: Path) -> None:
    """Makes DATA, DATA/segments, DATA/scratch (0700) and an empty DATA/ragstone.db (0600; the log files next to it
    take its mode). Raises StoreReadOnly, DiskFull."""
    try:
        for path in (folder, folder / SEGMENTS, folder / SCRATCH):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise os_error(error, folder) from error


def forget_caches(folder: Path) -> None:
    """Removes every persistent cache of a data folder that no process has open."""
    for name in CACHES:
        (folder / name).unlink(missing_ok=True)


def os_error(error: OSError, folder: Path) -> RagstoneError:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return translate(apsw.FullError(), folder)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return InputError(f"{folder} is not a folder.", "Choose another with --data.")
    return translate(apsw.CantOpenError(), folder)


def connect_writer(folder: Path, database: str = DATABASE) -> apsw.Connection:
    """A connection that commits durably: write-ahead log, one fsync for each commit. Checkpoints are made
    explicitly, after callers were answered."""
    connection = apsw.Connection(str(folder / database), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(READ_BUSY_MS)
    connection.pragma("page_size", PAGE_SIZE)
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", "ON")
    connection.pragma("cache_size", -WRITER_CACHE_KIB)
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("journal_size_limit", LOG_BYTES)  # one large transaction does not leave a large log
    return connection


def connect_reader(folder: Path, database: str = DATABASE) -> apsw.Connection:
    """A connection that cannot write. A folder that nobody can write to (a read-only disk, a folder of another
    user) has no place for the log's shared memory: when there is no log either, the file alone is the whole
    database and is read as such."""
    path = folder / database
    try:
        connection = _open_reader(f"file:{quote(str(path))}?mode=ro")
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        log = Path(f"{path}-wal")
        if not path.exists() or os.access(folder, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        connection = _open_reader(f"file:{quote(str(path))}?mode=ro&immutable=1")
    return connection


def _open_reader(uri: str) -> apsw.Connection:
    connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        connection.set_busy_timeout(READ_BUSY_MS)
        connection.pragma("query_only", "ON")
        connection.pragma("cache_size", -READER_CACHE_KIB)
        connection.pragma("mmap_size", MAPPED_BYTES)
        connection.pragma("temp_store", "MEMORY")
        connection.pragma("user_version")
    except BaseException:
        connection.close()
        raise
    return connection


class ReaderPool:
    """Read connections, the one used last first (its cache is warm). A thread has one to itself while it reads."""

    def __init__(self, folder: Path, database: str = DATABASE) -> None:
        self._folder = folder
        self._database = database
        self._idle: list[apsw.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[apsw.Connection]:
        """A connection for one short read. Errors leave as RagstoneError."""
        with mapped(self._folder):
            try:
                connection = self._idle.pop()
            except IndexError:
                if self._closed:
                    raise closed(self._folder) from None
                connection = connect_reader(self._folder, self._database)
            try:
                yield connection
            finally:
                with self._lock:
                    keep = not self._closed and len(self._idle) < POOLED and not connection.in_transaction
                    if keep:
                        self._idle.append(connection)
                if not keep:
                    let_go(connection)

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """The same, with all reads seeing one moment of the store."""
        with self.use() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            let_go(connection)


def let_go(connection: apsw.Connection) -> None:
    """Closes a connection that has nothing left to write. Whoever closes the file last copies the log into the
    database; where that fails the log stays, and whoever opens it next does it."""
    with suppress(apsw.Error):
        connection.close(True)


def fetch(connection: apsw.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
    """All rows of one statement."""
    return connection.execute(sql, values).fetchall()


def closed(folder: Path) -> StoreError:
    return StoreError(f"the data folder {folder} was closed.", "Open the store again.")


def require_data(folder: Path) -> None:
    """Raises NotFound where nothing was stored yet, StoreError where that cannot be told."""
    try:
        (folder / DATABASE).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no data folder at {folder}.", "Add documents first, or choose another with --data."
        ) from None
    except OSError as error:
        raise StoreError(
            f"the data folder {folder} cannot be read: {error.strerror}.",
            "Check its owner and permissions, or choose another with --data.",
        ) from error


def array(ids: Sequence[int]) -> Any:
    """Bound as one parameter; the rows come in this order."""
    return apsw.carray(np.ascontiguousarray(ids, dtype=np.int64))
