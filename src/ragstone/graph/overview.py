"""A graph from afar: its most connected entities, what joins them, and where they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .placing import Circle, planned
from .view import GraphView, Numbers, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """Of `view`: the entities `numbers`, the most connected first, at `places` float64[n, 2]. `heads` and `tails` of
    edges, and the `members` of communities, are places in `numbers`. Edges: what stands out most first; `hidden`: how
    many more join these entities."""

    view: GraphView
    numbers: NDArray[np.int64]
    heads: Numbers
    tails: Numbers
    weights: Weights
    hidden: int
    places: NDArray[np.float64]
    circles: tuple[Circle, ...]


def overview(view: GraphView, limit: int, most: int) -> Overview:
    """At most `limit` entities and `most` edges."""
    numbers = strongest(view, limit)
    heads, tails, weights = among(view, numbers)
    kept = backbone(len(numbers), heads, tails, weights, most)
    hidden = len(heads) - len(kept)
    heads, tails, weights = heads[kept], tails[kept], weights[kept]
    plan = planned(len(numbers), heads, tails, weights)
    return Overview(view, numbers, heads, tails, weights, hidden, plan.places, plan.circles)


def strongest(view: GraphView, limit: int) -> NDArray[np.int64]:
    """Numbers of the `limit` entities whose edges are strongest together, the strongest first; of equal ones the one
    with the smaller number. What says nothing comes last, and its edges count for nobody."""
    count, kept = len(view.entities), view.telling()
    heads, tails, strengths = view.heads[kept], view.tails[kept], view.strengths[kept]
    pull = np.bincount(heads, strengths, count) + np.bincount(tails, strengths, count) - view.generic
    if limit < count:
        cut = np.partition(pull, count - limit)[count - limit]
        chosen = np.flatnonzero(pull >= cut)
    else:
        chosen = np.arange(count)
    return chosen[np.argsort(-pull[chosen], kind="stable")][:limit]


def among(view: GraphView, numbers: NDArray[np.int64]) -> tuple[Numbers, Numbers, Weights]:
    """The edges between entities of `numbers`: places of both ends there, and strengths."""
    place = np.full(len(view.entities), -1, np.int32)
    place[numbers] = np.arange(len(numbers), dtype=np.int32)
    kept = np.flatnonzero((place[view.heads] >= 0) & (place[view.tails] >= 0))
    return place[view.heads[kept]], place[view.tails[kept]], view.strengths[kept]


def backbone(count: int, heads: Numbers, tails: Numbers, weights: Weights, most: int) -> NDArray[np.int64]:
    """The `most` edges that stand out, what stands out most first: of each entity the strongest, then those that are
    least likely by chance for one of their ends, given how strong all its edges are and how many (the disparity filter
    of Serrano, Boguñá and Vespignani, 2009). The strongest of all would be those of words that stand everywhere."""
    w = np.maximum(weights.astype(np.float64), 1e-9)
    ends, double = np.concatenate((heads, tails)), np.concatenate((w, w))
    total, degree = np.bincount(ends, double, count), np.bincount(ends, minlength=count)
    share = np.minimum(double / total[ends], 1.0 - 1e-12)
    chance = np.where(degree[ends] > 1, (degree[ends] - 1) * np.log1p(-share), 0.0)
    least = np.minimum(chance[: len(heads)], chance[len(heads) :])
    strongest = np.zeros(count)
    np.maximum.at(strongest, ends, double)
    at = np.flatnonzero(double == strongest[ends])[::-1]
    first = np.full(count, -1)
    first[ends[at]] = at  # of equally strong ones, the first
    rest = np.ones(len(heads), dtype=np.bool_)
    rest[first[first >= 0] % max(1, len(heads))] = False
    best, others = np.flatnonzero(~rest), np.flatnonzero(rest)
    room = most - len(best)
    if 0 < room < len(others):  # only these are put in order
        others = others[least[others] <= np.partition(least[others], room)[room]]
    return np.concatenate([some[np.lexsort((-w[some], least[some]))] for some in (best, others)])[:most]
