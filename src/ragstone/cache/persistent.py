"""Caches on disk: no question ever waits for a write, or fails because of one.

What is put stands in a queue, from which it is also found, until one thread writes it. Where the file cannot be
written (a full disk, a folder of someone else, another process in the way) what waits is dropped and counted; a damaged
file is made anew.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

import apsw

from ..errors import RagstoneError, StoreReadOnly
from ..protocols import Cache, Store
from ..types import CacheStatistics
from .file import CacheFile, Kept, Key, damaged
from .memory import Policy

V = TypeVar("V")
K = TypeVar("K")

MOST_WAITING: Final = 512
"""Values in the queue; more are not kept."""
CLOSE_SECONDS: Final = 2.0
"""That closing waits for the queue to be written."""
GATHER_SECONDS: Final = 0.25
"""That what is to be written is gathered: a busy process has few transactions, and a killed one loses no more."""


class Persistent:
    """The file cache.db of a data folder, shared by the caches of one process. `writable` False only reads it."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        *,
        entries: int,
        megabytes: float,
        ttl: float = 0.0,
        policy: Policy = "lru",
        writable: bool = True,
    ) -> None:
        self._ttl = ttl
        self._writable = writable

        def opened(writable: bool) -> CacheFile:
            weight_of = _used_often if policy == "lfu" else _used_lately
            limits = (entries, int(megabytes * 1e6))
            return CacheFile(folder, store, limits, weight_of=weight_of, writable=writable)

        self._file = opened(writable)
        self._reader = opened(False)
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._queue = threading.Condition()
        self._puts: dict[Key, Kept] = {}
        self._uses: Counter[Key] = Counter()
        self._asked: Counter[str] = Counter()
        self._suspect = False  # a reader found the file damaged
        self._unsettled = True
        self._busy = False
        self._idle = False  # the thread waits for something to do
        self._flushing = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Values, uses and counts that could not be written."""

    def get(self, key: Key) -> bytes | None:
        with self._queue:
            waiting = self._puts.get(key)
        value = waiting.value if waiting is not None else self._read(lambda file: file.read(key, self._oldest()), None)
        if value is not None and self._writable:
            with self._queue:
                self._uses[key] += 1
                self._wake()
        return value

    def put(self, key: Key, kept: Kept) -> None:
        if not self._writable:
            return
        with self._queue:
            if len(self._puts) >= MOST_WAITING:
                self.dropped += 1
                return
            self._puts[key] = kept
            self._wake()

    def asked(self, request: str) -> None:
        """Counts a request, for `frequent`."""
        if self._writable:
            with self._queue:
                self._asked[request] += 1
                self._wake()

    def frequent(self, count: int) -> list[str]:
        """The requests that were counted most often."""
        return self._read(lambda file: file.frequent(count), [])

    def size(self, kind: str) -> tuple[int, int]:
        """Values of that kind on disk, and their bytes."""
        return self._read(lambda file: file.size(kind), (0, 0))

    def questions(self) -> int:
        return self._read(lambda file: file.questions(), 0)

    @property
    def evictions(self) -> int:
        return self._file.evictions

    # ------------------------------------------------------------------ delete means gone
    def settle(self) -> None:
        """Removes what holds text of chunks that are no longer in the store. To be called after a write was committed
        and before it is acknowledged. Raises StoreError; then the file still knows what is to be done."""
        if self._writable:
            with self._writing:
                self._file.settle()

    def forget(self, documents: Iterable[int]) -> None:
        """Removes what holds text of these documents (ids). Raises StoreError."""
        self._drop_queue()
        self._require_writable()
        with self._writing:
            self._file.forget(documents)

    def purge(self) -> None:
        """Removes everything, down to the bytes. Raises StoreError."""
        self._drop_queue()
        self._require_writable()
        with self._writing:
            self._file.purge()

    def discard(self, kind: str) -> None:
        """Forgets the values of that kind, where it can."""
        if self._writable:
            with self._queue:
                self._puts = {key: kept for key, kept in self._puts.items() if key[0] != kind}
            self._attempt(lambda: self._file.discard(kind))

    def flush(self) -> None:
        """Waits until what stands in the queue was written or dropped."""
        with self._queue:
            self._flushing = True
            self._queue.notify_all()
            self._queue.wait_for(lambda: not self._busy and not self._waits())
            self._flushing = False

    def close(self) -> None:
        """Writes what waits, within a bounded time."""
        with self._queue:
            self._closing = True
            self._queue.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        # The reader first: whoever writes and closes last takes the log file away.
        for lock, file in ((self._reading, self._reader), (self._writing, self._file)):
            if lock.acquire(timeout=CLOSE_SECONDS):
                file.close()
                lock.release()

    # ------------------------------------------------------------------ inside
    def _oldest(self) -> float:
        return time.time() - self._ttl if self._ttl else 0.0

    def _read(self, what: Callable[[CacheFile], K], otherwise: K) -> K:
        """`otherwise` where the file is not there, not yet made or not readable."""
        try:
            with self._reading:
                return what(self._reader)
        except apsw.Error as error:
            with self._reading:
                self._reader.close()
            if damaged(error) and self._writable:
                with self._queue:
                    self._suspect = True
                    self._wake()
            return otherwise

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Whether it was done. An entry that is not written is asked for again: nothing is lost by that."""
        with self._writing:
            try:
                work()
                return True
            except apsw.Error as error:
                try:
                    if damaged(error):
                        self._file.make_anew()
                except apsw.Error:
                    pass  # then nothing is kept; the next attempt may do better
            except RagstoneError:
                pass  # the store was closed, or is in trouble that its own callers hear of
        return False

    def _require_writable(self) -> None:
        if not self._writable:
            raise StoreReadOnly("the cache was opened for reading only.", "Open the data folder for writing.")

    def _drop_queue(self) -> None:
        with self._queue:
            self._puts.clear()
            self._uses.clear()
            self._asked.clear()

    def _waits(self) -> bool:
        return bool(self._puts or self._uses or self._asked or self._suspect)

    def _wake(self) -> None:
        """The caller holds the queue. A thread that gathers already is left alone: to wake it for each question took
        the interpreter from those who answer."""
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._serve, name="ragstone-cache", daemon=True)
            self._thread.start()
        if self._idle:
            self._queue.notify_all()

    def _serve(self) -> None:
        while True:
            with self._queue:
                self._idle = True
                self._queue.wait_for(lambda: self._closing or self._waits())
                self._idle = False
                if not self._waits():
                    return  # closing
                if not self._closing:
                    self._queue.wait_for(lambda: self._closing or self._flushing, GATHER_SECONDS)
                puts, uses, asked, suspect = dict(self._puts), self._uses, self._asked, self._suspect
                self._uses, self._asked, self._suspect = Counter(), Counter(), False
                self._busy = True
            if suspect:
                self._attempt(self._file.check)
            if self._unsettled:  # a process may have been killed before it was done with this
                self._unsettled = not self._attempt(self._file.settle)
            done = self._attempt(partial(self._file.write, puts, uses, asked, self._oldest()))
            with self._queue:
                for key, kept in puts.items():  # found in the queue until they are found in the file
                    if self._puts.get(key) is kept:
                        del self._puts[key]
                self.dropped += 0 if done else len(puts) + len(uses) + len(asked)
                self._busy = False
                self._queue.notify_all()


class DiskCache(Cache[bytes, V], Generic[V]):
    """The values of one kind. `decode` raises ValueError for what another version wrote."""

    def __init__(
        self, persistent: Persistent, kind: str, encode: Callable[[V], Kept], decode: Callable[[bytes], V]
    ) -> None:
        self._persistent = persistent
        self._kind = kind
        self._encode = encode
        self._decode = decode
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def get(self, key: bytes) -> V | None:
        raw = self._persistent.get((self._kind, key))
        value = None
        if raw is not None:
            try:
                value = self._decode(raw)
            except ValueError:
                value = None
        with self._lock:
            self._hits += value is not None
            self._misses += value is None
        return value

    def put(self, key: bytes, value: V) -> None:
        self._persistent.put((self._kind, key), self._encode(value))

    def clear(self) -> None:
        self._persistent.discard(self._kind)

    def statistics(self) -> CacheStatistics:
        entries, size = self._persistent.size(self._kind)
        return CacheStatistics(entries, size, self._hits, self._misses, self._persistent.evictions)


class TieredCache(Cache[K, V], Generic[K, V]):
    """A quick cache before a lasting one: what only the second knows is put into the first."""

    def __init__(self, first: Cache[K, V], second: Cache[K, V]) -> None:
        self._first = first
        self._second = second

    def get(self, key: K) -> V | None:
        value = self._first.get(key)
        if value is None:
            value = self._second.get(key)
            if value is not None:
                self._first.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        self._first.put(key, value)
        self._second.put(key, value)

    def clear(self) -> None:
        self._first.clear()
        self._second.clear()

    def statistics(self) -> CacheStatistics:
        """Entries, bytes and evictions of the first; a hit of either is one hit."""
        first, second = self._first.statistics(), self._second.statistics()
        return CacheStatistics(
            first.entries, first.bytes, first.hits + second.hits, second.misses, first.evictions
        )  # fmt: skip


def _used_lately(_weight: float, _age: float, _times: int) -> float:
    return time.time()


def _used_often(weight: float, age: float, times: int) -> float:
    """Uses, on top of the weight of what went last (LFU with dynamic aging; see memory.py)."""
    return max(weight, age) + times
