"""A generation of a backup becomes the data folder.

Everything is built and checked in DATA/restoring first. What follows is short, behind the write gate and SQLite's
exclusive lock: the old log is merged into the old database, the index files are moved to their place (their names are
their own), the old database gets a second name in DATA/before-restore, and one rename puts the new database in its
place. A process that dies before that rename leaves the old data, one that dies after it leaves the restored.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

import apsw
import numpy as np

from ..errors import DiskFull, InputError, NotFound, StoreBusy, StoreDamaged, StoreNewer
from ..types import Progress, ProgressCallback
from . import archive
from .archive import READ_BYTES, Manifest, Table
from .checks import problems
from .connect import ASIDE, BUILDING, DATABASE, SCRATCH, SEGMENTS, forget_caches, mapped, os_error
from .migrations import migrate, newest
from .writer import GATE, lock_gate, open_gate

WAIT_SECONDS: Final = 2.0
"""For a process that is just leaving the folder."""
_LOGS: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")
_OURS: Final = {DATABASE, *_LOGS, GATE, SEGMENTS, SCRATCH, BUILDING, ASIDE, "indexer.lock"}
_RETIRED: Final = (60, b"\x7f\xff\xff\xff")
"""Place and value of the schema number in a database that was replaced: who opened it a moment before is refused."""
_EXCLUSIVE: Final = (0x40000000, 512)
"""The bytes of a database file that SQLite locks, as offset and length."""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    generation: int
    created: float
    size: int
    documents: int
    seconds: float


def restore(
    source: Path,
    folder: Path,
    *,
    generation: int | None = None,
    replace: bool = False,
    progress: ProgressCallback | None = None,
) -> RestoreReport:
    """Makes `folder` what it was when `generation` (default: the newest) of the backups in `source` was made.
    `replace` allows that there is data already. Until all is checked nothing of it is touched. Raises NotFound,
    BackupDamaged, StoreNewer, InputError where the folder holds something, StoreBusy where a process uses it,
    DiskFull, StoreReadOnly."""
    started = time.monotonic()
    archive.require(source)
    archive.require_apart(folder, source)
    with archive.locked(source, writing=False):
        numbers = archive.generations(source)
        if not numbers:
            raise NotFound(f"{source} holds no generation yet.", "`ragstone backup` makes one.")
        manifest = archive.read_manifest(source, numbers[-1] if generation is None else generation)
        if manifest.schema > newest():
            raise StoreNewer(
                f"generation {manifest.generation} was written by a newer version of Ragstone ({manifest.version}).",
                "Install that version, then restore.",
            )
        made = not folder.exists()
        _require_place(folder, replace)
        try:
            _prepare_place(folder)
            with _gate(folder), _mapped(folder):
                undo_half(folder)
                _require_room(folder, manifest)
                _build(source, manifest, folder / BUILDING, progress)
                documents = _checked(folder / BUILDING / DATABASE, manifest, source)
                _swap(folder, manifest)
        except BaseException:
            shutil.rmtree(folder / BUILDING, ignore_errors=True)
            if made and not (folder / DATABASE).exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return RestoreReport(
        manifest.generation, manifest.created, manifest.total, documents, time.monotonic() - started
    )


def undo_half(folder: Path) -> None:
    """Removes what a restore that was killed left: before its rename the old data stays, after it the restored. The
    caller holds the gate."""
    shutil.rmtree(folder / BUILDING, ignore_errors=True)
    aside = folder / ASIDE
    if not aside.exists():
        return
    old, now = aside / DATABASE, folder / DATABASE
    if not old.exists() or (now.exists() and old.samefile(now)):
        for name in _LOGS:
            if (aside / name).exists():
                (aside / name).replace(folder / name)
    shutil.rmtree(aside)
    archive.sync_folder(folder)


def _prepare_place(folder: Path) -> None:
    try:
        for path in (folder, folder / SEGMENTS):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error


def _require_place(folder: Path, replace: bool) -> None:
    """Raises InputError where the folder holds data (without `replace`) or what is not ours."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Choose another with --data.")
    has_data = (folder / DATABASE).exists() and (folder / DATABASE).stat().st_size > 0
    if has_data and not replace:
        raise InputError(
            f"the data folder {folder} holds data already.", "Choose another with --data, or give --replace."
        )
    if not has_data and (others := sorted(path.name for path in folder.iterdir() if path.name not in _OURS)):
        raise InputError(
            f"{folder} holds other files ({others[0]}) and no data of Ragstone.", "Choose another with --data."
        )


@contextmanager
def _mapped(folder: Path) -> Iterator[None]:
    try:
        with mapped(folder):
            yield
    except OSError as error:
        raise os_error(error, folder) from error


@contextmanager
def _gate(folder: Path) -> Iterator[None]:
    """Nobody opens the folder for writing meanwhile."""
    gate = open_gate(folder)
    try:
        try:
            lock_gate(gate, folder, time.monotonic() + WAIT_SECONDS)
        except StoreBusy as error:
            raise _in_use(folder) from error
        yield
    finally:
        os.close(gate)


def _in_use(folder: Path) -> StoreBusy:
    return StoreBusy(
        f"the data folder {folder} is in use by another process; nothing was changed.",
        "Stop what uses it (`fuser -v` names it), then restore.",
    )


def _require_room(folder: Path, manifest: Manifest) -> None:
    needed = manifest.total
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"the restored data takes {needed >> 20} MiB and {free >> 20} MiB are free at {folder}.",
            "Free space there, or restore into another folder with --data.",
        )


# ---------------------------------------------------------------------- building and checking


def _build(source: Path, manifest: Manifest, into: Path, progress: ProgressCallback | None) -> None:
    """Writes the database and the index files, each pack checked before a byte of it is used."""
    into.mkdir(mode=0o700)
    places = manifest.table()
    segments = {part.pack: part.name for part in manifest.segments}
    for name in segments.values():
        if Path(name).name != name:
            raise archive.damaged(source, manifest.generation, f"{name!r} is no name of an index file")
    database = os.open(into / DATABASE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(database, manifest.size)
        for number, pack in enumerate(manifest.packs):
            problem = archive.unsound(source, pack, read=True)
            if problem:
                raise archive.damaged(source, manifest.generation, problem)
            with archive.pack_path(source, pack.name).open("rb") as file:
                if number in segments:
                    _copy_file(file, into / segments[number])
                else:
                    _copy_pages(file, database, places, number, manifest.page_size)
            if progress:
                progress(Progress("restore", number + 1, len(manifest.packs)))
        os.fsync(database)
    finally:
        os.close(database)
    if archive.file_digest(into / DATABASE) != manifest.digest:
        raise archive.damaged(source, manifest.generation, "the pages do not make the database that was backed up")


def _copy_pages(file: BufferedReader, database: int, places: Table, number: int, page_size: int) -> None:
    pages = np.flatnonzero(places["pack"] == number)
    for page in pages[np.argsort(places["slot"][pages])].tolist():
        file.seek(int(places["slot"][page]) * page_size)
        os.pwrite(database, file.read(page_size), page * page_size)


def _copy_file(source: BufferedReader, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as target:
        while block := source.read(READ_BYTES):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())


def _checked(path: Path, manifest: Manifest, source: Path) -> int:
    """Brings the copy to the schema of this version and looks at every row; returns the number of documents."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("journal_mode", "DELETE")
            migrate(connection, path.parent)
            found = next(problems(connection), "")
            documents = int(connection.execute("SELECT count(*) FROM documents").get)
        finally:
            connection.close()
    except (apsw.Error, StoreDamaged) as error:
        raise archive.damaged(source, manifest.generation, str(error)) from error
    if found:
        raise archive.damaged(source, manifest.generation, found)
    return documents


# ---------------------------------------------------------------------- the swap


def _swap(folder: Path, manifest: Manifest) -> None:
    new, now, aside = folder / BUILDING, folder / DATABASE, folder / ASIDE
    with _alone(now), _retired(now):
        for part in manifest.segments:
            (new / part.name).replace(folder / SEGMENTS / part.name)
        archive.sync_folder(folder / SEGMENTS)
        forget_caches(folder)
        if now.exists():
            aside.mkdir(mode=0o700)
            _second_name(now, aside / DATABASE)
            for name in _LOGS:  # of a database that SQLite cannot open; else they are merged and gone
                if (folder / name).exists():
                    (folder / name).replace(aside / name)
            archive.sync_folder(aside)
        archive.sync_folder(folder)
        (new / DATABASE).replace(now)
        archive.sync_folder(folder)
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(new, ignore_errors=True)
    named = {part.name for part in manifest.segments}
    for path in (folder / SEGMENTS).iterdir():
        if path.name not in named:
            path.unlink()
    archive.sync_folder(folder)


@contextmanager
def _retired(database: Path) -> Iterator[None]:
    """A reader that opened the old file while the lock was held, and gets it afterwards, must not take it for the
    data. Written past SQLite, whose journal would lie beside the new database."""
    if not database.exists():
        yield
        return
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield
        if os.fstat(descriptor).st_ino != database.stat().st_ino:
            os.pwrite(descriptor, _RETIRED[1], _RETIRED[0])
    finally:
        os.close(descriptor)


@contextmanager
def _alone(database: Path) -> Iterator[None]:
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
        raise _in_use(database.parent) from error
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
            raise _in_use(database.parent) from error
        yield
    finally:
        os.close(descriptor)


def _second_name(path: Path, second: Path) -> None:
    try:
        second.hardlink_to(path)
    except OSError:  # a disk without links
        shutil.copy2(path, second)
