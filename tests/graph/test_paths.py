"""Shortest ways and communities over views."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from graph_views import view_of
from ragstone.graph.communities import communities, groups, modularity
from ragstone.graph.paths import lengths, shortest
from ragstone.graph.view import GraphView


def brute(view: GraphView, a: int, b: int, longest: int) -> float:
    length = {(int(h), int(t)): float(x) for h, t, x in zip(view.heads, view.tails, lengths(view), strict=True)}
    best = float("inf")
    others = [i for i in range(len(view.entities)) if i not in (a, b)]
    for between in range(min(longest, len(others) + 1)):
        for way in itertools.permutations(others, between):
            steps = itertools.pairwise((a, *way, b))
            best = min(best, sum(length.get((min(p), max(p)), float("inf")) for p in steps))
    return best


def of(view: GraphView, way: list[int]) -> float:
    length = {(int(h), int(t)): float(x) for h, t, x in zip(view.heads, view.tails, lengths(view), strict=True)}
    return sum(length[min(p), max(p)] for p in itertools.pairwise(way))


def test_the_shortest_way_is_the_shortest_of_all() -> None:
    draw = random.Random(7)
    found = 0
    for _ in range(60):
        count = draw.randint(2, 6)
        pairs = [p for p in itertools.combinations(range(count), 2) if draw.random() < 0.5]
        view = view_of([(a, b, draw.choice((0.2, 1.0, 1.0, 5.0))) for a, b in pairs], count=count)
        for longest in (1, 2, 6):
            way = shortest(view, 0, count - 1, longest)
            expected = brute(view, 0, count - 1, longest)
            if way:
                found += 1
                assert (way[0], way[-1]) == (0, count - 1)
                assert len(way) <= longest + 1
                assert of(view, way) == pytest.approx(expected)
            else:
                assert expected == float("inf")
    assert found > 50


def test_a_hub_is_a_long_way_and_strong_edges_are_short() -> None:
    hub = [(0, leaf, 1.0) for leaf in range(3, 60)]
    assert shortest(view_of([(1, 0, 1.0), (0, 2, 1.0), *hub, (1, 60, 1.0), (60, 2, 1.0)]), 1, 2) == [1, 60, 2]
    assert shortest(view_of([(0, 1, 9.0), (1, 3, 9.0), (0, 2, 0.1), (2, 3, 0.1)]), 0, 3) == [0, 1, 3]


def test_no_way_itself_and_numbers_that_are_none() -> None:
    view = view_of([(0, 1, 1.0), (2, 3, 1.0)])
    assert shortest(view, 0, 3) == []
    assert shortest(view, 2, 2) == [2]
    assert shortest(view_of([(0, 1, 1.0), (1, 2, 1.0)]), 0, 2, longest=1) == []
    with pytest.raises(IndexError):
        shortest(view, 0, 4)


def planted(size: int, count: int, inside: float, outside: float, seed: int) -> GraphView:
    draw = random.Random(seed)
    edges = []
    for a, b in itertools.combinations(range(size * count), 2):
        if draw.random() < (inside if a // size == b // size else outside):
            edges.append((a, b, 1.0))
    return view_of(edges, count=size * count)


@pytest.mark.parametrize("seed", range(3))
def test_planted_communities_are_found(seed: int) -> None:
    view = planted(20, 6, 0.5, 0.02, seed)
    labels = communities(view)
    assert len(np.unique(labels)) == 6
    right = sum(
        (labels[a] == labels[b]) == (a // 20 == b // 20) for a, b in itertools.combinations(range(len(labels)), 2)
    )
    assert right / (120 * 119 / 2) > 0.98
    assert modularity(view, labels) > 0.6
    assert np.array_equal(labels, communities(view))


def test_communities_hold_together_and_are_numbered_by_size() -> None:
    view = planted(12, 10, 0.3, 0.03, 5)
    labels = communities(view)
    sizes = np.bincount(labels)
    assert list(sizes) == sorted(sizes, reverse=True)
    joined = {(int(a), int(b)) for a, b in zip(view.heads, view.tails, strict=True)}
    for label in range(len(sizes)):
        members = set(np.flatnonzero(labels == label).tolist())
        reached, front = set(), {min(members)}
        while front:
            reached |= front
            front = {b for p in joined for a, b in (p, p[::-1]) if a in front and b in members} - reached
        assert reached == members


def test_groups_of_a_view() -> None:
    triangles = [(0, 1, 2.0), (1, 2, 1.0), (0, 2, 1.0), (3, 4, 1.0), (4, 5, 1.0), (3, 5, 1.0), (2, 3, 0.1), (6, 7, 1.0)]
    view = view_of(triangles, {10: [0, 1, 2], 11: [3, 4], 12: [2, 3], 13: [0, 1], 14: [6, 7]}, count=9)
    labels = communities(view)
    assert [sorted(g.members) for g in groups(view, labels)] == [[0, 1, 2], [3, 4, 5]]
    first = groups(view, labels)[0]
    assert first.members[0] in (0, 1)
    assert [int(view.chunks[i]) for i in first.chunks] == [10, 13]
    assert len(groups(view, labels, least=1, most=3)) == 3


def test_a_view_of_nothing() -> None:
    nothing = view_of([])
    assert len(communities(nothing)) == 0
    assert groups(nothing, communities(nothing)) == []
    assert modularity(view_of([], count=3), [0, 1, 2]) == 0.0
    assert len(np.unique(communities(view_of([], count=3)))) == 3
