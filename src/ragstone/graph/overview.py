"""A graph from afar: its most connected entities, and what joins them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .view import GraphView, Numbers, Weights


def strongest(view: GraphView, limit: int) -> NDArray[np.int64]:
    """Numbers of the `limit` entities whose edges are strongest together, the strongest first; of equal ones the one
    with the smaller number."""
    count = len(view.entities)
    pull = np.bincount(view.heads, view.strengths, count) + np.bincount(view.tails, view.strengths, count)
    if limit < count:
        cut = np.partition(pull, count - limit)[count - limit]
        chosen = np.flatnonzero(pull >= cut)
    else:
        chosen = np.arange(count)
    return chosen[np.argsort(-pull[chosen], kind="stable")][:limit]


def among(view: GraphView, numbers: NDArray[np.int64], most: int) -> tuple[Numbers, Numbers, Weights, bool]:
    """The edges between entities of `numbers`: places of both ends there, and strengths, the strongest first, at most
    `most`; and whether there were more."""
    place = np.full(len(view.entities), -1, np.int32)
    place[numbers] = np.arange(len(numbers), dtype=np.int32)
    kept = np.flatnonzero((place[view.heads] >= 0) & (place[view.tails] >= 0))
    order = kept[np.argsort(-view.strengths[kept], kind="stable")][:most]
    return place[view.heads[order]], place[view.tails[order]], view.strengths[order], len(kept) > most
