"""Processes that write at once, and a disk that is really full. Kills are in test_stress.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_document import document

from ragstone.errors import DiskFull
from ragstone.storage.sqlite import SqliteStore

HERE = Path(__file__).parent


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / program), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ())


def check_everything(store: SqliteStore, present: set[str], absent: set[str], prefix: str = "") -> None:
    """Whole, nothing missing; texts are compared where the uri begins with `prefix`."""
    assert store.check() == []
    found = set(store.known("c"))
    assert present - found == set()
    assert absent & found == set()
    for uri in found:
        if not uri.startswith(prefix):
            continue
        made = document(uri)
        stored = store.document("c", uri)
        assert stored.content_hash == made.content_hash
        assert store.document_text(stored.id) == "".join(chunk.text for chunk in made.chunks)


def check_log(store: SqliteStore, live: set[int], since: int) -> int:
    """Follows the log from `since` on; afterwards the follower has exactly the chunks that are there."""
    assert store.first_seq() <= since + 1
    for change in store.changes(since, 1_000_000):
        since = change.seq
        if change.op == "add":
            live.add(change.chunk_id)
        elif change.op == "delete":
            live.discard(change.chunk_id)
    assert live == {int(id_) for id_ in store.chunk_ids("c")}
    assert store.last_seq() == since
    return since


@pytest.mark.slow
def test_four_processes_write_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    puts = 200
    writers = [start("many_writer.py", str(folder), name, str(puts)) for name in "abcd"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0, 0]
    for writer in writers:
        for stream in (writer.stdin, writer.stdout):
            assert stream is not None
            stream.close()
    store = SqliteStore(folder)
    assert store.check() == []
    kept = {number for number in range(puts) if number % 10 != 4}
    assert set(store.known("c")) == {f"/{name}/{number}" for name in "abcd" for number in kept}
    assert store.revision("c") == 4 * (puts + puts // 10)
    check_log(store, set(), 0)
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_disk_that_fills_up_loses_nothing_and_recovers(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "data")
    store.create_collection("c")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    stored: set[str] = set()
    for number in range(10_000):
        try:
            store.put("c", [document(f"/0/{number}")])
        except DiskFull:
            break
        stored.add(f"/0/{number}")
    else:
        pytest.fail("the disk never filled up")
    assert set(store.known("c")) == stored
    check_everything(store, stored, set())
    ballast.unlink()
    store.put("c", [document("/1/after")])
    store.close()
    store = SqliteStore(small_disk / "data")
    check_everything(store, stored | {"/1/after"}, set())
    check_log(store, set(), 0)
    store.close()
