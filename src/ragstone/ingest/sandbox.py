"""Reads documents in worker processes that may crash, hang or run out of memory without hurting the parent.

One zygote per `Sandbox` (parser_process.py) forks confined workers in milliseconds. Each worker in use is driven by
one thread here, which keeps it supplied two batches ahead, watches the wall clock of the blob that is being read,
and replaces the worker when it overran, died, sent garbage or has served its number of files. Whatever happens to a
worker becomes a ReadFailure for exactly one blob; the blobs that waited behind it go to the next worker.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Protocol, Self

from ..errors import LimitExceeded
from ..types import Blob, PreparedDocument
from .frames import Assignment, Result, encode_value
from .limits import MIB, ReadFailure, ReadLimits
from .zygote import Worker, Zygote

DEFAULT_TASK = "ragstone.ingest.prepare:prepare"
# Bytes and blobs pulled from the source and not yet handed out: bounds the parent's memory.
_MAX_BYTES_IN_FLIGHT = 64 * MIB
_MAX_BLOBS_IN_FLIGHT = 2_000
# Of texts that were read and wait to be taken: a megabyte of an archive may give a hundred of text.
_MAX_CHARACTERS_WAITING = 8_000_000
# One frame to a worker. 64 KiB of text is some 20 ms of work: long against the hand-over (0.1 ms), short enough
# that the workers finish together.
_BATCH_BYTES = 64 << 10
_BATCH_BLOBS = 32


class _HasLimits(Protocol):
    @property
    def limits(self) -> ReadLimits: ...


class Sandbox:
    """Workers that run `task` (`module:function`, called as `task(blob, options)`) on blobs. `options` is a
    dataclass that msgspec encodes, with a field `limits`. Processes start with the first blob and are kept between
    runs; `close` ends them. Several threads may call `run` at the same time."""

    def __init__(self, options: _HasLimits, workers: int, *, task: str = DEFAULT_TASK) -> None:
        self.limits = options.limits
        self.workers = max(1, workers)
        kind = type(options)
        self._zygote = Zygote(
            Assignment(
                task=task,
                options_type=f"{kind.__module__}:{kind.__qualname__}",
                options=encode_value(options),
                limits=encode_value(options.limits),
                scratch="",
                rehearse=task == DEFAULT_TASK,
            )
        )
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, list[Result]]]:
        """Each blob with its results, as they finish. `blobs` is pulled in the caller's thread, as far ahead as the
        bound on bytes in flight allows. Raises ReaderCrashed only when no worker process can be started at all."""
        run = _Run(self)
        try:
            for blob in blobs:
                run.put(blob)
                while run.full():
                    yield run.wait()
                yield from run.ready()
            run.finish()
            while run.outstanding:
                yield run.wait()
        finally:
            run.stop()

    def warm(self) -> None:
        """Starts what the first blob would wait for. Raises ReaderCrashed."""
        self.give_back(self.take_worker())

    def close(self) -> None:
        """Ends all processes. No effect the second time; a later `run` starts anew."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
        self._zygote.close()

    def take_worker(self, *, fresh: bool = False) -> Worker:
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
        return self._zygote.fork()

    def room(self, worker: Worker) -> int:
        """Blobs that the worker may be given before it is replaced."""
        return max(0, int(max(1, self.limits.files_per_worker) - worker.worn))

    def give_back(self, worker: Worker) -> None:
        with self._lock:
            if len(self._idle) < self.workers and self.room(worker) > 0:
                self._idle.append(worker)
                return
        worker.end()

    def will_read(self, blob: Blob) -> None:
        self._zygote.preload_for(blob)


class _Run:
    """One call of `Sandbox.run`: the queue to the worker threads and the queue back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.outstanding = 0
        self._bytes = 0
        self._characters = 0
        self._queue: deque[Blob] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._stopped = False
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self._results: SimpleQueue[tuple[Blob, list[Result]] | BaseException] = SimpleQueue()

    # the caller's side

    def put(self, blob: Blob) -> None:
        self.outstanding += 1
        self._bytes += len(blob.data)
        limit = self.sandbox.limits.file_bytes
        if len(blob.data) > limit:
            error = LimitExceeded(
                f"The file has {len(blob.data):,} bytes; the limit is {limit:,}.",
                "Split it, or raise ingest.file_bytes.",
            )
            self.deliver(blob, [ReadFailure.of(blob.uri, error)])
            return
        self.sandbox.will_read(blob)
        with self._changed:
            self._queue.append(blob)
            self._changed.notify_all()
            more = not self._waiting and len(self._threads) < self.sandbox.workers
        if more:
            thread = threading.Thread(target=_drive, args=(self,), name="ragstone-reader", daemon=True)
            self._threads.append(thread)
            thread.start()

    def full(self) -> bool:
        return self._bytes > _MAX_BYTES_IN_FLIGHT or self.outstanding > _MAX_BLOBS_IN_FLIGHT

    def wait(self) -> tuple[Blob, list[Result]]:
        return self._accept(self._results.get())

    def ready(self) -> Iterator[tuple[Blob, list[Result]]]:
        with contextlib.suppress(Empty):
            while True:
                yield self._accept(self._results.get_nowait())

    def _accept(self, result: tuple[Blob, list[Result]] | BaseException) -> tuple[Blob, list[Result]]:
        if isinstance(result, BaseException):
            raise result
        blob, results = result
        self.outstanding -= 1
        self._bytes -= len(blob.data)
        with self._changed:
            self._characters -= _characters(results)
            self._changed.notify_all()
        return result

    def finish(self) -> None:
        """No more blobs will come."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def stop(self) -> None:
        """The caller takes no more results: ends what still runs."""
        with self._changed:
            self._stopped = self._finished = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    # the threads' side

    @property
    def stopped(self) -> bool:
        return self._stopped

    def take(self, room: int, *, block: bool) -> list[Blob]:
        """Up to a batch of blobs; empty when there are none (yet, or with `block` ever)."""
        with self._changed:
            self._waiting += 1
            try:
                while block and not self._queue and not self._finished:
                    self._changed.wait()
            finally:
                self._waiting -= 1
            batch: list[Blob] = []
            size = 0
            while self._queue and len(batch) < min(room, _BATCH_BLOBS) and size < _BATCH_BYTES:
                blob = self._queue.popleft()
                size += len(blob.data)
                batch.append(blob)
            return batch

    def put_back(self, blobs: Iterable[Blob]) -> None:
        with self._changed:
            self._queue.extendleft(reversed(list(blobs)))
            self._changed.notify_all()

    def deliver(self, blob: Blob, results: list[Result]) -> None:
        with self._changed:
            self._characters += _characters(results)
        self._results.put((blob, results))

    def wait_until_taken(self) -> float:
        """Waits while too much that was read has not been taken. Returns the seconds."""
        started = time.monotonic()
        with self._changed:
            while self._characters > _MAX_CHARACTERS_WAITING and not self._stopped:
                self._changed.wait()
        return time.monotonic() - started

    def fail(self, error: BaseException) -> None:
        self._results.put(error)


def _characters(results: list[Result]) -> int:
    return sum(r.chunks[-1].span.end for r in results if isinstance(r, PreparedDocument) and r.chunks)


def _drive(run: _Run) -> None:
    """Body of a worker thread: supplies one worker at a time until there is nothing left to read."""
    worker: Worker | None = None
    again: Blob | None = None
    quota = max(1, run.sandbox.limits.files_per_worker)
    try:
        while not run.stopped:
            blobs = [again] if again is not None else run.take(quota, block=True)
            if not blobs:
                break
            if worker is not None and not run.sandbox.room(worker):
                worker.end()
                worker = None
            if worker is None:
                worker = run.sandbox.take_worker(fresh=again is not None)
            room = run.sandbox.room(worker)  # less than the quota for a worker of an earlier run
            run.put_back(blobs[room:])
            worker, again = _feed(run, worker, blobs[:room])
        if worker is not None:
            if run.stopped:
                worker.end()
            else:
                run.sandbox.give_back(worker)
    except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
        if worker is not None:
            worker.end()
        run.fail(error)


def _feed(run: _Run, worker: Worker, blobs: list[Blob]) -> tuple[Worker | None, Blob | None]:
    """Sends `blobs` and, while the worker is busy, more, until it has answered all. The worker is None when it was
    ended; the blob is one to be tried once more, alone, in a fresh worker: what ended this one may have been the
    fault of an earlier file."""
    limits = run.sandbox.limits
    ahead: deque[Blob] = deque()
    while blobs or ahead:
        if blobs:
            worker.send(blobs)
            ahead.extend(blobs)
        worker.excuse(run.wait_until_taken())
        wall = limits.wall_seconds + 2 * limits.extra_seconds(len(ahead[0].data))
        outcome = worker.receive(wall, limits.output_bytes, lambda: run.stopped)
        if outcome is None:
            return worker, None
        results, retiring, dead = outcome
        blob = ahead.popleft()
        if dead is not None:
            error = dead.error(worker.end(), limits, wall)
            run.put_back(ahead)
            if worker.answered == 0 or isinstance(error, LimitExceeded):  # its own fault: time is counted per file
                run.deliver(blob, [ReadFailure.of(blob.uri, error)])
                return None, None
            return None, blob
        if retiring:
            worker.end()
            run.put_back(ahead)
            if worker.answered == 1:
                run.deliver(blob, results)
                return None, None
            return None, blob
        run.deliver(blob, results)
        room = run.sandbox.room(worker)
        blobs = run.take(room, block=False) if room > 0 and len(ahead) <= _BATCH_BLOBS // 2 else []
    return worker, None
