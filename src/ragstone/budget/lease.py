"""What a process says of itself, so that others can tell what became of its calls when it is killed.

A file that the process keeps locked: the kernel lets go of the lock when the process ends, however it ends. One byte
of it for each call under way tells whether the call may have been sent. It is shared memory, so setting it costs
nothing and it survives a kill; it does not survive the machine, and then every call counts as sent.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import StoreError

SLOTS: Final = 1 << 16
"""Calls at once of one process whose sending is told; a slot beyond counts as sent."""
SUFFIX: Final = ".lease"
UNNAMED: Final = ".new"
ABANDONED_SECONDS: Final = 60.0
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Another one after every start of the machine."""
    try:
        return _BOOT.read_text("ascii").strip().replace("-", "")[:12]
    except OSError:
        import psutil

        return f"{int(psutil.boot_time()):012d}"


class Lease:
    """Of this process, in `folder`. Safe from several threads. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{boot_id()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}{SUFFIX}"
        hidden = self._path.with_suffix(UNNAMED)
        self._file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(self._file, SLOTS)  # a hole: takes no room before it is written
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._sent = mmap.mmap(self._file, SLOTS)
            hidden.rename(self._path)  # only now can others find it, and it is locked
        except BaseException:
            os.close(self._file)
            raise
        self._free: list[int] = []
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> int:
        """A slot for a call that is not sent yet."""
        with self._lock:
            if self._free:
                slot = self._free.pop()
            else:
                slot = self._taken
                self._taken += 1
        if slot < SLOTS:
            self._sent[slot] = 0
        return slot

    def sent(self, slot: int) -> None:
        """From now on the call may cost."""
        if slot < SLOTS:
            self._sent[slot] = 1

    def give(self, slot: int) -> None:
        self._free.append(slot)

    def slots(self) -> bytes:
        """What `ended` would give."""
        return bytes(self._sent)

    def require(self) -> None:
        """Raises StoreError where somebody removed the file: then others take this process for ended."""
        if not self._path.exists():
            raise StoreError(
                f"{self._path} was removed while its process was running.",
                "Start this process again; leave that folder.",
            )

    def close(self) -> None:
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._sent.close()
        os.close(self._file)


def ended(folder: Path, name: str) -> bytes | None:
    """What the process of that lease left: one byte for each slot, b"" where nobody knows any more. None: it lives."""
    if not name.startswith(boot_id()):
        return b""
    try:
        file = os.open(folder / f"{name}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several may ask at once
        return os.pread(file, SLOTS, 0)
    except BlockingIOError:
        return None
    finally:
        os.close(file)


def sweep(folder: Path, needed: set[str]) -> None:
    """Removes the files of ended processes, except of those that are still `needed`."""
    for path in folder.glob(f"*{SUFFIX}"):
        if path.stem not in needed and ended(folder, path.stem) is not None:
            path.unlink(missing_ok=True)
    for path in folder.glob(f"*{UNNAMED}"):  # a process was killed while it made its file
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
