"""Sealed index files as files: written whole and durably, told apart from damaged ones by their checksum."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import DiskFull, StoreDamaged, StoreError, StoreReadOnly
from ..faults import reach

CHECKSUM_BYTES: Final = 16
REBUILD: Final = "Run `ragstone rebuild`: the index is derived from the store and can be made again."


class FileSystem:
    """The calls by which index files come and go. A stress test puts its own in their place, to fail or to lose them
    (ragstone/stress/disk.py)."""

    def create(self, path: Path) -> BinaryIO:
        return open(path, "wb", opener=_private)

    def write(self, file: BinaryIO, piece: bytes) -> None:
        file.write(piece)

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def sync_folder(self, folder: Path) -> None:
        """The new name must survive a power cut as well."""
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


_file_system = FileSystem()


@contextmanager
def use_file_system(other: FileSystem) -> Iterator[None]:
    """Inside, index files of this process come and go through `other`."""
    global _file_system
    before, _file_system = _file_system, other
    try:
        yield
    finally:
        _file_system = before


def write_file(path: Path, pieces: Iterable[bytes]) -> bytes:
    """Writes the pieces so that the file is either complete and durable under `path` or not there; returns its
    checksum. Raises DiskFull, StoreReadOnly, StoreError."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with _file_system.create(temporary) as file:
            reach("file.created")
            for piece in pieces:
                digest.update(piece)
                _file_system.write(file, piece)
            reach("file.written")
            _file_system.sync(file)
        reach("file.synced")
        _file_system.rename(temporary, path)
        reach("file.renamed")
        _file_system.sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # the next one that seals removes it
            _file_system.remove(temporary)
        raise _write_error(error, path) from error
    return digest.digest()


def remove_file(path: Path) -> None:
    """No effect where it is gone. Raises StoreReadOnly, StoreError."""
    try:
        _file_system.remove(path)
    except OSError as error:
        raise _write_error(error, path) from error


def file_checksum(path: Path) -> bytes:
    """BLAKE2b-128 of the file's bytes; 1 ms per MB. Read, not mapped: the pages stay out of this process's
    resident memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=CHECKSUM_BYTES)).digest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write_error(error: OSError, path: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space left to write the index file {path.name}.", "Free some space; nothing was lost.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreReadOnly(f"The data folder cannot be written ({path.name}).", "Check its permissions.")
    return StoreError(f"The index file {path.name} could not be written: {error.strerror}.", "Check the disk.")


def map_file(path: Path, checksum: bytes, access: int = mmap.ACCESS_READ) -> mmap.mmap:
    """The file in memory, after every byte of it was checked. Raises StoreDamaged."""
    try:
        if file_checksum(path) != checksum:
            raise StoreDamaged(f"{path.name}: the index file is not what was written.", REBUILD)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=access)
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{path.name}: the index file cannot be read ({error}).", REBUILD) from error
