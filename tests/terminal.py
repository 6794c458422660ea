"""The command line in a real terminal: a pseudo-terminal of the kernel, keys in, the picture out as text."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[@-_]|[\r\x0e\x0f]")
SECONDS = 120.0
"""For anything that is waited for: only a hanging program takes so long."""


class RealTerminal:
    """`raw` is everything that came, `text` the same without control sequences. `given_back`: after it had taken the
    terminal, the program was seen to leave lines, echo and signals to the kernel."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self.raw = ""
        self.given_back = False
        self._taken = False
        self._mark = 0
        self._rest = b""
        self._asked = 0

    @property
    def text(self) -> str:
        return _CONTROL.sub("", self.raw)

    def keys(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def paste(self, text: str) -> None:
        """As terminals do it that were asked to bracket what is pasted; in pieces, as they come from a terminal."""
        assert self.raw.rfind("\x1b[?2004h") > self.raw.rfind("\x1b[?2004l"), "what is pasted would count as typed"
        data = f"\x1b[200~{text}\x1b[201~".encode()
        for at in range(0, len(data), 1024):
            os.write(self._descriptor, data[at : at + 1024])
            self._read(0.0, answer=False)
        self._answer()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def until(self, words: str, seconds: float = SECONDS) -> str:
        """Waits until these words came after what was waited for before; gives what came until then. Where a line is
        drawn again, only what differs comes: ask for words of what is printed, or for one word of what is drawn."""
        end = time.monotonic() + seconds
        while True:
            found = self.text.find(words, self._mark)
            if found >= 0:
                came = self.text[self._mark : found + len(words)]
                self._mark = found + len(words)
                return came
            if time.monotonic() > end or not self._read(0.1):
                raise AssertionError(f"{words!r} did not come; this did:\n{self.text[self._mark :][-3000:]}")

    def ended(self, key: str = "") -> int:
        """The exit code, once it ends; `key` is pressed before."""
        if key:
            self.keys(key)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it does not end:\n{self.text[-2000:]}")

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def read(self) -> None:
        """What came by now."""
        self._read(0.0)

    def _read(self, seconds: float, *, answer: bool = True) -> bool:
        """False at the end of the program."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._descriptor, 65536)
            kernels = bool(termios.tcgetattr(self._descriptor)[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
        except OSError:
            return False
        self.given_back |= kernels and self._taken
        self._taken |= not kernels
        data = self._rest + data
        text = data.decode("utf-8", "ignore")
        self._rest = b"" if text.encode() == data else data[len(text.encode()) :]
        self.raw += text
        self._asked += text.count("\x1b[6n")
        if answer:
            self._answer()
        return bool(data)

    def _answer(self) -> None:
        """Where is the cursor?"""
        os.write(self._descriptor, b"\x1b[1;1R" * self._asked)
        self._asked = 0


@contextmanager
def in_terminal(
    arguments: Sequence[str], environ: dict[str, str], *, columns: int = 80, rows: int = 30
) -> Iterator[RealTerminal]:
    """`ragstone ARGUMENTS` with that terminal as its own."""
    pid, descriptor = pty.fork()
    if pid == 0:
        path = os.pathsep.join(p for p in sys.path if p)
        wanted = {"PATH": os.environ.get("PATH", ""), "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": path}
        os.execve(sys.executable, [sys.executable, "-m", "ragstone", *arguments], {**wanted, **environ})  # noqa: S606
    terminal = RealTerminal(pid, descriptor)
    try:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        yield terminal
    finally:
        terminal.kill()
        os.close(descriptor)
