"""cache.db: bounded, shared, mended, and emptied of what was deleted."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from prepared import prepared
from ragstone.cache.file import CACHE, Kept
from ragstone.cache.persistent import Persistent
from ragstone.errors import StoreBusy, StoreReadOnly
from ragstone.storage.sqlite import SqliteStore


@contextmanager
def opened(folder: Path, **given: object) -> Iterator[tuple[SqliteStore, Persistent]]:
    store = SqliteStore(folder)
    persistent = Persistent(folder, store, **{"entries": 100, "megabytes": 1.0, **given})  # type: ignore[arg-type]
    yield store, persistent
    persistent.close()
    store.close()


def key(name: str) -> tuple[str, bytes]:
    return "t", name.encode()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob(f"{CACHE}*")))


def test_it_outlives_the_process_and_is_private(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, persistent):
        persistent.put(key("a"), Kept(b"one"))
        persistent.asked("often")
        persistent.asked("often")
        persistent.asked("once")
    assert stat.S_IMODE((tmp_path / CACHE).stat().st_mode) == 0o600
    with opened(tmp_path, writable=False) as (_, persistent):
        assert persistent.get(key("a")) == b"one"
        assert persistent.frequent(5) == ["often", "once"]
        persistent.put(key("b"), Kept(b"two"))
        assert persistent.get(key("b")) is None
        with pytest.raises(StoreReadOnly):
            persistent.purge()


def test_old_values_are_not_found(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, persistent):
        persistent.put(key("a"), Kept(b"one"))
    with opened(tmp_path, ttl=1e-6) as (_, persistent):
        assert persistent.get(key("a")) is None


@pytest.mark.parametrize("damage", ["garbage", "empty", "other", "version", "cut"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / CACHE
    with opened(tmp_path) as (_, persistent):
        for number in range(50):
            persistent.put(key(f"{number}"), Kept(b"one" * 1000))
    if damage == "garbage":
        path.write_bytes(b"no database" * 1000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with apsw.Connection(str(path)) as connection:
            connection.execute("PRAGMA user_version = 99" if damage == "version" else "DROP TABLE holds")
        connection.close()
    with opened(tmp_path) as (_, persistent):
        for number in range(50):
            assert persistent.get(key(f"{number}")) in (None, b"one" * 1000)
        persistent.flush()
        persistent.put(key("new"), Kept(b"two"))
        persistent.flush()
        persistent.put(key("newer"), Kept(b"three"))
    with opened(tmp_path) as (_, persistent):
        assert persistent.get(key("newer")) == b"three"


def test_flipped_bytes_never_give_a_wrong_value(tmp_path: Path) -> None:
    random_ = random.Random(5)
    values = {f"{number}": bytes([65 + number]) * 3000 for number in range(20)}
    for cycle in range(40):
        with opened(tmp_path) as (_, persistent):
            for name, value in values.items():
                persistent.put(key(name), Kept(value))
        path = tmp_path / CACHE
        data = bytearray(path.read_bytes())
        for _ in range(1 + cycle % 5):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        path.write_bytes(data)
        with opened(tmp_path) as (_, persistent):
            for name, value in values.items():
                assert persistent.get(key(name)) in (None, value)


def test_it_can_be_deleted_at_any_moment(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, persistent):
        persistent.put(key("a"), Kept(b"one"))
        persistent.flush()
        for path in tmp_path.glob(f"{CACHE}*"):
            path.unlink()
        assert persistent.get(key("a")) is None
        persistent.put(key("b"), Kept(b"two"))
        persistent.flush()
        assert persistent.get(key("b")) == b"two"


def test_what_cannot_be_written_is_dropped_and_nothing_waits(tmp_path: Path) -> None:
    with opened(tmp_path) as (store, persistent):
        persistent.put(key("a"), Kept(b"one"))
        persistent.flush()
        other = apsw.Connection(str(tmp_path / CACHE))
        other.execute("BEGIN EXCLUSIVE")
        persistent.put(key("b"), Kept(b"two"))
        assert persistent.get(key("b")) == b"two"  # from the queue
        assert persistent.get(key("a")) == b"one"
        with pytest.raises(StoreBusy):
            persistent.settle()
        other.execute("ROLLBACK")
        other.close()
        persistent.flush()
        persistent.settle()
        assert store.collections() == []


def test_deleted_text_is_gone_from_the_bytes_of_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as (store, persistent):
        store.create_collection("c")
        for name in ("secret", "public"):
            document = store.put("c", [prepared(name, [f"{name} text"])])[0].document_id
            chunks = [(chunk.id, document) for chunk in store.document_chunks(document)]
            persistent.put(key(name), Kept(f"{name} answer ".encode() * 500, tuple(chunks)))
        persistent.flush()
        assert b"secret answer" in everything(tmp_path)
        store.delete("c", ["secret"])
        persistent.settle()
        assert persistent.get(key("secret")) is None
        assert b"secret answer" not in everything(tmp_path)
        assert persistent.get(key("public")) is not None
        persistent.asked("a private question")
        persistent.flush()
        persistent.purge()
        assert persistent.get(key("public")) is None
        assert persistent.frequent(5) == []
    assert b"answer" not in everything(tmp_path)
    assert b"private" not in everything(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with opened(tmp_path) as (store, persistent):
        store.create_collection("c")
        document = store.put("c", [prepared("a", ["text"])])[0].document_id
        persistent.put(key("a"), Kept(b"secret answer", ((store.document_chunks(document)[0].id, document),)))
        persistent.flush()
        store.delete("c", ["a"])  # and no settle: as if killed here
    assert b"secret answer" in everything(tmp_path)
    with opened(tmp_path) as (_, persistent):
        persistent.asked("anything")  # the first work of the writing thread
    assert b"secret answer" not in everything(tmp_path)


def test_a_trimmed_log_or_another_store_loses_nothing_that_should_go(tmp_path: Path) -> None:
    with opened(tmp_path) as (store, persistent):
        store.create_collection("c")
        for name in ("a", "b"):
            document = store.put("c", [prepared(name, [f"text {name}"])])[0].document_id
            persistent.put(key(name), Kept(b"answer", ((store.document_chunks(document)[0].id, document),)))
        persistent.flush()
        store.delete("c", ["a"])
        store.trim_log(store.last_seq() + 1)
        persistent.settle()
        assert (persistent.get(key("a")), persistent.get(key("b"))) == (None, b"answer")
    for path in tmp_path.glob("ragstone.db*"):
        path.unlink()
    with opened(tmp_path) as (_, persistent):
        persistent.settle()
        assert persistent.get(key("b")) is None


_PUTTER = """
import sys
from pathlib import Path
from ragstone.cache.file import Kept
from ragstone.cache.persistent import Persistent
from ragstone.storage.sqlite import SqliteStore
folder, name = Path(sys.argv[1]), sys.argv[2]
store = SqliteStore(folder)
persistent = Persistent(folder, store, entries=50, megabytes=1.0)
for number in range(200):
    persistent.put(("t", f"{name} {number}".encode()), Kept(f"{name} {number}".encode() * 50))
    value = persistent.get(("t", f"x {number}".encode()))
    assert value in (None, f"x {number}".encode() * 50), value
    if number % 20 == 0:
        persistent.flush()
persistent.close()
store.close()
print(persistent.dropped)
"""


def test_several_processes_share_it(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    running = [
        subprocess.Popen([sys.executable, "-c", _PUTTER, str(tmp_path), name], stdout=subprocess.PIPE, env=environ)
        for name in ("x", "y", "x")
    ]
    dropped = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert all(int(said) >= 0 for said in dropped)
    with opened(tmp_path) as (_, persistent):
        assert 0 < persistent.size("t")[0] <= 50


def test_readers_and_the_writer_in_threads(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, persistent):
        wrong: list[bytes] = []

        def work(seed: int) -> None:
            random_ = random.Random(seed)
            for _ in range(300):
                name = f"{random_.randrange(30)}"
                persistent.put(key(name), Kept(name.encode() * 10))
                value = persistent.get(key(name))
                if value != name.encode() * 10:
                    wrong.append(value or b"")

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [value for value in wrong if value] == []
