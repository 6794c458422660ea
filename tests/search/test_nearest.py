from __future__ import annotations

import numpy as np

from ragstone.index.vectors import FlatVectorIndex
from ragstone.protocols import Vectors
from ragstone.search.nearest import Coverage, coverage, nearest, needed
from ragstone.types import Space

SMALL, LARGE = Space("small", "1", 4), Space("large", "1", 6)
CHANCE = np.random.default_rng(5)


def unit(rows: int, dimension: int, towards: float = 0.0) -> Vectors:
    found = CHANCE.standard_normal((rows, dimension)).astype(np.float32) + towards
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def index(space: Space, ids: list[int], towards: float = 0.0) -> FlatVectorIndex:
    made = FlatVectorIndex(space)
    made.add(ids, unit(len(ids), space.dimension, towards))
    return made


QUERY = {SMALL.id: unit(1, 4), LARGE.id: unit(1, 6)}


def covered(_: str, preferred: object, active: object) -> Coverage:
    return coverage(preferred, active)  # type: ignore[arg-type]


def test_one_space_gives_its_own_scores() -> None:
    active = index(SMALL, list(range(20)))
    ids, scores = nearest(QUERY, {"c": (active,)}, {"c": None}, 5, covered)
    expected = active.search(QUERY[SMALL.id], 5)[0]
    assert ids.tolist() == expected[0].tolist()
    assert scores.tolist() == expected[1].tolist()


def test_what_the_preferred_space_has_is_ordered_by_it_on_the_scale_of_the_other() -> None:
    # nearly equal to everything: raw scores of this space would put all its chunks first
    preferred, active = index(LARGE, [1, 3, 5, 7, 9], towards=9.0), index(SMALL, list(range(12)))
    ids, scores = nearest(QUERY, {"c": (preferred, active)}, {"c": None}, 12, covered)
    assert sorted(ids.tolist()) == list(range(12))
    given = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    own = preferred.search(QUERY[LARGE.id], 5)[0][0].tolist()
    assert sorted((1, 3, 5, 7, 9), key=lambda i: -given[i]) == own
    alone = active.search(QUERY[SMALL.id], 12)[0]
    at = dict(zip(alone[0].tolist(), alone[1].tolist(), strict=True))
    assert sorted(given[i] for i in own) == sorted(at[i] for i in own)
    assert all(given[i] == at[i] for i in range(12) if i not in own)


def test_a_filter_holds_in_both_spaces() -> None:
    preferred, active = index(LARGE, [1, 3, 5]), index(SMALL, list(range(8)))
    allow = np.array([2, 3, 4, 5], dtype=np.int64)
    ids, _ = nearest(QUERY, {"c": (preferred, active)}, {"c": allow}, 10, covered)
    assert sorted(ids.tolist()) == [2, 3, 4, 5]


def test_a_preferred_space_that_has_all_needs_no_other() -> None:
    preferred, active = index(LARGE, list(range(8))), index(SMALL, list(range(8)))
    ids, scores = nearest(QUERY, {"c": (preferred, active)}, {"c": None}, 4, covered)
    expected = preferred.search(QUERY[LARGE.id], 4)[0]
    assert (ids.tolist(), scores.tolist()) == (expected[0].tolist(), expected[1].tolist())


def test_chunks_that_only_the_preferred_space_has_are_found_too() -> None:
    preferred, active = index(LARGE, [10, 11]), index(SMALL, [1, 2])
    ids, scores = nearest(QUERY, {"c": (preferred, active)}, {"c": None}, 4, covered)
    assert sorted(ids.tolist()) == [1, 2, 10, 11]
    assert np.isfinite(scores).all()


def test_scales_of_two_collections_are_joined_between_nought_and_one() -> None:
    dense = {"a": (index(SMALL, [1, 2, 3]),), "b": (index(LARGE, [4, 5, 6], towards=9.0),)}
    ids, scores = nearest(QUERY, dense, {"a": None, "b": None}, 3, covered)
    of = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    assert max(of[i] for i in (1, 2, 3)) == max(of[i] for i in (4, 5, 6)) == 1.0
    assert min(of.values()) == 0.0


def test_a_space_without_a_vector_yet_needs_no_model() -> None:
    dense = {"c": (FlatVectorIndex(LARGE), index(SMALL, [1, 2]))}
    assert needed(dense) == [SMALL.id]
    ids, _ = nearest({SMALL.id: QUERY[SMALL.id]}, dense, {"c": None}, 4, covered)
    assert sorted(ids.tolist()) == [1, 2]
