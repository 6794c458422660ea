"""Tells waiting processes that the queue changed, without one of them asking again and again.

Each process that waits has a named pipe in DATA/jobs; whoever commits writes a byte to every one of them. A pipe whose
process ended has no reader, and is removed by whoever notices. A process that is killed between its commit and the byte
tells nobody: therefore listeners also look by themselves once in LOOK_SECONDS.
docs/decisions/0018-jobs.md compares the ways.
"""

from __future__ import annotations

import errno
import os
import secrets
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = ".bell"
LOOK_SECONDS: Final = 1.0
_BYTES: Final = 4096


def ring(folder: Path) -> None:
    """Reaches every listener. What cannot be told now is seen within LOOK_SECONDS."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - 5 times faster than Path.iterdir, on the way of every commit
    except OSError:
        return
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        path = folder / name
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody reads: its process ended
                path.unlink(missing_ok=True)
            continue
        with suppress(OSError):  # full: it has been told more than once already
            os.write(pipe, b"\0")
        os.close(pipe)


class Listener:
    """A thread that calls `heard` after each ring, after `wake`, and every LOOK_SECONDS. Raises OSError where the pipe
    cannot be made."""

    def __init__(self, folder: Path, heard: Callable[[], None]) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._path = folder / f"{name}{SUFFIX}"
        unready = folder / name
        os.mkfifo(unready, 0o600)
        # for writing as well: then there is always a writer, and the end of another one is not the end of the pipe
        self._pipe = os.open(unready, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        unready.rename(self._path)  # only now, when it has a reader, can others find it
        self._heard = heard
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="ragstone-bell", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        with suppress(OSError):
            os.write(self._pipe, b"\0")

    def close(self) -> None:
        self._closed = True
        self.wake()
        self._thread.join()
        with suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._pipe)

    def _serve(self) -> None:
        while not self._closed:
            select.select([self._pipe], [], [], LOOK_SECONDS)
            with suppress(BlockingIOError):
                os.read(self._pipe, _BYTES)
            self._heard()
