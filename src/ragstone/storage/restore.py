"""A generation of a backup becomes the data folder.

Everything is built and checked in DATA/restoring first. What follows is short, behind the write gate and while SQLite's
exclusive lock is held on every database: a plan is written to DATA/restoring/plan, and what it names is moved to its
place (storage/swap.py). A process that dies before the plan is durable leaves the old data; after it, whoever opens any
part of the data for writing goes on where it stopped, before it looks at anything.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np

from ..errors import DiskFull, InputError, NotFound, StoreBusy, StoreDamaged, StoreNewer
from ..types import Progress, ProgressCallback
from . import archive
from .archive import READ_BYTES, DatabasePart, Manifest, Table
from .checks import problems
from .connect import BUILDING, DATABASE, SCRATCH, SEGMENTS, os_error
from .layout import ACCOUNTS_GATE, CONVERSATIONS, JOBS_GATE, LOGS, ORIGINALS, SHARED, TENANTS, UPLOADS, tenant_folders
from .migrations import migrate, newest
from .moment import allow_files
from .swap import NAMES, PLAN, WAIT_SECONDS, Plan, alone, carry_out, errors, go_on, in_use, write_plan
from .writer import GATE, lock_gate, open_gate

_OURS: Final = {
    *NAMES, *(f"{name}{log}" for name in NAMES for log in LOGS), GATE, JOBS_GATE, SEGMENTS, SCRATCH, BUILDING,
    UPLOADS, ORIGINALS, CONVERSATIONS, TENANTS, ACCOUNTS_GATE, "indexer.lock", "jobs", "server.token",
    "server.rates", "server.places",
}  # fmt: skip


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
        for part in manifest.databases:
            if part.schema > (newest() if part.name == DATABASE else SHARED[part.name]):
                raise StoreNewer(
                    f"generation {manifest.generation} was written by a newer version of Ragstone "
                    f"({manifest.version}).",
                    "Install that version, then restore.",
                )
        made = not folder.exists()
        _require_place(folder, replace)
        try:
            _prepare_place(folder)
            with _gates(folder), errors(folder):
                go_on(folder)
                _require_room(folder, manifest)
                _build(source, manifest, folder / BUILDING, progress)
                documents = sum(_checked(folder / BUILDING, part, manifest, source) for part in manifest.databases)
                _swap(folder, manifest)
        except BaseException:
            if not (folder / BUILDING / PLAN).exists():
                shutil.rmtree(folder / BUILDING, ignore_errors=True)
            if made and not (folder / DATABASE).exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return RestoreReport(
        manifest.generation, manifest.created, manifest.total, documents, time.monotonic() - started
    )


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
    has_data = any((folder / name).exists() and (folder / name).stat().st_size for name in NAMES)
    if has_data and not replace:
        raise InputError(
            f"the data folder {folder} holds data already.", "Choose another with --data, or give --replace."
        )
    if not has_data and (others := sorted(path.name for path in folder.iterdir() if path.name not in _OURS)):
        raise InputError(
            f"{folder} holds other files ({others[0]}) and no data of Ragstone.", "Choose another with --data."
        )


@contextmanager
def _gates(folder: Path) -> Iterator[None]:
    """Nobody opens the documents or the queue for writing meanwhile."""
    with ExitStack() as held:
        for name in (GATE, JOBS_GATE):
            gate = open_gate(folder, name)
            held.callback(os.close, gate)
            try:
                lock_gate(gate, folder, time.monotonic() + WAIT_SECONDS)
            except StoreBusy as error:
                raise in_use(folder) from error
        yield


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
    """Writes databases, index files, uploads and originals, each pack checked before a byte of it is used."""
    files = [(UPLOADS, one) for one in manifest.uploads] + [(ORIGINALS, one) for one in manifest.originals]
    used = {"", *(part.folder for part in manifest.databases), *(one.folder for _, one in files)}
    for place in sorted(used):
        own = (into / place / name for name in (SEGMENTS, UPLOADS, ORIGINALS))
        for path in (into, into / TENANTS, into / place, *own):
            path.mkdir(mode=0o700, exist_ok=True)
    allow_files(len(manifest.databases))
    with ExitStack() as opened:
        databases: list[tuple[int, DatabasePart, Table]] = []
        for part in manifest.databases:
            path = into / part.folder / part.name
            database = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, database)
            os.ftruncate(database, part.size)
            databases.append((database, part, part.table()))
        for number, pack in enumerate(manifest.packs):
            problem = archive.unsound(source, pack, read=True)
            if problem:
                raise archive.damaged(source, manifest.generation, problem)
            with archive.pack_path(source, pack.name).open("rb") as file:
                for database, part, places in databases:
                    _copy_pages(file, database, places, number, part.page_size)
                    for segment in part.segments:
                        if segment.pack == number:
                            _copy_file(file, 0, pack.size, into / part.folder / SEGMENTS / segment.name)
                for below, kept in files:
                    if kept.pack == number:
                        path = into / kept.folder / below / kept.name
                        path.parent.mkdir(mode=0o700, exist_ok=True)
                        _copy_file(file, kept.offset, kept.size, path)
            if progress:
                progress(Progress("restore", number + 1, len(manifest.packs)))
        for database, _, _ in databases:
            os.fsync(database)
    for part in manifest.databases:
        if archive.file_digest(into / part.folder / part.name) != part.digest:
            raise archive.damaged(
                source, manifest.generation, f"the pages do not make the {part.name} that was backed up"
            )


def _copy_pages(file: BufferedReader, database: int, places: Table, number: int, page_size: int) -> None:
    pages = np.flatnonzero(places["pack"] == number)
    for page in pages[np.argsort(places["slot"][pages])].tolist():
        file.seek(int(places["slot"][page]) * page_size)
        os.pwrite(database, file.read(page_size), page * page_size)


def _copy_file(source: BufferedReader, offset: int, size: int, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    source.seek(offset)
    with open(descriptor, "wb") as target:
        while size and (block := source.read(min(size, READ_BYTES))):
            target.write(block)
            size -= len(block)
        target.flush()
        os.fsync(target.fileno())


def _checked(building: Path, part: DatabasePart, manifest: Manifest, source: Path) -> int:
    """Brings a copy to the schema of this version and looks at every row; returns the number of documents."""
    path, documents = building / part.folder / part.name, 0
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("journal_mode", "DELETE")
            if part.name == DATABASE:
                migrate(connection, path.parent)
                found = next(problems(connection), "")
                documents = int(connection.execute("SELECT count(*) FROM documents").get)
            else:
                answer: Any = connection.execute("PRAGMA integrity_check(1)").get
                found = "" if answer == "ok" else str(answer)
        finally:
            connection.close()
    except (apsw.Error, StoreDamaged) as error:
        raise archive.damaged(source, manifest.generation, str(error)) from error
    if found:
        raise archive.damaged(source, manifest.generation, f"{part.folder}/{part.name}: {found}".lstrip("/"))
    return documents


# ---------------------------------------------------------------------- the swap


def _swap(folder: Path, manifest: Manifest) -> None:
    """Whoever opens a tenant's documents or the accounts from now on waits at the gate in `settle`; those who have them
    open are found here."""
    new = folder / BUILDING
    own = [part for part in manifest.databases if not part.folder]
    plan = Plan([part.name for part in own], [segment.name for part in own for segment in part.segments])
    for place in tenant_folders(folder):
        with alone(folder / place / DATABASE):
            pass
    with ExitStack() as held:
        for name in NAMES:
            held.enter_context(alone(folder / name))
        for path in (new, *new.rglob("*")):
            if path.is_dir():
                archive.sync_folder(path)
        write_plan(new, plan)
        carry_out(folder, plan)
