"""A bounded cache in this process."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np

from ..protocols import Cache
from ..types import CacheStatistics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Policy = Literal["lru", "lfu"]


@dataclass(slots=True)
class _Entry(Generic[V]):
    """`number` tells this entry from an earlier one of the same key; `weight` decides what goes first."""

    value: V
    number: int
    size: int
    expires: float
    weight: float


class MemoryCache(Cache[K, V], Generic[K, V]):
    """Holds at most `entries` and at most `megabytes` of measured size; 0 of either turns it off. Nothing is older
    than `ttl` seconds (0: for ever); `clock` can be given for tests.

    What goes first has the smallest weight. "lru": the moment of the last use. "lfu": the number of uses plus the
    weight of what went last when the entry came (LFU with dynamic aging: Arlitt et al., 2000), so that what was asked
    a thousand times yesterday leaves when it is not asked today. Weights stand in a heap that is put right only when
    something has to go, so that a hit costs no more than a look-up."""

    def __init__(
        self,
        entries: int,
        megabytes: float = 64.0,
        ttl: float = 0.0,
        policy: Policy = "lru",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = entries
        self._most_bytes = int(megabytes * 1e6)
        self._ttl = ttl or float("inf")
        self._policy = policy
        self._clock = clock
        self._held: dict[K, _Entry[V]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._numbers = itertools.count(1)
        self._moment = 0.0  # lru: uses so far; lfu: the weight of what went last
        self._bytes = 0
        self._lock = threading.Lock()
        self._hits = self._misses = self._evictions = 0

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._held.get(key)
            if entry is None:
                self._misses += 1
                return None
            if entry.expires <= self._clock():
                self._drop(key, entry)
                self._misses += 1
                return None
            self._hits += 1
            entry.weight = self._used(entry.weight)
            return entry.value

    def put(self, key: K, value: V) -> None:
        if self._entries <= 0 or self._most_bytes <= 0:
            return
        size = measured(value) + measured(key)
        with self._lock:
            earlier = self._held.get(key)
            if earlier is not None:
                self._drop(key, earlier)
            if size > self._most_bytes:
                return
            weight = self._used(self._moment)
            entry = _Entry(value, next(self._numbers), size, self._clock() + self._ttl, weight)
            self._held[key] = entry
            self._bytes += size
            heapq.heappush(self._heap, (weight, entry.number, key))
            while len(self._held) > self._entries or self._bytes > self._most_bytes:
                self._evict(entry)

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._heap.clear()
            self._bytes = 0

    def statistics(self) -> CacheStatistics:
        with self._lock:
            return CacheStatistics(len(self._held), self._bytes, self._hits, self._misses, self._evictions)

    def _used(self, weight: float) -> float:
        """The weight after one more use; for a new entry, `weight` is the present moment."""
        if self._policy == "lfu":
            return weight + 1.0
        self._moment += 1.0
        return self._moment

    def _drop(self, key: K, entry: _Entry[V]) -> None:
        """Its place in the heap is skipped when it comes up, or swept when most of the heap is such places."""
        del self._held[key]
        self._bytes -= entry.size
        if len(self._heap) > 2 * len(self._held) + 64:
            self._heap = [(held.weight, held.number, k) for k, held in self._held.items()]
            heapq.heapify(self._heap)

    def _evict(self, newest: _Entry[V]) -> None:
        """Lets go of the entry with the smallest weight that is not `newest`, which would else never get a chance."""
        spared = None
        while True:
            weight, number, key = heapq.heappop(self._heap)
            entry = self._held.get(key)
            if entry is None or entry.number != number:
                continue
            if entry.weight > weight:
                heapq.heappush(self._heap, (entry.weight, number, key))
                continue
            if entry is newest:
                spared = (weight, number, key)
                continue
            break
        if spared is not None:
            heapq.heappush(self._heap, spared)
        if self._policy == "lfu":
            self._moment = max(self._moment, entry.weight)
        self._drop(key, entry)
        self._evictions += 1


def measured(value: object) -> int:
    """Bytes of a value in memory: of it and of all that it holds, each object once, but what is shorter than
    `_SHORT` as often as it stands there: it is not worth looking up. Classes and None are shared by everyone and count
    nothing."""
    total = 0
    seen: set[int] = set()
    waiting: list[Any] = [value]
    for item in waiting:  # grows while it is walked
        kind = type(item)
        if kind in _PLAIN and (size := sys.getsizeof(item)) < _SHORT:
            total += size
        elif item is not None and id(item) not in seen and not isinstance(item, type):
            seen.add(id(item))
            total += sys.getsizeof(item)
            held = _HELD.get(kind)
            if held is None:
                held = _HELD[kind] = _held_by(kind)
            if kind is np.ndarray:
                total += item.nbytes if item.base is not None else 0
            waiting.extend(held(item))
    return total


_PLAIN: Final = frozenset((str, bytes, int, float, bool))
"""What holds nothing else."""
_SHORT: Final = 200


def _held_by(kind: type) -> Callable[[Any], Iterable[Any]]:
    """What gives the objects that one of this class holds: the fields of a dataclass, the items of a container."""
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        if len(names) == 1:
            return lambda item: (getattr(item, names[0]),)
        return attrgetter(*names) if names else lambda _: ()
    if issubclass(kind, Mapping):
        return lambda item: itertools.chain(item.keys(), item.values())
    return iter if issubclass(kind, tuple | list | set | frozenset) else lambda _: ()


_HELD: Final[dict[type, Callable[[Any], Iterable[Any]]]] = {}
