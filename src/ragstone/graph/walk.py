"""Personalised PageRank over passages and entities, with an amount of work that does not grow with the graph.

A walker stands on a chunk or an entity. From a chunk it goes to what the chunk mentions, rare entities first and those
that say nothing (`generic.py`) not at all; from an
entity to chunks that mention it, or to entities that it has an edge with; and with RESTART back to where it began. The
shares of its time are approached by pushing mass along (Andersen, Chung, Lang: Local Graph Partitioning using PageRank
Vectors, 2006), many nodes in one step, the fullest first, until ROUNDS or STEPS are used up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..protocols import Ids, Scores
from .viewing import Frame

RESTART: Final = 0.5
ROUNDS: Final = 4
STEPS: Final = 2_000
"""Mentions and ties of nodes that mass is pushed along in one round."""
HUB: Final = 1_000
"""What has more neighbours passes nothing on: what each of them would get is nothing."""
BY_EDGES: Final = 0.2
"""Share of an entity's mass that goes along its edges; the rest goes to chunks that mention it."""

Floats = NDArray[np.float64]


def walk(frame: Frame, entities: Mapping[int, float], chunks: Mapping[int, float]) -> tuple[Ids, Scores]:
    """Chunks of the frame (rising places) with the share of time there, of walks that begin on the entities and chunks
    in proportion to their weights. Empty where there is nothing to begin on. Nothing is prepared: what a walk passes is
    read in place, 2 to 4 ms."""
    count = len(frame.alive)
    seeds = {**chunks, **{entity + count: weight for entity, weight in entities.items()}}
    total = sum(seeds.values())
    if total <= 0.0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    stayed, waiting = np.zeros(count + len(frame.root)), np.zeros(count + len(frame.root))
    active = np.array(sorted(seeds), dtype=np.int64)
    waiting[active] = [seeds[int(node)] / total for node in active]
    touched = [active]
    for _ in range(ROUNDS):
        active = _chosen(frame, active, waiting)
        if not len(active):
            break
        mass = waiting[active]
        waiting[active] = 0.0
        stayed[active] += RESTART * mass
        places = active < count
        others, of_others = active[~places] - count, mass[~places]
        reached = [_from_chunks(frame, active[places], mass[places]), *_from_entities(frame, others, of_others)]
        targets = np.concatenate([found for found, _ in reached])
        np.add.at(waiting, targets, (1.0 - RESTART) * np.concatenate([shares for _, shares in reached]))
        active = np.unique(targets)
        touched.append(active)
    seen = np.unique(np.concatenate(touched))
    seen = seen[seen < count]
    return seen, (stayed[seen] + RESTART * waiting[seen]).astype(np.float32)


def _chosen(frame: Frame, active: NDArray[np.int64], waiting: Floats) -> NDArray[np.int64]:
    """Those with most mass whose mentions and ties fit into STEPS, the fullest first; no hubs."""
    count, sealed = len(frame.alive), frame.contents.sealed
    chunk = active < count
    degrees, ties = np.zeros(len(active), np.int64), np.zeros(len(active), np.uint64)
    places, entities = active[chunk], active[~chunk] - count
    old = places < len(sealed.chunks)
    rows = np.zeros(len(places), np.int64)
    rows[old] = sealed.member_starts[places[old] + 1] - sealed.member_starts[places[old]]
    new = places[~old] - len(sealed.chunks)
    rows[~old] = frame.changes.starts[new + 1] - frame.changes.starts[new]
    degrees[chunk], ties[chunk] = rows, frame.chunk_ids(places)
    nodes, owners = frame.nodes(entities)
    between = np.bincount(owners, frame.degree[nodes], len(entities)).astype(np.int64)
    degrees[~chunk], ties[~chunk] = frame.entity_chunks[entities] + between, frame.ties(entities)
    kept = np.flatnonzero((degrees > 0) & (degrees <= HUB))
    kept = kept[np.lexsort((ties[kept], -waiting[active[kept]]))]
    return active[kept[np.cumsum(degrees[kept]) <= STEPS]]


def _from_chunks(frame: Frame, places: NDArray[np.int64], mass: Floats) -> tuple[NDArray[np.int64], Floats]:
    owner, entity, weight = frame.members(places)
    rare = np.log1p(frame.chunk_count / np.maximum(frame.entity_chunks[entity], 1))
    telling = ~frame.generic[entity]
    owner, entity, weight = owner[telling], entity[telling], (weight * rare)[telling]
    return entity + len(frame.alive), _shared(owner, weight, mass)


def _from_entities(
    frame: Frame, entities: NDArray[np.int64], mass: Floats
) -> tuple[tuple[NDArray[np.int64], Floats], tuple[NDArray[np.int64], Floats]]:
    owner, place, weight = frame.places(entities)
    tied, other, strength = frame.edges(entities)
    back = place, _shared(owner, weight, (1.0 - BY_EDGES) * mass)
    return back, (other + len(frame.alive), _shared(tied, strength, BY_EDGES * mass))


def _shared(owner: NDArray[np.int64], weights: NDArray[np.float64] | NDArray[np.int64], mass: Floats) -> Floats:
    """The part of its owner's mass that each weight gets."""
    total = np.bincount(owner, weights, len(mass))
    return np.asarray(weights * (mass / np.maximum(total, 1e-12))[owner], dtype=np.float64)
