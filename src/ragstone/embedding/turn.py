"""One process at a time embeds in a data folder: who holds DATA/embedder.lock. So it is with extracting for the graph.

The kernel lets go of the lock when its process ends. One that stands still keeps it, but no longer says every second
that it works: after FROZEN_SECONDS another process puts a lock file of its own in the place of that one. Should the
first one go on then, it sees that its file is gone and ends its run; what both embedded meanwhile is the same.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..errors import StoreReadOnly

LOCK_FILE: Final = "embedder.lock"
GRAPH_LOCK_FILE: Final = "graph.lock"
DEEPEN_LOCK_FILE: Final = "deepen.lock"
BEAT_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 20.0
_BEAT: Final = struct.Struct("<dq")
"""Seconds on the clock of this boot, which nobody sets, and the process, for people who look."""


@contextmanager
def turn(folder: Path, lock_file: str = LOCK_FILE) -> Iterator[threading.Event | None]:
    """None where another process embeds here. Else an event that is set when the turn is lost. Raises
    StoreReadOnly."""
    path = folder / lock_file
    try:
        file = _taken(path)
    except OSError as error:
        raise StoreReadOnly(
            f"{path} cannot be opened: {error.strerror}.", "Permit writing in the data folder."
        ) from error
    if file is None:
        yield None
        return
    lost, ended = threading.Event(), threading.Event()
    beating = threading.Thread(target=_beat, args=(path, file, lost, ended), name="ragstone-turn", daemon=True)
    beating.start()
    try:
        yield lost
    finally:
        ended.set()
        beating.join()
        os.close(file)


def _taken(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        beat = os.pread(file, _BEAT.size, 0)
        os.close(file)
        if len(beat) < _BEAT.size or time.monotonic() - _BEAT.unpack(beat)[0] < FROZEN_SECONDS:
            return None
        file = _in_place_of_it(path)
    os.pwrite(file, _BEAT.pack(time.monotonic(), os.getpid()), 0)
    if not _is(path, file):  # another one was put there a moment ago
        os.close(file)
        return None
    return file


def _in_place_of_it(path: Path) -> int:
    own = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    file = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.pwrite(file, _BEAT.pack(time.monotonic(), os.getpid()), 0)
    own.rename(path)
    return file


def _is(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _beat(path: Path, file: int, lost: threading.Event, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        if not _is(path, file):
            lost.set()
            return
        with suppress(OSError):  # the disk is full: the bytes are there already, so that is not for long
            os.pwrite(file, _BEAT.pack(time.monotonic(), os.getpid()), 0)
