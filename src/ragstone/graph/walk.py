"""Personalised PageRank over passages and entities, with an amount of work that does not grow with the graph.

A walker stands on a chunk or an entity. From a chunk it goes to what the chunk mentions, rare entities first and those
that say nothing (`generic.py`) not at all; from an
entity to chunks that mention it, or to entities that it has an edge with; and with RESTART back to where it began. The
shares of its time are approached by pushing mass along (Andersen, Chung, Lang: Local Graph Partitioning using PageRank
Vectors, 2006), many nodes in one step, the fullest first, until ROUNDS or STEPS are used up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..protocols import Ids, Scores
from .packed import different
from .viewing import Frame

RESTART: Final = 0.5
ROUNDS: Final = 3
STEPS: Final = 4_000
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
    total = sum(entities.values()) + sum(chunks.values())
    if total <= 0.0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    places, of_places = _begun(chunks, total)
    reached, of_reached = _begun(entities, total)
    came = [(places, of_places)]
    for rounds in range(ROUNDS, 0, -1):
        last = rounds == 1  # only what comes to chunks is told
        if last:
            places, of_places = places[:0], of_places[:0]
        chosen = _chosen(frame, places, of_places, reached, of_reached)
        places, of_places = _together([_by_mentions(frame, chosen)])
        came.append((places, of_places))
        if not last:
            waits = ~np.isin(reached, chosen.entities)
            left = reached[waits], of_reached[waits]  # what had no room has its turn in the next round
            reached, of_reached = _together([_by_members(frame, chosen), _by_edges(frame, chosen), left])
    seen, arrived = _together(came)
    return seen, (RESTART * arrived).astype(np.float32)


_Mass = tuple[NDArray[np.int64], Floats]
"""What mass came to, and how much."""


def _begun(weights: Mapping[int, float], total: float) -> _Mass:
    numbers = sorted(weights)
    return np.array(numbers, np.int64), np.array([weights[number] / total for number in numbers], np.float64)


def _together(parts: Sequence[_Mass]) -> _Mass:
    """Each once, rising."""
    every, mass = (np.concatenate(each) for each in zip(*parts, strict=True))
    found = different(every)
    return found, np.bincount(np.searchsorted(found, every), mass, len(found)).astype(np.float64, copy=False)


class _Chosen(NamedTuple):
    """Chunks and entities that pass mass on, the fullest first, without what stays there; `nodes` of the entities, with
    `owners` among them."""

    places: NDArray[np.int64]
    of_places: Floats
    entities: NDArray[np.int64]
    of_entities: Floats
    nodes: NDArray[np.integer]
    owners: NDArray[np.int64]


def _chosen(
    frame: Frame, places: NDArray[np.int64], of_places: Floats, entities: NDArray[np.int64], of_entities: Floats
) -> _Chosen:
    """Those with most mass whose mentions and ties fit into STEPS; no hubs."""
    count = len(places)
    nodes, owners = frame.nodes(entities)
    between = np.bincount(owners, frame.degree[nodes], len(entities)).astype(np.int64)
    degrees = np.concatenate([frame.said_of(places), frame.entity_chunks[entities] + between])
    mass = np.concatenate([of_places, of_entities])
    ties = np.concatenate([frame.chunk_ids(places).astype(np.uint64), frame.ties(entities)])
    kept = np.flatnonzero((degrees > 0) & (degrees <= HUB))
    kept = kept[np.lexsort((ties[kept], -mass[kept]))]
    kept = kept[np.cumsum(degrees[kept]) <= STEPS]
    said, named = kept[kept < count], kept[kept >= count] - count
    place = np.full(len(entities), -1)
    place[named] = np.arange(len(named))
    own = np.flatnonzero(place[owners] >= 0)
    goes = 1.0 - RESTART
    return _Chosen(
        places[said], goes * of_places[said], entities[named], goes * of_entities[named], nodes[own],
        place[owners[own]],
    )  # fmt: skip


def _by_mentions(frame: Frame, chosen: _Chosen) -> _Mass:
    """From entities to chunks."""
    owner, place, weight = frame.places_of(chosen.nodes, chosen.owners)
    return place, _shared(owner, weight, (1.0 - BY_EDGES) * chosen.of_entities)


def _by_edges(frame: Frame, chosen: _Chosen) -> _Mass:
    owner, other, strength = frame.edges_of(chosen.entities, chosen.nodes, chosen.owners)
    return other, _shared(owner, strength, BY_EDGES * chosen.of_entities)


def _by_members(frame: Frame, chosen: _Chosen) -> _Mass:
    """From chunks to entities."""
    owner, entity, weight = frame.members(chosen.places)
    rare = np.log1p(frame.chunk_count / np.maximum(frame.entity_chunks[entity], 1))
    telling = ~frame.generic[entity]
    return entity[telling], _shared(owner[telling], (weight * rare)[telling], chosen.of_places)


def _shared(owner: NDArray[np.int64], weights: NDArray[np.float64] | NDArray[np.int64], mass: Floats) -> Floats:
    """The part of its owner's mass that each weight gets."""
    total = np.bincount(owner, weights, len(mass))
    return np.asarray(weights * (mass / np.maximum(total, 1e-12))[owner], dtype=np.float64)
