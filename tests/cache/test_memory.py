from __future__ import annotations

from ragstone.cache.memory import MemoryCache


def test_least_recently_used_goes_first() -> None:
    cache: MemoryCache[int] = MemoryCache(2, 60)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c")) == (1, 3)
    seen = cache.statistics()
    assert (seen.entries, seen.hits, seen.misses, seen.evictions) == (2, 3, 1, 1)
    assert seen.hit_rate == 0.75


def test_nothing_outlives_its_time() -> None:
    now = [100.0]
    cache: MemoryCache[str] = MemoryCache(10, 5.0, clock=lambda: now[0])
    cache.put("a", "x")
    now[0] = 104.9
    assert cache.get("a") == "x"
    now[0] = 105.0
    assert cache.get("a") is None
    assert cache.statistics().entries == 0


def test_zero_entries_is_off() -> None:
    cache: MemoryCache[str] = MemoryCache(0, 5.0)
    cache.put("a", "x")
    assert cache.get("a") is None
