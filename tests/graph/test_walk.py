"""Walks over views, and the entities of a question."""

from __future__ import annotations

import random

import numpy as np
import pytest

from graph_views import view_of
from ragstone.graph.linking import linked, rarity
from ragstone.graph.view import GraphView
from ragstone.graph.walk import BY_EDGES, HUB, RESTART, Walker
from ragstone.graph_types import Mention


def exact(view: GraphView, entities: dict[int, float], chunks: dict[int, float]) -> np.ndarray:
    """Power iteration over the whole matrix."""
    c, n = len(view.chunks), len(view.entities)
    step = np.zeros((c + n, c + n))
    for chunk in range(c):
        members = view.members[view.starts[chunk] : view.starts[chunk + 1]]
        for entity in members:
            count = int((view.members == entity).sum())
            step[chunk, c + entity] = np.log1p(c / count)
            step[c + entity, chunk] = (1 - BY_EDGES) / count
    degree = np.bincount(view.heads, view.strengths, n) + np.bincount(view.tails, view.strengths, n)
    for head, tail, strength in zip(view.heads, view.tails, view.strengths, strict=True):
        step[c + head, c + tail] = BY_EDGES * strength / degree[head]
        step[c + tail, c + head] = BY_EDGES * strength / degree[tail]
    rows = step[:c].sum(axis=1, keepdims=True)
    step[:c] /= np.maximum(rows, 1e-12)
    seeds = np.zeros(c + n)
    for chunk, weight in chunks.items():
        seeds[chunk] = weight
    for entity, weight in entities.items():
        seeds[c + entity] = weight
    seeds /= seeds.sum()
    at, stayed = seeds.copy(), np.zeros(c + n)
    for _ in range(200):
        stayed += RESTART * at
        at = (1 - RESTART) * (at @ step)
    return stayed[:c]


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_is_close_to_the_exact_one(seed: int) -> None:
    draw = random.Random(seed)
    chunks = {10 + i: draw.sample(range(30), 4) for i in range(40)}
    edges = [(a, b, 1.0) for a in range(30) for b in range(a) if draw.random() < 0.1]
    view = view_of(edges, chunks, count=30)
    numbers, shares = Walker(view).walk({3: 1.0}, {0: 0.5, 7: 0.5})
    wanted = exact(view, {3: 1.0}, {0: 0.5, 7: 0.5})
    given = np.zeros(len(view.chunks))
    given[numbers] = shares
    assert np.abs(given - wanted).sum() < 0.06
    assert len(set(np.argsort(-given)[:6]) & set(np.argsort(-wanted)[:6])) >= 5


def test_a_walk_prefers_rare_bridges_and_passes_no_hubs() -> None:
    many = {i: [0] for i in range(3, 3 + HUB)}
    view = view_of([], {0: [0, 1], 1: [1], 2: [2], **many})
    numbers, shares = Walker(view).walk({}, {0: 1.0})
    found = dict(zip(numbers.tolist(), shares.tolist(), strict=True))
    assert found[1] > 0.05
    assert set(found) == {0, 1}


def test_nothing_to_begin_on() -> None:
    walker = Walker(view_of([(0, 1, 1.0)], {1: [0, 1]}))
    assert len(walker.walk({}, {})[0]) == 0
    assert len(Walker(view_of([])).walk({}, {})[0]) == 0


def test_entities_of_a_question() -> None:
    view = view_of([], {1: [0, 1], 2: [0], 3: [0, 2], 4: [3]})
    forms = {"melanie": (0,), "pottery class": (1,), "class": (2, 3), "the": (2,), "is": (3,)}
    counted = GraphView(
        tuple(e for e in _counted(view)), view.chunks, view.starts, view.members, view.shares, view.heads, view.tails,
        view.strengths, forms,
    )  # fmt: skip
    links = linked(counted, "Is Melanie's the pottery class?", [Mention(3, 10, "Melanie", "melanie", "name", 1.0)])
    assert {link.entity for link in links} == {0, 1, 2, 3}
    weight = {link.entity: link.weight for link in links}
    assert weight[0] == pytest.approx(rarity(counted, 0))
    assert weight[1] == pytest.approx(0.5 * rarity(counted, 1))
    assert weight[2] == pytest.approx(0.25 * rarity(counted, 2))
    assert rarity(counted, 1) > rarity(counted, 0)
    assert linked(counted, "Is the?", []) == []


def _counted(view: GraphView):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    counts = np.bincount(view.members, minlength=len(view.entities))
    return [replace(e, chunks=int(n)) for e, n in zip(view.entities, counts, strict=True)]
