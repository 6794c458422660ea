"""Entities that belong together more than with others: communities of highest modularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .view import GraphView, Numbers, Weights

Wide = NDArray[np.int64]
Reals = NDArray[np.float64]
MOST_LEVELS: Final = 10
MOST_ROUNDS: Final = 20
LEAST_GAIN: Final = 1e-6
"""Of modularity by a level; below it the groups stay."""


@dataclass(frozen=True, slots=True)
class Group:
    """`members`: entities, the most central first, and their `strengths` within the group. `chunks`: chunks of the
    view that mention at least two of them, those with the largest shares first."""

    members: tuple[int, ...]
    strengths: tuple[float, ...]
    chunks: tuple[int, ...]


def communities(view: GraphView, resolution: float = 1.0) -> Numbers:
    """int32[n]: the community of each entity, numbered by falling size (ties: smallest entity). Entities without an
    edge, and those that say nothing, are communities of their own.

    See `partition`."""
    kept = view.telling()
    return partition(len(view.entities), view.heads[kept], view.tails[kept], view.strengths[kept], resolution)


def partition(count: int, heads: Numbers, tails: Numbers, weights: Weights, resolution: float = 1.0) -> Numbers:
    """int32[count]: the community of each of `count` nodes that edges join, numbered as by `communities`.

    Louvain (Blondel et al., 2008) with moves in rounds: every node looks at the groups of its neighbours at once and
    half of them, in turns, move to the best one. A group in pieces is parted at the end, as Leiden (Traag et al.,
    2019) demands. The same edges give the same communities. A round takes O(edges · log edges)."""
    if not count:
        return np.zeros(0, dtype=np.int32)
    labels = np.arange(count, dtype=np.int64)
    a, b = heads.astype(np.int64), tails.astype(np.int64)
    w = np.maximum(weights.astype(np.float64), 1e-9)
    loops: Reals = np.zeros(count, dtype=np.float64)  # twice the weight of the edges within a node of a level
    for _ in range(MOST_LEVELS):
        own, gained = _moved(a, b, w, loops, resolution)
        if gained < LEAST_GAIN:
            break
        groups, own = np.unique(own, return_inverse=True)
        labels = own[labels]
        a, b, w, within = _folded(own[a], own[b], w, len(groups))
        loops = np.bincount(own, loops, len(groups)) + 2.0 * within
    return _numbered(_connected(heads, tails, labels))


def groups(view: GraphView, labels: Numbers, *, least: int = 3, most: int = 50) -> list[Group]:
    """The `most` largest communities that have at least `least` entities."""
    count = len(view.entities)
    sizes = np.bincount(labels, minlength=1)
    wanted = [int(label) for label in np.flatnonzero(sizes >= least)[:most]]
    inside = labels[view.heads] == labels[view.tails]
    strength = np.bincount(view.heads[inside], view.strengths[inside], count)
    strength += np.bincount(view.tails[inside], view.strengths[inside], count)
    by_label = np.lexsort((np.arange(count), -strength, labels))
    begins = np.searchsorted(labels[by_label], np.arange(len(sizes) + 1))
    chunk = np.repeat(np.arange(len(view.chunks)), np.diff(view.starts))
    key = labels[view.members].astype(np.int64) * max(1, len(view.chunks)) + chunk
    pairs, place = np.unique(key, return_inverse=True)
    shares = np.bincount(place, view.shares, len(pairs))
    often = np.bincount(place, minlength=len(pairs)) >= 2
    pairs, shares = pairs[often], shares[often]
    of = pairs // max(1, len(view.chunks))
    order = np.lexsort((pairs, -shares, of))
    edges = np.searchsorted(of[order], np.arange(len(sizes) + 1))
    return [
        Group(
            tuple(by_label[begins[label] : begins[label + 1]].tolist()),
            tuple(strength[by_label[begins[label] : begins[label + 1]]].tolist()),
            tuple((pairs[order[edges[label] : edges[label + 1]]] % max(1, len(view.chunks))).tolist()),
        )
        for label in wanted
    ]


def modularity(view: GraphView, labels: Sequence[int] | Numbers, resolution: float = 1.0) -> float:
    """Newman and Girvan, 2004; 0 for a view without edges."""
    own = np.asarray(labels, dtype=np.int64)
    w = np.maximum(view.strengths.astype(np.float64), 1e-9)
    total = 2.0 * float(w.sum())
    if not total:
        return 0.0
    degrees = np.bincount(own[view.heads], w) if not len(own) else np.bincount(own[view.heads], w, int(own.max()) + 1)
    degrees = degrees + np.bincount(own[view.tails], w, len(degrees))
    within = 2.0 * float(w[own[view.heads] == own[view.tails]].sum())
    return within / total - resolution * float(((degrees / total) ** 2).sum())


def _moved(a: Wide, b: Wide, w: Reals, loops: Reals, resolution: float) -> tuple[Wide, float]:
    """The group of each node after rounds of moves, and the modularity gained."""
    count = len(loops)
    degree = np.bincount(a, w, count) + np.bincount(b, w, count) + loops
    total = float(degree.sum())
    own = np.arange(count, dtype=np.int64)
    if not total:
        return own, 0.0
    source, target, weight = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([w, w])
    turn = _mixed(np.arange(count)) & 1
    begin = best = _quality(a, b, w, loops, own, degree, total, resolution)
    kept, stale = own, 0
    for number in range(MOST_ROUNDS):
        mass = np.bincount(own, degree, count)
        keys, place = np.unique(source * count + own[target], return_inverse=True)
        towards = np.bincount(place, weight, len(keys))
        node, group = keys // count, keys % count
        staying = group == own[node]
        gain = towards - resolution * degree[node] * (mass[group] - np.where(staying, degree[node], 0.0)) / total
        here = -resolution * degree * (mass[own] - degree) / total  # where a node has no neighbour in its group
        here[node[staying]] = gain[staying]
        order = np.lexsort((group, -gain, node))
        first = order[np.flatnonzero(np.diff(node[order], prepend=-1))]
        goes = (gain[first] > here[node[first]] + 1e-12) & (turn[node[first]] == number & 1)
        # of two single nodes that want each other's place, the one with the larger number moves
        alone = (np.bincount(own, minlength=count) == 1)[own]
        both = alone[node[first]] & alone[group[first]]
        goes &= ~both | (group[first] < node[first])
        if goes.any():
            own = own.copy()
            own[node[first][goes]] = group[first][goes]
            quality = _quality(a, b, w, loops, own, degree, total, resolution)
            if quality > best + 1e-9:
                best, kept, stale = quality, own, 0
                continue
        stale += 1
        if stale > 3:
            break
    return kept, best - begin


def _quality(
    a: Wide, b: Wide, w: Reals, loops: Reals, own: Wide, degree: Reals, total: float, resolution: float
) -> float:
    within = 2.0 * float(w[own[a] == own[b]].sum()) + float(loops.sum())
    return within / total - resolution * float(((np.bincount(own, degree) / total) ** 2).sum())


def _folded(a: Wide, b: Wide, w: Reals, count: int) -> tuple[Wide, Wide, Reals, Reals]:
    """Edges between groups, each pair once, and the weight within each group."""
    same = a == b
    within: Reals = np.bincount(a[same], w[same], count).astype(np.float64)
    low, high = np.minimum(a, b)[~same], np.maximum(a, b)[~same]
    keys, place = np.unique(low * count + high, return_inverse=True)
    between: Reals = np.bincount(place, w[~same], len(keys)).astype(np.float64)
    return keys // count, keys % count, between, within


def _connected(heads: Numbers, tails: Numbers, labels: Wide) -> Wide:
    """The connected parts of each group, by their smallest node."""
    part = np.arange(len(labels), dtype=np.int64)
    same = labels[heads] == labels[tails]
    a, b = heads[same], tails[same]
    while True:
        least = np.minimum(part[a], part[b])
        new = part.copy()
        np.minimum.at(new, part[a], least)
        np.minimum.at(new, part[b], least)
        new = new[new]
        if np.array_equal(new, part):
            return part
        part = new


def _numbered(part: Wide) -> Numbers:
    smallest, place, sizes = np.unique(part, return_inverse=True, return_counts=True)
    rank = np.empty(len(smallest), dtype=np.int32)
    rank[np.lexsort((smallest, -sizes))] = np.arange(len(smallest), dtype=np.int32)
    return rank[place]


def _mixed(numbers: Wide) -> Wide:
    """Bits that do not follow the order of the numbers (the finaliser of SplitMix64, Steele et al., 2014)."""
    x = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x >> np.uint64(33)).astype(np.int64)
