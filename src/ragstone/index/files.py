"""Sealed index files as files: written whole and durably, told apart from damaged ones by their checksum."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..errors import DiskFull, StoreError, StoreReadOnly

CHECKSUM_BYTES: Final = 16
REBUILD: Final = "Run `ragstone rebuild`: the index is derived from the store and can be made again."


def write_file(path: Path, pieces: Iterable[bytes]) -> bytes:
    """Writes the pieces so that the file is either complete and durable under `path` or not there; returns its
    checksum. Raises DiskFull, StoreReadOnly, StoreError."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb", opener=_private) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _write_error(error, path) from error
    return digest.digest()


def file_checksum(path: Path) -> bytes:
    """BLAKE2b-128 of the file's bytes; 1 ms per MB. Read, not mapped: the pages stay out of this process's
    resident memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=CHECKSUM_BYTES)).digest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync_folder(folder: Path) -> None:
    """The new name must survive a power cut as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_error(error: OSError, path: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space left to write the index file {path.name}.", "Free some space; nothing was lost.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreReadOnly(f"The data folder cannot be written ({path.name}).", "Check its permissions.")
    return StoreError(f"The index file {path.name} could not be written: {error.strerror}.", "Check the disk.")
