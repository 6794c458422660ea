"""Embeds in the background what a store has no vectors for yet."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreReadOnly
from ..faults import reach
from ..protocols import Embedder, Pending, Store
from ..types import Progress, ProgressCallback

SLAB = 512  # chunks asked from the store at once; newer ones that arrive meanwhile wait for no longer than one slab
GROUP_SECONDS = 0.7  # of work between two writes: what a crash repeats, and what stopping waits for
FIRST_GROUP = 8_192  # characters, before the rate is known
BYTES_PER_CHARACTER = 16 * 1024  # of activations, were a call one batch of a large model: 48 kB for a token
IN_FLIGHT = 2  # groups; while one is written the other keeps the cores busy
NICENESS = 10  # of the threads that embed, so that a question's thread always goes first
LOCK_FILE = "embedder.lock"
POLL_SECONDS = 0.2


class EmbeddingWorker:
    """One for each store; `run` may be called from any thread, and calls take turns.

    The embedder runs the texts of one call in parallel by itself and lets questions go before (see
    `OnnxEmbedder`). Over all processes only one works on a data folder at a time.
    """

    def __init__(self, store: Store, embedder: Embedder, *, memory_mb: int = 2_048) -> None:
        """`memory_mb` bounds the texts that are in work at once, for an embedder that takes a call as one batch."""
        self._store = store
        self._embedder = embedder
        self._most = max(FIRST_GROUP, memory_mb * 2**20 // BYTES_PER_CHARACTER // IN_FLIGHT)
        self._turn = threading.Lock()

    def run(
        self,
        collection: str,
        *,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
        foreground: bool = False,
        wait_for_others: bool = False,
    ) -> int:
        """Embeds every chunk of the collection that has no vector, newest first, and returns how many chunks got one.

        Returns when nothing is left or `stop` is set; what was embedded by then is in the store. Where another
        process is embedding in this folder it returns 0 at once, or with `wait_for_others` waits for its turn.
        `foreground` keeps the usual priority of threads, for a command that has nothing else to do.
        Raises what embedder and store raise; nothing that was written is lost by that.
        """
        stop = stop or threading.Event()
        with self._turn:
            while not stop.is_set():
                with _alone(self._store.folder) as alone:
                    if alone:
                        return self._embed_all(collection, progress, stop, foreground)
                if not wait_for_others or not self._store.count_pending(collection, self._embedder.space.id):
                    return 0
                stop.wait(POLL_SECONDS)
        return 0

    def _embed_all(
        self, collection: str, progress: ProgressCallback | None, stop: threading.Event, foreground: bool
    ) -> int:
        space = self._embedder.space.id
        waiting = self._store.count_pending(collection, space)
        if not waiting:
            return 0
        state = _Pace(waiting, self._most, progress)
        taken: set[bytes] = set()
        running: set[Future[tuple[int, int, float]]] = set()
        with ThreadPoolExecutor(IN_FLIGHT, "embed", initializer=None if foreground else _give_way) as pool:
            while not stop.is_set():
                slab = self._fresh(collection, space, taken)
                if not slab:
                    if not running:
                        break
                    state.finish(_first(running))
                    continue
                while slab and not stop.is_set():
                    group = state.take(slab)
                    taken.update(p.content_hash for p in group)
                    running.add(pool.submit(self._embed, space, group))
                    if len(running) == IN_FLIGHT:
                        state.finish(_first(running))
                state.expect(self._store.count_pending(collection, space))
            while running:
                state.finish(_first(running))
        return state.done

    def _fresh(self, collection: str, space: str, taken: set[bytes]) -> list[Pending]:
        """The newest that wait and are not in work; one of those with equal content."""
        limit = SLAB + len(taken)
        found = {p.content_hash: p for p in self._store.pending(collection, space, limit)}
        taken &= found.keys()  # what was written needs no remembering
        return [p for content, p in found.items() if content not in taken][:SLAB]

    def _embed(self, space: str, group: list[Pending]) -> tuple[int, int, float]:
        """Chunks that have a vector now, characters, seconds."""
        started = time.monotonic()
        vectors = self._embedder.embed([p.text for p in group], "passage").astype("<f2")
        rows = {p.content_hash: row.tobytes() for p, row in zip(group, vectors, strict=True)}
        reach("embed.computed")
        chunks = self._store.put_embeddings(space, rows)
        reach("embed.stored")
        return chunks, sum(len(p.text) for p in group), time.monotonic() - started


class _Pace:
    """How far the work is, and how much of it makes a group."""

    def __init__(self, waiting: int, most: int, progress: ProgressCallback | None) -> None:
        self.done = 0
        self._total = waiting
        self._most = most
        self._size = min(FIRST_GROUP, most)
        self._progress = progress
        self._started = time.monotonic()

    def take(self, slab: list[Pending]) -> list[Pending]:
        """Removes the next group from the head of `slab`."""
        characters = count = 0
        while count < len(slab) and (not count or characters + len(slab[count].text) <= self._size):
            characters += len(slab[count].text)
            count += 1
        group = slab[:count]
        del slab[:count]
        return group

    def expect(self, waiting: int) -> None:
        self._total = max(self._total, self.done + waiting)

    def finish(self, result: tuple[int, int, float]) -> None:
        chunks, characters, seconds = result
        self.done += chunks
        self._size = int(min(self._most, max(1, characters / max(seconds, 1e-3) * GROUP_SECONDS)))
        if self._progress is not None:
            elapsed = time.monotonic() - self._started
            rate = self.done / max(elapsed, 1e-3)
            total = max(self._total, self.done)
            left = (total - self.done) / max(rate, 1e-3)
            self._progress(Progress("embed", self.done, total, state=f"{rate:.1f}/s, {left:.0f} s left"))


def _first(running: set[Future[tuple[int, int, float]]]) -> tuple[int, int, float]:
    """Waits for any of them, takes it out and gives its result."""
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    future = finished.pop()
    running.remove(future)
    return future.result()


def _give_way() -> None:
    """Lowers the priority of this thread and of those it starts; only Linux has one for a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this process has the folder's embedder lock, which it then keeps until the end of the block."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreReadOnly(
            f"{folder / LOCK_FILE} cannot be opened: {error.strerror}.", "Permit writing in the data folder."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
