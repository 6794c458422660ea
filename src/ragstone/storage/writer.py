"""One writer for each process: requests of many threads are committed together, one fsync for all.

Between processes SQLite's write lock decides who writes, and a gate (a locked file) decides who is next: whoever
wants to write holds the gate while it waits for the write lock. A process that just committed must pass the gate
again, which the waiting process holds, so that two busy processes take turns instead of one starving.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from ..errors import RagstoneError, StoreBusy
from ..faults import reach
from .connect import DATABASE, closed, connect_writer, let_go, mapped, os_error, translate

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

GATE: Final = "write.lock"
MOST_TOGETHER: Final = 256
"""Requests in one transaction: bounds how long other processes wait."""
POLL_SECONDS: Final = 0.001
"""Between two attempts at a lock that another process holds; a commit takes a few milliseconds."""
LOG_PAGES: Final = 4_000
"""Pages of the write-ahead log (32 MiB) after which it is copied into the database."""
LOG_PAGES_FORCED: Final = 7_000
"""Pages (56 MiB) after which a checkpoint also waits for readers, so that the log starts again from its beginning."""
FORCED_WAIT_MS: Final = 200


class _Request:
    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Work[Any] | None) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs requests in order on one thread. A request that returned is durable. `committed` is called after each
    commit, before its callers are answered, and must not raise."""

    def __init__(
        self,
        folder: Path,
        busy_timeout: float,
        *,
        database: str = DATABASE,
        gate: str = GATE,
        committed: Callable[[], None] | None = None,
    ) -> None:
        self._folder = folder
        self._busy_timeout = busy_timeout
        self._names = (database, gate)
        self._committed = committed
        self._queue: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._connection: apsw.Connection | None = None
        self._gate: int | None = None
        self._log_pages = 0

    def run(self, work: Work[T]) -> T:
        """Calls `work` with the write connection inside a transaction and returns its result once that is on
        disk. An exception of `work` undoes what it wrote, and nothing else. Raises StoreBusy, DiskFull,
        StoreReadOnly, StoreDamaged."""
        request = _Request(work)
        with self._lock:
            if self._closed:
                raise closed(self._folder)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="ragstone-writer", daemon=True)
                self._thread.start()
            self._queue.put(request)
        request.done.wait()
        if request.error is not None:
            raise request.error
        result: T = request.result
        return result

    def close(self) -> None:
        """Finishes what was asked for, then lets go of the file. Can be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(_Request(None))
        if self._thread is not None:
            self._thread.join()

    # ------------------------------------------------------------------ on the writer's thread
    def _serve(self) -> None:
        stopping = False
        while not stopping:
            group = [self._queue.get()]
            while len(group) < MOST_TOGETHER and not self._queue.empty():
                group.append(self._queue.get())
            stopping = group[-1].work is None
            self._commit([request for request in group if request.work is not None])
            self._checkpoint()
        self._release()

    def _commit(self, group: list[_Request]) -> None:
        """Commits the group in one transaction. When the transaction as a whole is lost (the disk is full, the
        commit fails), each request is tried alone, so that one cannot fail the others."""
        if not group:
            return
        try:
            with mapped(self._folder):
                lost = self._attempt(group)
        except RagstoneError as error:
            lost = error
        except BaseException as error:  # noqa: BLE001 - callers wait: whatever it is, it must reach them
            lost = error
        if lost is None or len(group) == 1 or isinstance(lost, StoreBusy):
            for request in group:
                if lost is not None:
                    request.error = lost
                request.done.set()
            return
        for request in group:
            request.result = request.error = None
            self._commit([request])

    def _attempt(self, group: list[_Request]) -> BaseException | None:
        """Returns why the whole transaction was lost, or None once it is durable."""
        connection = self._open()
        self._begin(connection)
        reach("writer.begun")
        try:
            for request in group:
                connection.execute("SAVEPOINT request")
                try:
                    request.result = request.work(connection)  # type: ignore[misc]
                except BaseException as error:  # noqa: BLE001 - handed to the caller that waits for it
                    if not connection.in_transaction:
                        return self._typed(error)
                    connection.execute("ROLLBACK TO request")
                    request.error = self._typed(error)
                connection.execute("RELEASE request")
            reach("writer.worked")
            connection.execute("COMMIT")
            reach("writer.committed")
            if self._committed is not None:
                self._committed()
        except BaseException as error:  # noqa: BLE001 - handed to the callers that wait for it
            return self._typed(error)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return None

    def _typed(self, error: BaseException) -> BaseException:
        try:
            with mapped(self._folder):
                raise error
        except BaseException as typed:  # noqa: BLE001 - this is the conversion
            return typed

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = connect_writer(self._folder, self._names[0])
            self._connection.set_busy_timeout(0)  # who waits for the write lock waits by the rule of _begin
            self._connection.set_wal_hook(self._note_log)
            self._gate = open_gate(self._folder, self._names[1])
        return self._connection

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _begin(self, connection: apsw.Connection) -> None:
        assert self._gate is not None  # noqa: S101 - _open sets both
        deadline = time.monotonic() + self._busy_timeout
        lock_gate(self._gate, self._folder, deadline)
        try:
            self._restart_log(connection, deadline)
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except apsw.BusyError as error:
                    if time.monotonic() >= deadline:
                        raise translate(error, self._folder) from error
                time.sleep(POLL_SECONDS)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _restart_log(self, connection: apsw.Connection, deadline: float) -> None:
        """Where the log has come to its bound because somebody reads an old state, waits for that reader rather than
        let the log grow. Raises StoreBusy."""
        while self._log_pages >= LOG_PAGES_FORCED:
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
                self._log_pages = 0
            except apsw.BusyError as error:
                if time.monotonic() >= deadline:
                    raise StoreBusy(
                        f"a process has been reading an old state of {self._folder} for too long, so its log is full.",
                        "Stop that process (`fuser -v` names it), or try again when it is done.",
                    ) from error
                time.sleep(POLL_SECONDS)

    def _checkpoint(self) -> None:
        """After the callers were answered, so that none waits for it. A checkpoint that cannot be made now is made
        after a later commit: the log stays whole either way."""
        connection = self._connection
        if connection is None or self._log_pages < LOG_PAGES:
            return
        reach("writer.checkpoint")
        forced = self._log_pages >= LOG_PAGES_FORCED
        connection.set_busy_timeout(FORCED_WAIT_MS if forced else 0)
        try:
            connection.wal_checkpoint(
                mode=apsw.SQLITE_CHECKPOINT_RESTART if forced else apsw.SQLITE_CHECKPOINT_PASSIVE
            )
        except apsw.Error:
            return  # not lost: whatever is wrong with the file, the next commit or read says so to its caller
        finally:
            connection.set_busy_timeout(0)

    def _release(self) -> None:
        if self._connection is not None:
            let_go(self._connection)
            self._connection = None
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None


def open_gate(folder: Path, name: str = GATE) -> int:
    """A descriptor of the gate file. Raises StoreReadOnly."""
    try:
        return os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise os_error(error, folder) from error


def lock_gate(gate: int, folder: Path, deadline: float) -> None:
    """Waits until no other process holds the gate. `deadline` is `time.monotonic()` seconds. Raises StoreBusy."""
    while True:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise translate(apsw.BusyError(), folder) from error
        time.sleep(POLL_SECONDS)
