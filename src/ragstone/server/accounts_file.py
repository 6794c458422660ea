"""`server.db` as processes share it: made, upgraded and closed by one at a time, read over a connection of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw

from ..errors import StoreDamaged, StoreError, StoreNewer
from ..storage.layout import ACCOUNTS, ACCOUNTS_GATE
from ..storage.swap import settle
from ..storage.writer import lock_gate, open_gate

BUSY_STEP_SECONDS: Final = 0.01
BUSY_MS: Final = 10_000
GATE_SECONDS: Final = 60.0
"""For those who open the file at the same time; each takes some milliseconds."""
APPLICATION_ID: Final = 0x52475356

Statement = tuple[str, Sequence[Any]]
"""SQL and its values."""


class AccountsFile:
    """Thread-safe. `first` are statements that are run while no other process can. Raises StoreError."""

    def __init__(self, folder: Path, first: Sequence[Statement]) -> None:
        self._path = folder / ACCOUNTS
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settle(folder)
        with self._alone():
            self._open()
            for sql, values in first:
                self.run(sql, values)

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows."""
        return self._run(self._connection, sql, values)

    def read(self, sql: str) -> list[Any]:
        """The rows, by the connection whose `version` changes with every write."""
        return self._run(self._watch, sql, ())

    def version(self) -> int:
        """Changes whenever any connection, in this process or another, committed."""
        return int(self.read("PRAGMA data_version")[0][0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the body runs, or nothing."""
        with self._lock:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                self.run("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock, self._alone():
            self._watch.close()
            self._connection.close()  # the last one: it copies the log into the database, which a reader cannot

    def _run(self, connection: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            try:
                return connection.execute(sql, values).fetchall()
            except apsw.Error as error:
                raise _mapped(error) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process makes, opens or closes the file. SQLite does not wait, whatever its timeout, for one
        that changes the journal's mode, or that is the last to close and removes the log. Raises StoreBusy."""
        gate = open_gate(self._path.parent, ACCOUNTS_GATE)
        try:
            lock_gate(gate, self._path.parent, time.monotonic() + GATE_SECONDS)
            yield
        finally:
            os.close(gate)

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._connection = apsw.Connection(str(self._path))
            self._watch = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise _mapped(error) from error
        self._connection.set_busy_timeout(BUSY_MS)
        self._watch.set_busy_timeout(BUSY_MS)
        self._use_log()
        self.run("PRAGMA synchronous = FULL")
        self.run("PRAGMA foreign_keys = ON")
        self._migrate()

    def _use_log(self) -> None:
        """SQLite does not wait where the journal's mode changes and somebody (a backup) reads, so this does."""
        until = time.monotonic() + BUSY_MS / 1000
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.Error as error:
                if not isinstance(error, apsw.BusyError) or time.monotonic() > until:
                    raise _mapped(error) from error
            time.sleep(BUSY_STEP_SECONDS)

    def _migrate(self) -> None:
        scripts = sorted(
            (entry.name, entry.read_text(encoding="utf-8"))
            for entry in resources.files(__package__).joinpath("sql").iterdir()
            if entry.name.endswith(".sql")
        )
        with self._lock:
            owner = int(self.run("PRAGMA application_id")[0][0])
            found = int(self.run("PRAGMA user_version")[0][0])
            if owner not in (0, APPLICATION_ID):
                raise StoreDamaged(f"{self._path} was not made by Ragstone.", "Move it away.")
            if found > len(scripts):
                raise StoreNewer(f"{self._path} was written by a newer version.", "Install that version.")
            for number, (_, script) in enumerate(scripts, 1):
                self.run("BEGIN IMMEDIATE")
                if int(self.run("PRAGMA user_version")[0][0]) < number:
                    self.run(script)
                    self.run(f"PRAGMA application_id = {APPLICATION_ID}")
                    self.run(f"PRAGMA user_version = {number}")
                self.run("COMMIT")


def _mapped(error: apsw.Error) -> StoreError:
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        return StoreDamaged(f"server.db is damaged: {error}.", "Restore it from a backup, or move it away.")
    return StoreError(f"server.db cannot be used: {error}.", "Check the data folder and its disk.")
