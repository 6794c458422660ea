from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from prepared import prepared
from ragstone.embedding.onnx import OnnxEmbedder
from ragstone.embedding.turn import LOCK_FILE, turn
from ragstone.embedding.workers import EmbeddingWorker, Job
from ragstone.errors import ModelUnavailable
from ragstone.protocols import Embedder, Role, Store, Vectors
from ragstone.storage.sqlite import SqliteStore
from ragstone.types import Progress, Space


class Recorder:
    """Embeds a text as (its length, 1), and remembers the order; `before` runs first in each call."""

    space = Space("lengths", "1", 2, normalised=False)

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.texts: list[str] = []
        self.before = before

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        assert role == "passage"
        self.before()
        self.texts += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def worker_of(store: Store, *embedders: Embedder, memory_mb: int = 2_048) -> EmbeddingWorker:
    """The first embedder is that of the searched space, the others are shadows."""
    jobs = [Job(e.space.id, lambda e=e: e, bool(n)) for n, e in enumerate(embedders)]  # type: ignore[misc]
    return EmbeddingWorker(store, lambda _: jobs, memory_mb=memory_mb)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with_data = SqliteStore(tmp_path / "data")
    with_data.create_collection("c")
    yield with_data
    with_data.close()


def texts(count: int, name: str = "t") -> list[str]:
    return [f"{name} {i} " + "word " * (i % 40) for i in range(count)]


def test_everything_gets_its_vector(store: SqliteStore) -> None:
    store.put("c", [prepared(f"{d}", texts(60, f"d{d}")) for d in range(10)])
    seen: list[Progress] = []
    worker = worker_of(store, Recorder())
    assert worker.run("c", progress=seen.append) == 600
    ids = store.chunk_ids("c")
    found, vectors = store.embeddings(Recorder.space.id, [int(i) for i in ids])
    lengths = {chunk.id: len(chunk.context + chunk.text) for chunk in store.chunks([int(i) for i in ids])}
    assert len(found) == 600
    assert all(abs(lengths[int(i)] - row[0]) <= 1 for i, row in zip(found, vectors, strict=True))
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("embed", 600, 600)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert worker.run("c") == 0


def test_the_newest_comes_first(store: SqliteStore) -> None:
    store.put("c", [prepared("old", texts(700, "old"))])
    store.put("c", [prepared("new", texts(10, "new"))])
    recorder = Recorder()
    worker_of(store, recorder).run("c")
    first = [text.split()[0] for text in recorder.texts[:10]]
    assert first == ["new"] * 10


def test_equal_texts_are_embedded_once(store: SqliteStore) -> None:
    store.put("c", [prepared("a", ["same text", "other"]), prepared("b", ["same text"])])
    recorder = Recorder()
    assert worker_of(store, recorder).run("c") == 3
    assert len(recorder.texts) == 2


def test_stopping_is_prompt_and_keeps_what_is_done(store: SqliteStore) -> None:
    store.put("c", [prepared(f"{d}", texts(100, f"d{d}")) for d in range(10)])
    stop = threading.Event()
    worker = worker_of(store, Recorder(lambda: time.sleep(0.02)), memory_mb=1)
    done = worker.run("c", stop=stop, progress=lambda p: stop.set() if p.done >= 100 else None)
    assert 100 <= done < 1000
    assert store.count_pending("c", Recorder.space.id) == 1000 - done
    assert worker_of(store, Recorder()).run("c") == 1000 - done


def test_an_error_reaches_the_caller_and_loses_nothing(store: SqliteStore) -> None:
    store.put("c", [prepared(f"{d}", texts(100, f"d{d}")) for d in range(10)])
    calls = iter(range(100))

    def fail_late() -> None:
        if next(calls) == 5:
            raise ModelUnavailable("gone", "Start it.")

    recorder = Recorder(fail_late)
    with pytest.raises(ModelUnavailable):
        worker_of(store, recorder, memory_mb=1).run("c")
    left = store.count_pending("c", Recorder.space.id)
    assert 0 < left < 1000
    assert worker_of(store, Recorder()).run("c") == left


def test_what_arrives_meanwhile_is_embedded_too(store: SqliteStore) -> None:
    store.put("c", [prepared("first", texts(50, "first"))])
    added = threading.Event()

    def add() -> None:
        if not added.is_set():
            added.set()
            store.put("c", [prepared("second", texts(50, "second"))])

    assert worker_of(store, Recorder(add)).run("c") == 100


def test_calls_from_two_threads_take_turns(store: SqliteStore) -> None:
    store.put("c", [prepared("a", texts(200))])
    recorder = Recorder(lambda: time.sleep(0.005))
    worker = worker_of(store, recorder)
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(worker.run("c"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 0, 200]
    assert len(recorder.texts) == 200


HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_only_one_process_embeds_in_a_folder(store: SqliteStore) -> None:
    store.put("c", [prepared("a", texts(20))])
    worker = worker_of(store, Recorder())
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.folder / LOCK_FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        assert worker.run("c") == 0
        done: list[int] = []
        waiting = threading.Thread(target=lambda: done.append(worker.run("c", wait_for_others=True)))
        waiting.start()
        time.sleep(0.3)
        assert done == []
        other.stdin.close()
        waiting.join(20)
    assert done == [20]


def test_the_default_model_fills_a_store(store: SqliteStore, default_model: OnnxEmbedder) -> None:
    store.put("c", [prepared("a", ["Der Schalter ist rot.", "Das Ventil öffnet bei zwei bar."], context="Anlage")])
    assert worker_of(store, default_model).run("c") == 2
    ids = [int(i) for i in store.chunk_ids("c")]
    found, vectors = store.embeddings(default_model.space.id, ids)
    question = default_model.embed(["Bei welchem Druck öffnet das Ventil?"], "query")[0]
    best = int(found[int(np.argmax(vectors @ question))])
    assert "Ventil" in store.chunks([best])[0].text


TURN = """
import sys, time
from pathlib import Path
from ragstone.embedding.turn import turn
with turn(Path(sys.argv[1])) as lost:
    print("none" if lost is None else "held", flush=True)
    if lost is not None:
        print("lost" if lost.wait(60) else "kept", flush=True)
"""


def test_the_turn_of_a_process_that_dies_or_freezes_goes_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", TURN, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environ
        )

    with started() as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "held\n"
        with turn(tmp_path) as mine:
            assert mine is None
        killed.kill()
        killed.wait()
    with started() as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "held\n"  # at once: nobody waits for a dead one
        frozen.send_signal(signal.SIGSTOP)
        with turn(tmp_path) as mine:
            assert mine is None  # it may only be slow
        monkeypatch.setattr("ragstone.embedding.turn.FROZEN_SECONDS", 0.0)
        with turn(tmp_path) as mine:
            assert mine is not None
            frozen.send_signal(signal.SIGCONT)
            assert frozen.stdout.readline() == "lost\n"
            assert not mine.is_set()
        frozen.wait()
