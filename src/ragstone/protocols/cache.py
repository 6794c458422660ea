"""What keeps values for the next time."""

from __future__ import annotations

from typing import Protocol, TypeVar

from ..types import CacheStatistics

K = TypeVar("K", contravariant=True)
V = TypeVar("V")


class Cache(Protocol[K, V]):
    """Bounded, safe from several threads, and never wrong: a key holds the state of everything that its value was made
    from, so what is found was true when it was asked for. `get` and `put` neither raise nor wait for a write to a
    disk: what cannot be kept is not kept."""

    def get(self, key: K) -> V | None: ...

    def put(self, key: K, value: V) -> None: ...

    def clear(self) -> None:
        """Forgets every value; the counts go on."""
        ...

    def statistics(self) -> CacheStatistics: ...
