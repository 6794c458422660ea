"""The lines that were taken from what is typed: one is worked on, the others wait."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """`stopped` may be set before its turn comes."""

    text: str
    stopped: threading.Event = field(default_factory=threading.Event)


class Lines:
    """One thread works on them (`next`, `done`), any thread may call the rest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Line] = deque()
        self._current: Line | None = None
        self._ended = False

    def add(self, text: str) -> None:
        with self._changed:
            self._waiting.append(Line(text))
            self._changed.notify()

    def next(self) -> Line | None:
        """Waits for one; None: the end, whatever still waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._waiting)
            self._current = None if self._ended else self._waiting.popleft()
            return self._current

    def done(self) -> None:
        """With the one that `next` gave."""
        with self._changed:
            self._current = None

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.stop()

    def stop(self) -> bool:
        """Stops the one that is worked on, or is next; False: there is none that was not stopped before."""
        with self._changed:
            line = self._first()
            if line is None or line.stopped.is_set():
                return False
            line.stopped.set()
            return True

    def busy(self) -> bool:
        with self._changed:
            return self._first() is not None

    def waiting(self) -> list[str]:
        with self._changed:
            return [line.text for line in self._waiting]

    def _first(self) -> Line | None:
        return self._current or (self._waiting[0] if self._waiting else None)
