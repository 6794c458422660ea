"""What a knowledge base takes of the machine: disk, log, descriptors, threads."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import psutil
import pytest

from prepared import prepared
from ragstone.assemble import open_knowledge_base
from ragstone.errors import DiskFull, StoreBusy
from ragstone.settings import at, load
from ragstone.storage.connect import connect_reader
from ragstone.storage.sqlite import SqliteStore
from ragstone.testing import HashEmbedder


def test_a_nearly_full_disk_refuses_what_adds_and_ends_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The floor moves instead of the disk: space 'comes back' by opening with a lower one."""
    folder = tmp_path / "data"
    free = shutil.disk_usage(tmp_path).free
    store = SqliteStore(folder, free_disk=free // 2)
    store.create_collection("c")
    store.put("c", [prepared("/a", ["one two"]), prepared("/b", ["three four"])])
    store.close()
    full = load(overrides={"embedding.background": False, "data.free_disk": 1 << 62})
    with caplog.at_level(logging.WARNING), open_knowledge_base(at(folder, full), embedder=HashEmbedder()) as kb:
        assert kb.status()["state"] == "read-only: disk nearly full"
        with pytest.raises(DiskFull, match="nearly full"):
            kb.add_texts([("/c", "", "five six", {})], collection="c")
        assert kb.search("three", collections=["c"], mode="lexical").hits
        assert kb.remove(["/a"], collection="c") == ["/a"]  # makes room
        assert not list((folder / "segments").iterdir())
        kb.purge()
        assert kb.verify().problems == ()
    normal = at(folder, load(overrides={"embedding.background": False, "data.free_disk": 0}))
    with open_knowledge_base(normal, embedder=HashEmbedder()) as kb:
        assert kb.status()["state"] == "writable"
        kb.add_texts([("/c", "", "five six", {})], collection="c")
        assert {d.uri for d in kb.documents("c")} == {"/b", "/c"}


def test_the_floor_is_looked_at_before_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 500
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1000, 500, free))
    store = SqliteStore(tmp_path / "data", free_disk=400)
    store.create_collection("c")
    free = 399
    with pytest.raises(DiskFull):
        store.put("c", [prepared("/a", ["one"])])
    free = 400
    assert store.put("c", [prepared("/a", ["one"])])[0].state == "added"
    store.close()


@pytest.mark.slow
def test_a_long_reader_cannot_make_the_log_grow_without_bound(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data", busy_timeout=0.5)
    store.create_collection("c")
    reader = connect_reader(tmp_path / "data")
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM documents").get
    log = tmp_path / "data" / "ragstone.db-wal"
    stored = 0
    with pytest.raises(StoreBusy, match="old state"):
        for number in range(200):
            store.put("c", [prepared(f"/{number}", [f"{number} {'x' * 500_000}"])])
            stored += 1
            assert log.stat().st_size <= 64 << 20
    assert stored > 50
    assert reader.execute("SELECT count(*) FROM documents").get == before
    reader.close()
    for number in range(200, 260):
        store.put("c", [prepared(f"/{number}", [f"{number} {'x' * 500_000}"])])
        assert log.stat().st_size <= 64 << 20
    assert len(store.known("c")) == stored + 60
    store.close()


def test_one_large_transaction_does_not_leave_a_large_log(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    store.create_collection("c")
    log = tmp_path / "data" / "ragstone.db-wal"
    store.put("c", [prepared("/large", [f"{number} {'y' * 1_000_000}" for number in range(80)])])
    assert log.stat().st_size > 64 << 20
    store.put("c", [prepared("/small", ["one"])])
    store.put("c", [prepared("/small too", ["two"])])
    assert log.stat().st_size <= 64 << 20
    store.close()


def test_descriptors_and_threads_stay_flat(tmp_path: Path) -> None:
    process = psutil.Process()
    settings = at(tmp_path / "data", load(overrides={"embedding.background": False}))
    counts = []
    for number in range(25):
        with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
            kb.add_texts([(f"/{number}", "", f"text number {number}", {})])
            kb.embed_pending()
            assert kb.search(f"number {number}").hits
        counts.append((process.num_fds(), threading.active_count()))
    assert counts[-1] == counts[4]
