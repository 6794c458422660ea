"""A process that is killed while it adds loses nothing that it was told is stored."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
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


def killed_cycle(zygote: subprocess.Popen[str], cycle: int, seconds: float) -> list[list[str]]:
    """Lets a writer run until `seconds` after its first acknowledgement, kills it, and returns what it said."""
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    zygote.stdin.write(f"{cycle}\n")
    zygote.stdin.flush()
    pid, said, killed = 0, [], False
    while True:
        words = zygote.stdout.readline().split()
        assert words, "the zygote ended"
        assert words != ["failed"], "the writer ended by itself"
        if words[0] == "dead":
            return said
        if words[0] == "pid":
            pid = int(words[1])
        else:
            said.append(words)
        if pid and said and not killed:
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
            killed = True


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
@pytest.mark.parametrize(("work", "kills"), [("put", 50), ("ingest", 15)])
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, work: str, kills: int) -> None:
    folder = tmp_path / "data"
    moments = random.Random(work)
    present: set[str] = set()
    absent: set[str] = set()
    with start("killed_writer.py", str(folder), work) as zygote:
        for cycle in range(kills):
            for word, uri in killed_cycle(zygote, cycle, moments.uniform(0, 0.08)):
                if word == "put":
                    present.add(uri)
                elif word == "deleting":
                    present.discard(uri)
                else:
                    absent.add(uri)
            store = SqliteStore(folder)
            check_everything(store, present, absent, f"/{cycle}/" if cycle + 1 < kills else "")
            if work == "ingest":  # the other one trims its log
                check_log(store, set(), 0)
            store.close()
        assert zygote.stdin is not None
        zygote.stdin.close()
    assert len(present) > kills


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
