"""What every Cache promises, for every implementation and every policy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prepared import prepared
from ragstone.cache.file import Kept
from ragstone.cache.memory import MemoryCache
from ragstone.cache.persistent import DiskCache, Persistent, TieredCache
from ragstone.protocols import Cache
from ragstone.storage.sqlite import SqliteStore

ENTRIES = 8
KINDS = [f"{where} {policy}" for where in ("memory", "disk", "tiered") for policy in ("lru", "lfu")]


class Made:
    """A cache of texts with at most ENTRIES, and what makes its writes visible to its bounds."""

    def __init__(self, cache: Cache[bytes, str], flush: Callable[[], None]) -> None:
        self.cache = cache
        self.flush = flush

    def put(self, key: str, value: str) -> None:
        self.cache.put(key.encode(), value)
        self.flush()

    def get(self, key: str) -> str | None:
        value = self.cache.get(key.encode())
        self.flush()
        return value


def kept(text: str) -> Kept:
    return Kept(text.encode())


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    where, policy = request.param.split()
    memory: MemoryCache[bytes, str] = MemoryCache(ENTRIES, 1.0, policy=policy)
    if where == "memory":
        yield Made(memory, lambda: None)
        return
    store = SqliteStore(tmp_path)
    persistent = Persistent(tmp_path, store, entries=ENTRIES, megabytes=1.0, policy=policy)
    disk = DiskCache(persistent, "text", kept, bytes.decode)
    yield Made(disk if where == "disk" else TieredCache(memory, disk), persistent.flush)
    persistent.close()
    store.close()


def test_what_was_put_is_found_and_nothing_else(made: Made) -> None:
    assert made.get("a") is None
    made.put("a", "one")
    made.put("b", "")
    assert (made.get("a"), made.get("b"), made.get("c")) == ("one", "", None)
    made.put("a", "two")
    assert made.get("a") == "two"
    seen = made.cache.statistics()
    assert (seen.entries, seen.hits, seen.misses) == (2, 3, 2)
    assert seen.bytes > 0
    assert seen.hit_rate == 0.6


def test_clearing_forgets(made: Made) -> None:
    made.put("a", "one")
    made.cache.clear()
    assert made.get("a") is None
    assert made.cache.statistics().entries == 0
    made.put("a", "two")
    assert made.get("a") == "two"


def test_entries_are_bounded_and_what_is_used_stays(made: Made) -> None:
    for number in range(3 * ENTRIES):
        made.put(f"k{number}", "x")
        made.put("used", "y") if number == 0 else made.get("used")
    assert made.get("used") == "y"
    assert made.cache.statistics().entries == ENTRIES
    assert made.cache.statistics().evictions >= 2 * ENTRIES
    assert made.get("k0") is None


def test_bytes_are_bounded(made: Made) -> None:
    for number in range(ENTRIES):
        made.put(f"k{number}", chr(97 + number) * 300_000)
    seen = made.cache.statistics()
    assert 0 < seen.bytes <= 1_000_000
    assert made.get(f"k{ENTRIES - 1}") == chr(97 + ENTRIES - 1) * 300_000
    assert made.get("k0") is None
    made.put("vast", "z" * 1_100_000)
    assert made.cache.statistics().bytes <= 1_000_000


def test_many_threads_find_what_they_put_or_nothing(made: Made) -> None:
    wrong: list[object] = []

    def work(name: int) -> None:
        for number in range(60):
            key = f"{number % 11}".encode()
            value = made.cache.get(key)
            if value is not None and value != f"value {number % 11}":
                wrong.append(value)
            made.cache.put(key, f"value {number % 11}")
            if number % 25 == name:
                made.cache.clear()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.flush()
    assert wrong == []
    assert made.cache.statistics().entries <= ENTRIES


def test_a_value_without_its_passages_is_not_kept(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.create_collection("c")
    document = store.put("c", [prepared("a", ["one ", "two"])])[0].document_id
    first, second = (chunk.id for chunk in store.document_chunks(document))
    persistent = Persistent(tmp_path, store, entries=10, megabytes=1.0)
    evidence = {b"both": (first, second), b"one": (first,), b"gone": (first, 999)}
    for key, chunks in evidence.items():
        persistent.put(("t", key), Kept(key, tuple((chunk, document) for chunk in chunks)))
    persistent.flush()
    assert [persistent.get(("t", key)) for key in evidence] == [b"both", b"one", None]
    store.put("c", [prepared("a", ["one ", "changed"])])
    persistent.settle()
    assert [persistent.get(("t", key)) for key in evidence] == [None, b"one", None]
    persistent.forget([document])
    assert persistent.get(("t", b"one")) is None
    persistent.close()
    store.close()
