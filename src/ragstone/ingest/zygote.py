"""The parent's ends of the zygote and of its workers (parser_process.py is the other side)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import LimitExceeded, ReaderCrashed, ReadError
from ..types import Blob
from .frames import HEADER, Assignment, Result, decode_reply, encode_assignment, encode_blobs
from .limits import ReadLimits
from .parser_process import ANSWER, COMMAND, END, FORK, PRELOAD
from .readers.registry import BY_EXTENSION, READER_MODULES, extension, wear

_START_SECONDS = 60.0
_MOST_RESPITES = 9  # wall clocks that a worker may wait for a processor


@dataclass(frozen=True, slots=True)
class Death:
    """Why a worker was given up: it overran the wall clock, it sent garbage, or (neither) it died."""

    overran: bool = False
    garbage: bool = False

    def error(self, status: int, limits: ReadLimits, wall_seconds: float) -> ReadError:
        if self.overran:
            return LimitExceeded(
                f"Reading it took longer than {wall_seconds:.0f} s.",
                "Split the file, or raise ingest.wall_seconds and ingest.cpu_seconds.",
            )
        if self.garbage:
            return ReaderCrashed(
                "The reader broke its protocol.", "Open the file in its own program and save it again."
            )
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number == signal.SIGXCPU:
                return LimitExceeded(
                    "Reading it took more processor time than a file of its size may.",
                    "Split the file, or raise ingest.cpu_seconds.",
                )
            if number in (signal.SIGABRT, signal.SIGSEGV):  # what native code does when an allocation fails
                return ReaderCrashed(
                    f"The reader ended abruptly ({signal.Signals(number).name}): it needed more than "
                    f"{limits.memory_bytes >> 20} MiB, or the file is damaged.",
                    "Split the file, or raise ingest.memory_bytes.",
                )
            how = f"was ended by {signal.Signals(number).name}"
        else:
            how = f"ended with status {os.waitstatus_to_exitcode(status)}"
        return ReaderCrashed(f"The reader {how}.", "Open the file in its own program and save it again.")


class Worker:
    """The parent's end of one worker process."""

    def __init__(self, zygote: Zygote, generation: int, pid: int, channel: socket.socket) -> None:
        self._zygote = zygote
        self._generation = generation
        self._pid = pid
        self._channel = channel
        self._outgoing: deque[memoryview] = deque()
        self._incoming = bytearray()
        self._since = 0.0
        self._respites = 0
        self._busy = 0
        self.worn = 0.0
        self.answered = 0

    def send(self, blobs: list[Blob]) -> None:
        """Queues one frame; `receive` moves the bytes, so that a worker blocked on its output cannot block us."""
        if not self._busy:
            self._since = time.monotonic()
        self._busy += len(blobs)
        self.worn += sum(wear(blob.uri) for blob in blobs)
        self._outgoing.append(memoryview(encode_blobs(blobs)))

    def excuse(self, seconds: float) -> None:
        """Time in which nobody listened does not count as the worker's."""
        self._since += seconds

    def receive(
        self, wall_seconds: float, max_bytes: int, stopped: Callable[[], bool]
    ) -> tuple[list[Result], bool, Death | None] | None:
        """The next answer as (results, retiring, None), or ([], False, why the worker is to be ended); None when
        the caller has stopped."""
        while True:
            try:
                reply = self._next_reply(max_bytes)
            except ValueError:
                return [], False, Death(garbage=True)
            if reply is not None:
                self.answered += 1
                self._respites = 0
                self._busy -= 1
                self._since = time.monotonic()
                return *reply, None
            if stopped():
                return None
            left = self._since + wall_seconds - time.monotonic()
            readable, writable, _ = select.select(
                [self._channel], [self._channel] if self._outgoing else [], [], min(max(left, 0.0), 0.2)
            )
            try:
                if writable:
                    self._push()
                if readable and not self._pull():
                    return [], False, Death()
            except OSError:
                return [], False, Death()
            if left <= 0 and not readable:
                if not self._starved():
                    return [], False, Death(overran=True)
                self._since = time.monotonic()
                self._respites += 1

    def _starved(self) -> bool:
        """Whether the worker has work to do and other processes the processors (Linux): what it may use of them is
        limited too, and ends a loop."""
        if self._respites >= _MOST_RESPITES:
            return False
        try:
            stat = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "R"

    def _push(self) -> None:
        view = self._outgoing.popleft()
        with contextlib.suppress(BlockingIOError):
            view = view[self._channel.send(view) :]
        if view:
            self._outgoing.appendleft(view)

    def _pull(self) -> bool:
        """False at the end of the stream."""
        with contextlib.suppress(BlockingIOError):
            part = self._channel.recv(1 << 20)
            self._incoming += part
            return bool(part)
        return True

    def _next_reply(self, max_bytes: int) -> tuple[list[Result], bool] | None:
        """Raises ValueError for bytes that are no reply (msgspec's errors are ValueErrors)."""
        if len(self._incoming) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._incoming)
        if size > max_bytes:
            raise ValueError("frame too long")
        if len(self._incoming) < HEADER.size + size:
            return None
        if not self._busy:
            raise ValueError("answer without a question")
        payload = self._incoming[HEADER.size : HEADER.size + size]
        del self._incoming[: HEADER.size + size]
        return decode_reply(payload)

    def end(self) -> int:
        """Kills the process group and returns the wait status (of a natural death, where there was one)."""
        self._channel.close()
        return self._zygote.end(self._generation, self._pid)


class Zygote:
    """The process that forks workers. Started when the first one is needed, and again should it die."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._generation = 0
        self._forked = 0
        self._scratch = ""
        self._wanted: dict[str, None] = {}
        self._preloaded: set[str] = set()

    def preload_for(self, blob: Blob) -> None:
        """Has the reader of blobs like this one imported before the next fork."""
        kind = BY_EXTENSION.get(extension(blob.uri))
        if kind is not None and kind.module and kind.module not in self._preloaded:
            self._wanted.setdefault(kind.module)

    def fork(self) -> Worker:
        with self._lock:
            for attempt in (1, 2):
                try:
                    return self._fork()
                except OSError as error:
                    self._shut_down()
                    if attempt == 2:
                        raise ReaderCrashed(
                            f"No parser process could be started ({error}).",
                            "Check free memory and the limits on processes (ulimit -u).",
                        ) from error
        raise AssertionError("unreachable")

    def _fork(self) -> Worker:
        control = self._control or self._start()
        for module in [m for m in list(self._wanted) if m not in self._preloaded]:
            self._preloaded.add(module)
            control.sendall(COMMAND.pack(PRELOAD, READER_MODULES.index(module)))
        ours, theirs = socket.socketpair()
        with theirs:
            self._forked += 1
            socket.send_fds(control, [COMMAND.pack(FORK, self._forked & 0xFFFFFFFF)], [theirs.fileno()])
            pid = self._answer(control)
        ours.setblocking(False)
        return Worker(self, self._generation, pid, ours)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        # the same modules as here, also from a source checkout; "" is the current folder of the parent only
        path = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        code = (
            f"import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
            f"from {__package__}.parser_process import main; main(int(sys.argv[2]))"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-c", code, path, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={},
                start_new_session=True,
            )
        ours.settimeout(_START_SECONDS)
        self._control = ours
        self._generation += 1
        self._preloaded.clear()
        self._scratch = tempfile.mkdtemp(prefix="ragstone-")
        ours.sendall(encode_assignment(replace(self._assignment, scratch=self._scratch)))
        self._answer(ours)
        return ours

    @staticmethod
    def _answer(control: socket.socket) -> int:
        data = control.recv(ANSWER.size, socket.MSG_WAITALL)
        if len(data) < ANSWER.size:
            raise ConnectionError("the process ended")
        return int(ANSWER.unpack(data)[0])

    def end(self, generation: int, pid: int) -> int:
        """Wait status; 0 where the zygote that had the worker is gone (and the worker with it)."""
        with self._lock:
            if generation != self._generation or self._control is None:
                return 0
            try:
                self._control.sendall(COMMAND.pack(END, pid))
                return self._answer(self._control)
            except OSError:
                self._shut_down()
                return 0

    def close(self) -> None:
        with self._lock:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._scratch:  # the zygote removes it, but for when it was killed
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""
