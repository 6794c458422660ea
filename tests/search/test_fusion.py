from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.search.fusion import Foreign, diversify, fuse


def ranking(pairs: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(list(pairs), dtype=np.int64), np.array(list(pairs.values()), dtype=np.float32)


def test_convex_combination_by_hand() -> None:
    ids, fused, lexical, dense = fuse(ranking({1: 10.0, 2: 5.0}), ranking({2: 0.9, 3: 0.8, 1: 0.7}), 0.5)
    # 1: ½·1 + ½·0; 2: ½·½ + ½·1; 3: 0 + ½·½
    assert ids.tolist() == [2, 1, 3]
    assert fused.tolist() == pytest.approx([0.75, 0.5, 0.25])
    assert lexical.tolist()[:2] == [5.0, 10.0]
    assert np.isnan(lexical[2])
    assert dense.tolist() == pytest.approx([0.9, 0.7, 0.8])


def test_what_cannot_share_words_stands_on_its_meaning() -> None:
    words, meaning = ranking({1: 10.0, 2: 6.0}), ranking({1: 0.84, 2: 0.82, 3: 0.85, 4: 0.80})
    ids, *_ = fuse(words, meaning, 0.45)
    assert ids.tolist() == [1, 2, 3, 4]
    ids, fused, lexical, dense = fuse(words, meaning, 0.45, foreign=Foreign(np.array([3, 4]), 0.02, 0.9))
    # 3: 0.9·1; 1: 0.55·1 + 0.45·(0.04/0.07), with 4 at 0.82 and 3 at 0.87
    assert ids.tolist() == [3, 1, 2, 4]
    assert fused.tolist()[:2] == pytest.approx([0.9, 0.55 + 0.45 * 0.02 / 0.05])
    assert dense.tolist() == pytest.approx([0.85, 0.84, 0.82, 0.80]), "what is told is the cosine"
    assert np.isnan(lexical[0])


def test_one_empty_ranking_leaves_the_order_of_the_other() -> None:
    ids, fused, _, _ = fuse(ranking({7: 3.0, 8: 2.0, 9: 1.0}), ranking({}), 0.5)
    assert ids.tolist() == [7, 8, 9]
    assert fused[0] == pytest.approx(0.5)


def test_equal_scores_come_by_rising_id() -> None:
    ids, _, _, _ = fuse(ranking({9: 1.0, 3: 1.0, 5: 1.0}), ranking({}), 0.0)
    assert ids.tolist() == [3, 5, 9]


scores = st.dictionaries(st.integers(1, 40), st.floats(0.0625, 100, width=32), max_size=20)


@given(scores, scores, st.floats(0, 1))
def test_fused_scores_are_in_range_and_fall(lex: dict[int, float], dense: dict[int, float], weight: float) -> None:
    ids, fused, _, _ = fuse(ranking(lex), ranking(dense), weight)
    assert sorted(ids.tolist()) == sorted(set(lex) | set(dense))
    assert all(a >= b for a, b in itertools.pairwise(fused))
    assert np.all((fused >= 0) & (fused <= 1 + 1e-6))


def test_diversity_passes_over_a_repetition() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    relevance = np.array([1.0, 0.99, 0.7], dtype=np.float32)
    assert diversify(relevance, vectors, 2, 1.0) == [0, 1]
    assert diversify(relevance, vectors, 2, 0.5) == [0, 2]
    assert diversify(relevance, vectors, 9, 0.5) == [0, 2, 1]
