"""A bounded cache in this process: least recently used goes first, and nothing is older than its time to live."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    entries: int
    hits: int
    misses: int
    evictions: int

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class MemoryCache(Generic[V]):
    """`entries` 0 turns it off. `ttl` is seconds; the clock can be given for tests."""

    def __init__(self, entries: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._ttl = ttl
        self._clock = clock
        self._held: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = self._evictions = 0

    def get(self, key: Hashable) -> V | None:
        with self._lock:
            entry = self._held.get(key)
            if entry is not None and entry[0] > self._clock():
                self._held.move_to_end(key)
                self._hits += 1
                return entry[1]
            if entry is not None:
                del self._held[key]
            self._misses += 1
            return None

    def put(self, key: Hashable, value: V) -> None:
        if self._entries <= 0:
            return
        with self._lock:
            self._held[key] = (self._clock() + self._ttl, value)
            self._held.move_to_end(key)
            while len(self._held) > self._entries:
                self._held.popitem(last=False)
                self._evictions += 1

    def clear(self) -> None:
        with self._lock:
            self._held.clear()

    def statistics(self) -> CacheStatistics:
        with self._lock:
            return CacheStatistics(len(self._held), self._hits, self._misses, self._evictions)
