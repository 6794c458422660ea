"""A backup of the data folder while it is in use: copies of its databases at one moment, cut into pages, of which
those that changed since the last generation are stored.

The copies are made by SQLite (read transactions, so other processes write on; storage/moment.py) beside the backup,
checked there, and removed when their pages are stored. Uploads that wait for their job and files whose pages are
shown are stored whole, once. Index files
are stored as well: they are derived, but making them again takes longer than all the rest of a restore
(docs/decisions/0012-backup.md). Whatever moment the process dies at, the generations before are whole, and the next
backup removes what was left.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import BackupDamaged, InputError
from ..types import Progress, ProgressCallback
from . import archive
from .archive import GENERATIONS, MARKER, PACKS, READ_BYTES, DatabasePart, FilePart, Manifest, Pack, SegmentPart, Table
from .connect import connect_reader, let_go, mapped, os_error
from .migrations import queries, require_current
from .moment import COPIES, Copy, Held, moment, require_fit

PACK_BYTES: Final = 64 << 20
"""Of pages in one pack. Packs go when no generation needs a page of them: smaller ones go sooner."""
WORTH_REUSING: Final = 0.5
"""Share of a pack's pages that must still be current; below, they are stored again, so that the pack can go with the
older generations and a folder never holds more than about twice what its generations need."""
KEPT: Final = 5
IDENTITY: Final = "identity"
"""Key of the state table: tells the data of one folder from that of another."""


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
        identity = _identity(folder)
        earlier = _latest(destination, identity)
        storing = _Storing(destination, None if anew else earlier, check, progress)
        with moment(folder, destination) as taken:
            databases = []
            for copy in taken.copies():
                require_fit(copy, folder)
                databases.append(storing.database(copy))
            before = earlier.uploads if earlier is not None else []
            uploads = storing.files(taken.uploads, before)
            before = earlier.originals if earlier is not None else []
            originals = storing.files(taken.originals, before)
        manifest = Manifest(
            archive.FORMAT, max(archive.generations(destination), default=0) + 1, time.time(),
            importlib.metadata.version("ragstone"), identity, storing.packs, databases, uploads,
            originals,
        )  # fmt: skip
        _write(archive.manifest_path(destination, manifest.generation), archive.encode(manifest))
        kept = archive.generations(destination)
        removed = kept[:-keep]
        for generation in removed:
            archive.manifest_path(destination, generation).unlink()
        archive.sync_folder(destination / GENERATIONS)
        _tidy(destination)
    return BackupReport(
        manifest.generation, manifest.total, storing.bytes, time.monotonic() - started, tuple(removed),
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
    for path in (*destination.glob(COPIES), *destination.glob("*/*.tmp")):
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


# ---------------------------------------------------------------------- storing


class _Storing:
    """Writes what the earlier generation does not hold. `packs` are those that the new one needs, `bytes` counts what
    was written."""

    def __init__(
        self, destination: Path, earlier: Manifest | None, check: bool, progress: ProgressCallback | None
    ) -> None:
        self.packs: list[Pack] = []
        self.bytes = 0
        self._destination = destination
        self._earlier = earlier
        self._progress = progress
        self._numbers: dict[str, int] = {}
        self._sound = {
            number: pack
            for number, pack in enumerate(earlier.packs if earlier is not None else ())
            if not archive.unsound(destination, pack, read=check)
        }

    def database(self, copy: Copy) -> DatabasePart:
        places = archive.page_digests(copy.path, copy.page_size)
        new = self._reused(copy, places)
        digest = hashlib.blake2b(digest_size=32)
        with copy.path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
            pages = np.flatnonzero(new)
            size = PACK_BYTES // copy.page_size
            for first in range(0, len(pages), size):
                group = pages[first : first + size]
                number = self._listed(self._add(_read_pages(file, group.tolist(), copy.page_size)))
                places["pack"][group], places["slot"][group] = number, np.arange(len(group))
                if self._progress:
                    self._progress(Progress("backup", min(first + size, len(pages)), len(pages)))
        segments = [SegmentPart(name, self._listed(self._segment(file))) for name, file in copy.segments.items()]
        return DatabasePart(
            copy.folder, copy.name, copy.schema, copy.page_size, digest.digest(), places.tobytes(), segments
        )

    def _reused(self, copy: Copy, places: Table) -> NDArray[np.bool_]:
        """Fills in the places of pages that are stored already; which ones are not."""
        new = np.ones(len(places), dtype=np.bool_)
        earlier = self._earlier
        parts = earlier.databases if earlier is not None else []
        part = next((p for p in parts if (p.folder, p.name) == (copy.folder, copy.name)), None)
        if earlier is None or part is None or part.page_size != copy.page_size:
            return new
        old = part.table()
        reused = np.flatnonzero(_reusable(places, old, earlier, set(self._sound), copy.page_size))
        new[reused] = False
        for number in np.unique(old["pack"][reused]).tolist():
            of_pack = reused[old["pack"][reused] == number]
            places["pack"][of_pack] = self._listed(earlier.packs[number])
            places["slot"][of_pack] = old["slot"][of_pack]
        return new

    def files(self, held: Sequence[Held], before: Sequence[FilePart]) -> list[FilePart]:
        """Many in one pack. They never change: one that was stored before is only named again, but where most of its
        pack is not needed any more."""
        wanted = {(one.folder, one.name) for one in held}
        earlier = {(p.folder, p.name): p for p in before if (p.folder, p.name) in wanted and p.pack in self._sound}
        needed: Counter[int] = Counter()
        for part in earlier.values():
            needed[part.pack] += part.size
        parts: list[FilePart] = []
        group: list[Held] = []
        size = 0

        def store() -> None:
            nonlocal size
            if not group:
                return
            number, offset = self._listed(self._add(_read_files([one.path for one in group]))), 0
            for one in group:
                length = one.path.stat().st_size
                parts.append(FilePart(one.folder, one.name, number, offset, length))
                offset += length
            group.clear()
            size = 0

        for one in held:
            old = earlier.get((one.folder, one.name))
            if old is not None and needed[old.pack] >= WORTH_REUSING * self._sound[old.pack].size:
                number = self._listed(self._sound[old.pack])
                parts.append(FilePart(one.folder, one.name, number, old.offset, old.size))
                continue
            group.append(one)
            size += one.path.stat().st_size
            if size >= PACK_BYTES:
                store()
        store()
        return parts

    def _segment(self, file: BufferedReader) -> Pack:
        """Index files never change either."""
        size = os.fstat(file.fileno()).st_size
        name = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        if any(pack.name == name for pack in self._sound.values()):
            return Pack(name, size)
        file.seek(0)
        return self._add(iter(lambda: file.read(READ_BYTES), b""))

    def _listed(self, pack: Pack) -> int:
        if pack.name not in self._numbers:
            self._numbers[pack.name] = len(self.packs)
            self.packs.append(pack)
        return self._numbers[pack.name]

    def _add(self, pieces: Iterator[bytes]) -> Pack:
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


def _latest(destination: Path, identity: str) -> Manifest | None:
    """The newest generation that can be read; its pages are not stored again. Raises InputError where it is of
    other data."""
    for generation in reversed(archive.generations(destination)):
        try:
            found = archive.read_manifest(destination, generation)
        except BackupDamaged:
            continue
        if found.identity != identity:
            raise InputError(
                f"{destination} holds backups of another data folder.", "Give each data folder one of its own."
            )
        return found
    return None


def _identity(folder: Path) -> str:
    with mapped(folder):
        source = connect_reader(folder)
        try:
            require_current(source, folder)
            row = source.execute(queries()["get_state"], (IDENTITY,)).fetchone()
        finally:
            let_go(source)
    return str(row[0]) if row else ""


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


def _read_files(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                yield block


def _write(path: Path, data: bytes) -> None:
    """The file is whole and durable under its name, or not there."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    archive.sync_folder(path.parent)
