"""A backup of the data folder while it is in use: a copy of the database at one moment, cut into pages, of which
those that changed since the last generation are stored.

The copy is made by SQLite (one read transaction, so other processes write on) beside the backup, checked there, and
removed when its pages are stored. Index files are stored as well: they are derived, but making them again takes
longer than all the rest of a restore (docs/decisions/0012-backup.md). Whatever moment the process dies at, the
generations before are whole, and the next backup removes what was left.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
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
from numpy.typing import NDArray

from ..errors import BackupDamaged, DiskFull, InputError, StoreDamaged
from ..types import Progress, ProgressCallback
from . import archive
from .archive import GENERATIONS, MARKER, PACKS, READ_BYTES, Manifest, Pack, SegmentPart, Table
from .connect import DATABASE, SEGMENTS, connect_reader, mapped, os_error
from .migrations import queries, require_current, version

PACK_BYTES: Final = 64 << 20
"""Of pages in one pack. Packs go when no generation needs a page of them: smaller ones go sooner."""
WORTH_REUSING: Final = 0.5
"""Share of a pack's pages that must still be current; below, they are stored again, so that the pack can go with the
older generations and a folder never holds more than about twice what its generations need."""
KEPT: Final = 5
IDENTITY: Final = "identity"
"""Key of the state table: tells the data of one folder from that of another."""
_TRIES: Final = 3
_COPY: Final = "copy.db"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """`stored` bytes were new; `size` is what a restore gives back: database and index files."""

    generation: int
    size: int
    stored: int
    seconds: float
    removed: tuple[int, ...]
    generations: tuple[int, ...]


def backup(
    folder: Path,
    destination: Path,
    *,
    keep: int = KEPT,
    anew: bool = False,
    check: bool = False,
    progress: ProgressCallback | None = None,
) -> BackupReport:
    """Adds a generation to `destination` and removes all but the newest `keep`. `anew` stores every page again;
    `check` reads what earlier backups stored, and does not rely on what is damaged. Raises InputError where the
    folder is not for backups of this data, StoreDamaged where the data is not fit to be kept (then the generations
    stay as they are), StoreBusy, DiskFull, StoreReadOnly."""
    if keep < 1:
        raise InputError(f"{keep} generations cannot be kept.", "Keep at least one.")
    started = time.monotonic()
    archive.require_apart(folder, destination)
    _prepare(destination)
    with archive.locked(destination), _errors(destination):
        _tidy(destination)
        with _snapshot(folder, destination) as copy:
            _require_fit(copy.path, folder)
            earlier = _latest(destination, copy)
            stored = _Packs(destination)
            manifest = _store(copy, stored, destination, None if anew else earlier, check, progress)
        _write(archive.manifest_path(destination, manifest.generation), archive.encode(manifest))
        kept = archive.generations(destination)
        removed = kept[:-keep]
        for generation in removed:
            archive.manifest_path(destination, generation).unlink()
        archive.sync_folder(destination / GENERATIONS)
        _tidy(destination)
    return BackupReport(
        manifest.generation, manifest.total, stored.bytes, time.monotonic() - started, tuple(removed),
        tuple(kept[-keep:]),
    )  # fmt: skip


def list_generations(destination: Path) -> tuple[list[Manifest], list[int]]:
    """Rising; apart, the numbers of those whose manifest is damaged. Raises NotFound, StoreNewer."""
    archive.require(destination)
    found: list[Manifest] = []
    unreadable: list[int] = []
    for generation in archive.generations(destination):
        try:
            found.append(archive.read_manifest(destination, generation))
        except BackupDamaged:
            unreadable.append(generation)
    return found, unreadable


def check_generations(destination: Path, progress: ProgressCallback | None = None) -> dict[int, list[str]]:
    """Reads every part that a generation needs; what is wrong with each generation, nothing where it is whole.
    Raises NotFound, StoreNewer, StoreBusy."""
    archive.require(destination)
    found: dict[int, list[str]] = {}
    known: dict[str, str] = {}
    with archive.locked(destination):
        numbers = archive.generations(destination)
        for done, generation in enumerate(numbers):
            try:
                packs = archive.read_manifest(destination, generation).packs
            except BackupDamaged as error:
                found[generation] = [error.message]
                continue
            for pack in packs:
                if pack.name not in known:
                    known[pack.name] = archive.unsound(destination, pack, read=True)
            found[generation] = [problem for pack in packs if (problem := known[pack.name])]
            if progress:
                progress(Progress("check", done + 1, len(numbers)))
    return found


@contextmanager
def _errors(destination: Path) -> Iterator[None]:
    try:
        with mapped(destination):
            yield
    except OSError as error:
        raise os_error(error, destination) from error


def _prepare(destination: Path) -> None:
    """Makes the folder, or makes sure that it is one of ours."""
    with _errors(destination):
        if destination.exists() and not destination.is_dir():
            raise InputError(f"{destination} is not a folder.", "Name a folder for backups.")
        if destination.exists() and not (destination / MARKER).exists() and any(destination.iterdir()):
            raise InputError(f"{destination} holds other files.", "Name an empty folder, or one that holds backups.")
        if not (destination / MARKER).exists():
            destination.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(destination / MARKER, f"{archive.FORMAT}\n".encode())
        archive.require(destination)
        for name in (PACKS, GENERATIONS):
            (destination / name).mkdir(mode=0o700, exist_ok=True)


def _tidy(destination: Path) -> None:
    """Removes what a killed backup left, and packs that no generation needs. While a manifest cannot be read nobody
    knows which packs it needs: then all stay."""
    for path in (destination / _COPY, destination / f"{_COPY}-journal", *destination.glob("*/*.tmp")):
        path.unlink(missing_ok=True)
    needed: set[str] = set()
    try:
        for generation in archive.generations(destination):
            needed.update(pack.name for pack in archive.read_manifest(destination, generation).packs)
    except BackupDamaged:
        return
    for path in (destination / PACKS).glob("*.pack"):
        if path.stem not in needed:
            path.unlink()


# ---------------------------------------------------------------------- the copy


@dataclass(frozen=True, slots=True)
class _Copy:
    """The database at one moment, with the index files that it names, open."""

    path: Path
    identity: str
    schema: int
    page_size: int
    segments: dict[str, BufferedReader]


@contextmanager
def _snapshot(folder: Path, destination: Path) -> Iterator[_Copy]:
    path = destination / _COPY
    segments: dict[str, BufferedReader] = {}
    try:
        for attempt in range(_TRIES):
            with mapped(folder):
                _require_room(folder, destination)
                source = connect_reader(folder)
                try:
                    require_current(source, folder)
                    _copy(source, path)
                    identity, schema = _identity(source), version(source)
                    page_size = int(source.pragma("page_size"))
                finally:
                    source.close()
            missing = _open_segments(path, folder, segments)
            if not missing or attempt + 1 == _TRIES:
                break  # what is still missing is made again from the store after a restore
        yield _Copy(path, identity, schema, page_size, segments)
    finally:
        for file in segments.values():
            file.close()
        path.unlink(missing_ok=True)


def _copy(source: apsw.Connection, path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    target = apsw.Connection(str(path))
    try:
        target.pragma("journal_mode", "OFF")
        target.pragma("synchronous", "OFF")  # the copy is thrown away; its pages are synced in their packs
        with target.backup("main", source, "main") as copying:
            copying.step(-1)  # all in one read transaction
    finally:
        target.close()


def _open_segments(copy: Path, folder: Path, into: dict[str, BufferedReader]) -> bool:
    """Opens the index files that the copy names, before the process that merges them removes some; whether one is
    missing."""
    for file in into.values():
        file.close()
    into.clear()
    missing = False
    connection = _open_copy(copy)
    try:
        for (name,) in connection.execute("SELECT name FROM segments ORDER BY name"):
            try:
                into[name] = (folder / SEGMENTS / name).open("rb")
            except OSError:
                missing = True
    finally:
        connection.close()
    return missing


def _open_copy(path: Path) -> apsw.Connection:
    """Alone and unchanging: no log, no locks."""
    uri = f"file:{path.as_posix().replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro&immutable=1"
    return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _require_room(folder: Path, destination: Path) -> None:
    needed = (folder / DATABASE).stat().st_size
    free = shutil.disk_usage(destination).free
    if free < needed:
        raise DiskFull(
            f"a backup needs room for a copy of the database ({needed >> 20} MiB) in {destination}, "
            f"where {free >> 20} MiB are free.",
            "Free space there, or choose another folder.",
        )


def _identity(source: apsw.Connection) -> str:
    row = source.execute(queries()["get_state"], (IDENTITY,)).fetchone()
    return str(row[0]) if row else ""


def _require_fit(path: Path, folder: Path) -> None:
    """A damaged database must not take the place of good generations."""
    connection = _open_copy(path)
    try:
        with mapped(folder):
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    finally:
        connection.close()
    if found != ["ok"]:
        raise StoreDamaged(
            f"the database in {folder} is damaged ({found[0]}); no backup was made of it and the earlier ones stay.",
            "`ragstone doctor` says what is affected; `ragstone restore` brings back an earlier state.",
        )


# ---------------------------------------------------------------------- storing


class _Packs:
    """Writes packs; `bytes` counts what was written."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self.bytes = 0

    def add(self, pieces: Iterator[bytes]) -> Pack:
        """One pack, durable on return, named by its content."""
        folder = self._destination / PACKS
        temporary = folder / "new.tmp"
        digest, size = hashlib.blake2b(digest_size=32), 0
        with temporary.open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
                size += len(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o400)
        temporary.replace(archive.pack_path(self._destination, digest.hexdigest()))
        archive.sync_folder(folder)
        self.bytes += size
        return Pack(digest.hexdigest(), size)


def _latest(destination: Path, copy: _Copy) -> Manifest | None:
    """The newest generation that can be read; its pages are not stored again. Raises InputError where it is of
    other data."""
    for generation in reversed(archive.generations(destination)):
        try:
            found = archive.read_manifest(destination, generation)
        except BackupDamaged:
            continue
        if found.identity != copy.identity:
            raise InputError(
                f"{destination} holds backups of another data folder.", "Give each data folder one of its own."
            )
        return found
    return None


def _store(
    copy: _Copy,
    packs: _Packs,
    destination: Path,
    earlier: Manifest | None,
    check: bool,
    progress: ProgressCallback | None,
) -> Manifest:
    places = archive.page_digests(copy.path, copy.page_size)
    sound: dict[str, int] = {}
    listed: list[Pack] = []
    if earlier is not None:
        for number, pack in enumerate(earlier.packs):
            if not archive.unsound(destination, pack, read=check):
                sound[pack.name] = number
    new = np.ones(len(places), dtype=np.bool_)
    if earlier is not None and earlier.page_size == copy.page_size:
        old = earlier.table()
        reused = np.flatnonzero(_reusable(places, old, earlier, set(sound.values()), copy.page_size))
        new[reused] = False
        for number in np.unique(old["pack"][reused]).tolist():
            of_pack = reused[old["pack"][reused] == number]
            places["pack"][of_pack] = len(listed)
            places["slot"][of_pack] = old["slot"][of_pack]
            listed.append(earlier.packs[number])
    digest = hashlib.blake2b(digest_size=32)
    with copy.path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
        pages = np.flatnonzero(new)
        size = PACK_BYTES // copy.page_size
        for first in range(0, len(pages), size):
            group = pages[first : first + size]
            pack = packs.add(_read_pages(file, group.tolist(), copy.page_size))
            places["pack"][group], places["slot"][group] = len(listed), np.arange(len(group))
            listed.append(pack)
            if progress:
                progress(Progress("backup", min(first + size, len(pages)), len(pages)))
    segments = []
    for name, segment in copy.segments.items():
        segments.append(SegmentPart(name, len(listed)))
        listed.append(_store_segment(segment, packs, set(sound)))
    generation = max(archive.generations(destination), default=0) + 1
    return Manifest(
        archive.FORMAT, generation, time.time(), importlib.metadata.version("ragstone"), copy.identity, copy.schema,
        copy.page_size, digest.digest(), listed, places.tobytes(), segments,
    )  # fmt: skip


def _reusable(places: Table, old: Table, earlier: Manifest, sound: set[int], page_size: int) -> NDArray[np.bool_]:
    """Which pages are as they were at the same place, in a pack that is whole and worth keeping."""
    both = min(len(places), len(old))
    same = np.zeros(len(places), dtype=np.bool_)
    now, before = places[:both], old[:both]
    same[:both] = (now["high"] == before["high"]) & (now["low"] == before["low"])
    numbers = before["pack"][same[:both]]
    current = np.bincount(numbers, minlength=len(earlier.packs))
    slots = np.array([max(1, pack.size // page_size) for pack in earlier.packs])
    worth = current >= WORTH_REUSING * slots
    worth[[number for number in range(len(earlier.packs)) if number not in sound]] = False
    same[:both] &= worth[before["pack"]]
    return same


def _read_pages(file: BufferedReader, pages: list[int], page_size: int) -> Iterator[bytes]:
    for page in pages:
        file.seek(page * page_size)
        yield file.read(page_size)


def _store_segment(file: BufferedReader, packs: _Packs, sound: set[str]) -> Pack:
    """Index files never change: one that was stored before is only named again."""
    size = os.fstat(file.fileno()).st_size
    name = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    if name in sound:
        return Pack(name, size)
    file.seek(0)
    return packs.add(iter(lambda: file.read(READ_BYTES), b""))


def _write(path: Path, data: bytes) -> None:
    """The file is whole and durable under its name, or not there."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    archive.sync_folder(path.parent)
