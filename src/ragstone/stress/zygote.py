"""A process that forks a working process for each order it reads, so that a kill costs milliseconds rather than a
start of Python. Orders and answers are JSON lines on its standard streams."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from ..errors import RagstoneError
from ..faults import watch
from .history import Journal
from .transcripts import learned, open_memory
from .workload import Workload, open_folder, small_limits

TELL_WHERE = signal.SIGUSR1
"""Makes a working process write where its threads are to stderr."""


class Order(msgspec.Struct):
    """Work on `folder` for `steps` operations. With `point`, the process kills itself when it reaches that point for
    the `nth` time, and does every operation rather than random ones."""

    folder: str
    journal: str
    seed: str
    steps: int
    prefix: str = "/"
    shared: list[str] = []
    administers: bool = True
    point: str = ""
    nth: int = 1
    transcript: str = ""
    """Learned instead of the work."""
    piped: bool = False


class Worker:
    """The caller's side of one zygote."""

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from ragstone.stress.zygote import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._ended = threading.Event()
        self._status = 0
        self.pid = 0

    def start(self, order: Order) -> None:
        """Returns when the working process was forked."""
        self._ended.clear()
        stdin = _stream(self._process.stdin)
        stdin.write(msgspec.json.encode(order) + b"\n")
        stdin.flush()
        self.pid = int(self._line())
        threading.Thread(target=self._wait, daemon=True).start()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status of the working process, negative for a signal; None where it goes on after `seconds`."""
        return self._status if self._ended.wait(seconds) else None

    def signal(self, number: int) -> None:
        """No effect where the working process has ended."""
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        _stream(self._process.stdin).close()
        self._process.wait()
        _stream(self._process.stdout).close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> None:
        self._status = int(self._line())
        self._ended.set()

    def _line(self) -> bytes:
        line = _stream(self._process.stdout).readline()
        if not line:
            raise RagstoneError("the process that starts the working processes ended.", "Please report this.")
        return line


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - it was opened as a pipe
    return stream


# ---------------------------------------------------------------------- in the zygote
def serve() -> None:
    """Until its input ends."""
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        child = os.fork()
        if child == 0:
            _work(order)
        os.write(1, b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


def _learn(order: Order) -> None:
    with watch(_killer(order.point, order.nth)), open_memory(Path(order.folder)) as kb:
        learned(kb, Path(order.transcript), piped=order.piped)


def _work(order: Order) -> None:
    """Never returns."""
    code = 1
    journal = Journal(Path(order.journal))
    faulthandler.register(TELL_WHERE)
    try:
        if order.transcript:
            _learn(order)
            os._exit(0)
        with watch(_killer(order.point, order.nth)), small_limits(), open_folder(Path(order.folder)) as kb:
            chance = random.Random(order.seed)
            work = Workload(
                kb, journal, chance, prefix=order.prefix, shared=order.shared, administers=order.administers
            )
            for _ in range(order.steps):
                if order.point:
                    work.everything()
                else:
                    work.step()
        code = 0
    except BaseException as error:  # noqa: BLE001 - the caller reads it in the journal
        place = "".join(traceback.format_exception(error, limit=-6))
        journal.problem(f"the working process failed: {type(error).__name__}: {error}\n{place}")
    finally:
        os._exit(code)


def _killer(point: str, nth: int) -> Callable[[str], None]:
    reached = 0

    def watcher(name: str) -> None:
        nonlocal reached
        if name == point:
            reached += 1
            if reached == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    return watcher
