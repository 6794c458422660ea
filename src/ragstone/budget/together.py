"""Requests of several threads that arrive together are done together: whoever comes first does the work of all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

C = TypeVar("C")
T = TypeVar("T")

MOST_TOGETHER: Final = 500


class Request(Generic[C, T]):
    """`wake` is let go when the request is done, or when its thread is to do the work of all who wait."""

    __slots__ = ("done", "error", "result", "wake", "work")

    def __init__(self, work: Callable[[C], T]) -> None:
        self.work = work
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = False
        self.wake = threading.Lock()
        self.wake.acquire()

    def run(self, context: C) -> None:
        """It may be run again, where what the first time did was taken back."""
        self.error = None
        self.result = self.work(context)


class Together(Generic[C]):
    """`commit` runs all requests that it is given, or raises: that is then the error of each of them. It is called by
    one thread at a time."""

    def __init__(self, commit: Callable[[Sequence[Request[C, Any]]], None]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._led = False
        self._waiting: deque[Request[C, Any]] = deque()

    def do(self, work: Callable[[C], T]) -> T:
        request = Request(work)
        with self._lock:
            self._waiting.append(request)
            leads = not self._led
            self._led = True
        interrupt = None if leads else _wait(request.wake)
        if not request.done:
            self._lead()
        if interrupt is not None:
            raise interrupt
        if request.error is not None:
            raise request.error
        return cast(T, request.result)

    def _lead(self) -> None:
        """Does what waits, of which this thread's request is the first; then the next who waits leads."""
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
        try:
            self._commit(group)
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits for it
            for request in group:
                request.error = error
        for request in group:
            request.done = True
        for request in group[1:]:
            request.wake.release()
        with self._lock:
            self._led = bool(self._waiting)
            if self._led:
                self._waiting[0].wake.release()


def _wait(wake: threading.Lock) -> BaseException | None:
    """An interrupt is told afterwards: whoever waits may be the one who has to do the work of the others."""
    interrupt: BaseException | None = None
    while True:
        try:
            wake.acquire()
            return interrupt
        except BaseException as error:  # noqa: BLE001 - an interrupt, which the caller raises
            interrupt = error
