"""What goes before passages that are embedded in this process: questions, and documents on their way into the store.

Readers run in processes and sessions of their own. Linux shares the processors out between sessions first, so beside
embedding threads a reader gets a tenth, whatever their own priority: embedding has to hold still by itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

NICENESS: Final = 10
"""Of threads that embed in the background, so that a question's thread always goes first."""
LONGEST_WAIT: Final = 5.0
"""Seconds that whatever goes before, one after the other, may hold up one run with passages."""
ADDING_SECONDS: Final = 2.0
"""Of adding documents that go before: an upload of some megabytes. Who adds for longer shares the processors."""


class Precedence:
    """Safe from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._questions = 0
        self._adding: list[float] = []
        self._background = threading.local()

    @contextmanager
    def question(self) -> Iterator[None]:
        """Every run with passages waits for the body's end."""
        with self._changed:
            self._questions += 1
        try:
            yield
        finally:
            with self._changed:
                self._questions -= 1
                self._changed.notify_all()

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Runs in the background wait for the body's end, ADDING_SECONDS at most."""
        until = time.monotonic() + ADDING_SECONDS
        with self._changed:
            self._adding.append(until)
        try:
            yield
        finally:
            with self._changed:
                self._adding.remove(until)
                self._changed.notify_all()

    def give_way(self) -> None:
        """From now on what this thread embeds is in the background. Lowers its priority and that of threads it starts;
        only Linux has one for a thread."""
        self._background.yes = True
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

    @property
    def background(self) -> bool:
        """Whether this thread gave way."""
        return bool(getattr(self._background, "yes", False))

    def wait(self, *, background: bool) -> None:
        """Returns when nothing goes before a run, or after LONGEST_WAIT."""
        deadline = time.monotonic() + LONGEST_WAIT
        with self._changed:
            while (left := self._until(background, deadline) - time.monotonic()) > 0:
                self._changed.wait(left)

    def _until(self, background: bool, deadline: float) -> float:
        if self._questions:
            return deadline
        return min(deadline, max(self._adding, default=0.0)) if background else 0.0


PRECEDENCE: Final = Precedence()
"""Of this process, whose threads share the processors whatever embedder or knowledge base they work for."""
