"""What every Store promises (protocols.Store), for every implementation."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prepared import content_hash, prepared
from ragstone.errors import InputError, ModelMismatch, NotFound
from ragstone.protocols import Segment, Store
from ragstone.storage.sqlite import SqliteStore
from ragstone.text.analysis import pack
from ragstone.types import Filter, Page, Recipe, Space, SpaceUse, Turn

IMPLEMENTATIONS: dict[str, Callable[[Path], Store]] = {"sqlite": SqliteStore}
SPACE = "model@1/2/unit//none"
ONE = np.array([1.0, 0.0], "<f2").tobytes()
TWO = np.array([0.0, 1.0], "<f2").tobytes()


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = IMPLEMENTATIONS[request.param](tmp_path / "data")
    opened.create_collection("c")
    yield opened
    assert opened.check() == []
    opened.close()


def operations(store: Store, since: int = 0) -> list[tuple[str, int]]:
    return [(change.op, change.chunk_id) for change in store.changes(since, 10_000)]


# ---------------------------------------------------------------------- collections
def test_a_collection_begins_empty_at_revision_zero(store: Store) -> None:
    assert store.collections() == ["c"]
    assert store.revision("c") == 0
    assert list(store.chunk_ids("c")) == []
    assert store.last_seq() == 0
    assert store.first_seq() == 1


def test_creating_a_collection_again_changes_nothing(store: Store) -> None:
    store.put("c", [prepared("a", ["x"])])
    before = store.data_version()
    store.create_collection("c")
    assert store.data_version() == before
    assert store.revision("c") == 1


@pytest.mark.parametrize("name", ["", " x", "a/b", "a\nb", "x" * 129, ".hidden"])
def test_a_bad_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError):
        store.create_collection(name)


def test_an_unknown_collection_is_not_found(store: Store) -> None:
    for call in (
        lambda: store.revision("no"), lambda: store.put("no", [prepared("a", ["x"])]), lambda: store.known("no"),
        lambda: store.chunk_ids("no"), lambda: store.delete("no", ["a"]), lambda: store.drop_collection("no"),
        lambda: store.pending("no", SPACE, 1), lambda: store.segments("no"), lambda: store.documents("no"),
        lambda: store.add_root("no", "/x"), lambda: store.document("no", "a"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            call()


def test_dropping_a_collection_removes_all_of_it_and_nothing_else(store: Store) -> None:
    store.create_collection("d")
    store.put("c", [prepared("a", ["one", "two"])])
    store.put("d", [prepared("a", ["one"])])
    store.add_root("c", "/x")
    store.put_embeddings(SPACE, {content_hash("one"): ONE, content_hash("two"): TWO})
    gone = list(store.chunk_ids("c"))
    seq, revision = store.last_seq(), store.revision("c")
    store.drop_collection("c")
    assert store.collections() == ["d"]
    assert operations(store, seq) == [("delete", int(id_)) for id_ in gone]
    assert {change.collection for change in store.changes(seq, 10)} == {"c"}
    assert len(store.embeddings(SPACE, list(store.chunk_ids("d")))[0]) == 1
    store.create_collection("c")
    assert store.known("c") == {}
    assert store.roots("c") == []
    assert store.revision("c") > revision, "a revision that comes again would revive stale cache entries"
    assert store.put_embeddings(SPACE, {content_hash("two"): TWO}) == 0


# ---------------------------------------------------------------------- documents and chunks
def test_what_was_put_is_read_back(store: Store) -> None:
    given = prepared(
        "/d/ä.txt", ["Erster Satz. ", "Zweiter.\0 😀"], context="Titel",
        metadata={"a": 1, "b": "x", "c": True, "d": 1.5}, language="de", media_type="text/markdown", modified=12.5,
        title="Titel",
    )  # fmt: skip
    turned = replace(given.chunks[1], span=replace(given.chunks[1].span, turns=(Turn(3, 2, ("Part", "Teil")),)))
    given = replace(given, chunks=(given.chunks[0], turned))
    [result] = store.put("c", [given])
    assert (result.state, result.chunks_added, result.chunks_removed) == ("added", 2, 0)
    document = store.document("c", "/d/ä.txt")
    assert document.id == result.document_id
    assert (document.title, document.language, document.media_type) == ("Titel", "de", "text/markdown")
    assert document.metadata == {"a": 1, "b": "x", "c": True, "d": 1.5}
    assert (document.size, document.characters, document.chunks) == (given.size, given.size, 2)
    assert (document.modified, document.content_hash) == (12.5, given.content_hash)
    assert document.added > 0
    assert store.document_text(document.id) == "Erster Satz. Zweiter.\0 😀"
    first, second = store.document_chunks(document.id)
    assert (first.ordinal, first.start, first.end, first.page, first.section) == (0, 0, 13, 1, ("Part",))
    assert (second.text, second.context, second.uri) == ("Zweiter.\0 😀", "Titel", "/d/ä.txt")
    assert second.metadata == document.metadata
    assert (first.turns, second.turns) == ((), (Turn(3, 2, ("Part", "Teil")),))
    assert list(store.documents("c")) == [document]
    assert store.known("c")["/d/ä.txt"].content_hash == given.content_hash
    assert store.languages("c") == {"de": 2}
    assert store.owners("c").chunks.tolist() == store.chunk_ids("c").tolist()


def test_chunks_in_another_language_are_those_of_documents_in_a_known_other_one(store: Store) -> None:
    for uri, language in (("a", "de"), ("b", "en"), ("c", ""), ("d", "fr")):
        store.put("c", [prepared(uri, [f"{uri} one", f"{uri} two"], language=language)])
    of = {d.uri: [c.id for c in store.document_chunks(d.id)] for d in store.documents("c")}
    every = store.chunk_ids("c")
    assert store.in_another_language(every, "de").tolist() == sorted(of["b"] + of["d"])
    assert store.in_another_language(every[::-1], "it").tolist() == sorted(of["a"] + of["b"] + of["d"])
    assert store.in_another_language(np.array([of["b"][1], 10**9]), "de").tolist() == [of["b"][1]]
    assert store.in_another_language(every[:0], "de").tolist() == []


def test_known_of_some_uris_is_what_they_and_their_members_are(store: Store) -> None:
    names = ["a", "a.zip!/x", "a.zip!/y/z", "a.zip", "a.zip!", "a.zip0", "b.zip!/x", "ä 'quoted' %_", "A"]
    store.put("c", [prepared(name, [name]) for name in names])
    every = store.known("c")
    assert set(every) == set(names)
    for asked in ([], ["a"], ["a.zip"], ["a", "b.zip", "ä 'quoted' %_"], ["no", "a\ud800", "a!"], names):
        wanted = {n for n in names if n in asked or n.partition("!/")[0] in asked}
        assert store.known("c", asked) == {name: every[name] for name in wanted}
    store.create_collection("d")
    assert store.known("d", names) == {}
    with pytest.raises(NotFound):
        store.known("no", ["a"])


def test_pages_are_kept(store: Store) -> None:
    from dataclasses import replace

    pages = (Page(1, 0, 1, "i"), Page(2, 1, 3))
    store.put("c", [replace(prepared("a", ["abc"]), pages=pages)])
    assert store.document("c", "a").pages == pages


def test_chunks_come_in_the_order_asked_and_missing_ones_are_left_out(store: Store) -> None:
    store.put("c", [prepared("a", ["1", "2", "3"])])
    one, two, three = (int(id_) for id_ in store.chunk_ids("c"))
    assert [chunk.id for chunk in store.chunks([three, 999, one, two])] == [three, one, two]
    assert store.chunks([]) == []
    assert store.chunks([999]) == []


def test_an_unchanged_document_writes_nothing(store: Store) -> None:
    document = prepared("a", ["x"])
    [first] = store.put("c", [document])
    before = store.data_version()
    [again] = store.put("c", [document])
    assert (again.state, again.document_id) == ("unchanged", first.document_id)
    assert store.data_version() == before
    assert store.revision("c") == 1


def test_only_the_difference_is_logged(store: Store) -> None:
    store.put("c", [prepared("a", ["one", "two", "three"])])
    one, two, three = (int(id_) for id_ in store.chunk_ids("c"))
    seq = store.last_seq()
    [result] = store.put("c", [prepared("a", ["zero", "one", "three", "three"])])
    assert (result.state, result.chunks_added, result.chunks_removed) == ("updated", 2, 1)
    zero, same, kept, again = store.document_chunks(result.document_id)
    assert (same.id, kept.id) == (one, three)
    assert (same.ordinal, same.start, same.end) == (1, 4, 7)
    assert operations(store, seq) == [("add", zero.id), ("add", again.id), ("delete", two)]
    assert two not in {zero.id, again.id}


def test_moved_chunks_log_nothing_but_raise_the_revision(store: Store) -> None:
    store.put("c", [prepared("a", ["one", "two"])])
    ids, seq = list(store.chunk_ids("c")), store.last_seq()
    store.put("c", [prepared("a", ["two", "one"])])
    assert list(store.chunk_ids("c")) == ids
    assert store.last_seq() == seq
    assert store.revision("c") == 2
    assert store.document_text(store.document("c", "a").id) == "twoone"


def test_one_put_may_hold_a_document_twice(store: Store) -> None:
    first, second = store.put("c", [prepared("a", ["one", "two"]), prepared("a", ["two", "three"])])
    assert (first.state, second.state) == ("added", "updated")
    assert (second.chunks_added, second.chunks_removed) == (1, 1)
    assert store.document_text(first.document_id) == "twothree"
    assert store.revision("c") == 1


def test_a_document_may_be_empty(store: Store) -> None:
    store.put("c", [prepared("a", [])])
    assert store.document_text(store.document("c", "a").id) == ""
    assert store.document_chunks(store.document("c", "a").id) == []


def test_invalid_unicode_is_refused_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(InputError):
        store.put("c", [prepared("a", ["good"]), _with_text(prepared("b", ["x"]), "\ud800")])
    assert store.known("c") == {}
    assert store.revision("c") == 0


def _with_text(document, text):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(document, chunks=(replace(document.chunks[0], text=text),))


def test_delete_removes_documents_and_what_stood_on_them(store: Store) -> None:
    store.put("c", [prepared("a", ["one", "both"]), prepared("b", ["both"])])
    store.put_embeddings(SPACE, {content_hash("one"): ONE, content_hash("both"): TWO})
    ids, seq = list(store.chunk_ids("c")), store.last_seq()
    assert store.delete("c", ["a", "none", "a"]) == ["a"]
    assert operations(store, seq) == [("delete", int(ids[0])), ("delete", int(ids[1]))]
    assert store.revision("c") == 3
    assert store.terms([int(id_) for id_ in ids]).keys() == {int(ids[2])}
    # The vector of "both" is still needed, that of "one" is not.
    store.put("c", [prepared("d", ["one", "both"])])
    assert [pending.text for pending in store.pending("c", SPACE, 10)] == ["one"]
    with pytest.raises(NotFound):
        store.document("c", "a")
    with pytest.raises(NotFound):
        store.document_text(1)


def test_deleting_nothing_writes_nothing(store: Store) -> None:
    before = store.data_version()
    assert store.delete("c", ["x"]) == []
    assert store.data_version() == before


def test_ids_are_never_used_again(store: Store) -> None:
    store.put("c", [prepared("a", ["one"])])
    last = int(store.chunk_ids("c")[-1])
    store.delete("c", ["a"])
    store.put("c", [prepared("a", ["one"])])
    assert int(store.chunk_ids("c")[0]) > last


# ---------------------------------------------------------------------- operation log
def test_the_log_is_read_in_steps_and_by_collection(store: Store) -> None:
    store.create_collection("d")
    store.put("c", [prepared("a", ["1", "2"])])
    store.put("d", [prepared("a", ["3"])])
    store.put("c", [prepared("b", ["4"])])
    everything = store.changes(0, 100)
    assert [change.seq for change in everything] == [1, 2, 3, 4]
    assert [change.collection for change in everything] == ["c", "c", "d", "c"]
    assert store.changes(1, 2) == everything[1:3]
    assert store.changes(0, 100, "d") == [everything[2]]
    assert store.changes(2, 100, "c") == [everything[3]]
    assert store.last_seq() == 4


def test_terms_live_as_long_as_the_entry(store: Store) -> None:
    store.put("c", [prepared("a", ["one two two", ""])])
    first, second = (int(id_) for id_ in store.chunk_ids("c"))
    kept = store.terms([first, second, 99])
    assert kept[first].keys == pack(("one", "two", "two"))
    assert (kept[first].length, kept[second].keys) == (3, b"")
    store.put("c", [prepared("b", ["four"])])
    store.trim_log(3)
    assert store.first_seq() == 3
    assert store.last_seq() == 3
    assert list(store.terms([first, second, second + 1])) == [second + 1]
    store.trim_log(100)
    assert store.first_seq() == store.last_seq() + 1 == 4
    store.put("c", [prepared("d", ["five"])])
    assert [change.seq for change in store.changes(0, 10)] == [4]


def test_data_version_changes_with_every_commit_from_any_thread(store: Store) -> None:
    seen = [store.data_version()]
    for number in range(3):
        store.put("c", [prepared(f"a{number}", ["x"])])
        seen.append(store.data_version())
    thread = threading.Thread(target=lambda: store.put("c", [prepared("b", ["x"])]))
    thread.start()
    thread.join()
    seen.append(store.data_version())
    assert len(set(seen)) == len(seen)
    assert store.data_version() == seen[-1]


# ---------------------------------------------------------------------- vectors
def test_vectors_arrive_newest_first(store: Store) -> None:
    store.put("c", [prepared("a", ["one", "two"], context="Title")])
    store.put("c", [prepared("b", ["three"])])
    one, two, three = (int(id_) for id_ in store.chunk_ids("c"))
    assert [(p.chunk_id, p.text) for p in store.pending("c", SPACE, 2)] == [(three, "three"), (two, "Title\ntwo")]
    assert store.count_pending("c", SPACE) == 3
    seq = store.last_seq()
    assert store.put_embeddings(SPACE, {content_hash("three"): ONE, content_hash("two", "Title"): TWO}) == 2
    assert [(change.op, change.chunk_id, change.space) for change in store.changes(seq, 10)] == [
        ("embed", three, SPACE), ("embed", two, SPACE),
    ]  # fmt: skip
    assert [p.chunk_id for p in store.pending("c", SPACE, 10)] == [one]
    assert store.count_pending("c", SPACE) == 1
    assert store.count_pending("c", "other") == 3
    ids, vectors = store.embeddings(SPACE, [one, three, two, 99])
    assert list(ids) == [three, two]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    store.put("c", [prepared("d", ["four"])])
    assert [p.chunk_id for p in store.pending("c", SPACE, 10)] == [three + 1, one]


def test_equal_texts_share_a_vector(store: Store) -> None:
    store.create_collection("d")
    store.put("c", [prepared("a", ["same"])])
    assert store.put_embeddings(SPACE, {content_hash("same"): ONE}) == 1
    seq = store.last_seq()
    store.put("d", [prepared("a", ["same", "other"])])
    same, other = (int(id_) for id_ in store.chunk_ids("d"))
    assert operations(store, seq) == [("add", same), ("add", other), ("embed", same)]
    assert [p.chunk_id for p in store.pending("d", SPACE, 10)] == [other]
    assert store.count_pending("d", SPACE) == 1


def test_a_text_that_moves_within_one_put_keeps_its_vector(store: Store) -> None:
    store.put("c", [prepared("a", ["one"])])
    store.put_embeddings(SPACE, {content_hash("one"): ONE})
    store.put("c", [prepared("a", ["two"]), prepared("b", ["one"])])
    assert [p.text for p in store.pending("c", SPACE, 10)] == ["two"]


def test_a_vector_that_no_chunk_needs_is_dropped(store: Store) -> None:
    store.put("c", [prepared("a", ["one"])])
    revision = store.revision("c")
    assert store.put_embeddings(SPACE, {content_hash("gone"): ONE}) == 0
    assert store.put_embeddings(SPACE, {}) == 0
    assert store.revision("c") == revision
    assert store.count_pending("c", SPACE) == 1


def test_the_same_vector_again_changes_nothing_and_another_replaces_it(store: Store) -> None:
    store.put("c", [prepared("a", ["one"])])
    store.put_embeddings(SPACE, {content_hash("one"): ONE})
    revision = store.revision("c")
    assert store.put_embeddings(SPACE, {content_hash("one"): ONE}) == 0
    assert store.revision("c") == revision
    assert store.put_embeddings(SPACE, {content_hash("one"): TWO}) == 1
    assert store.embeddings(SPACE, list(store.chunk_ids("c")))[1].tolist() == [[0.0, 1.0]]


def test_a_vector_of_another_size_is_refused(store: Store) -> None:
    store.put("c", [prepared("a", ["one", "two"])])
    store.put_embeddings(SPACE, {content_hash("one"): ONE})
    for wrong in (ONE + TWO, b"", b"abc"):
        with pytest.raises(ModelMismatch):
            store.put_embeddings(SPACE, {content_hash("two"): wrong})
    assert store.count_pending("c", SPACE) == 1


def test_spaces_do_not_mix(store: Store) -> None:
    store.put("c", [prepared("a", ["one"])])
    store.put_embeddings(SPACE, {content_hash("one"): ONE})
    ids = list(store.chunk_ids("c"))
    assert len(store.embeddings("other", ids)[0]) == 0
    store.put_embeddings("other", {content_hash("one"): ONE + TWO})
    assert store.embeddings("other", ids)[1].shape == (1, 4)
    assert store.embeddings(SPACE, ids)[1].shape == (1, 2)
    assert store.embeddings(SPACE, [])[1].shape == (0, 2)


# ---------------------------------------------------------------------- filters
@pytest.fixture
def filtered(store: Store) -> Store:
    md, pdf, odd = "text/markdown", "application/pdf", 'it\'s "odd"'
    store.put("c", [
        prepared("/docs/a.md", ["a"], language="de", media_type=md, modified=10, metadata={"n": 1, "f": True}),
        prepared("/docs/deep/b.md", ["b"], modified=20, metadata={"n": "1", odd: "x"}),
        prepared("/docs/deep/c.pdf", ["c"], language="de", media_type=pdf, modified=30, metadata={"n": 2.0}),
        prepared("/docs/x.zip!/in/d.md", ["d"], media_type=md, modified=40, metadata={"f": False}),
        prepared("/other [1]/e.md", ["e"], modified=50),
    ])  # fmt: skip
    return store


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(), "abcde"),
        (Filter(path=("*.md",)), "abde"),
        (Filter(path=("/docs/*.md",)), "a"),
        (Filter(path=("/docs/**",)), "abcd"),
        (Filter(path=("/docs/**/*.md",)), "abd"),
        (Filter(path=("/docs/deep",)), "bc"),
        (Filter(path=("deep/",)), "bc"),
        (Filter(path=("/docs/x.zip",)), "d"),
        (Filter(path=("/docs/a.md", "*.pdf")), "ac"),
        (Filter(path=("/other [[]1]/*",)), "e"),
        (Filter(path=("docs",)), "abcd"),
        (Filter(path=("/docs/?.md",)), "a"),
        (Filter(language=("de",)), "ac"),
        (Filter(language=("d\0e",)), ""),
        (Filter(language=("de", "en")), "abcde"),
        (Filter(media_type=("text/*",)), "abde"),
        (Filter(media_type=("application/pdf", "text/markdown")), "acd"),
        (Filter(metadata=(("n", 1),)), "a"),
        (Filter(metadata=(("n", "1"),)), "b"),
        (Filter(metadata=(("n", 2),)), "c"),
        (Filter(metadata=(("f", True),)), "a"),
        (Filter(metadata=(("f", 1),)), ""),
        (Filter(metadata=(("f", False),)), "d"),
        (Filter(metadata=(("it's \"odd\"", "x"),)), "b"),
        (Filter(metadata=(("n') OR 1 --", "x"),)), ""),
        (Filter(modified_after=20, modified_before=40), "bc"),
        (Filter(path=("*.md",), language=("de",), metadata=(("n", 1),)), "a"),
        (Filter(path=("nothing/**",)), ""),
    ],
)
def test_a_filter_lets_through(filtered: Store, filter: Filter, expected: str) -> None:
    for _ in range(2):
        ids = filtered.chunk_ids("c", filter)
        assert list(ids) == sorted(ids)
        assert "".join(sorted(chunk.text for chunk in filtered.chunks([int(i) for i in ids]))) == expected
    found = "".join(filtered.document_text(document.id) for document in filtered.documents("c", filter))
    assert "".join(sorted(found)) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1]])
def test_metadata_that_could_not_be_read_again_are_refused(store: Store, value: Any) -> None:
    with pytest.raises(InputError):
        store.put("c", [prepared("a", ["x"], metadata={"n": value})])
    store.put("c", [prepared("a", ["x"], metadata={"n": 2**70})])
    assert [document.metadata for document in store.documents("c")] == [{"n": 2**70}]


@pytest.mark.parametrize(
    "filter", [Filter(metadata=(("n", 2**70),)), Filter(modified_after=2**70), Filter(language=("\ud800",))]
)
def test_a_filter_that_cannot_be_asked_is_refused(store: Store, filter: Filter) -> None:
    with pytest.raises(InputError):
        store.chunk_ids("c", filter)


@pytest.mark.parametrize("page", [2**63, -(2**63) - 1])
def test_numbers_that_cannot_be_stored_are_refused(store: Store, page: int) -> None:
    document = prepared("a", ["x"])
    (chunk,) = document.chunks
    wrong = replace(chunk, span=replace(chunk.span, page=page))
    with pytest.raises(InputError):
        store.put("c", [prepared("b", ["y"]), replace(document, chunks=(wrong,))])
    assert store.known("c") == {}


def test_a_filter_sees_what_was_written_since(filtered: Store) -> None:
    filter = Filter(language=("de",))
    before = len(filtered.chunk_ids("c", filter))
    filtered.put("c", [prepared("/new", ["n"], language="de")])
    assert len(filtered.chunk_ids("c", filter)) == before + 1


# ---------------------------------------------------------------------- segments, roots, state
def test_segments_are_replaced_as_a_set(store: Store) -> None:
    first = Segment("lexical", "", "b.seg", b"x" * 16, 10, 2, 5)
    second = Segment("lexical", "", "a.seg", b"y" * 16, 11, 3, 5, dead=b"\x01")
    vector = Segment("vector", SPACE, "v.seg", b"z" * 16, 12, 4, 6)
    store.publish("c", "lexical", "", [first, second])
    store.publish("c", "vector", SPACE, [vector])
    assert store.segments("c") == [first, second, vector]
    store.publish("c", "lexical", "", [second])
    assert store.segments("c") == [second, vector]
    with pytest.raises(InputError):
        store.publish("c", "lexical", "", [vector])
    store.publish("c", "lexical", "", [])
    assert store.segments("c") == [vector]
    assert store.revision("c") == 0


def test_roots_and_state(store: Store) -> None:
    store.add_root("c", "/b")
    store.add_root("c", "/a")
    store.add_root("c", "/a")
    assert store.roots("c") == ["/a", "/b"]
    store.remove_root("c", "/a")
    store.remove_root("c", "/none")
    assert store.roots("c") == ["/b"]
    assert store.get_state("k") is None
    store.set_state("k", "1")
    store.set_state("k", "2")
    assert store.get_state("k") == "2"


# ---------------------------------------------------------------------- threads
def test_writes_of_many_threads_all_arrive(store: Store) -> None:
    def work(number: int) -> None:
        for step in range(5):
            store.put("c", [prepared(f"{number}/{step}", [f"text {number}", f"own {number} {step}"])])
        if number % 2:
            store.delete("c", [f"{number}/0"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.known("c")) == 8 * 5 - 4
    assert store.revision("c") == 8 * 5 + 4
    assert [change.seq for change in store.changes(0, 1000)] == list(range(1, store.last_seq() + 1))


def test_an_error_of_one_writer_does_not_reach_the_others(store: Store) -> None:
    outcome: dict[int, str] = {}

    def work(number: int) -> None:
        document = prepared(f"{number}", [f"text {number}"])
        try:
            store.put("c", [_with_text(document, "\udc80") if number % 3 == 0 else document])
            outcome[number] = "stored"
        except InputError:
            outcome[number] = "refused"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {number: "refused" if number % 3 == 0 else "stored" for number in range(12)}
    assert sorted(store.known("c")) == sorted(str(number) for number in range(12) if number % 3)


# ---------------------------------------------------------------------- against a model
words = st.sampled_from(["a", "b", "c", "d", "e"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("xyz"), st.lists(words, max_size=5)),
        st.tuples(st.just("delete"), st.sampled_from("xyz"), st.just([])),
        st.tuples(st.just("embed"), words, st.just([])),
        st.tuples(st.just("trim"), st.just(""), st.just([])),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_the_store_follows_a_plain_dictionary(store: Store, steps: list[tuple[str, str, list[str]]]) -> None:
    store.drop_collection("c")
    store.create_collection("c")
    model: dict[str, list[str]] = {}
    embedded: set[str] = set()
    live: set[int] = set()
    seq = store.last_seq()
    for action, name, texts in steps:
        if action == "put":
            store.put("c", [prepared(name, texts)])
            model[name] = texts
        elif action == "delete":
            assert store.delete("c", [name]) == ([name] if name in model else [])
            model.pop(name, None)
        elif action == "embed":
            store.put_embeddings(SPACE, {content_hash(name): ONE})
            embedded.add(name)
        for change in store.changes(seq, 1000, "c"):
            if change.op == "add":
                assert change.chunk_id not in live
                live.add(change.chunk_id)
            elif change.op == "delete":
                live.remove(change.chunk_id)
            else:
                assert change.chunk_id in live
            seq = change.seq
        if action == "trim":
            store.trim_log(seq)
        there = {text for texts in model.values() for text in texts}
        embedded &= there
        assert {d.uri: store.document_text(d.id) for d in store.documents("c")} == {
            uri: "".join(texts) for uri, texts in model.items()
        }
        assert live == {int(id_) for id_ in store.chunk_ids("c")}
        waiting = sorted(text for texts in model.values() for text in texts if text not in embedded)
        assert sorted(pending.text for pending in store.pending("c", SPACE, 1000)) == waiting
        assert store.count_pending("c", SPACE) == len(waiting)
        assert len(store.embeddings(SPACE, sorted(live))[0]) == len(live) - len(waiting)
    assert store.check() == []


# ---------------------------------------------------------------------- uses of spaces
FIRST, SECOND = Space("model", "1", 2), Space("other", "1", 2)
RECIPE = Recipe("packaged", "model")


def use(store: Store, *uses: SpaceUse) -> list[SpaceUse]:
    return store.change_spaces("c", lambda _old, _waiting: uses)


def test_uses_are_what_was_set_with_the_revision_that_set_them(store: Store) -> None:
    assert store.space_uses("c") == []
    store.put("c", [prepared("a", ["x"])])
    made = use(store, SpaceUse(SECOND, "building", RECIPE), SpaceUse(FIRST, "active", RECIPE))
    assert made == store.space_uses("c")
    assert [(u.space, u.role, u.recipe, u.revision) for u in made] == [
        (FIRST, "active", RECIPE, 2), (SECOND, "building", RECIPE, 2),
    ]  # fmt: skip
    assert store.revision("c") == 2
    assert use(store, *made) == made
    assert store.revision("c") == 2
    changed = use(store, SpaceUse(FIRST, "kept", RECIPE), SpaceUse(SECOND, "active", RECIPE))
    assert [(u.space, u.role, u.revision) for u in changed] == [(SECOND, "active", 3), (FIRST, "kept", 3)]
    with pytest.raises(NotFound):
        store.space_uses("unknown")


def test_a_refused_change_changes_nothing(store: Store) -> None:
    store.put("c", [prepared("a", ["x", "y"])])
    use(store, SpaceUse(FIRST, "active", RECIPE))
    before = store.space_uses("c"), store.revision("c")

    def refuse(uses: Any, waiting: Callable[[str], int]) -> Any:
        assert list(uses) == before[0]
        assert waiting(FIRST.id) == 2
        raise InputError("no")

    with pytest.raises(InputError):
        store.change_spaces("c", refuse)
    with pytest.raises(InputError):
        use(store, SpaceUse(FIRST, "kept", RECIPE))
    with pytest.raises(InputError):
        use(store, SpaceUse(FIRST, "active", RECIPE), SpaceUse(SECOND, "active", RECIPE))
    with pytest.raises(ModelMismatch):
        store.put_embeddings(FIRST.id, {content_hash("x"): ONE + ONE})
    assert (store.space_uses("c"), store.revision("c")) == before


def test_a_collection_that_uses_spaces_wants_no_other(store: Store) -> None:
    store.put("c", [prepared("a", ["x"])])
    use(store, SpaceUse(FIRST, "active", RECIPE))
    before = store.last_seq()
    assert store.put_embeddings(SECOND.id, {content_hash("x"): ONE}) == 0
    assert store.last_seq() == before
    assert len(store.embeddings(SECOND.id, store.chunk_ids("c").tolist())[0]) == 0
    assert store.put_embeddings(FIRST.id, {content_hash("x"): ONE}) == 1
    store.create_collection("d")
    store.put("d", [prepared("a", ["x"])])  # shares the vector, having no uses
    assert store.count_pending("d", FIRST.id) == 0


def test_a_new_use_finds_what_was_embedded_before(store: Store) -> None:
    store.create_collection("d")
    for name in ("c", "d"):
        store.put(name, [prepared("a", ["x", "y"])])
        store.change_spaces(name, lambda _old, _waiting: [SpaceUse(FIRST, "active", RECIPE)])
    both = [SpaceUse(FIRST, "active", RECIPE), SpaceUse(SECOND, "building", RECIPE)]
    store.change_spaces("d", lambda _old, _waiting: both)
    store.put_embeddings(SECOND.id, {content_hash("x"): ONE})
    before = store.last_seq()
    use(store, *both)
    assert store.count_pending("c", SECOND.id) == 1
    (change,) = store.changes(before, 10, "c")
    assert (change.op, change.space) == ("embed", SECOND.id)


def test_vectors_of_a_dropped_space_go_but_those_that_another_collection_needs(store: Store) -> None:
    store.create_collection("d")
    both = [SpaceUse(FIRST, "active", RECIPE), SpaceUse(SECOND, "building", RECIPE)]
    for name, texts in (("c", ["x", "y", "z"]), ("d", ["x"])):
        store.put(name, [prepared("a", texts)])
        store.change_spaces(name, lambda _old, _waiting: both)
    store.put_embeddings(SECOND.id, {content_hash(text): ONE for text in "xyz"})
    store.publish("c", "vector", SECOND.id, [Segment("vector", SECOND.id, "s", b"1", 1, 1, 1)])
    use(store, both[0], SpaceUse(SECOND, "dropping", RECIPE))
    assert store.segments("c") == []
    store.publish("c", "vector", SECOND.id, [Segment("vector", SECOND.id, "s", b"1", 1, 1, 1)])
    assert store.segments("c") == []
    steps, after = 0, store.drop_vectors(SECOND.id, b"", 1)
    while after:
        steps, after = steps + 1, store.drop_vectors(SECOND.id, after, 1)
    assert steps == 3
    assert len(store.embeddings(SECOND.id, store.chunk_ids("c").tolist())[0]) == 1
    assert len(store.embeddings(SECOND.id, store.chunk_ids("d").tolist())[0]) == 1
    use(store, both[0])
    store.put("c", [prepared("b", ["x"])])  # its vector is there, but not wanted
    assert all(change.space != SECOND.id for change in store.changes(store.last_seq() - 1, 10, "c"))
    assert store.drop_vectors("unknown", b"", 5) == b""


def test_a_dropped_collection_uses_nothing(store: Store) -> None:
    store.put("c", [prepared("a", ["x"])])
    use(store, SpaceUse(FIRST, "active", RECIPE))
    store.drop_collection("c")
    store.create_collection("c")
    assert store.space_uses("c") == []
