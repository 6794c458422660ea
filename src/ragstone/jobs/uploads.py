"""Files that somebody sends, on the disk before anything is promised: DATA/uploads/<random name>.

While a file is being written, and until its job is durable, its sender holds a lock on it. A file that nobody locks and
no job needs is left over from a killed process, and `sweep` removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from ..errors import InputError, LimitExceeded, StoreError
from ..storage.connect import os_error
from ..storage.layout import UPLOADS
from .tables import sync_folder

_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """Of one data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._folder = data / UPLOADS

    def incoming(self, most_bytes: int) -> Incoming:
        """A new file, to be used as a context manager. Raises StoreReadOnly, DiskFull."""
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self._data)
            while True:
                incoming = Incoming(self._data, self._folder / secrets.token_hex(16), most_bytes)
                if not incoming.removed():
                    return incoming
                incoming.close()  # `sweep` came between making the file and locking it
        except OSError as error:
            raise os_error(error, self._data) from error

    def path(self, name: str) -> Path:
        """Raises InputError for what `Incoming.name` never is."""
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is not an upload.")
        return self._folder / name

    def remove(self, name: str) -> None:
        """No effect where it is gone. What cannot be removed now, `sweep` removes."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError:
            return

    def sweep(self, wanted: Callable[[str], bool]) -> int:
        """Removes what no job needs and nobody is sending; returns how many."""
        removed = 0
        try:
            names = [entry.name for entry in self._folder.iterdir() if _NAME.fullmatch(entry.name)]
        except FileNotFoundError:
            return 0
        for name in names:
            if wanted(name):
                continue
            try:
                file = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if not wanted(name):  # asked again: its job may have become durable before the lock was free
                    self.remove(name)
                    removed += 1
            except BlockingIOError:
                continue
            finally:
                os.close(file)
        return removed


class Incoming:
    """One file on its way in. It is gone at the end of the context unless it was sealed."""

    def __init__(self, data: Path, path: Path, most_bytes: int) -> None:
        self.name = path.name
        self.size = 0
        self._data = data
        self._path = path
        self._most = most_bytes
        self._hash = hashlib.blake2b(digest_size=32)
        self._sealed = False
        self._ending = threading.Lock()
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def write(self, data: bytes) -> None:
        """Raises LimitExceeded, DiskFull."""
        self.size += len(data)
        if self.size > self._most:
            raise LimitExceeded(
                f"the file has more than {self._most:,} bytes.", "Split it, or raise the server's limit."
            )
        self._hash.update(data)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise os_error(error, self._data) from error

    def seal(self) -> str:
        """All of it came: on return the file and its name survive a power cut. Gives the name. Raises StoreError where
        somebody removed it."""
        with self._ending:  # the sender may give up in another thread
            if self._file < 0 or self.removed():
                raise StoreError(f"the upload {self.name} was removed while it came.", "Send it again.")
            try:
                os.fsync(self._file)
                sync_folder(self._path.parent)
            except OSError as error:
                raise os_error(error, self._data) from error
            self._sealed = True
        return self.name

    def removed(self) -> bool:
        """Whether the file has no name any more. Once it is locked, `sweep` leaves it."""
        return os.fstat(self._file).st_nlink == 0

    @property
    def digest(self) -> bytes:
        """Of what was written."""
        return self._hash.digest()

    def discard(self) -> None:
        """It is not needed after all."""
        self._sealed = False

    def close(self) -> None:
        with self._ending:
            if self._file < 0:
                return
            if not self._sealed:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One that was sealed stays also after an error: its job may be durable although nobody was told.
        self.close()
