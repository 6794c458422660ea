"""Entities that belong together more than with others: communities of highest modularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .view import GraphView, Numbers, Weights

Wide = NDArray[np.int64]
Reals = NDArray[np.float64]
MOST_LEVELS: Final = 10
ROUNDS: Final = 6
"""Of moves at a level, on the way up and on the way down: half of the nodes have a turn in each."""
LEAST_GAIN: Final = 1e-6
"""Of modularity by a level; below it the groups stay."""
_DIGITS: Final = 50
"""Bits of the sum of all weights."""


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
    half of them, in turns, move to the best one. Nodes move once more where groups were joined, from the largest groups
    down to single nodes (Rotta and Noack, 2011). A group in pieces is parted at the end, as Leiden (Traag et al., 2019)
    demands. The same edges give the same communities. A round takes O(edges · log edges)."""
    if not count:
        return np.zeros(0, dtype=np.int32)
    level = _level(heads, tails, _whole(weights), np.zeros(count))
    own = np.arange(count, dtype=np.int32)
    steps: list[tuple[_Level, Numbers]] = []
    for _ in range(MOST_LEVELS):
        found, gained = _moved(level, np.arange(len(level.loops), dtype=np.int32), resolution)
        if gained < LEAST_GAIN:
            break
        groups, place = np.unique(found, return_inverse=True)
        own = place.astype(np.int32)
        steps.append((level, own))
        level = _folded(level, own, len(groups))
    labels = np.arange(len(level.loops), dtype=np.int32)
    while steps:
        level, own = steps.pop()
        labels, _ = _moved(level, labels[own], resolution)
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


class _Level(NamedTuple):
    """Groups of nodes, and the edges between them. `loops`: twice the weight of the edges within each; `degree`: the
    weight of all its edges; `second`: whether it has the second turn; `ends`: by turn, edges from those that have it:
    one end, the other, weight. Weights are whole numbers: their sums do not depend on the order of a sort."""

    heads: Numbers
    tails: Numbers
    weights: Reals
    loops: Reals
    degree: Reals
    second: NDArray[np.bool_]
    ends: tuple[tuple[Numbers, Numbers, Reals], ...]


def _whole(weights: Weights) -> Reals:
    _, size = np.frexp(float(weights.sum(dtype=np.float64)))
    return np.asarray(np.maximum(np.rint(np.ldexp(weights.astype(np.float64), _DIGITS - int(size))), 1.0))


def _level(heads: Numbers, tails: Numbers, weights: Reals, loops: Reals) -> _Level:
    count = len(loops)
    degree = np.bincount(heads, weights, count) + np.bincount(tails, weights, count) + loops
    second = (_mixed(np.arange(count)) & 1).astype(np.bool_)
    of_head, of_tail = second[heads], second[tails]
    ends = []
    for some, others in ((~of_head, ~of_tail), (of_head, of_tail)):
        at, back = np.flatnonzero(some), np.flatnonzero(others)
        ends.append((
            np.concatenate([heads[at], tails[back]]), np.concatenate([tails[at], heads[back]]),
            np.concatenate([weights[at], weights[back]]),
        ))  # fmt: skip
    return _Level(heads, tails, weights, loops, degree, second, tuple(ends))


def _moved(level: _Level, own: Numbers, resolution: float) -> tuple[Numbers, float]:
    """The group of each node after rounds of moves from `own`, and the modularity gained. After its first turn a node
    looks again where a neighbour went to another group than its own."""
    count, total = len(level.loops), float(level.degree.sum())
    if not total:
        return own, 0.0
    mass: Reals = np.bincount(own, level.degree, count).astype(np.float64)
    begin = best = _quality(level, own, mass, resolution)
    kept, open_ = own, np.ones(count, dtype=np.bool_)
    for number in range(ROUNDS):
        source, target, weight = level.ends[number & 1]
        if number > 1:
            some = np.flatnonzero(open_[source])
            source, target, weight = source[some], target[some], weight[some]
        open_[level.second == bool(number & 1)] = False
        if not len(source):
            continue
        nodes, groups = _choices(level, own, mass, resolution, (source, target, weight))
        if not len(nodes):
            continue
        own = own.copy()
        own[nodes] = groups
        went = np.zeros(count, dtype=np.bool_)
        went[nodes] = True
        near = np.flatnonzero(went[source])
        source, target = source[near], target[near]
        open_[target[own[target] != own[source]]] = True
        mass = np.bincount(own, level.degree, count).astype(np.float64)
        quality = _quality(level, own, mass, resolution)
        if quality > best + 1e-9:
            best, kept = quality, own
    return kept, best - begin


def _choices(
    level: _Level, own: Numbers, mass: Reals, resolution: float, ends: tuple[Numbers, Numbers, Reals]
) -> tuple[Numbers, Numbers]:
    """Nodes among those that edges begin at for which another group is better, and the best one of each."""
    count, total = len(mass), float(level.degree.sum())
    source, target, weight = ends
    keys = source.astype(np.int64) * count + own[target]
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    gain = np.add.reduceat(weight[order], first)
    keys = keys[first]
    node = keys // count
    group = keys - node * count
    row = np.flatnonzero(np.concatenate(([True], node[1:] != node[:-1])))
    nodes, sizes = node[row], np.diff(np.append(row, len(node)))
    here, degree = own[nodes], level.degree[nodes]
    pull = resolution * degree / total
    gain -= np.repeat(pull, sizes) * mass[group]
    stay = -pull * (mass[here] - degree)  # where a node has no neighbour in its group
    same = np.flatnonzero(group == np.repeat(here, sizes))
    of = np.searchsorted(row, same, side="right") - 1
    gain[same] += pull[of] * degree[of]
    stay[of] = gain[same]
    top = np.maximum.reduceat(gain, row)
    highest = np.flatnonzero(gain == np.repeat(top, sizes))
    there = group[highest[np.searchsorted(highest, row)]]
    # of two single nodes that want each other's place, the one with the larger number moves
    alone = np.bincount(own, minlength=count) == 1
    goes = (top > stay + 1e-12 * total) & (~(alone[here] & alone[there]) | (there < here))
    return nodes[goes].astype(np.int32), there[goes].astype(np.int32)


def _quality(level: _Level, own: Numbers, mass: Reals, resolution: float) -> float:
    total = float(level.degree.sum())
    within = 2.0 * float(level.weights[own[level.heads] == own[level.tails]].sum()) + float(level.loops.sum())
    return within / total - resolution * float(((mass / total) ** 2).sum())


def _folded(level: _Level, own: Numbers, count: int) -> _Level:
    """Of groups: edges between them, each pair once."""
    a, b = own[level.heads], own[level.tails]
    same = a == b
    within = np.bincount(a[same], level.weights[same], count)
    apart = np.flatnonzero(~same)
    a, b = a[apart], b[apart]
    keys = np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)])
    weights = np.add.reduceat(level.weights[apart][order], first) if len(first) else np.zeros(0)
    low = keys[first] // count
    high = keys[first] - low * count
    loops = np.bincount(own, level.loops, count) + 2.0 * within
    return _level(low.astype(np.int32), high.astype(np.int32), weights, loops)


def _connected(heads: Numbers, tails: Numbers, labels: Numbers) -> Wide:
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
