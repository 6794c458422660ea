"""What a graph has beside its sealed tables: rows of the chunks that came, and what they and the chunks that went
change of pairs and degrees. Made anew at every state, in time that grows with what changed, not with the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .contents import Contents, Said, sealed_said
from .packed import grouped, rows_of, starts_of, summed
from .sealed import Ints, Longs, Sealed

_BITS: Final = 32
LOW: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Rows of some nodes: those of `nodes[i]` (rising) are `[starts[i], starts[i + 1])` of the rest."""

    nodes: Longs
    starts: Longs
    item: Longs
    weight: Longs

    def of(self, nodes: NDArray[np.integer]) -> tuple[Longs, Longs, Longs]:
        """Items with weights of some nodes, and to which of `nodes` each belongs."""
        if not len(self.nodes):
            return _NONE, _NONE, _NONE
        at = np.minimum(np.searchsorted(self.nodes, nodes), len(self.nodes) - 1)
        known = np.flatnonzero(self.nodes[at] == nodes)
        places, which = rows_of(self.starts, at[known])
        return self.item[places], self.weight[places], known[which]


_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """`chunks`: ids of those that came, rising; chunk i has the nodes `node[starts[i]:starts[i + 1]]` with `weight`;
    `posts`: places in `chunks` by node; `pairs`: what is added to the summed weights of sealed pairs, either way."""

    chunks: Longs
    starts: Longs
    node: Longs
    weight: Longs
    posts: Sparse
    pairs: Sparse


def changes_of(contents: Contents) -> Changes:
    chunks = np.array(sorted(contents.came), np.int64)
    came = [contents.came[chunk] for chunk in chunks.tolist()]
    went = [sealed_said(contents.sealed, place) for place in sorted(contents.gone)]
    owner = np.repeat(np.arange(len(came)), [len(one.writing) for one in came]) if came else _NONE
    nodes = contents.node_of[_joined(came, "writing")].astype(np.int64)
    rows, weight = summed(owner.astype(np.int64) << _BITS | nodes, _joined(came, "weight"))
    place, node = rows >> _BITS, rows & LOW
    order = np.argsort(node, kind="stable")
    plus, minus = _pairs(contents, came), _pairs(contents, went)
    pairs, sums = summed(np.concatenate([plus[0], minus[0]]), np.concatenate([plus[1], -minus[1]]))
    pairs, sums = pairs[sums != 0], sums[sums != 0]
    return Changes(
        chunks, grouped(place, len(chunks)), node, weight, _sparse(node[order], place[order], weight[order]),
        _sparse(pairs >> _BITS, pairs & LOW, sums),
    )  # fmt: skip


def degrees(sealed: Sealed, count: int, pairs: Sparse) -> Ints:
    """By node: the nodes that relations join it with, as after the changes."""
    found = np.zeros(count, np.int32)
    found[: sealed.nodes] = sealed.degree
    owner = np.repeat(pairs.nodes, np.diff(pairs.starts))
    before = _weights(sealed, owner, pairs.item)
    after = before + pairs.weight
    np.add.at(found, owner, (after > 0).astype(np.int32) - (before > 0))
    return found


def _weights(sealed: Sealed, nodes: Longs, others: Longs) -> Longs:
    """Of pairs in the sealed tables, 0 where there is none; by halving within rows."""
    inside = nodes < sealed.nodes
    known = np.where(inside, nodes, 0)
    if not sealed.nodes or not len(sealed.pair_other):
        return np.zeros(len(nodes), np.int64)
    low = np.where(inside, sealed.pair_starts[known], 0)
    end = np.where(inside, sealed.pair_starts[known + 1], 0)
    high = end.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        less = open_ & (sealed.pair_other[np.minimum(middle, len(sealed.pair_other) - 1)] < others)
        low, high = np.where(less, middle + 1, low), np.where(open_ & ~less, middle, high)
    at = np.minimum(low, len(sealed.pair_other) - 1)
    hit = (low < end) & (sealed.pair_other[at] == others)
    return np.where(hit, sealed.pair_weight[at], 0)


def _sparse(nodes: Longs, items: Longs, weights: Longs) -> Sparse:
    """`nodes` rise."""
    different, sizes = np.unique(nodes, return_counts=True)
    return Sparse(different, starts_of(sizes), items, weights)


def _pairs(contents: Contents, some: list[Said]) -> tuple[Longs, Longs]:
    """Both ways, as one number each, with weights."""
    members = starts_of(np.array([len(one.writing) for one in some], np.int64))[:-1]
    base = np.repeat(members, [len(one.head) for one in some]) if some else _NONE
    nodes = contents.node_of[_joined(some, "writing")].astype(np.int64)
    one, other = nodes[base + _joined(some, "head")], nodes[base + _joined(some, "tail")]
    kept = one != other
    one, other, weight = one[kept], other[kept], _joined(some, "strength")[kept]
    return np.concatenate([one << _BITS | other, other << _BITS | one]), np.concatenate([weight, weight])


def _joined(some: list[Said], name: str) -> Longs:
    return np.concatenate([_NONE, *(getattr(one, name) for one in some)])
