"""DATA/budget.db: its tables, its transactions, and one transaction's view of them.

Only one process at a time writes, and it holds DATA/budget/gate while it does: waiting for SQLite's own lock, with its
growing pauses, starves some processes. Write-ahead log. A commit is not synced to the disk: what it wrote survives the
end of every process, and that is what a call waits for. Against a power cut there is `ahead`: an amount up to which
the use of a budget may run. Going beyond needs a synced commit first. So what a power cut takes from the record is at
most `ahead - used`, and the next start counts that as used (`lost`). docs/decisions/0014-budget.md.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from ..errors import DiskFull, InputError, RagstoneError, StoreBusy, StoreDamaged, StoreError, StoreReadOnly
from .lease import boot_id

DATABASE: Final = "budget.db"
FOLDER: Final = "budget"
GATE: Final = "gate"
VERSION: Final = 1
WAIT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.0002
MOST_KNOWN: Final = 10_000
"""Balances that a process keeps in memory: 3 MB."""

_TABLES = """
CREATE TABLE balances (  -- pico-dollars
    scope TEXT NOT NULL, name TEXT NOT NULL, period TEXT NOT NULL,
    spent INTEGER NOT NULL, held INTEGER NOT NULL, lost INTEGER NOT NULL, ahead INTEGER NOT NULL,
    PRIMARY KEY (scope, name, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    owner TEXT NOT NULL, slot INTEGER NOT NULL, bound INTEGER NOT NULL, created REAL NOT NULL,
    day TEXT NOT NULL, person TEXT NOT NULL, team TEXT NOT NULL, key TEXT NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL,
    PRIMARY KEY (owner, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    day TEXT NOT NULL, person TEXT NOT NULL, team TEXT NOT NULL, key TEXT NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL,
    calls INTEGER NOT NULL, refused INTEGER NOT NULL, prompt INTEGER NOT NULL, cached INTEGER NOT NULL,
    completion INTEGER NOT NULL, cost INTEGER NOT NULL, uncertain INTEGER NOT NULL,
    PRIMARY KEY (day, person, team, key, provider, model, purpose)
) STRICT, WITHOUT ROWID;
CREATE TABLE limits (budget TEXT PRIMARY KEY, amount INTEGER) STRICT;
CREATE TABLE alerts (
    scope TEXT NOT NULL, name TEXT NOT NULL, period TEXT NOT NULL, percent INTEGER NOT NULL,
    PRIMARY KEY (scope, name, period, percent)
) STRICT, WITHOUT ROWID;
CREATE TABLE factors (  -- thousandths by which a provider exceeded what its tokens were bounded by
    provider TEXT NOT NULL, model TEXT NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL,
    PRIMARY KEY (provider, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), changed INTEGER NOT NULL, day TEXT NOT NULL,
                    boot TEXT NOT NULL) STRICT;
"""

_ADD_USAGE = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    calls = calls + excluded.calls, refused = refused + excluded.refused, prompt = prompt + excluded.prompt,
    cached = cached + excluded.cached, completion = completion + excluded.completion, cost = cost + excluded.cost,
    uncertain = uncertain + excluded.uncertain
"""


@dataclass(slots=True)
class Balance:
    """Pico-dollars of one budget in one day or month."""

    spent: int = 0
    held: int = 0
    lost: int = 0
    """Counted as used because a power cut took what is known of it."""
    ahead: int = 0

    @property
    def used(self) -> int:
        return self.spent + self.held + self.lost


UsageKey = tuple[str, str, str, str, str, str, str]
"""Day, person, team, key, provider, model, purpose."""


class Known:
    """What this process knows of the file while no other one writes to it. Unread, it knows nothing."""

    def __init__(self) -> None:
        self.version = -1
        self.changed = 0
        self.day = ""
        self.balances: dict[tuple[str, str, str], Balance] = {}

    def forget(self) -> None:
        self.version = -1
        self.balances.clear()


class Book:
    """The ledger as one transaction sees it; what changes is kept here and written at its end, all together.

    In a transaction that is not `synced`, use beyond a budget's `ahead` sets `must_sync`: it then has to be made again
    as a synced one, which may raise `ahead`.
    """

    def __init__(self, connection: apsw.Connection, known: Known, *, synced: bool) -> None:
        self.connection = connection
        self.must_sync = False
        self._known = known
        self._synced = synced
        self._touched: set[tuple[str, str, str]] = set()
        self._holds: list[tuple[object, ...]] = []
        self._ended: set[tuple[str, int]] = set()
        self._usage: dict[UsageKey, list[int]] = {}
        version = connection.pragma("data_version")
        if version != known.version or len(known.balances) > MOST_KNOWN:
            known.forget()
            ((known.changed, known.day),) = self.rows("SELECT changed, day FROM state")
            known.version = version

    @property
    def changed(self) -> int:
        """Rises with every change of limits or factors."""
        return self._known.changed

    @property
    def day(self) -> str:
        return self._known.day

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Of a SELECT; what this transaction changed in balances, holds and usage is not in it yet."""
        return self.connection.execute(sql, values).fetchall()

    def balance(self, scope: str, name: str, period: str) -> Balance:
        """To be changed by the caller."""
        key = (scope, name, period)
        self._touched.add(key)
        if (found := self._known.balances.get(key)) is None:
            rows = self.rows(
                "SELECT spent, held, lost, ahead FROM balances WHERE scope = ? AND name = ? AND period = ?", *key
            )
            found = self._known.balances[key] = Balance(*rows[0]) if rows else Balance()
        return found

    def secure(self, balance: Balance, limit: int, step: int) -> None:
        """To be called after a balance with a limit rose."""
        if balance.used > balance.ahead:
            if self._synced:
                balance.ahead = max(balance.used, min(limit, balance.used + step))
            else:
                self.must_sync = True

    def hold(self, *columns: object) -> None:
        """Of table holds, in its order."""
        self._holds.append(columns)

    def end_hold(self, owner: str, slot: int) -> None:
        self._ended.add((owner, slot))

    def holds_of(self, owner: str) -> list[tuple[Any, ...]]:
        """Slot, bound, day, person, team, key, provider, model, purpose of what was reserved before this transaction
        and has not ended in it."""
        columns = "slot, bound, day, person, team, key, provider, model, purpose"
        rows = self.rows(f"SELECT {columns} FROM holds WHERE owner = ?", owner)  # noqa: S608
        return [row for row in rows if (owner, row[0]) not in self._ended]

    def record(self, key: UsageKey, *amounts: int) -> None:
        """Calls, refused, prompt, cached, completion, cost, uncertain: added to what is there."""
        sums = self._usage.setdefault(key, [0] * len(amounts))
        for place, amount in enumerate(amounts):
            sums[place] += amount

    def turn(self, day: str) -> None:
        """The day that counts from now on."""
        if day != self.day:
            self._known.day = day
            self.connection.execute("UPDATE state SET day = ?", (day,))

    def announce(self) -> None:
        """Limits or factors changed: every process reads them again."""
        self._known.changed += 1
        self.connection.execute("UPDATE state SET changed = ?", (self.changed,))

    def write(self) -> None:
        run, balances = self.connection.executemany, self._known.balances
        rows = [(*key, b.spent, b.held, b.lost, b.ahead) for key in self._touched for b in (balances[key],)]
        run("INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        if self._ended:
            run("DELETE FROM holds WHERE owner = ? AND slot = ?", self._ended)
        if self._holds:
            run("INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._holds)
        if self._usage:
            run(_ADD_USAGE, [(*key, *amounts) for key, amounts in self._usage.items()])


class LedgerFile:
    """For one thread at a time. Raises StoreError and its kinds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = Known()
        with mapped(folder):
            (folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._gate = os.open(folder / FOLDER / GATE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._connection = apsw.Connection(str(folder / DATABASE), flags=apsw.SQLITE_OPEN_READWRITE)
            except BaseException:
                os.close(self._gate)
                raise
        try:
            with mapped(folder), self._gated():
                self._prepare(self._connection)
        except BaseException:
            self.close()
            raise

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(int(WAIT_SECONDS * 1_000))  # readers that recover the log hold it for a moment
        connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", "FULL")
        connection.pragma("temp_store", "MEMORY")
        version = connection.pragma("user_version")
        if version not in (0, VERSION):
            raise StoreError(
                f"the ledger {self._folder / DATABASE} was written by another version of Ragstone.",
                "Use that version, or move the file away to begin at zero.",
            )
        connection.execute("BEGIN IMMEDIATE")
        with unless_committed(connection):
            if version == 0:
                connection.execute(_TABLES)
                connection.execute("INSERT INTO state VALUES (1, 0, '', ?)", (boot_id(),))
                connection.pragma("user_version", VERSION)
            elif connection.execute("SELECT boot FROM state").get != boot_id():
                # The machine was started again: commits that were not synced may be gone.
                connection.execute(
                    "UPDATE balances SET lost = ahead - spent - held WHERE ahead > spent + held + lost"
                )
                connection.execute("UPDATE state SET boot = ?", (boot_id(),))
            connection.execute("COMMIT")
        if version == 0:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            os.fsync(folder)  # the file's name
            os.close(folder)
        connection.pragma("synchronous", "NORMAL")

    def transact(self, work: Callable[[Book], None]) -> None:
        """Commits what `work` does. It is called again, after everything was taken back, where the first time showed
        that a synced commit is needed; it may raise only what is to take everything back."""
        connection = self._connection
        with mapped(self._folder), self._gated():
            for synced in (False, True):
                if synced:
                    connection.pragma("synchronous", "FULL")
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    with unless_committed(connection):
                        book = Book(connection, self._known, synced=synced)
                        work(book)
                        if not book.must_sync:
                            book.write()
                            connection.execute("COMMIT")
                            return
                    self._known.forget()
                except BaseException:
                    self._known.forget()
                    raise
                finally:
                    if synced:
                        connection.pragma("synchronous", "NORMAL")

    def rest(self) -> None:
        """Takes back what budgets may run ahead, durably: a restart of the machine then counts nothing as lost."""
        with mapped(self._folder), self._gated():
            if self._connection.execute("SELECT 1 FROM balances WHERE ahead > spent + held + lost LIMIT 1").get is None:
                return
            self._connection.pragma("synchronous", "FULL")
            self._known.forget()
            self._connection.execute("UPDATE balances SET ahead = min(ahead, spent + held + lost)")

    def close(self) -> None:
        with mapped(self._folder):
            self._connection.close(True)
        os.close(self._gate)

    @contextmanager
    def _gated(self) -> Iterator[None]:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _busy(self._folder) from None
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)


@contextmanager
def unless_committed(connection: apsw.Connection) -> Iterator[None]:
    """Takes back, at the end, what the block did not commit."""
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _busy(folder: Path) -> StoreBusy:
    return StoreBusy(
        f"another process holds the ledger in {folder} for too long.", "Try again; `fuser` shows which one has it open."
    )


@contextmanager
def mapped(folder: Path) -> Iterator[None]:
    """Inside, errors of SQLite and of the file system leave as StoreError and its kinds."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise _typed(error, folder) from error


def _typed(error: apsw.Error | OSError, folder: Path) -> RagstoneError:
    number = error.errno if isinstance(error, OSError) else 0
    if isinstance(error, apsw.FullError) or number in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"no space is left for the ledger in {folder}; a call that cannot be recorded is not made.",
            "Free space on that disk.",
        )
    if number in (errno.EEXIST, errno.ENOTDIR):
        return InputError(f"{folder} is not a folder.", "Choose another with --data.")
    if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError)) or number in (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
    ):
        return StoreReadOnly(
            f"the ledger in {folder} cannot be written.", "Check the folder's owner and permissions."
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)):
        return StoreDamaged(
            f"the ledger {folder / DATABASE} is damaged ({error}).",
            "Move it away to begin at zero; limits from the settings stay in force.",
        )
    if isinstance(error, (apsw.BusyError, apsw.LockedError, apsw.ProtocolError)):
        return _busy(folder)
    return StoreError(f"the ledger in {folder} cannot be written ({error}).", "Check the disk, then try again.")
