"""One moment of the graph of a collection, as arrays: what communities, paths and maps read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..graph_types import Entity
from ..protocols import Ids
from .changes import LOW
from .codec import SCALE
from .packed import grouped, summed
from .viewing import Frame

_BITS = 32
Numbers = NDArray[np.int32]
Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GraphView:
    """Entities and chunks are numbered by their place in `entities` and `chunks`; entities are ordered by id, so equal
    graphs have equal arrays.

    chunks    int64[c], rising
    starts    int64[c + 1]: chunk i mentions `members[starts[i]:starts[i + 1]]`, each entity once, rising
    members   int32[m]: entities; shares float32[m]: summed weights of their mentions in the chunk
    heads     int32[r] < tails int32[r]: the two ends of each edge, ordered by both
    strengths float32[r]: summed weights of the relations of an edge, over all chunks
    forms     entities by the folded form (`Mention.norm`) of a mention or alias
    generic   bool[n]: entities that say nothing of what names them
    """

    entities: Sequence[Entity]
    chunks: Ids
    starts: Ids
    members: Numbers
    shares: Weights
    heads: Numbers
    tails: Numbers
    strengths: Weights
    forms: Mapping[str, Sequence[int]]
    generic: NDArray[np.bool_]
    revision: int = 0

    def telling(self) -> NDArray[np.int64]:
        """Edges both of whose ends say something."""
        return np.flatnonzero(~self.generic[self.heads] & ~self.generic[self.tails])


def view_of(frame: Frame) -> GraphView:
    """Sorts all mentions and edges: a second of processor time for 100,000 chunks."""
    sealed, changes, numbers = frame.contents.sealed, frame.changes, frame.numbers
    number = np.full(len(frame.root) + 1, -1, np.int32)  # the last one for -1
    number[numbers] = np.arange(len(numbers), dtype=np.int32)
    number = number[frame.root]
    places = np.flatnonzero(frame.alive)
    ids = frame.chunk_ids(places)
    order = np.argsort(ids)
    chunks = ids[order]
    rank = np.full(len(frame.alive), -1, np.int64)
    rank[places[order]] = np.arange(len(places))

    owner = np.repeat(rank[: len(sealed.chunks)], np.diff(sealed.member_starts))
    there = owner >= 0
    of_changes = np.repeat(rank[len(sealed.chunks) :], np.diff(changes.starts))
    rows, shares = summed(
        np.concatenate([
            owner[there] << _BITS | number[sealed.writing_node[sealed.member_writing[there]]],
            of_changes << _BITS | number[changes.node],
        ]),
        np.concatenate([sealed.member_weight[there], changes.weight]),
    )  # fmt: skip
    heads, tails, strengths = frame.joined(number)
    return GraphView(
        entities=Listed(len(numbers), lambda at: frame.entity(int(numbers[at]))),
        chunks=chunks,
        starts=grouped(rows >> _BITS, len(chunks)),
        members=(rows & LOW).astype(np.int32),
        shares=(shares / SCALE).astype(np.float32),
        heads=heads,
        tails=tails,
        strengths=(strengths / SCALE).astype(np.float32),
        forms=Forms(frame, number),
        generic=frame.generic[numbers],
        revision=frame.revision,
    )


class Listed(Sequence[Entity]):
    """Made when they are asked for: a view has hundreds of thousands."""

    def __init__(self, count: int, make: Callable[[int], Entity]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Entity: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Entity]: ...
    def __getitem__(self, at: int | slice) -> Entity | Sequence[Entity]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return self._make(range(self._count)[at])


class Forms(Mapping[str, Sequence[int]]):
    """Entities by the folded form of a mention."""

    def __init__(self, frame: Frame, number: Numbers) -> None:
        self._frame = frame
        self._number = number

    def __getitem__(self, norm: str) -> Sequence[int]:
        node = self._frame.contents.node_of_norm(norm)
        if node is None or node >= len(self._number) or self._number[node] < 0:
            raise KeyError(norm)
        return (int(self._number[node]),)

    def __iter__(self) -> Iterator[str]:
        return (self._frame.contents.norm(node) for node in np.flatnonzero(self._number >= 0).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._number >= 0))
