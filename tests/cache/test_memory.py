from __future__ import annotations

from ragstone.cache.memory import MemoryCache, measured
from ragstone.types import Filter


def test_least_recently_used_goes_first() -> None:
    cache: MemoryCache[str, int] = MemoryCache(2)
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
    cache: MemoryCache[str, str] = MemoryCache(10, ttl=5.0, clock=lambda: now[0])
    cache.put("a", "x")
    now[0] = 104.9
    assert cache.get("a") == "x"
    now[0] = 105.0
    assert cache.get("a") is None
    assert cache.statistics().entries == 0


def test_zero_entries_is_off() -> None:
    cache: MemoryCache[str, str] = MemoryCache(0)
    cache.put("a", "x")
    assert cache.get("a") is None


def test_favourites_of_yesterday_leave() -> None:
    cache: MemoryCache[str, int] = MemoryCache(4, policy="lfu")
    for key in ("y1", "y2"):
        cache.put(key, 0)
        for _ in range(100):
            cache.get(key)
    today = 0
    while cache.get("y1") is not None or cache.get("y2") is not None:  # asking makes them a little younger each time
        for _ in range(5):
            today += 1
            cache.put(f"t{today}", today)
            for _ in range(10):
                cache.get(f"t{today}")
        assert today < 500
    assert cache.statistics().entries == 4


def test_what_is_asked_often_outlives_a_scan() -> None:
    often: MemoryCache[str, int] = MemoryCache(4, policy="lfu")
    lately: MemoryCache[str, int] = MemoryCache(4, policy="lru")
    for cache in (often, lately):
        cache.put("favourite", 1)
        for _ in range(50):
            cache.get("favourite")
        for number in range(40):
            cache.put(f"once {number}", 0)
    assert often.get("favourite") == 1
    assert lately.get("favourite") is None


def test_a_value_is_measured_with_what_it_holds() -> None:
    text = "x" * 10_000
    assert measured(text) > 10_000
    assert 10_000 < measured(Filter(path=(text, text))) < 11_000
    assert measured({"a": [text]}) > 10_000
    assert measured(None) == 0
