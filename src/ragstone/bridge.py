"""The one way from the event loop to the synchronous core: threads in lanes of a bounded length."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from .errors import DeadlineExceeded, Overloaded

T = TypeVar("T")

_END = object()


RECENT: Final = 32
"""Pieces of work by whose mean time the wait of the next one is told."""
KNOWN: Final = 8
"""So many are enough to tell it."""
FOREVER: Final = float("inf")


class Lane:
    """Threads for one kind of work. At most `threads` run and `waiting` wait; one more is refused at once, and so is
    one that would wait for longer than `patience` seconds, by what the work took lately."""

    def __init__(self, name: str, threads: int, waiting: int, patience: float = FOREVER) -> None:
        self._pool = ThreadPoolExecutor(threads, f"ragstone-{name}")
        self._threads = threads
        self._most = threads + waiting
        self._patience = patience
        self._took: deque[float] = deque(maxlen=RECENT)
        self._lock = threading.Lock()
        self.name = name
        self.busy = 0
        """Running and waiting now."""

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Raises Overloaded; DeadlineExceeded at `deadline` (`time.monotonic()` seconds): what runs then ends by itself
        and counts until it did, and what still waits is not begun."""
        future = asyncio.wrap_future(self._submit(lambda: self._timed(deadline, work)))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await future
        except TimeoutError:
            raise _late() from None

    async def stream(self, make: Callable[[], Iterator[T]], deadline: float) -> AsyncGenerator[T, None]:
        """What `make()` yields, from a thread. Closed early, the iterator is closed as well, at its next item."""
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[object] = asyncio.Queue()
        stopped = threading.Event()

        def tell(item: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(items.put_nowait, item)

        def work() -> None:
            began = time.perf_counter()
            try:
                _before(deadline, lambda: None)
                with contextlib.closing(_generator(make())) as source:
                    for item in source:
                        if stopped.is_set():
                            return
                        tell(item)
            except Exception as error:  # noqa: BLE001 - it is raised where the stream is read
                tell(_Failed(error))
            finally:
                self._took.append(time.perf_counter() - began)
                tell(_END)

        self._submit(work)
        try:
            while (item := await items.get()) is not _END:
                if isinstance(item, _Failed):
                    raise item.error
                yield item  # type: ignore[misc]
        finally:
            stopped.set()

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self.busy >= self._most or self._wait() > self._patience:
                raise Overloaded("the server has as much to do as it takes on.", "Try again in a moment.")
            self.busy += 1
        future = self._pool.submit(contextvars.copy_context().run, work)  # the request's id and span go with it
        future.add_done_callback(self._done)
        return future

    def _wait(self) -> float:
        """Seconds that one more would wait; told once enough was done to know. The slowest eighth counts for nothing:
        they loaded a model."""
        ahead, known = self.busy - self._threads + 1, len(self._took)
        if ahead <= 0 or known < KNOWN:
            return 0.0
        usual = sorted(self._took)[: known - known // 8]
        return ahead / self._threads * sum(usual) / len(usual)

    def _timed(self, deadline: float, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return _before(deadline, work)
        finally:
            self._took.append(time.perf_counter() - began)

    def _done(self, _: Future[T]) -> None:
        with self._lock:
            self.busy -= 1

    def close(self) -> None:
        """Waits for what runs; what waits is not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Failed:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _generator(source: Iterator[T]) -> Generator[T, None, None]:
    """So that it can be closed, whatever iterator it is."""
    yield from source


def _before(deadline: float, work: Callable[[], T]) -> T:
    if time.monotonic() >= deadline:
        raise _late()
    return work()


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("there was not enough time.", "Give more with X-Deadline-Ms, or try again later.")


class Bridge:
    """The lanes of a process: `search` for what is quick, `answer` for streams that last, `work` for all that reads and
    writes documents. A long upload or answer keeps no search waiting."""

    def __init__(
        self, *, searches: int, answers: int, works: int, waiting: int, patience: float, computed: bool
    ) -> None:
        """`computed`: answers are made here, and take processor time as searches do; else they wait for a model."""
        self.search = Lane("search", searches, waiting, patience)
        self.answer = Lane("answer", searches if computed else answers, waiting, patience if computed else FOREVER)
        self.work = Lane("work", works, waiting)

    def lanes(self) -> tuple[Lane, ...]:
        return self.search, self.answer, self.work

    def close(self) -> None:
        for lane in self.lanes():
            lane.close()
