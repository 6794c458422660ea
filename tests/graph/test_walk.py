"""Walks over views, and the entities of a question."""

from __future__ import annotations

import random

import numpy as np
import pytest

from graph_views import frame_of_rows, view_of
from ragstone.graph.codec import columns, encode
from ragstone.graph.contents import Contents
from ragstone.graph.entities import Entities
from ragstone.graph.linking import linked, rarity
from ragstone.graph.view import GraphView
from ragstone.graph.viewing import frame_of
from ragstone.graph.walk import BY_EDGES, HUB, RESTART, walk
from ragstone.graph_types import Extraction, Mention, MentionKind


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


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_walk_is_close_to_the_exact_one(seed: int, sealed: bool) -> None:
    draw = random.Random(seed)
    chunks = {10 + i: draw.sample(range(30), 4) for i in range(40)}
    chunks[99] = list(range(30))
    edges = [(a, b, 1.0) for a in range(30) for b in range(a) if draw.random() < 0.1]
    frame, entity = frame_of_rows(edges, chunks, sealed=sealed)
    places, shares = walk(frame, {entity[3]: 1.0}, {0: 0.5, 7: 0.5})
    wanted = exact(view_of(edges, chunks, count=30), {3: 1.0}, {0: 0.5, 7: 0.5})
    given = np.zeros(len(chunks))
    given[places] = shares
    assert np.abs(given - wanted).sum() < 0.06
    assert len(set(np.argsort(-given)[:6]) & set(np.argsort(-wanted)[:6])) >= 5


@pytest.mark.parametrize("sealed", [True, False])
def test_a_walk_prefers_rare_bridges_and_passes_no_hubs(sealed: bool) -> None:
    many = {i: [0] for i in range(3, 3 + HUB)}
    frame, _ = frame_of_rows([], {0: [0, 1], 1: [1], 2: [2], **many}, sealed=sealed)
    places, shares = walk(frame, {}, {0: 1.0})
    found = dict(zip(places.tolist(), shares.tolist(), strict=True))
    assert found[1] > 0.04
    assert set(found) == {0, 1}


def test_nothing_to_begin_on() -> None:
    frame, _ = frame_of_rows([(0, 1, 1.0)], {1: [0, 1]})
    assert len(walk(frame, {}, {})[0]) == 0
    assert len(walk(frame_of_rows([], {})[0], {}, {})[0]) == 0


def test_entities_of_a_question() -> None:
    said = {1: ("melanie", "pottery class"), 2: ("melanie",), 3: ("melanie", "class", "st. louis"), 4: ("the", "is")}
    kinds: dict[str, MentionKind] = {"melanie": "name", "st. louis": "name"}
    contents = Contents()
    for chunk, names in said.items():
        mentions = tuple(Mention(0, 0, name, name, kinds.get(name, "term"), 1.0) for name in names)
        contents.put(chunk, columns(encode(Extraction("1", mentions), "en")))
    entities = Entities(contents)
    entities.follow()
    frame = frame_of(contents, entities, 1)
    links = linked(frame, "Is Melanie's the pottery class?")
    weight = {frame.entity(link.entity).name: link.weight for link in links}
    number = {name: frame.number_of_norm(name) for name in weight}
    assert set(weight) == {"melanie", "pottery class", "class"}
    assert weight["melanie"] == pytest.approx(rarity(frame, number["melanie"]))
    assert weight["pottery class"] == pytest.approx(0.5 * rarity(frame, number["pottery class"]))
    assert rarity(frame, number["class"]) > rarity(frame, number["melanie"])
    assert {link.entity: link.kind for link in links} == {n: frame.entity(n).kind for n in number.values()}
    assert linked(frame, "Is the?") == linked(frame, "") == []
    assert [frame.entity(link.entity).name for link in linked(frame, "Who lives in St.  Louis, Missouri?")] == ["st. louis"]
