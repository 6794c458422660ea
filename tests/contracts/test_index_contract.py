"""What every LexicalIndex and every VectorIndex promises, for every implementation and every way it searches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from ragstone.errors import ModelError, ModelMismatch
from ragstone.index.lexical import Bm25Index
from ragstone.index.vectors import FlatVectorIndex
from ragstone.protocols import LexicalIndex, QueryTerms, VectorIndex
from ragstone.text.analysis import pack
from ragstone.types import Space, Terms

SPACE = Space("model", "1", 8)
LEXICAL: dict[str, Callable[[], LexicalIndex]] = {"bm25": Bm25Index}
VECTOR: dict[str, Callable[[], VectorIndex]] = {
    "small": partial(FlatVectorIndex, SPACE),
    "exact": partial(FlatVectorIndex, SPACE, structure="exact"),
    "scanned": partial(FlatVectorIndex, SPACE, decoded_rows=0),
    "coded": partial(FlatVectorIndex, SPACE, decoded_rows=0, exact_rows=0),
    "listed": partial(FlatVectorIndex, SPACE, decoded_rows=0, exact_rows=0, structure="ivf"),
    "graph": partial(FlatVectorIndex, SPACE, decoded_rows=0, exact_rows=0, structure="hnsw"),
    "reduced": partial(FlatVectorIndex, SPACE, decoded_rows=0, exact_rows=0, components=6),
}


def words(text: str) -> Terms:
    terms = tuple(text.split())
    return Terms(pack(terms), len(terms))


def question(text: str) -> QueryTerms:
    return QueryTerms(tuple(((term, 1.0),) for term in text.split()))


def rows(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    found = np.random.default_rng(seed).standard_normal((count, SPACE.dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(params=LEXICAL)
def lexical(request: pytest.FixtureRequest) -> LexicalIndex:
    return LEXICAL[request.param]()


@pytest.fixture(params=VECTOR)
def vectors(request: pytest.FixtureRequest) -> VectorIndex:
    return VECTOR[request.param]()


# ---------------------------------------------------------------------- lexical
def test_an_empty_lexical_index_finds_nothing(lexical: LexicalIndex) -> None:
    ids, scores = lexical.search(question("a b"), 5)
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)
    assert len(ids) == len(scores) == len(lexical.ids()) == lexical.tail_size() == 0


def test_words_are_found_by_falling_score_then_rising_id(lexical: LexicalIndex) -> None:
    lexical.add([9, 4, 7, 5], [words("a b"), words("a a b"), words("c"), words("a b")])
    ids, scores = lexical.search(question("a"), 10)
    assert ids.tolist() == [4, 5, 9]
    assert scores[0] > scores[1] == scores[2] > 0
    assert lexical.search(question("a"), 2)[0].tolist() == [4, 5]
    assert lexical.search(question("a"), 0)[0].tolist() == []
    assert sorted(lexical.ids().tolist()) == [4, 5, 7, 9]


def test_only_allowed_words_are_found(lexical: LexicalIndex) -> None:
    lexical.add([1, 2, 3], [words("a"), words("a"), words("a")])
    assert lexical.search(question("a"), 10, np.array([2, 3, 8]))[0].tolist() == [2, 3]
    assert lexical.search(question("a"), 10, np.empty(0, np.int64))[0].tolist() == []


def test_adding_words_twice_and_deleting_unknown_ones_changes_nothing(lexical: LexicalIndex) -> None:
    lexical.add([1, 2], [words("a"), words("b")])
    before = lexical.search(question("a b"), 10)
    lexical.add([1, 3], [words("b b"), words("a")])
    lexical.delete([3, 77])
    after = lexical.search(question("a b"), 10)
    assert after[0].tolist() == before[0].tolist()
    assert after[1].tolist() == before[1].tolist()


def test_deleted_words_leave_no_trace_in_the_scores(lexical: LexicalIndex) -> None:
    lexical.add([1, 2, 3], [words("a b c"), words("a"), words("b a a a")])
    lexical.delete([1, 3])
    fresh = Bm25Index()
    fresh.add([2], [words("a")])
    assert lexical.search(question("a b"), 9)[1].tolist() == fresh.search(question("a b"), 9)[1].tolist()
    assert lexical.tail_size() == 1


# ---------------------------------------------------------------------- vectors
def test_an_empty_vector_index_finds_nothing(vectors: VectorIndex) -> None:
    found = vectors.search(rows(2), 5)
    assert [(len(ids), len(scores)) for ids, scores in found] == [(0, 0), (0, 0)]
    assert len(vectors.ids()) == vectors.tail_size() == 0
    assert vectors.space == SPACE


def test_vectors_are_found_by_falling_score_then_rising_id(vectors: VectorIndex) -> None:
    some = rows(3)
    vectors.add([9, 4, 7, 5], some[[0, 1, 2, 0]])
    ids, scores = vectors.search(some[:1], 10)[0]
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)
    assert ids[:2].tolist() == [5, 9]
    assert scores[0] == scores[1]
    assert (np.diff(scores) <= 0).all()
    assert vectors.search(some[:1], 1)[0][0].tolist() == [5]
    assert vectors.search(some[:1], 0)[0][0].tolist() == []
    assert sorted(vectors.ids().tolist()) == [4, 5, 7, 9]


def test_only_allowed_vectors_are_found(vectors: VectorIndex) -> None:
    vectors.add(range(10), rows(10))
    assert sorted(vectors.search(rows(1, 1), 10, np.array([2, 3, 80]))[0][0].tolist()) == [2, 3]
    assert vectors.search(rows(1, 1), 10, np.empty(0, np.int64))[0][0].tolist() == []


def test_adding_vectors_twice_and_deleting_unknown_ones_changes_nothing(vectors: VectorIndex) -> None:
    vectors.add([1, 2], rows(2))
    vectors.add([2, 3, 3], rows(3, 5))
    vectors.delete([3, 77])
    ids, scores = vectors.search(rows(2)[1:], 10)[0]
    assert ids.tolist() == [2, 1]
    assert scores[0] == pytest.approx(1, abs=1e-3)


def test_a_deleted_vector_can_come_back(vectors: VectorIndex) -> None:
    vectors.add([1, 2], rows(2))
    vectors.delete([1])
    assert vectors.ids().tolist() == [2]
    vectors.add([1], rows(1, 3))
    assert vectors.search(rows(1, 3), 1)[0][0].tolist() == [1]
    assert vectors.tail_size() == 2


def test_many_questions_give_what_each_gives(vectors: VectorIndex) -> None:
    vectors.add(range(50), rows(50))
    together = vectors.search(rows(7, 2), 5)
    for number, (ids, scores) in enumerate(together):
        alone = vectors.search(rows(7, 2)[number : number + 1], 5)[0]
        assert ids.tolist() == alone[0].tolist()
        assert scores.tolist() == alone[1].tolist()


def test_what_is_no_vector_of_the_space_is_refused(vectors: VectorIndex) -> None:
    with pytest.raises(ModelMismatch):
        vectors.add([1], np.zeros((1, 7), np.float32))
    with pytest.raises(ModelMismatch):
        vectors.add([1, 2], np.zeros((1, 8), np.float32))
    with pytest.raises(ModelMismatch):
        vectors.search(np.zeros((1, 9), np.float32), 3)
    with pytest.raises(ModelError):
        vectors.add([1], np.full((1, 8), np.nan, np.float32))
    assert len(vectors.ids()) == 0
