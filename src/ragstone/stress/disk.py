"""A disk that fails or loses power when a test wants it to, under the database (a VFS of SQLite) and under the files
of the indexes (index/files.py).

Everything is also written to the real files, which reads go to. What would survive a power cut is kept beside: a
file's bytes as of its last sync, the writes since, the names in a folder as of its last sync, and the changes since.
SQLite syncs the folder of a journal it just made together with its first sync, inside of what it is built on; that is
taken as it is.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import apsw

from ..index.files import FileSystem, use_file_system
from ..storage.connect import DATABASE, SEGMENTS

BASE: Final = "unix"
SECTOR: Final = 512
"""Bytes that reach the disk together."""

Fault = Literal["full", "error", "short", "cut"]
FAULTS: Final[dict[Fault, str]] = {
    "full": "no space is left",
    "error": "the disk fails",
    "short": "half is written, then no space is left",
    "cut": "the power fails",
}
POSSIBLE: Final[dict[Fault, tuple[str, ...]]] = {
    "full": ("create", "write", "sync"),
    "error": ("create", "write", "sync", "truncate", "rename", "remove", "sync folder"),
    "short": ("write",),
    "cut": (),  # by power.py, at any moment
}
"""Operations that a fault of a disk can meet."""


@dataclass(slots=True)
class _File:
    """`pending` are writes (offset, bytes) and truncations (size, None) since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    is_new_log: bool = False


class Disk:
    """`plan` is asked before each operation that changes something, with its number (from 1), its kind and the file's
    name, and gives the fault that is to happen or None. After a "cut" every operation fails. `database` is the name
    of the file that is cut."""

    def __init__(
        self, folder: Path, plan: Callable[[int, str, str], Fault | None], database: str = DATABASE
    ) -> None:
        self._database = database
        self.operations = 0
        self.dead = False
        self._plan = plan
        self._lock = threading.RLock()
        self._folder = folder
        paths = [*folder.glob(f"{database}*"), *(folder / SEGMENTS).glob("*")]
        self._names = {str(p): _File(bytearray(p.read_bytes())) for p in paths if not p.name.endswith("-shm")}
        self._durable_names = dict(self._names)
        self._renames: list[tuple[str, _File | None, str]] = []  # name, file (None: removed), former name

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Inside, databases that are opened and index files that are written lie on this disk."""
        vfs = _Vfs(self)
        try:
            with use_file_system(_IndexFiles(self)):
                yield
        finally:
            vfs.unregister()

    # ------------------------------------------------------------------ what happens to it
    def meets(self, kind: str, path: str) -> Fault | None:
        """Counts the operation and says what goes wrong with it."""
        with self._lock:
            self.operations += 1
            fault = "cut" if self.dead else self._plan(self.operations, kind, Path(path).name)
            if fault is not None and fault != "cut" and kind not in POSSIBLE[fault]:
                return None
            self.dead = self.dead or fault == "cut"
            return fault

    def opened(self, path: str, *, is_log: bool) -> None:
        with self._lock:
            if path not in self._names:
                self._names[path] = _File(is_new_log=is_log)
                self._renames.append((path, self._names[path], ""))

    def written(self, path: str, offset: int, data: bytes | None) -> None:
        with self._lock:
            if not self.dead:
                self._names[path].pending.append((offset, data))

    def synced(self, path: str) -> None:
        with self._lock:
            file = self._names[path]
            for offset, data in file.pending:
                _apply(file.durable, offset, data)
            file.pending.clear()
            if file.is_new_log:
                file.is_new_log = False
                self.folder_synced(str(Path(path).parent))

    def renamed(self, old: str, new: str) -> None:
        with self._lock:
            file = self._names[new] = self._names.pop(old)
            self._renames.append((new, file, old))

    def removed(self, path: str) -> None:
        with self._lock:
            if self._names.pop(path, None) is not None:
                self._renames.append((path, None, ""))

    def folder_synced(self, folder: str) -> None:
        with self._lock:
            for change in self._renames:
                if str(Path(change[0]).parent) == folder:
                    _rename(self._durable_names, *change)
            self._renames = [c for c in self._renames if str(Path(c[0]).parent) != folder]

    # ------------------------------------------------------------------ after the cut
    def restore(self, chance: random.Random) -> str:
        """Leaves in the folder what the disk holds after the cut: of what was not synced nothing, everything, or
        any part in any order, sector by sector. Returns which. Every file must be closed."""
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names = dict(self._durable_names)
        for change in self._renames:
            if chance.random() < share:
                _rename(names, *change)
        for path in [*self._folder.glob(f"{self._database}*"), *(self._folder / SEGMENTS).glob("*")]:
            path.unlink()
        for name, file in names.items():
            data = bytearray(file.durable)
            for offset, piece in file.pending:
                _apply_partly(data, offset, piece, share, chance)
            Path(name).write_bytes(data)
        return f"{share:.0%} of what was not synced survived"


def _rename(names: dict[str, _File], path: str, file: _File | None, former: str) -> None:
    if former:
        names.pop(former, None)
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _apply_partly(content: bytearray, offset: int, data: bytes | None, share: float, chance: random.Random) -> None:
    if data is None:
        if chance.random() < share:
            _apply(content, offset, None)
        return
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
        if chance.random() < share:
            _apply(content, offset + start, data[start:end])
        start = end


class _Vfs(apsw.VFS):
    """The default of this process while it is registered."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(f"ragstone-stress-{id(self)}", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 - apsw's names
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or flags[0] & (apsw.SQLITE_OPEN_TRANSIENT_DB | apsw.SQLITE_OPEN_TEMP_DB):
            return super().xOpen(name, flags)
        is_log = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))
        if flags[0] & apsw.SQLITE_OPEN_CREATE and not Path(path).exists():
            _raise(self._disk.meets("create", path))
        opened = _VfsFile(self._disk, path, name, flags)
        self._disk.opened(path, is_log=is_log)
        return opened

    def xDelete(self, path: str, sync_folder: bool) -> None:  # noqa: N802
        _raise(self._disk.meets("remove", path))
        super().xDelete(path, sync_folder)
        self._disk.removed(path)
        if sync_folder:
            self._disk.folder_synced(str(Path(path).parent))

    def excepthook(self, *_: Any) -> bool:
        """What goes wrong on purpose where SQLite cannot pass it on, as when it closes a file."""
        return True


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = path
        super().__init__(BASE, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        fault = self._disk.meets("write", self._path)
        piece = bytes(data)
        if fault == "short":
            piece = piece[: len(piece) // 2]
        if fault in (None, "short"):
            super().xWrite(piece, offset)
            self._disk.written(self._path, offset, piece)
        _raise(fault)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        _raise(self._disk.meets("truncate", self._path))
        super().xTruncate(size)
        self._disk.written(self._path, size, None)

    def xSync(self, flags: int) -> None:  # noqa: N802
        _raise(self._disk.meets("sync", self._path))
        super().xSync(flags)
        self._disk.synced(self._path)

    def excepthook(self, *_: Any) -> bool:
        """As above."""
        return True


def _raise(fault: Fault | None) -> None:
    if fault in ("full", "short"):
        raise apsw.FullError(FAULTS[fault])
    if fault is not None:
        raise apsw.IOError(FAULTS[fault])


class _IndexFiles(FileSystem):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def create(self, path: Path) -> BinaryIO:
        self._meet("create", path)
        file = super().create(path)
        self._disk.opened(str(path), is_log=False)
        return file

    def write(self, file: BinaryIO, piece: bytes) -> None:
        fault = self._disk.meets("write", file.name)
        if fault == "short":
            piece = piece[: len(piece) // 2]
        if fault in (None, "short"):
            self._disk.written(file.name, file.tell(), piece)
            super().write(file, piece)
        _raise_os(fault)

    def sync(self, file: BinaryIO) -> None:
        _raise_os(self._disk.meets("sync", file.name))
        super().sync(file)
        self._disk.synced(file.name)

    def rename(self, old: Path, new: Path) -> None:
        self._meet("rename", old)
        super().rename(old, new)
        self._disk.renamed(str(old), str(new))

    def sync_folder(self, folder: Path) -> None:
        self._meet("sync folder", folder)
        super().sync_folder(folder)
        self._disk.folder_synced(str(folder))

    def remove(self, path: Path) -> None:
        self._meet("remove", path)
        super().remove(path)
        self._disk.removed(str(path))

    def _meet(self, kind: str, path: Path) -> None:
        _raise_os(self._disk.meets(kind, str(path)))


def _raise_os(fault: Fault | None) -> None:
    if fault in ("full", "short"):
        raise OSError(errno.ENOSPC, FAULTS[fault])
    if fault is not None:
        raise OSError(errno.EIO, FAULTS[fault])
