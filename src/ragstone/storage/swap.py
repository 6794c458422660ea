"""How a restored data folder takes the place of the old one, whenever the process dies.

DATA/restoring holds all that is new; DATA/restoring/plan, once it is durable, says that it is to be the data. From then
on each step moves one thing, and is skipped where it was made already.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from ..errors import StoreBusy
from .archive import sync_folder
from .connect import BUILDING, DATABASE, SEGMENTS, forget_caches, mapped, os_error
from .layout import LOGS, ORIGINALS, SHARED, TENANTS, UPLOADS, served_by
from .writer import lock_gate, open_gate

WAIT_SECONDS: Final = 2.0
"""For a process that is just leaving the folder."""
SETTLE_SECONDS: Final = 60.0
PLAN: Final = "plan"
NAMES: Final = (DATABASE, *SHARED)
_RETIRED: Final = (60, b"\x7f\xff\xff\xff")
"""Place and value of the schema number in a database that was replaced: who opened it a moment before is refused."""
_EXCLUSIVE: Final = (0x40000000, 512)
"""The bytes of a database file that SQLite locks, as offset and length."""


class Plan(msgspec.Struct, frozen=True):
    """What the data folder holds when the restore is done; what it had besides goes."""

    databases: list[str]
    segments: list[str]


def settle(folder: Path, *, gated: bool = False) -> None:
    """Removes what a restore left that was killed before it was decided, and finishes one that was. To be called before
    anything in a data folder is opened for writing: it waits for one that is under way, except where the caller holds
    the gate (`gated`). Raises StoreBusy."""
    folder = served_by(folder)
    if not (folder / BUILDING).exists():
        return
    if gated:
        with errors(folder):
            go_on(folder)
        return
    gate = open_gate(folder)
    try:
        lock_gate(gate, folder, time.monotonic() + SETTLE_SECONDS)
        with errors(folder):
            go_on(folder)
    finally:
        os.close(gate)


def go_on(folder: Path) -> None:
    """The caller holds the gate."""
    new = folder / BUILDING
    try:
        plan = msgspec.json.decode((new / PLAN).read_bytes(), type=Plan)
    except FileNotFoundError:
        shutil.rmtree(new, ignore_errors=True)
        return
    carry_out(folder, plan)


def write_plan(new: Path, plan: Plan) -> None:
    """From its end on the restore is decided. All that `new` holds is durable already."""
    unfinished = new / f"{PLAN}.tmp"
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(plan))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(new / PLAN)
    sync_folder(new)
    sync_folder(new.parent)


def carry_out(folder: Path, plan: Plan) -> None:
    """The plan goes last."""
    new = folder / BUILDING
    (folder / SEGMENTS).mkdir(mode=0o700, exist_ok=True)
    for path in sorted((new / SEGMENTS).glob("*")):
        path.replace(folder / SEGMENTS / path.name)
    sync_folder(folder / SEGMENTS)
    forget_caches(folder)
    for name in NAMES:
        if name not in plan.databases or (new / name).exists():
            _replace(folder / name, new / name)
    for name in (TENANTS, UPLOADS, ORIGINALS):
        if (new / name).exists():
            _replace_folder(folder / name, new / name, new / f"old-{name}")
    sync_folder(folder)
    for path in (folder / SEGMENTS).iterdir():
        if path.name not in plan.segments:
            path.unlink()
    sync_folder(folder / SEGMENTS)
    for path in new.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != PLAN:
            path.unlink()
    (new / PLAN).unlink()
    new.rmdir()
    sync_folder(folder)


def _replace(now: Path, new: Path) -> None:
    """`new` takes the place of `now`; where there is none, `now` goes. A reader that opened the old file while the lock
    was held, and gets it afterwards, must not take it for the data: that is written past SQLite, whose journal would
    lie beside the new database."""
    for log in LOGS:  # of a database that SQLite cannot open; else they are merged and gone
        now.with_name(now.name + log).unlink(missing_ok=True)
    old = os.open(now, os.O_RDWR | os.O_CLOEXEC) if now.exists() else None
    try:
        if new.exists():
            new.replace(now)
        else:
            now.unlink(missing_ok=True)
        sync_folder(now.parent)
        if old is not None and os.fstat(old).st_size:
            os.pwrite(old, _RETIRED[1], _RETIRED[0])
    finally:
        if old is not None:
            os.close(old)


def _replace_folder(now: Path, new: Path, aside: Path) -> None:
    if now.exists():
        if aside.exists():
            shutil.rmtree(now)
        else:
            now.rename(aside)
    new.rename(now)


# ---------------------------------------------------------------------- who may

@contextmanager
def alone(database: Path) -> Iterator[None]:
    """While nobody else has the database open. Its log is merged into it; where it is too damaged for SQLite, its
    lock alone is held. Raises StoreBusy."""
    if not database.exists() or not database.stat().st_size:
        yield
        return
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(int(WAIT_SECONDS * 1000))
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE; COMMIT")
        connection.pragma("journal_mode", "DELETE")
        connection.execute("BEGIN EXCLUSIVE; COMMIT")
    except (apsw.BusyError, apsw.LockedError) as error:
        connection.close(True)
        raise in_use(database.parent) from error
    except apsw.Error:
        connection.close(True)
        with _locked_bytes(database):
            yield
        return
    try:
        yield
    finally:
        connection.close(True)


@contextmanager
def _locked_bytes(database: Path) -> Iterator[None]:
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    try:
        start, length = _EXCLUSIVE
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            raise in_use(database.parent) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def errors(folder: Path) -> Iterator[None]:
    try:
        with mapped(folder):
            yield
    except OSError as error:
        raise os_error(error, folder) from error


def in_use(folder: Path) -> StoreBusy:
    return StoreBusy(
        f"the data folder {folder} is in use by another process; nothing was changed.",
        "Stop what uses it (`fuser -v` names it), then restore.",
    )
