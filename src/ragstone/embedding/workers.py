"""Embeds in the background what a store has no vectors for yet, space by space."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ..errors import ModelError
from ..faults import reach
from ..observe.instruments import EMBEDDED
from ..protocols import Embedder, Pending, Store
from ..types import Progress, ProgressCallback
from .precedence import PRECEDENCE
from .turn import turn

SLAB = 512  # chunks asked from the store at once; newer ones that arrive meanwhile wait for no longer than one slab
GROUP_SECONDS = 0.7  # of work between two writes: what a crash repeats, and what stopping waits for
FIRST_GROUP = 8_192  # characters, before the rate is known
BYTES_PER_CHARACTER = 16 * 1024  # of activations, were a call one batch of a large model: 48 kB for a token
IN_FLIGHT = 2  # groups; while one is written the other keeps the cores busy
POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A space of a collection that may have chunks waiting. A `shadow` is not searched: it comes after the others,
    gives way to questions, and where its model cannot be had the others are embedded all the same."""

    space: str
    load: Callable[[], Embedder]
    shadow: bool = False


Plan = Callable[[str], Sequence[Job]]
"""The jobs of a collection, the most urgent first. Asked again and again: roles change while work goes on."""


class EmbeddingWorker:
    """One for each store; `run` may be called from any thread, and calls take turns.

    The embedder runs the texts of one call in parallel by itself and lets questions go before (see
    `OnnxEmbedder`). Over all processes only one works on a data folder at a time
    (embedding/turn.py).
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        memory_mb: int = 2_048,
        share: float = 1.0,
        serving: Callable[[], bool] = lambda: False,
    ) -> None:
        """`memory_mb` bounds the texts that are in work at once, for an embedder that takes a call as one batch. While
        `serving` says that questions are being answered here, shadows get `share` of the time; 0: none."""
        self.store = store
        self._plan = plan
        self.most = max(FIRST_GROUP, memory_mb * 2**20 // BYTES_PER_CHARACTER // IN_FLIGHT)
        self.share = share
        self.serving = serving
        self._turn = threading.Lock()

    def run(
        self,
        collection: str,
        *,
        only: str | None = None,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
        foreground: bool = False,
        wait_for_others: bool = False,
    ) -> int:
        """Embeds every chunk of the collection that has no vector in one of its spaces (or in the space `only`), newest
        first, and returns how many vectors of chunks were made.

        Returns when nothing is left or `stop` is set; what was embedded by then is in the store. Where another
        process is embedding in this folder it returns 0 at once, or with `wait_for_others` waits for its turn.
        `foreground` keeps the usual priority of threads, for a command that has nothing else to do.
        Raises what embedder and store raise; nothing that was written is lost by that.
        """
        stop = stop or threading.Event()
        with self._turn:
            while not stop.is_set():
                with turn(self.store.folder) as lost:
                    if lost is not None:
                        made = _Run(self, collection, only, progress, _Stop(stop, lost)).go(foreground)
                        if not lost.is_set() or not wait_for_others:
                            return made
                if not wait_for_others or not any(self._count(collection, job) for job in self.jobs(collection, only)):
                    return 0
                stop.wait(POLL_SECONDS)
        return 0

    def jobs(self, collection: str, only: str | None) -> list[Job]:
        return [job for job in self._plan(collection) if only in (None, job.space)]

    def _count(self, collection: str, job: Job) -> int:
        return self.store.count_pending(collection, job.space)


class _Run:
    """One run over one collection. `broken` are shadows whose model could not be had."""

    def __init__(
        self,
        worker: EmbeddingWorker,
        collection: str,
        only: str | None,
        progress: ProgressCallback | None,
        stop: _Stop,
    ) -> None:
        self._worker = worker
        self._store = worker.store
        self._collection = collection
        self._only = only
        self._stop = stop
        self._running: dict[Future[tuple[int, int, float]], Job] = {}
        self._taken: dict[str, set[bytes]] = {}
        self._broken: set[str] = set()
        self._pace = _Pace(worker.most, progress)

    def go(self, foreground: bool) -> int:
        self._pace.expect(self._waiting())
        with ThreadPoolExecutor(IN_FLIGHT, "embed", initializer=None if foreground else PRECEDENCE.give_way) as pool:
            while not self._stop.is_set():
                found = self._next()
                if found is None:
                    if not self._running:
                        break
                    self._finish()
                    continue
                job, slab = found
                try:
                    embedder = job.load()
                except ModelError as error:
                    self._skip(job, error)
                    continue
                if not self._work(pool, job, embedder, slab) and self._running:
                    self._finish()
                self._pace.expect(self._waiting())
            while self._running:
                self._finish()
        return self._pace.done

    def _work(self, pool: ThreadPoolExecutor, job: Job, embedder: Embedder, slab: list[Pending]) -> bool:
        """Whether any of it was begun."""
        begun = False
        while slab and not self._stop.is_set() and job.space not in self._broken:
            if job.shadow and (self._urgent(job) or not self._granted(job)):
                break
            begun = True
            group = self._pace.take(job.space, slab)
            self._taken[job.space].update(p.content_hash for p in group)
            self._running[pool.submit(self._embed, job.space, embedder, group)] = job
            if len(self._running) == IN_FLIGHT or (job.shadow and self._worker.serving()):
                self._finish()
        return begun

    def _jobs(self) -> list[Job]:
        return [job for job in self._worker.jobs(self._collection, self._only) if job.space not in self._broken]

    def _waiting(self) -> int:
        return sum(self._store.count_pending(self._collection, job.space) for job in self._jobs())

    def _next(self) -> tuple[Job, list[Pending]] | None:
        for job in self._jobs():
            slab = self._fresh(job.space)
            if slab:
                return job, slab
        return None

    def _fresh(self, space: str) -> list[Pending]:
        """The newest that wait and are not in work; one of those with equal content."""
        taken = self._taken.setdefault(space, set())
        limit = SLAB + len(taken)
        found = {p.content_hash: p for p in self._store.pending(self._collection, space, limit)}
        taken &= found.keys()  # what was written needs no remembering
        return [p for content, p in found.items() if content not in taken][:SLAB]

    def _urgent(self, shadow: Job) -> bool:
        """Whether another job goes before this one now, or this one is no job any more."""
        jobs = self._jobs()
        if all(job.space != shadow.space or not job.shadow for job in jobs):
            return True
        before = itertools.takewhile(lambda job: job.space != shadow.space, jobs)
        return any(self._store.count_pending(self._collection, job.space) > self._in_work(job) for job in before)

    def _in_work(self, job: Job) -> int:
        return len(self._taken.get(job.space, ()))

    def _granted(self, shadow: Job) -> bool:
        """Waits for as long as a shadow has to while questions are answered; False where it lost its turn meanwhile."""
        share = self._worker.share
        pause = self._pace.last(shadow.space) * (1.0 - share) / share if share > 0 else float("inf")
        until = time.monotonic() + pause
        while self._worker.serving() and time.monotonic() < until:
            if self._stop.wait(POLL_SECONDS) or self._urgent(shadow):
                return False
        return True

    def _finish(self) -> None:
        """Waits for any group in work."""
        finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
        future = finished.pop()
        job = self._running.pop(future)
        try:
            self._pace.finish(job.space, future.result())
        except ModelError as error:
            self._skip(job, error)

    def _skip(self, job: Job, error: ModelError) -> None:
        if not job.shadow or self._only is not None:
            raise error
        log.warning("the space %s waits: %s", job.space, error)
        self._broken.add(job.space)

    def _embed(self, space: str, embedder: Embedder, group: list[Pending]) -> tuple[int, int, float]:
        """Chunks that have a vector now, characters, seconds."""
        started = time.monotonic()
        vectors = embedder.embed([p.text for p in group], "passage").astype("<f2")
        rows = {p.content_hash: row.tobytes() for p, row in zip(group, vectors, strict=True)}
        reach("embed.computed")
        chunks = self._store.put_embeddings(space, rows)
        reach("embed.stored")
        EMBEDDED.add(chunks)
        return chunks, sum(len(p.text) for p in group), time.monotonic() - started


class _Pace:
    """How far the work is, and how much of it makes a group: a size for each space, whose models differ."""

    def __init__(self, most: int, progress: ProgressCallback | None) -> None:
        self.done = 0
        self._total = 0
        self._most = most
        self._sizes: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._progress = progress
        self._started = time.monotonic()

    def take(self, space: str, slab: list[Pending]) -> list[Pending]:
        """Removes the next group from the head of `slab`."""
        size = self._sizes.get(space, min(FIRST_GROUP, self._most))
        characters = count = 0
        while count < len(slab) and (not count or characters + len(slab[count].text) <= size):
            characters += len(slab[count].text)
            count += 1
        group = slab[:count]
        del slab[:count]
        return group

    def expect(self, waiting: int) -> None:
        self._total = max(self._total, self.done + waiting)

    def last(self, space: str) -> float:
        """Seconds that the last group took."""
        return self._seconds.get(space, 0.0)

    def finish(self, space: str, result: tuple[int, int, float]) -> None:
        chunks, characters, seconds = result
        self.done += chunks
        self._seconds[space] = seconds
        self._sizes[space] = int(min(self._most, max(1, characters / max(seconds, 1e-3) * GROUP_SECONDS)))
        if self._progress is not None:
            elapsed = time.monotonic() - self._started
            rate = self.done / max(elapsed, 1e-3)
            total = max(self._total, self.done)
            left = (total - self.done) / max(rate, 1e-3)
            self._progress(Progress("embed", self.done, total, state=f"{rate:.1f}/s, {left:.0f} s left"))


class _Stop:
    """Set when the caller says so, or when another process took the turn."""

    def __init__(self, stop: threading.Event, lost: threading.Event) -> None:
        self._stop = stop
        self._lost = lost

    def is_set(self) -> bool:
        return self._stop.is_set() or self._lost.is_set()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(seconds) or self._lost.is_set()
