"""From what chunks say and which nodes are one entity to the arrays of a `GraphView`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFound
from ..graph_types import Entity
from ..protocols import Ids
from .codec import KINDS, SCALE
from .contents import MEMBER, RELATION, Contents, Rows
from .view import GraphView

_ENTITY_BITS = 32


@dataclass(frozen=True, eq=False)
class Frame:
    """A view with what it was made from, to go back from its numbers to nodes. `number`: entity by node, -1 where it
    has none; `order` and `bounds`: the nodes of entity i are `order[bounds[i]:bounds[i + 1]]`."""

    view: GraphView
    contents: Contents
    number: NDArray[np.int32]
    order: NDArray[np.int64]
    bounds: Ids
    mentions: NDArray[np.int64]
    merged: int

    def find(self, id_: str) -> int | None:
        """The entity of an id."""
        node = self.contents.node_of_key(id_)
        if node is None or node >= len(self.number) or self.number[node] < 0:
            return None
        number = int(self.number[node])
        return number if self.view.entities[number].id == id_ else None

    def number_of_key(self, key: str) -> int:
        """The entity that a form stands in. Raises NotFound where no chunk has it."""
        node = self.contents.node_of_key(key)
        if node is None or node >= len(self.number) or self.number[node] < 0:
            raise NotFound(f"no text has the form {key}.", "Find entities by name: `ragstone graph find NAME`.")
        return int(self.number[node])

    def number_of_norm(self, norm: str) -> int:
        """-1 where there is none."""
        node = self.contents.node_of_norm(norm)
        return -1 if node is None or node >= len(self.number) else int(self.number[node])

    def nodes_of(self, number: int) -> list[int]:
        return [int(node) for node in self.order[self.bounds[number] : self.bounds[number + 1]]]

    @cached_property
    def postings(self) -> tuple[Ids, Ids]:
        """Places of chunks by entity: those of entity i are `second[first[i]:first[i + 1]]`."""
        view = self.view
        places = np.repeat(np.arange(len(view.chunks)), np.diff(view.starts))
        by_entity = np.argsort(view.members, kind="stable")
        first = np.searchsorted(view.members[by_entity], np.arange(len(view.entities) + 1))
        return first, places[by_entity]

    @cached_property
    def incidence(self) -> tuple[Ids, Ids]:
        """Edges by entity, in the same way."""
        both = np.concatenate((self.view.heads, self.view.tails))
        by_entity = np.argsort(both, kind="stable")
        first = np.searchsorted(both[by_entity], np.arange(len(self.view.entities) + 1))
        return first, by_entity % max(1, len(self.view.heads))

    def chunks_of(self, number: int) -> Ids:
        """Ids of the chunks that mention an entity, rising."""
        first, places = self.postings
        return self.view.chunks[places[first[number] : first[number + 1]]]

    def edges_of(self, number: int) -> Ids:
        first, edges = self.incidence
        return edges[first[number] : first[number + 1]]


def frame_of(contents: Contents, roots: NDArray[np.int32], revision: int) -> Frame:
    """Entities are ordered by id, so that equal graphs have equal arrays."""
    nodes = contents.nodes
    present = np.flatnonzero(roots >= 0)
    heads = np.unique(roots[present])
    ids = np.array([nodes[node].key for node in heads.tolist()], "U24")
    by_id = np.argsort(ids)
    heads = heads[by_id]
    of_root = np.full(len(nodes), -1, np.int32)
    of_root[heads] = np.arange(len(heads), dtype=np.int32)
    number = np.full(len(nodes), -1, np.int32)
    number[present] = of_root[roots[present]]
    order = present[np.argsort(number[present], kind="stable")]
    bounds = np.searchsorted(number[order], np.arange(len(heads) + 1))

    chunks = np.fromiter(contents.members, np.int64, len(contents.members))
    chunks.sort()
    rows = [contents.members[chunk] for chunk in chunks.tolist()]
    node_of = contents.nodes_by_writing()
    members = _joined(rows, MEMBER)
    at = np.repeat(np.arange(len(rows)), [len(row) for row in rows]) if rows else np.empty(0, np.int64)
    said = number[node_of[members["writing"]]] if len(members) else np.empty(0, np.int32)
    pairs, shares = _summed(at.astype(np.int64) << _ENTITY_BITS | said, members["weight"])
    starts = np.searchsorted(pairs >> _ENTITY_BITS, np.arange(len(rows) + 1))
    who = (pairs & 0xFFFFFFFF).astype(np.int32)
    mentions = np.bincount(said, members["mentions"], minlength=len(heads)).astype(np.int64)
    count = np.bincount(who, minlength=len(heads))

    relations = [contents.relations[chunk] for chunk in chunks.tolist()]
    ties = _joined(relations, RELATION)
    one, other = number[ties["head"]], number[ties["tail"]]
    kept = one != other
    low, high = np.minimum(one, other)[kept].astype(np.int64), np.maximum(one, other)[kept]
    edges, strengths = _summed(low << _ENTITY_BITS | high, ties["weight"][kept])
    entities = Entities(contents, heads, order, bounds, mentions, count)
    view = GraphView(
        entities=entities,
        chunks=chunks,
        starts=starts.astype(np.int64),
        members=who,
        shares=(shares / SCALE).astype(np.float32),
        heads=(edges >> _ENTITY_BITS).astype(np.int32),
        tails=(edges & 0xFFFFFFFF).astype(np.int32),
        strengths=(strengths / SCALE).astype(np.float32),
        forms=Forms(contents, number),
        revision=revision,
    )
    return Frame(view, contents, number, order, bounds, mentions, len(present) - len(heads))


def _joined(rows: list[Rows], kind: np.dtype[np.void]) -> Rows:
    """As bytes: numpy takes long to find out that records are of one type."""
    return np.concatenate([row.view(np.uint8) for row in rows] or [np.empty(0, np.uint8)]).view(kind)


def _summed(keys: NDArray[np.int64], values: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different keys, rising, with the sums of their values."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.empty(0, np.int64)
    sums = np.add.reduceat(values[order].astype(np.int64), first) if len(keys) else np.empty(0, np.int64)
    return keys[first], sums


class Entities(Sequence[Entity]):
    """Made when they are asked for: a view has hundreds of thousands."""

    def __init__(
        self, contents: Contents, heads: NDArray[np.int32], order: NDArray[np.int64], bounds: Ids,
        mentions: NDArray[np.int64], chunks: NDArray[np.int64],
    ) -> None:
        self._contents = contents  # nodes and writings are only ever added to
        self._counts = contents.counts().copy()
        self._heads = heads
        self._order = order
        self._bounds = bounds
        self._mentions = mentions
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._heads)

    @overload
    def __getitem__(self, at: int) -> Entity: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Entity]: ...
    def __getitem__(self, at: int | slice) -> Entity | Sequence[Entity]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        nodes = self._order[self._bounds[at] : self._bounds[at + 1]].tolist()
        written: dict[str, int] = {}
        kinds: dict[int, int] = {}
        for node in nodes:
            for number in self._contents.nodes[node].writings:
                # what was added later counts nothing here
                count = int(self._counts[number]) if number < len(self._counts) else 0
                if count:
                    writing = self._contents.writings[number]
                    written[writing.text] = written.get(writing.text, 0) + count
                    kinds[writing.kind] = kinds.get(writing.kind, 0) + count
        names = sorted(written, key=lambda name: (-written[name], -len(name), name))
        kind = min(kinds, key=lambda number: (-kinds[number], number), default=KINDS.index("term"))
        return Entity(
            self._contents.nodes[self._heads[at]].key, names[0] if names else "", KINDS[kind], tuple(sorted(names[1:])),
            int(self._mentions[at]), int(self._chunks[at]),
        )  # fmt: skip


class Forms(Mapping[str, Sequence[int]]):
    """Entities by the folded form of a mention."""

    def __init__(self, contents: Contents, number: NDArray[np.int32]) -> None:
        self._contents = contents
        self._number = number

    def __getitem__(self, norm: str) -> Sequence[int]:
        node = self._contents.node_of_norm(norm)
        if node is None or node >= len(self._number) or self._number[node] < 0:
            raise KeyError(norm)
        return (int(self._number[node]),)

    def __iter__(self) -> Iterator[str]:
        return (self._contents.nodes[node].norm for node in np.flatnonzero(self._number >= 0).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._number >= 0))
