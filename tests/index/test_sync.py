from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from index_process import SPACE, embed, open_index, terms_of, vector_of
from prepared import content_hash, prepared
from ragstone.errors import DiskFull, NotFound, StoreBusy, StoreDamaged
from ragstone.index import postings, sealing, sync
from ragstone.index.indexer import Indexer
from ragstone.index.lexical import SegmentInfo
from ragstone.index.sync import CollectionIndex
from ragstone.index.vectors import FlatVectorIndex
from ragstone.protocols import QueryTerms
from ragstone.storage import sqlite as storage_sqlite
from ragstone.storage.sqlite import SqliteStore
from ragstone.text.analysis import pack
from ragstone.types import Progress, Space, Terms

CHILD = Path(__file__).parents[1] / "index_process.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "data")
    opened.create_collection("c")
    yield opened
    opened.close()


def question(text: str) -> QueryTerms:
    return QueryTerms(tuple(((term, 1.0),) for term in text.split()))


def query(seed: int = 1) -> Any:
    found = np.random.default_rng(seed).standard_normal((1, 8)).astype(np.float32)
    return found / np.linalg.norm(found)


def results(index: CollectionIndex) -> Any:
    """What searches give, with scores."""
    vectors = index.vectors(SPACE.id)
    ids, scores = index.lexical.search(question("word text part0 part1 step3"), 50)
    near = [] if vectors is None else [(a.tolist(), b.tolist()) for a, b in vectors.search(query(), 50)]
    return ids.tolist(), scores.tolist(), near


def fill(store: SqliteStore, documents: int = 6, *, embedded: bool = True) -> None:
    for number in range(documents):
        texts = [f"word text {number} part{part} " for part in range(3)]
        store.put("c", [prepared(f"d{number}", texts)])
        if embedded:
            embed(store, texts)


def files(store: SqliteStore) -> list[Path]:
    return sorted((store.folder / "segments").iterdir())


# ---------------------------------------------------------------------- following
def test_a_write_is_seen_by_the_next_search(store: SqliteStore) -> None:
    index = open_index(store)
    assert index.vectors(SPACE.id) is None
    assert index.vectors("unknown") is None
    fill(store, 2)
    index.refresh()
    ids = store.chunk_ids("c").tolist()
    assert index.lexical.ids().tolist() == ids
    assert index.vectors(SPACE.id).ids().tolist() == ids  # type: ignore[union-attr]
    assert index.at() == (store.revision("c"), store.last_seq())
    store.delete("c", ["d0"])
    index.refresh()
    assert index.lexical.ids().tolist() == store.chunk_ids("c").tolist()
    assert index.verify().clean


def test_nothing_is_read_where_nothing_was_written(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 1)
    index = open_index(store)
    monkeypatch.setattr(store, "changes", None)
    index.refresh()


def test_other_collections_move_neither_results_nor_position(store: SqliteStore) -> None:
    fill(store, 2)
    index = open_index(store)
    before = index.at(), results(index)
    store.create_collection("other")
    store.put("other", [prepared("x", ["word text"])])
    index.refresh()
    assert (index.at(), results(index)) == before


def test_a_dropped_collection_is_not_found(store: SqliteStore) -> None:
    fill(store, 100)
    index = open_index(store)
    store.drop_collection("c")
    with pytest.raises(NotFound):
        index.refresh()
    index.close()
    with pytest.raises(NotFound):
        open_index(store)


def test_a_text_embedded_again_has_its_new_vector(store: SqliteStore) -> None:
    fill(store, 2)
    index = open_index(store, seal_rows=1)
    index.seal()
    store.put_embeddings(SPACE.id, {content_hash("word text 1 part1 "): vector_of("something else")})
    index.refresh()
    assert index.verify().clean
    assert open_index(store).verify().clean


def test_vectors_that_are_no_numbers_are_left_out(store: SqliteStore) -> None:
    fill(store, 1)
    store.put_embeddings(SPACE.id, {content_hash("word text 0 part1 "): np.full(8, np.nan, "<f2").tobytes()})
    index = open_index(store)
    assert index.vectors(SPACE.id).size() == 2  # type: ignore[union-attr]
    assert "not finite" in index.notes[0]
    assert not index.verify().clean


# ---------------------------------------------------------------------- sealing and opening
def test_sealing_changes_files_and_nothing_else(store: SqliteStore) -> None:
    fill(store)
    index = open_index(store)
    before = index.at(), results(index)
    assert not index.seal()
    assert index.seal(rows=1)
    assert [path.name.split("-")[0] for path in files(store)] == ["lexical", "vector"]
    assert (index.at(), results(index)) == before
    assert index.lexical.tail_size() == 0
    fresh = open_index(store)
    assert (fresh.lexical.tail_size(), fresh.notes) == (0, ())
    assert (fresh.at(), results(fresh)) == before
    assert fresh.verify().clean


def test_what_was_written_after_sealing_is_followed_on_opening(store: SqliteStore) -> None:
    fill(store)
    open_index(store).seal(rows=1)
    store.delete("c", ["d2"])
    store.put("c", [prepared("d9", ["word text new part1"])])
    embed(store, ["word text new part1"])
    fresh = open_index(store)
    assert fresh.lexical.tail_size() == 1
    assert fresh.verify().clean


def test_a_file_that_could_not_be_published_may_be_removed_by_others(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    index = open_index(store)

    def full(*_: object) -> None:
        raise DiskFull("no space", "")

    with monkeypatch.context() as patch:
        patch.setattr(store, "publish", full)
        with pytest.raises(DiskFull):
            index.seal(rows=1)
    assert sealing.remove_orphans(store, grace_seconds=0)
    assert index.verify().problems == ()
    assert index.seal(rows=1)
    assert index.verify().problems == ()
    assert [path.name for path in files(store)] == sorted(segment.name for segment in store.segments("c"))


def test_closing_seals_what_is_worth_it(store: SqliteStore) -> None:
    fill(store, 2)
    open_index(store, close_rows=100).close()
    assert files(store) == []
    open_index(store, close_rows=3).close()
    assert len(files(store)) == 2


def test_many_seals_are_merged_and_dead_rows_go(store: SqliteStore) -> None:
    index = open_index(store)
    for number in range(20):
        store.put("c", [prepared(f"d{number}", [f"word text {number}"])])
        embed(store, [f"word text {number}"])
        index.refresh()
        index.seal(rows=1)
        assert len(index.lexical.segment_infos()) <= sealing.POLICIES["lexical"].most
    store.delete("c", [f"d{number}" for number in range(12)])
    store.put("c", [prepared("new", ["word text new"])])
    embed(store, ["word text new"])
    index.refresh()
    index.seal(rows=1)
    assert all(info.rows - info.live <= 0.2 * info.rows for info in index.lexical.segment_infos())
    sealing.remove_orphans(store, grace_seconds=0)
    published = {segment.name for segment in store.segments("c")}
    assert {path.name for path in files(store)} == published
    assert open_index(store).verify().clean


def test_what_is_not_in_a_file_yet_is_found_after_a_purge(store: SqliteStore) -> None:
    index = open_index(store)
    fill(store, 5)
    index.refresh()
    assert index.seal(rows=1)
    store.delete("c", ["d1"])
    store.put("c", [prepared("new", ["word text new"])])
    embed(store, ["word text new"])
    index.refresh()
    assert index.purge() == 2
    assert index.lexical.tail_size() == 1
    assert open_index(store).verify().clean


def test_what_rests_is_searched_in_one_file(store: SqliteStore) -> None:
    index = open_index(store)
    for number in range(3):
        store.put("c", [prepared(f"{number}-{n}", [f"word text {number} {n}"]) for n in range(4)])
        embed(store, [f"word text {number} {n}" for n in range(4)])
        index.refresh()
        assert index.seal(rows=1)
    store.delete("c", ["0-1"])
    store.put("c", [prepared("new", ["word text new"])])
    embed(store, ["word text new"])
    other = open_index(store)
    (vectors,) = index._held.state.vectors.values()
    assert len(vectors.segment_infos()) == 3
    errors: list[Exception] = []
    indexer = Indexer(lambda: [index], on_error=errors.append, period=0.01, rest=0.1)
    indexer.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and len(vectors.segment_infos()) > 1:
        time.sleep(0.01)
    indexer.stop()
    assert not errors
    assert [info.live for info in vectors.segment_infos()] == [11]
    assert not index.consolidate(), "once is enough"
    for follower in (index, other, open_index(store)):
        follower.refresh()
        assert follower.verify().clean
        held = follower.vectors(SPACE.id)
        assert held is not None
        assert held.size() == 12
    sealing.remove_orphans(store, grace_seconds=0)
    assert {path.name for path in files(store)} == {segment.name for segment in store.segments("c")}


def test_a_small_file_beside_a_large_one_is_not_worth_it() -> None:
    def names(*rows: int) -> list[str]:
        return sealing.segments_at_rest([SegmentInfo(str(n), Path(str(n)), b"", 0, n, n) for n in rows])

    assert names() == names(5) == names(1_000, 99) == []
    assert names(1_000, 100) == ["1000", "100"]
    assert names(10_000, 50, 60) == ["50", "60"]
    assert names(400_000, 200_000) == []


def test_what_others_wrote_to_files_leaves_memory(store: SqliteStore) -> None:
    """A process that answers never writes files: it opens those of the process that does."""
    reader = open_index(store, writable=False)
    writer = open_index(store, seal_rows=1)
    for number in range(6):
        for text in (f"word text {number} part{part} " for part in range(3)):
            store.put("c", [prepared(f"d{number}-{text}", [text])])
            embed(store, [text])
        writer.refresh()
        writer.seal()
        store.delete("c", [f"d{number}-word text {number} part1 "])
        reader.refresh()
        before = results(reader)
        assert reader.lexical.tail_size() == 2
        reader.adopt()
        assert reader.lexical.tail_size() == 0
        assert reader.vectors(SPACE.id).tail_size() == 0  # type: ignore[union-attr]
        assert results(reader) == before == results(open_index(store, writable=False))
    with sealing.indexer_lock(store.folder):
        sealing.remove_orphans(store, grace_seconds=0)
    names = {info.name for index in (reader.lexical, reader.vectors(SPACE.id)) for info in index.segment_infos()}  # type: ignore[union-attr]
    assert names == {file.name for file in files(store)}
    assert reader.verify().clean


def test_a_vector_that_is_newer_than_the_file_stays(store: SqliteStore) -> None:
    fill(store, 2)
    reader, writer = open_index(store, writable=False), open_index(store, seal_rows=1)
    writer.seal()
    store.put_embeddings(SPACE.id, {content_hash("word text 1 part1 "): vector_of("something else")})
    reader.refresh()
    before = results(reader)
    reader.adopt()
    assert reader.vectors(SPACE.id).tail_size() == 1  # type: ignore[union-attr]
    assert results(reader) == before
    assert reader.verify().clean


def test_files_that_were_damaged_are_not_taken(store: SqliteStore) -> None:
    fill(store, 2)
    reader, writer = open_index(store, writable=False), open_index(store, seal_rows=1)
    writer.seal()
    before = results(reader)
    for file in files(store):
        file.write_bytes(b"\0" * file.stat().st_size)
    with pytest.raises(StoreDamaged):
        reader.adopt()
    assert results(reader) == before
    writer = open_index(store, seal_rows=1)  # notices, and makes them again
    assert writer.notes
    writer.seal()
    reader.adopt()
    assert reader.lexical.tail_size() == 0
    assert results(reader) == before


def test_only_who_holds_the_lock_seals(store: SqliteStore) -> None:
    fill(store)
    index = open_index(store)
    with sealing.indexer_lock(store.folder) as held:
        assert held
        assert not index.seal(rows=1)
    assert index.seal(rows=1)
    assert not open_index(store, writable=False).seal(rows=1)


def test_a_rebuild_waits_for_the_lock_and_says_when_it_was_in_vain(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_REBUILD_WAIT_SECONDS", 0.05)
    with sealing.indexer_lock(store.folder), pytest.raises(StoreBusy):
        open_index(store).rebuild()


def test_the_log_is_trimmed_only_below_what_every_set_needs(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_collection("quiet")
    store.put("quiet", [prepared("q", ["quiet word"])])
    quiet = CollectionIndex(store, "quiet", [SPACE], terms_of=terms_of)
    quiet.seal(rows=1)
    fill(store, 10)
    index = open_index(store)
    late = open_index(store)
    index.seal(rows=1)
    sealing.trim_log(store, slack=2)
    assert store.first_seq() > 1
    fill(store, 12)
    late.refresh()
    assert late.verify().clean
    fresh = open_index(store)
    assert fresh.notes == ()
    assert results(fresh) == results(late)
    again = CollectionIndex(store, "quiet", [SPACE], terms_of=terms_of)
    assert again.notes == ()
    assert again.verify().clean
    assert store.terms(store.chunk_ids("c")[:3].tolist()) == {}


def test_a_set_that_waits_with_one_change_is_not_left_behind_by_trimming(store: SqliteStore) -> None:
    store.create_collection("quiet")
    store.put("quiet", [prepared("q", ["quiet word"])])
    CollectionIndex(store, "quiet", [SPACE], terms_of=terms_of).seal(rows=1)
    fill(store, 10)
    open_index(store).seal(rows=1)
    store.put("quiet", [prepared("r", ["another quiet word"])])
    fill(store, 11)
    open_index(store).seal(rows=1)
    sealing.trim_log(store, slack=2)
    quiet = CollectionIndex(store, "quiet", [SPACE], terms_of=terms_of)
    assert store.first_seq() > 10
    assert quiet.notes == ()
    assert quiet.verify().clean


def test_who_fell_behind_a_trimmed_log_opens_the_files_again(store: SqliteStore) -> None:
    fill(store, 5)
    late = open_index(store)
    fill(store, 8)
    store.delete("c", ["d1"])
    other = open_index(store)
    other.seal(rows=1)
    store.trim_log(store.last_seq() + 1)
    store.put("c", [prepared("d99", ["word text last"])])
    late.refresh()
    assert late.notes == ()
    assert late.verify().clean


def test_a_new_space_is_filled_from_the_store_although_the_log_was_trimmed(store: SqliteStore) -> None:
    fill(store, 3)
    CollectionIndex(store, "c", [], terms_of=terms_of).seal(rows=1)
    store.trim_log(store.last_seq() + 1)
    index = open_index(store)
    assert index.vectors(SPACE.id).size() == 9  # type: ignore[union-attr]
    assert index.notes == ()
    assert index.verify().clean
    assert {segment.space for segment in store.segments("c")} == {"", SPACE.id}


def test_reading_without_vectors_writes_nothing(store: SqliteStore) -> None:
    fill(store, 3, embedded=False)
    open_index(store).seal(rows=1)
    store.trim_log(store.last_seq() + 1)
    before = store.data_version()
    index = open_index(store)
    assert index.vectors(SPACE.id) is None
    assert store.data_version() == before


# ---------------------------------------------------------------------- damage
@pytest.mark.parametrize("kind", ["lexical", "vector"])
def test_a_damaged_or_missing_file_is_noticed_and_made_again(store: SqliteStore, kind: str) -> None:
    fill(store)
    index = open_index(store)
    index.seal(rows=1)
    before = results(index)
    for place in (0, 9, 40, -30, -1, None):
        path = next(p for p in files(store) if p.name == next(s.name for s in store.segments("c") if s.kind == kind))
        data = bytearray(path.read_bytes())
        if place is None:
            path.unlink()
        else:
            data[place] ^= 0x01
            path.write_bytes(data)
        assert any(path.name in problem for problem in index.verify().problems)
        index = open_index(store)
        assert path.name in index.notes[0]
        assert results(index) == before
        assert index.verify().clean
        assert open_index(store).notes == ()


def test_random_damage_never_changes_a_result(store: SqliteStore) -> None:
    fill(store)
    index = open_index(store)
    index.seal(rows=1)
    before = results(index)
    chance = random.Random(3)
    for _ in range(30):
        path = chance.choice(files(store))
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        assert results(open_index(store)) == before


def test_an_index_ahead_of_the_store_is_made_again(store: SqliteStore) -> None:
    fill(store)
    open_index(store).seal(rows=1)
    segments = [s for s in store.segments("c") if s.kind == "lexical"]
    store.publish("c", "lexical", "", [replace(s, watermark=10_000) for s in segments])
    index = open_index(store)
    assert "ahead" in index.notes[0]
    assert index.verify().clean
    assert max(s.watermark for s in store.segments("c")) <= store.last_seq()


def test_half_written_files_are_removed_later(store: SqliteStore) -> None:
    fill(store)
    folder = store.folder / "segments"
    (folder / "vector-1-aa.seg.tmp").write_bytes(b"half")
    (folder / "vector-1-bb.seg").write_bytes(b"never published")
    os.utime(folder / "vector-1-bb.seg", (1, 1))
    (folder / "vector-1-cc.seg").write_bytes(b"someone is about to open it")
    open_index(store).seal(rows=1)
    names = [path.name for path in files(store)]
    assert "vector-1-cc.seg" in names
    assert not {"vector-1-aa.seg.tmp", "vector-1-bb.seg"} & set(names)


def test_verify_names_what_differs(store: SqliteStore) -> None:
    fill(store, 3)
    index = open_index(store)
    index.lexical.delete([2])
    index.vectors(SPACE.id).delete([3])  # type: ignore[union-attr]
    report = index.verify()
    assert report.checked["chunks"] == 9
    assert [problem.split(" (")[0] for problem in report.problems] == [
        "the word index does not hold 1 chunks",
        f"the vector index of {SPACE.id} does not hold 1 chunks",
    ]
    index.rebuild()
    assert index.verify().clean


def test_a_rebuild_reports_its_progress_and_gives_the_same_results(store: SqliteStore) -> None:
    fill(store)
    index = open_index(store)
    before = results(index)
    steps: list[Progress] = []
    index.rebuild(progress=steps.append)
    assert [(step.done, step.total) for step in steps] == [(18, 18), (18, 18)]
    assert results(index) == before
    assert index.lexical.tail_size() == 0
    assert results(open_index(store)) == before


# ---------------------------------------------------------------------- several threads and processes
def test_the_indexer_follows_and_seals(store: SqliteStore) -> None:
    index = open_index(store, seal_rows=4)
    errors: list[Exception] = []
    indexer = Indexer(lambda: [index], on_error=errors.append, period=0.01)
    indexer.start()
    indexer.start()
    fill(store, 4)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not store.segments("c") or index.lexical.tail_size() >= 4):
        time.sleep(0.01)
    indexer.stop()
    indexer.stop()
    assert not errors
    assert index.lexical.tail_size() < 4
    assert index.verify().clean


def test_threads_that_search_see_one_state(store: SqliteStore) -> None:
    """Every document has one chunk with a word and a vector: both indexes hold the same where `at` stood still."""
    text = "word text common "
    store.put("c", [prepared("first", [text])])
    embed(store, [text])
    index = open_index(store)
    failures: list[str] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            index.refresh()
            before = index.at()
            lexical = index.lexical.ids().tolist()
            vectors = index.vectors(SPACE.id).ids().tolist()  # type: ignore[union-attr]
            if index.at() == before and lexical != vectors:
                failures.append(f"{lexical} {vectors}")

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(40):
        store.put("c", [prepared(f"n{number}", [text])])  # embedded already, so both changes are of one transaction
        if number % 3 == 2:
            store.delete("c", [f"n{number - 1}"])
        if number % 10 == 9:
            index.seal(rows=1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


def child(store: SqliteStore, kind: str, number: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(CHILD), str(store.folder), kind, str(number)]
    paths = os.pathsep.join(sys.path)
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE)


def test_two_processes_write_and_seal_at_once(store: SqliteStore) -> None:
    processes = [child(store, "writer", number) for number in (1, 2)]
    index = open_index(store, seal_rows=3)
    while any(process.poll() is None for process in processes):
        index.refresh()
        index.seal()
        time.sleep(0.02)
    assert [process.wait() for process in processes] == [0, 0]
    index.refresh()
    assert (index.verify().problems, index.notes) == ((), ())
    fresh = open_index(store)
    assert (fresh.verify().problems, fresh.notes) == ((), ())
    assert results(fresh) == results(index)


def test_a_process_killed_while_it_seals_does_no_harm(store: SqliteStore) -> None:
    chance = random.Random(11)
    fill(store, 3)
    for _ in range(5):
        process = child(store, "sealer")
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05 + chance.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        index = open_index(store)
        assert (index.verify().problems, index.notes) == ((), ())
    with sealing.indexer_lock(store.folder) as held:
        assert held
        sealing.remove_orphans(store, grace_seconds=0)
    assert {path.name for path in files(store)} == {segment.name for segment in store.segments("c")}


# ---------------------------------------------------------------------- any order of events
class Followers(RuleBasedStateMachine):
    """A store, two followers that seal, merge, trim and reopen at will, and a dict that says what is there."""

    TEXTS = tuple(f"word text {n} part{n % 3} step{n % 5} " for n in range(12))

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.make_folder()
        self.store = SqliteStore(self.folder)
        self.store.create_collection("c")
        self.indexes = [open_index(self.store) for _ in range(2)]
        self.documents: dict[str, tuple[str, ...]] = {}
        self.embedded: set[str] = set()

    @staticmethod
    def make_folder() -> Path:
        raise NotImplementedError

    @rule(uri=st.sampled_from("abcd"), texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True))
    def put(self, uri: str, texts: list[str]) -> None:
        self.store.put("c", [prepared(uri, texts)])
        self.documents[uri] = tuple(texts)

    @rule(uri=st.sampled_from("abcd"))
    def delete(self, uri: str) -> None:
        self.store.delete("c", [uri])
        self.documents.pop(uri, None)

    @rule(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6))
    def embed(self, texts: list[str]) -> None:
        embed(self.store, texts)
        self.embedded |= set(texts)

    @rule(which=st.integers(0, 1))
    def seal(self, which: int) -> None:
        self.indexes[which].seal(rows=1)

    @rule(which=st.integers(0, 1))
    def adopt(self, which: int) -> None:
        self.indexes[which].adopt()

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.indexes[which] = open_index(self.store)

    @rule(which=st.integers(0, 1))
    def rebuild(self, which: int) -> None:
        self.indexes[which].rebuild()

    @precondition(lambda self: self.store.segments("c"))
    @rule()
    def trim(self) -> None:
        with sealing.indexer_lock(self.store.folder):
            sealing.trim_log(self.store, slack=1)

    @rule()
    def tidy(self) -> None:
        with sealing.indexer_lock(self.store.folder):
            sealing.remove_orphans(self.store, grace_seconds=0)

    @invariant()
    def both_say_what_the_store_says(self) -> None:
        held = {text for texts in self.documents.values() for text in texts}
        self.embedded &= held
        words = [text for texts in self.documents.values() for text in texts]
        expected = []
        for index in self.indexes:
            index.refresh()
            assert index.lexical.ids().tolist() == self.store.chunk_ids("c").tolist()
            vectors = index.vectors(SPACE.id)
            assert len(index.lexical.ids()) == len(words)
            assert (vectors.size() if vectors else 0) == sum(text in self.embedded for text in words)
            assert index.notes == ()
            expected.append(results(index))
        assert expected[0] == expected[1]

    def teardown(self) -> None:
        for index in self.indexes:
            assert index.verify().problems == ()
        fresh = CollectionIndex(self.store, "c", [SPACE], terms_of=terms_of, writable=False)
        assert results(fresh) == results(self.indexes[0])
        self.store.close()


def test_followers_agree_whatever_happens(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Machine(Followers):
        @staticmethod
        def make_folder() -> Path:
            return tmp_path_factory.mktemp("followers")

    Machine.TestCase.settings = settings(
        max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Machine.TestCase("runTest").runTest()


def test_adding_and_deleting_leaves_what_never_having_added_leaves(store: SqliteStore, tmp_path: Path) -> None:
    """Same texts, other ids: scores are compared in order."""
    fill(store, 4)
    index = open_index(store)
    index.seal(rows=1)
    fill_more = [f"other words text {n} " for n in range(30)]
    store.put("c", [prepared("more", fill_more)])
    embed(store, fill_more)
    index.refresh()
    index.seal(rows=1)
    store.delete("c", ["more"])
    index.refresh()
    with_history = results(index)
    plain = SqliteStore(tmp_path / "plain")
    plain.create_collection("c")
    fill(plain, 4)
    assert results(open_index(plain)) == with_history
    plain.close()


def test_a_space_of_another_model_is_kept_apart(store: SqliteStore) -> None:
    fill(store, 2)
    other = Space("model", "2", 8)
    index = CollectionIndex(store, "c", [SPACE, other], terms_of=terms_of)
    assert index.vectors(other.id) is None
    store.put_embeddings(other.id, {content_hash("word text 0 part0 "): vector_of("x")})
    index.refresh()
    found = index.vectors(other.id)
    assert isinstance(found, FlatVectorIndex)
    assert found.ids().tolist() == [1]
    index.seal(rows=1)
    assert open_index(store).verify().clean


def test_a_full_disk_keeps_nobody_from_searching(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    index = open_index(store, seal_rows=1)
    index.seal()
    expected = results(index)
    for file in files(store):
        file.unlink()

    def full(*_: object) -> None:
        raise DiskFull("no space is left.", "Free some.")

    monkeypatch.setattr(store, "publish", full)
    again = open_index(store, seal_rows=1, close_rows=1)
    assert results(again) == expected
    again.close()


def test_a_collection_that_is_dropped_meanwhile_does_not_stop_the_tidying(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    there = store.every_collection
    monkeypatch.setattr(store, "every_collection", lambda: [*there(), "dropped meanwhile"])
    index = open_index(store, seal_rows=1)
    assert index.seal()


def test_words_of_an_older_analysis_are_never_served(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    open_index(store, close_rows=1).close()
    store.put("c", [prepared("tail", ["word in the tail"])])
    monkeypatch.setattr(postings, "MAGIC", postings.MAGIC[:-1] + b"\xff")
    monkeypatch.setattr(storage_sqlite, "ANALYSIS_VERSION", 255)
    index = CollectionIndex(store, "c", terms_of=lambda _: Terms(pack(["changed"]), 1))
    assert index.lexical.search(question("changed"), 50)[0].tolist() == store.chunk_ids("c").tolist()
    assert index.lexical.search(question("word"), 50)[0].tolist() == []
