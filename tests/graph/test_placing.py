"""Where a graph is drawn as a whole: communities apart from each other, the same each time, the telling edges kept."""

from __future__ import annotations

import numpy as np
import pytest

from graph_views import view_of
from ragstone.graph.overview import backbone, overview
from ragstone.graph.placing import CROWD, LEAF, planned


def groups(sizes: list[int], seed: int = 7) -> list[tuple[int, int, float]]:
    """Edges of groups that hold together, in a ring of single edges."""
    rng = np.random.default_rng(seed)
    edges: list[tuple[int, int, float]] = []
    begins = np.cumsum([0, *sizes])
    for begin, size in zip(begins, sizes, strict=False):
        for node in range(1, size):
            edges += [(int(begin + other), int(begin + node), 1.0) for other in set(rng.integers(0, node, 3).tolist())]
    edges += [(int(a), int(b), 0.2) for a, b in zip(begins[:-1], np.roll(begins[:-1], -1), strict=True) if a != b]
    return edges


@pytest.mark.parametrize("sizes", [[60] * 12, [LEAF + 100, 3 * LEAF, 20, 5], [3] * (CROWD + 30)])
def test_communities_lie_apart_with_their_members_inside(sizes: list[int]) -> None:
    found = overview(view_of(groups(sizes)), limit=10_000, most=30_000)
    assert sorted(m for circle in found.circles for m in circle.members) == list(range(sum(sizes)))
    for circle in found.circles:
        off = found.places[list(circle.members)] - (circle.x, circle.y)
        assert np.hypot(*off.T).max() <= circle.radius
    for at, one in enumerate(found.circles):
        for other in found.circles[at + 1 :]:
            assert np.hypot(one.x - other.x, one.y - other.y) >= 0.97 * (one.radius + other.radius)


def test_entities_do_not_lie_on_each_other_and_the_same_graph_gets_the_same_places() -> None:
    view = view_of(groups([LEAF + 50, 90, 40, 1, 1, 2]))
    first, again = (overview(view, limit=1_000, most=3_000) for _ in range(2))
    assert np.array_equal(first.places, again.places)
    assert first.circles == again.circles
    apart = np.hypot(*(first.places[:, None] - first.places).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 10


def test_what_is_joined_lies_near() -> None:
    """A long ring of groups: neighbours in the ring are nearer to each other than groups are in the mean."""
    sizes = [40] * 30
    found = overview(view_of(groups(sizes)), limit=10_000, most=30_000)
    centres = np.array([found.places[found.numbers // 40 == n].mean(axis=0) for n in range(30)])
    beside = np.hypot(*(centres - np.roll(centres, -1, axis=0)).T).mean()
    everything = np.hypot(*(centres[:, None] - centres).transpose(2, 0, 1)).mean()
    assert beside < 0.6 * everything


def test_no_entities_and_no_edges_have_places() -> None:
    none = np.zeros(0, np.int32)
    assert len(planned(0, none, none, none.astype(np.float32)).places) == 0
    alone = planned(400, none, none, none.astype(np.float32))
    assert len({tuple(place) for place in alone.places.round().tolist()}) == 400


def test_of_the_edges_those_stay_that_stand_out_for_an_end() -> None:
    # 0 and 7 are words that stand everywhere; 1-2 is weaker than 0-7, and much of what 1 and 2 have
    edges = [(0, n, 5.0) for n in range(1, 7)] + [(7, n, 5.0) for n in range(8, 14)]
    edges += [(0, 7, 4.5), (1, 2, 4.0), (1, 3, 0.1), (2, 4, 0.1)]
    heads, tails = (np.array([edge[end] for edge in edges], np.int32) for end in (0, 1))
    kept = backbone(14, heads, tails, np.array([weight for _, _, weight in edges], np.float32), 13)
    assert set(kept[:12].tolist()) == set(range(12))  # the strongest of each entity
    assert edges[kept[12]] == (1, 2, 4.0)
    assert overview(view_of(edges), limit=14, most=13).hidden == 3
