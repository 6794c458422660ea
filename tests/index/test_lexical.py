from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragstone.errors import StoreDamaged, StoreError
from ragstone.index import bm25, lexical
from ragstone.index.bm25 import SAMPLE
from ragstone.index.lexical import Bm25Index
from ragstone.index.postings import MAX_TF, Postings, bag_digest, open_postings
from ragstone.protocols import Owners, QueryTerms
from ragstone.text.analysis import pack, term_key
from ragstone.types import Terms

K1, B = 1.2, 0.75
Corpus = dict[int, Terms]


def bag(text: str) -> Terms:
    return terms(text.split())


def terms(words: Sequence[str]) -> Terms:
    return Terms(pack(words), len(words))


def ask(*forms: str | tuple[tuple[str, float], ...]) -> QueryTerms:
    return QueryTerms(tuple(((f, 1.0),) if isinstance(f, str) else f for f in forms))


def naive(corpus: Corpus, query: QueryTerms) -> dict[int, float]:
    """BM25 as the textbook has it."""
    counts = {i: Counter(np.frombuffer(t.keys, "<u8").tolist()) for i, t in corpus.items()}
    average = sum(t.length for t in corpus.values()) / max(1, len(corpus)) or 1.0
    scores: dict[int, float] = {}
    for i, text in corpus.items():
        total = 0.0
        for group in query.groups:
            best = 0.0
            for term, weight in group:
                df = sum(term_key(term) in c for c in counts.values())
                tf = min(counts[i][term_key(term)], MAX_TF)
                idf = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
                norm = K1 * (1 - B + B * text.length / average)
                best = max(best, weight * idf * tf * (K1 + 1) / (tf + norm) if tf else 0.0)
            total += best
        if total > 0:
            scores[i] = total
    return scores


def agrees(index: Bm25Index, corpus: Corpus, query: QueryTerms, k: int, allow: set[int] | None = None) -> None:
    expected = {i: s for i, s in naive(corpus, query).items() if allow is None or i in allow}
    chosen = None if allow is None else np.array(sorted(allow), dtype=np.int64)
    ids, scores = index.search(query, k, chosen)
    assert len(ids) == min(k, len(expected))
    np.testing.assert_allclose(scores, [expected[int(i)] for i in ids], rtol=1e-4)
    assert list(zip(-scores, ids, strict=True)) == sorted(zip(-scores, ids, strict=True))
    if len(ids):
        assert sum(s > scores[-1] * 1.001 for s in expected.values()) <= len(ids)
    assert index.ids().tolist() == sorted(corpus)


WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
FORM = st.tuples(st.sampled_from(["alpha", "beta", "gamma", "zeta", "none"]), st.sampled_from([1.0, 0.5]))
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(terms)
groups = st.lists(FORM, min_size=1, max_size=3).map(tuple)
queries = st.lists(groups, min_size=1, max_size=4).map(lambda g: QueryTerms(tuple(g)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(-3, 40), texts), max_size=8)),
        st.tuples(st.just("delete"), st.lists(st.integers(-3, 45), max_size=6)),
        st.tuples(st.sampled_from(["seal", "merge", "merge sealed", "reopen"]), st.none()),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(steps, queries, st.integers(1, 12), st.sets(st.integers(-3, 40)))
def test_any_history_scores_like_the_textbook(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list]], query: QueryTerms, k: int, allow: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    index, corpus = Bm25Index(k1=K1, b=B), {}
    for number, (step, argument) in enumerate(steps):
        if step == "add":
            index.add([i for i, _ in argument], [t for _, t in argument])
            for i, terms in argument:
                corpus.setdefault(i, terms)
        elif step == "delete":
            index.delete(argument)
            for i in argument:
                corpus.pop(i, None)
        elif step == "seal":
            index.seal(folder / f"s{number}")
        elif step.startswith("merge"):
            names = [s.name for s in index.segment_infos()] if step == "merge sealed" else None
            index.merge(folder / f"m{number}", names)
        else:
            index.seal(folder / f"r{number}")
            index = reopened(index)
        agrees(index, corpus, query, k)
    agrees(index, corpus, query, k, allow)
    fresh = Bm25Index(k1=K1, b=B)
    fresh.add(list(corpus), list(corpus.values()))
    for one, other in zip(index.search(query, k), fresh.search(query, k), strict=True):
        assert np.array_equal(one, other)  # to the last bit
    ids, digests = index.digests()
    assert dict(zip(ids.tolist(), digests.tolist(), strict=True)) == {i: bag_digest(t) for i, t in corpus.items()}


def reopened(index: Bm25Index) -> Bm25Index:
    other = Bm25Index(k1=K1, b=B)
    for info in index.segment_infos():
        other.open_segment(info.path, info.checksum, index.dead_ids(info.name))
    return other


def test_add_two_delete_one_equals_add_one(tmp_path: Path) -> None:
    one = {i: bag(f"common word{i % 7} rare{i}") for i in range(500)}
    two = {i: bag(f"common other word{i % 5} long " * (i % 3 + 1)) for i in range(500, 900)}
    query = ask("common", "word3", (("rare17", 1.0), ("word4", 0.5)))
    index = Bm25Index()
    index.add(list(one), list(one.values()))
    index.seal(tmp_path / "a")
    index.add(list(two), list(two.values()))
    index.delete(one)
    index.merge(tmp_path / "b")
    alone = Bm25Index()
    for i, terms in reversed(two.items()):
        alone.add([i], [terms])
    for got, expected in zip(index.search(query, 400), alone.search(query, 400), strict=True):
        assert np.array_equal(got, expected)


def test_equal_scores_come_by_rising_id() -> None:
    index = Bm25Index()
    index.add([9, 3, 7, 1, 5], [bag("same text")] * 5)
    assert index.search(ask("same"), 3)[0].tolist() == [1, 3, 5]


def test_nothing_found() -> None:
    index = Bm25Index()
    for query in (ask("x"), QueryTerms(())):
        ids, scores = index.search(query, 5)
        assert ids.dtype == np.int64
        assert scores.dtype == np.float32
        assert len(ids) == len(scores) == 0
    index.add([1, 2], [bag("x"), bag("")])
    assert index.search(ask("x"), 0)[0].tolist() == []
    assert index.search(ask("y"), 5)[0].tolist() == []
    assert index.search(ask("x"), 5, np.empty(0, dtype=np.int64))[0].tolist() == []
    index.delete([1, 2])
    assert index.search(ask("x"), 5)[0].tolist() == []


def test_the_tail_stays_a_few_segments_and_counts_live_rows() -> None:
    index = Bm25Index()
    for i in range(300):
        index.add([i], [bag(f"t{i} shared")])
    assert len(index._snapshot.views) <= 8
    index.delete(range(100))
    assert index.tail_size() == 200
    assert index.search(ask("shared"), 1000)[0].tolist() == list(range(100, 300))


def test_frequencies_above_the_limit_count_as_the_limit() -> None:
    index = Bm25Index(k1=K1, b=B)
    corpus = {1: bag("x " * 1000), 2: bag("x " * 300 + "y " * 700), 3: bag("y")}
    index.add(list(corpus), list(corpus.values()))
    agrees(index, corpus, ask("x", "y"), 5)
    assert index.digests()[1].tolist() == [bag_digest(corpus[i]) for i in (1, 2, 3)]


def test_digest_tells_bags_apart_but_not_orders() -> None:
    assert bag_digest(bag("a b a")) == bag_digest(bag("b a a"))
    others = [bag("a b"), bag("a b b"), bag("a a"), Terms(pack("aab"), 2), bag("")]
    assert len({bag_digest(t) for t in (bag("a a b"), *others)}) == 6


def test_damage_is_detected_wherever_it_is(tmp_path: Path) -> None:
    index = Bm25Index()
    index.add(range(50), [bag(f"w{i} w{i % 5} common") for i in range(50)])
    path = tmp_path / "segment"
    checksum, rows = index.seal(path)
    assert rows == 50
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        with pytest.raises(StoreDamaged) as caught:
            open_postings(path, checksum)
        assert caught.value.hint
    for cut in (b"", data[:10], data[:-1], data + b"\0"):
        path.write_bytes(cut)
        with pytest.raises(StoreDamaged):
            Bm25Index().open_segment(path, checksum, np.empty(0, np.int64))
    with pytest.raises(StoreDamaged):
        open_postings(tmp_path / "missing", checksum)


def test_a_file_that_cannot_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    index = Bm25Index()
    index.add([1, 2], [bag("x"), bag("x y")])
    with pytest.raises(StoreError):
        index.seal(tmp_path / "no" / "such" / "folder")
    assert index.tail_size() == 2
    assert index.segment_infos() == []
    assert index.search(ask("x"), 5)[0].tolist() == [1, 2]
    index.seal(tmp_path / "a")
    assert (index.tail_size(), [s.rows for s in index.segment_infos()]) == (0, [2])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_following_what_another_process_published(tmp_path: Path) -> None:
    writer, reader = Bm25Index(), Bm25Index()
    bags = {i: bag(f"n{i} shared") for i in range(30)}
    for index in (writer, reader):
        index.add(range(20), [bags[i] for i in range(20)])
    a, _ = writer.seal(tmp_path / "a")
    reader.add(range(20, 30), [bags[i] for i in range(20, 30)])
    reader.delete([3])
    before = [pair.tolist() for pair in reader.search(ask("shared"), 100)]
    assert reader.replace([(tmp_path / "a", a)])
    assert reader.tail_size() == 10
    assert [pair.tolist() for pair in reader.search(ask("shared"), 100)] == before
    assert reader.dead_ids("a").tolist() == [3]
    assert [(s.name, s.rows, s.live) for s in reader.segment_infos()] == [("a", 20, 19)]
    with pytest.raises(StoreDamaged):
        reader.replace([(tmp_path / "b", a)])
    assert not reader.replace([])  # 19 rows would be missed
    assert len(reader.ids()) == 29
    writer.add(range(20, 30), [bags[i] for i in range(20, 30)])
    writer.delete([3, 25])
    b, _ = writer.merge(tmp_path / "b")
    assert reader.replace([(tmp_path / "b", b)])  # 25 was deleted by the writer, which the reader has not seen
    assert (reader.tail_size(), 25 in reader.ids()) == (1, True)
    assert [(s.name, s.rows, s.live) for s in reader.segment_infos()] == [("b", 28, 28)]


def test_searches_see_whole_batches_while_others_write(tmp_path: Path) -> None:
    index = Bm25Index()
    stop = threading.Event()
    seen: list[int] = []
    problems: list[AssertionError] = []

    def search() -> None:
        try:
            while not stop.is_set():
                ids, scores = index.search(ask("shared"), 100_000)
                assert len(ids) % 10 == 0
                assert len(set(ids.tolist())) == len(ids)
                assert len(set(scores.tolist())) <= 1
                seen.append(len(ids))
        except AssertionError as error:
            problems.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for batch in range(60):
        index.add(range(batch * 10, batch * 10 + 10), [bag("shared text")] * 10)
        if batch % 7 == 3:
            index.delete(range(batch * 10 - 20, batch * 10 - 10))
        if batch % 9 == 5:
            index.seal(tmp_path / f"s{batch}")
        if batch % 20 == 19:
            index.merge(tmp_path / f"m{batch}")
    stop.set()
    thread.join()
    assert not problems, problems
    assert seen
    assert len(index.ids()) == 600 - 10 * sum(b % 7 == 3 for b in range(60))


def test_changes_during_a_seal_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Bm25Index()
    index.add([1, 2, 3], [bag("x")] * 3)
    write = lexical.write_postings

    def busy(postings: Postings, path: Path) -> bytes:
        index.delete([2])
        index.add([4], [bag("x")])
        return write(postings, path)

    monkeypatch.setattr(lexical, "write_postings", busy)
    _, rows = index.seal(tmp_path / "a")
    assert rows == 3
    assert index.ids().tolist() == [1, 3, 4]
    assert index.tail_size() == 1
    assert index.dead_ids("a").tolist() == [2]


def test_term_keys_are_stable() -> None:
    """Files hold them: a change of `term_key` needs a new MAGIC."""
    assert term_key("a") == 3405396810240292928
    assert 0 <= term_key("\ud800") < 1 << 64


def test_documents_score_as_if_they_were_one_chunk() -> None:
    """BM25 over documents equals BM25 over chunks that each hold a whole document, after deletes too."""
    dice = random.Random(8)
    words = [f"w{i}" for i in range(30)]
    bags = {i: tuple(dice.choices(words, k=dice.randint(1, 12))) for i in range(1, 61)}
    owner = {i: (i - 1) // 3 for i in bags}
    index = Bm25Index()
    for i, bag in bags.items():
        index.add([i], [terms(bag)])
    gone = [2, 3, 4, 5, 6, 50]
    index.delete(gone)
    live = sorted(set(bags) - set(gone))
    owners = Owners(np.array(live), np.array([owner[i] for i in live]))
    whole = Bm25Index()
    for document in sorted({owner[i] for i in live}):
        joined = sum((bags[i] for i in live if owner[i] == document), ())
        whole.add([document], [terms(joined)])
    for _ in range(20):
        query = QueryTerms(tuple(((word, 1.0), (dice.choice(words), 0.6)) for word in dice.sample(words, 3)))
        ids, scores = index.search_documents(query, 10, owners)
        expected_ids, expected = whole.search(query, 10)
        assert ids.tolist() == expected_ids.tolist()
        assert scores == pytest.approx(expected, rel=1e-5)
    allowed = np.array([i for i in live if owner[i] in (3, 7)])
    ids, _ = index.search_documents(query, 10, owners, allowed)
    assert set(ids.tolist()) <= {3, 7}
    assert Bm25Index().search_documents(query, 10, owners)[0].tolist() == []


# ---------------------------------------------------------------------- long words
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_leaving_out_rows_that_cannot_win_changes_nothing(data: st.DataObject) -> None:
    """Bit for bit: every word counted over all rows, and the frequent ones only for the rows they can still lift."""
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    vocabulary = [f"w{number}" for number in range(12)]
    weights = 1.0 / (1 + np.arange(12)) ** data.draw(st.sampled_from([0.5, 1.5, 3.0]))
    index = Bm25Index()
    for first in range(0, 300, 75):
        texts = [
            " ".join(chance.choice(vocabulary, size=chance.integers(1, 30), p=weights / weights.sum()))
            for _ in range(75)
        ]
        index.add(range(first, first + 75), [Terms(pack(tuple(t.split())), len(t.split())) for t in texts])
    index.delete(chance.choice(300, size=40, replace=False).tolist())
    allow = np.sort(chance.choice(300, size=150, replace=False)) if data.draw(st.booleans()) else None
    groups = tuple(
        tuple((str(word), float(weight)) for word, weight in zip(chance.choice(vocabulary, 2), (1.0, 0.6), strict=True))
        for _ in range(data.draw(st.integers(1, 6)))
    )
    k = data.draw(st.integers(1, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bm25, "_LONG", 10**9)
        every = index.search(QueryTerms(groups), k, allow)
        patch.setattr(bm25, "_LONG", 0)
        some = index.search(QueryTerms(groups), k, allow)
    assert some[0].tolist() == every[0].tolist()
    assert some[1].tolist() == every[1].tolist()


def test_a_sample_follows_from_the_live_ids_alone(tmp_path: Path) -> None:
    index, fresh = Bm25Index(), Bm25Index()
    index.add(range(3000), [terms(["alpha"])] * 3000)
    assert len(index.sample()) == SAMPLE
    for number in range(8):
        index.delete(index.sample()[:40].tolist())
        index.add([5000 + number], [terms(["beta"])])
        if number % 3 == 0:
            index.seal(tmp_path / f"{number}.seg")
    index.merge(tmp_path / "all.seg")
    live = index.ids().tolist()
    fresh.add(live, [terms(["alpha"])] * len(live))
    assert sorted(index.sample().tolist()) == sorted(fresh.sample().tolist())
    index.delete(live[30:])
    assert sorted(index.sample().tolist()) == live[:30]
