"""Personalised PageRank over passages and entities, with an amount of work that does not grow with the graph.

A walker stands on a chunk or an entity. From a chunk it goes to what the chunk mentions, rare entities first; from an
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
from .view import GraphView

RESTART: Final = 0.5
ROUNDS: Final = 4
STEPS: Final = 2_000
"""Edges that mass is pushed along in one round."""
HUB: Final = 1_000
"""What has more neighbours passes nothing on: what each of them would get is nothing."""
BY_EDGES: Final = 0.2
"""Share of an entity's mass that goes along its edges; the rest goes to chunks that mention it."""


class Walker:
    """A view prepared for walks: 8 bytes for each mention and edge in either direction. Safe from several threads."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        chunks, entities = len(view.chunks), len(view.entities)
        self._chunks, self._size = chunks, chunks + entities
        chunk = np.repeat(np.arange(chunks, dtype=np.int32), np.diff(view.starts))
        members, shares = view.members, view.shares.astype(np.float32)
        rare = np.log1p(chunks / np.maximum(np.bincount(members, minlength=entities), 1)).astype(np.float32)
        outward = _shared(chunk, shares * rare[members], chunks)
        back = _shared(members, shares, entities)
        heads, tails = view.heads, view.tails
        either, other = np.concatenate([heads, tails]), np.concatenate([tails, heads])
        along = _shared(either, np.concatenate([view.strengths, view.strengths]), entities)
        source = np.concatenate([members, either])
        order = np.argsort(source, kind="stable")  # chunks are in order
        targets = np.concatenate([chunk, other + chunks])[order]
        self._targets = np.concatenate([members + chunks, targets]).astype(np.int32)
        weights = np.concatenate([(1.0 - BY_EDGES) * back, BY_EDGES * along])[order]
        self._weights = np.concatenate([outward, weights]).astype(np.float32)
        starts = len(members) + np.cumsum(np.bincount(source, minlength=entities))
        self._starts = np.concatenate([view.starts, starts]).astype(np.int64)

    def walk(self, entities: Mapping[int, float], chunks: Mapping[int, float]) -> tuple[Ids, Scores]:
        """Chunks of the view (numbers, rising) with the share of time there, of walks that begin on the entities and
        chunks (numbers) in proportion to their weights. Empty where there is nothing to begin on."""
        seeds = {**chunks, **{entity + self._chunks: weight for entity, weight in entities.items()}}
        total = sum(seeds.values())
        if total <= 0.0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        stayed, waiting = np.zeros(self._size), np.zeros(self._size)
        active = np.array(sorted(seeds), dtype=np.int64)
        waiting[active] = [seeds[int(node)] / total for node in active]
        touched = [active]
        for _ in range(ROUNDS):
            active = self._chosen(active, waiting)
            if not len(active):
                break
            mass = waiting[active]
            waiting[active] = 0.0
            stayed[active] += RESTART * mass
            degrees = self._starts[active + 1] - self._starts[active]
            edges = np.repeat(self._starts[active] - np.cumsum(degrees) + degrees, degrees) + np.arange(degrees.sum())
            targets = self._targets[edges]
            np.add.at(waiting, targets, np.repeat((1.0 - RESTART) * mass, degrees) * self._weights[edges])
            active = np.unique(targets).astype(np.int64)
            touched.append(active)
        seen = np.unique(np.concatenate(touched))
        seen = seen[seen < self._chunks]
        shares = stayed[seen] + RESTART * waiting[seen]
        return seen, shares.astype(np.float32)

    def _chosen(self, active: NDArray[np.int64], waiting: NDArray[np.float64]) -> NDArray[np.int64]:
        """Those with most mass whose edges fit into STEPS; no hubs."""
        degrees = self._starts[active + 1] - self._starts[active]
        active = active[(degrees > 0) & (degrees <= HUB)]
        active = active[np.argsort(-waiting[active], kind="stable")]
        used = np.cumsum(self._starts[active + 1] - self._starts[active])
        return np.sort(active[used <= STEPS])


def _shared(owner: NDArray[np.int32], weights: Scores, count: int) -> Scores:
    """Each weight's share of the weights of its owner."""
    total = np.bincount(owner, weights, count)
    return (weights / np.maximum(total, 1e-12)[owner]).astype(np.float32)
