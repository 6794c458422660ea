"""One state of the graph of a collection, read in place: nothing is made of it as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFound
from ..graph_types import Entity, MentionKind
from .changes import LOW, Changes, changes_of, degrees
from .codec import KINDS
from .contents import Contents, Said, sealed_said
from .entities import Entities
from .generic import generic
from .packed import rows_of, summed
from .sealed import NO_NODE, Ints, Longs

_BITS: Final = 32
Owned = tuple[Longs, Longs, Longs]
"""Owners (places among those asked for), items and summed weights, ordered by both."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Entities are numbered by the node that they are named after, chunks by their places: sealed ones first, then
    those of `changes`. Numbers are of this process; what has to be the same in every one goes by `ties` and ids.

    root           entity by node, NO_NODE where no chunk has it
    counts         mentions by writing
    alive          by place, whether the chunk is there
    entity_chunks  by entity: chunks that mention it
    degree         by node: the nodes that relations join it with
    groups         by entity, its nodes, where they are not the sealed ones
    """

    contents: Contents
    changes: Changes
    came: Mapping[int, Said]
    root: Ints
    counts: Ints
    alive: NDArray[np.bool_]
    entity_chunks: Ints
    degree: Ints
    groups: Mapping[int, frozenset[int]]
    revision: int

    # ------------------------------------------------------------------ chunks
    @cached_property
    def chunk_count(self) -> int:
        return int(np.count_nonzero(self.alive))

    def chunk_ids(self, places: NDArray[np.integer]) -> Longs:
        sealed, new = self.contents.sealed.chunks, self.changes.chunks
        count, found = len(sealed), np.zeros(len(places), np.int64)
        old = places < count
        found[old] = sealed[places[old]]
        found[~old] = new[places[~old] - count]
        return found

    def place(self, chunk_id: int) -> int | None:
        new = self.changes.chunks
        at = int(np.searchsorted(new, chunk_id))
        if at < len(new) and int(new[at]) == chunk_id:
            return at + len(self.contents.sealed.chunks)
        place = self.contents.sealed.place(chunk_id)
        return place if place is not None and self.alive[place] else None

    def said(self, chunk_id: int) -> Said | None:
        came = self.came.get(chunk_id)
        if came is not None:
            return came
        place = self.place(chunk_id)
        return None if place is None else sealed_said(self.contents.sealed, place)

    def said_of(self, places: NDArray[np.integer]) -> Longs:
        """How many writings, or nodes of chunks that came, each mentions."""
        sealed, starts = self.contents.sealed, self.changes.starts
        count = len(sealed.chunks)
        found = np.zeros(len(places), np.int64)
        old = places < count
        found[old] = sealed.member_starts[places[old] + 1] - sealed.member_starts[places[old]]
        found[~old] = starts[places[~old] - count + 1] - starts[places[~old] - count]
        return found

    def members(self, places: NDArray[np.integer]) -> Owned:
        """Entities of chunks."""
        sealed, changes = self.contents.sealed, self.changes
        count = len(sealed.chunks)
        old, new = np.flatnonzero(places < count), np.flatnonzero(places >= count)
        at, which = rows_of(sealed.member_starts, places[old])
        also, of_new = rows_of(changes.starts, places[new] - count)
        nodes = np.concatenate([sealed.writing_node[sealed.member_writing[at]], changes.node[also]])
        weights = np.concatenate([sealed.member_weight[at], changes.weight[also]])
        return _owned(np.concatenate([old[which], new[of_new]]), self.root[nodes], weights)

    # ------------------------------------------------------------------ entities
    def find(self, id_: str) -> int | None:
        """The entity of an id."""
        node = self.contents.node_of_key(id_)
        return node if node is not None and node < len(self.root) and self.root[node] == node else None

    def number_of_key(self, key: str) -> int:
        """The entity that a form stands in. Raises NotFound where no chunk has it."""
        node = self.contents.node_of_key(key)
        if node is None or node >= len(self.root) or self.root[node] == NO_NODE:
            raise NotFound(f"no text has the form {key}.", "Find entities by name: `ragstone graph find NAME`.")
        return int(self.root[node])

    def number_of_norm(self, norm: str) -> int:
        """NO_NODE where there is none."""
        return int(self.numbers_of_norms((norm,))[0])

    def numbers_of_norms(self, norms: Sequence[str]) -> Longs:
        """The entities that forms stand in, NO_NODE where there is none."""
        nodes = self.contents.nodes_of_norms(norms)
        nodes[nodes >= len(self.root)] = NO_NODE  # came later
        found = np.full(len(nodes), NO_NODE, np.int64)
        known = nodes >= 0
        found[known] = self.root[nodes[known]]
        return found

    def id(self, number: int) -> str:
        return self.contents.key(number)

    def ties(self, numbers: NDArray[np.integer]) -> NDArray[np.uint64]:
        """The beginnings of the ids, which order entities in the same way everywhere."""
        sealed = self.contents.sealed
        found = np.zeros(len(numbers), np.uint64)
        old = numbers < sealed.nodes
        found[old] = sealed.key_high[numbers[old]]
        found[~old] = [int(self.contents.key(number)[:16], 16) for number in numbers[~old].tolist()]
        return found

    def nodes_of(self, number: int) -> list[int]:
        group = self.groups.get(number)
        if group is not None:
            return sorted(group)
        sealed = self.contents.sealed
        if number >= sealed.nodes:
            return []
        return [int(node) for node in sealed.group_node[sealed.group_starts[number] : sealed.group_starts[number + 1]]]

    def nodes(self, numbers: NDArray[np.integer]) -> tuple[NDArray[np.integer], Longs]:
        """Of entities, and to which of `numbers` each belongs."""
        sealed = self.contents.sealed
        if not self.groups:
            at, which = rows_of(sealed.group_starts, numbers)
            return sealed.group_node[at], which
        changed = self._regrouped[numbers]
        plain = np.flatnonzero(~changed & (numbers < sealed.nodes))
        at, which = rows_of(sealed.group_starts, numbers[plain])
        more = [(n, own) for own in np.flatnonzero(changed).tolist() for n in sorted(self.groups[int(numbers[own])])]
        nodes, owners = np.array(more, np.int64).reshape(-1, 2).T
        return np.concatenate([sealed.group_node[at], nodes]), np.concatenate([plain[which], owners])

    @cached_property
    def _regrouped(self) -> NDArray[np.bool_]:
        """By entity, whether `groups` has it."""
        found = np.zeros(len(self.root), np.bool_)
        found[list(self.groups)] = True
        return found

    def kind(self, number: int) -> MentionKind:
        """What it is mentioned as most often."""
        sealed, kinds = self.contents.sealed, [0] * len(KINDS)
        for node in self.nodes_of(number):
            for at in self.contents.writings_of(node):
                if at < len(self.counts):
                    kind = sealed.writing_kind[at] if at < len(sealed.writing_kind) else self.contents.writing(at).kind
                    kinds[kind] += int(self.counts[at])
        return KINDS[kinds.index(max(kinds))] if any(kinds) else "term"

    def entity(self, number: int) -> Entity:
        written: dict[str, int] = {}
        mentions = 0
        for node in self.nodes_of(number):
            for at in self.contents.writings_of(node):
                # what was added later counts nothing here
                count = int(self.counts[at]) if at < len(self.counts) else 0
                if count:
                    text = self.contents.writing(at).text
                    written[text] = written.get(text, 0) + count
                    mentions += count
        names = sorted(written, key=lambda name: (-written[name], -len(name), name))
        return Entity(
            self.id(number), names[0] if names else "", self.kind(number), tuple(sorted(names[1:])), mentions,
            int(self.entity_chunks[number]),
        )  # fmt: skip

    def places(self, numbers: NDArray[np.integer]) -> Owned:
        """Chunks that mention entities."""
        return self.places_of(*self.nodes(numbers))

    def places_of(self, nodes: NDArray[np.integer], owner: Longs) -> Owned:
        """Chunks that mention nodes, by the owners of these."""
        sealed = self.contents.sealed
        old = np.flatnonzero(nodes < sealed.nodes)
        at, which = rows_of(sealed.post_starts, nodes[old])
        chunk, weight = sealed.post_chunk[at], sealed.post_weight[at]
        there = self.alive[chunk]
        came, more, of = self.changes.posts.of(nodes)
        return _owned(
            np.concatenate([owner[old][which][there], owner[of]]),
            np.concatenate([chunk[there], came + len(sealed.chunks)]), np.concatenate([weight[there], more]),
        )  # fmt: skip

    def edges(self, numbers: NDArray[np.integer]) -> Owned:
        """Other entities that relations join entities with."""
        return self.edges_of(numbers, *self.nodes(numbers))

    def edges_of(self, numbers: NDArray[np.integer], nodes: NDArray[np.integer], owner: Longs) -> Owned:
        """Other entities that relations join nodes with, by the owners of these among `numbers`."""
        sealed = self.contents.sealed
        old = np.flatnonzero(nodes < sealed.nodes)
        at, which = rows_of(sealed.pair_starts, nodes[old])
        other, more, of = self.changes.pairs.of(nodes)
        owners = np.concatenate([owner[old][which], owner[of]])
        others = self.root[np.concatenate([sealed.pair_other[at], other])]
        # a node that went has no entity, and what it had sums up to nothing
        apart = (others != numbers[owners]) & (others >= 0)
        found = _owned(owners, others, np.concatenate([sealed.pair_weight[at], more]), apart)
        kept = found[2] > 0
        return found[0][kept], found[1][kept], found[2][kept]

    def chunks_of(self, number: int) -> Longs:
        """Ids of the chunks that mention an entity, rising."""
        return np.sort(self.chunk_ids(self.places(np.array([number]))[1]))

    def forms(self) -> Iterator[tuple[int, str]]:
        """Entities with each of their folded forms (`Mention.norm`)."""
        sealed = self.contents.sealed
        norms = chain(sealed.norms.all(), self.contents.came_norms())
        return ((entity, norm) for entity, norm in zip(self.root.tolist(), norms, strict=False) if entity >= 0)

    @cached_property
    def generic(self) -> NDArray[np.bool_]:
        """By entity, whether it says nothing of what names it."""
        return generic(self)

    @cached_property
    def numbers(self) -> Longs:
        """All entities, in the order of their ids."""
        found = np.flatnonzero(self.root == np.arange(len(self.root)))
        old = np.searchsorted(found, self.contents.sealed.nodes)  # those are in order
        if old == len(found):
            return found
        ids = np.array([self.id(number) for number in found.tolist()], "U24")
        return found[np.argsort(ids)]

    def joined(self, number: Ints) -> tuple[Ints, Ints, Longs]:
        """All edges, of a numbering of entities by node: smaller and larger ends, ordered by both, with summed weights.
        A sort of all pairs of nodes."""
        sealed, pairs = self.contents.sealed, self.changes.pairs
        one = np.concatenate([number[: sealed.nodes], number[pairs.nodes]])
        one = np.repeat(one, np.concatenate([np.diff(sealed.pair_starts), np.diff(pairs.starts)]))
        other = number[np.concatenate([sealed.pair_other, pairs.item])]
        weight = np.concatenate([sealed.pair_weight, pairs.weight])
        kept = (one >= 0) & (one < other)  # pairs stand there either way
        keys, weights = summed(one[kept].astype(np.int64) << _BITS | other[kept], weight[kept])
        keys, weights = keys[weights > 0], weights[weights > 0]
        return (keys >> _BITS).astype(np.int32), (keys & LOW).astype(np.int32), weights

    @cached_property
    def edge_count(self) -> int:
        return len(self.joined(self.root)[0])

    @cached_property
    def merged(self) -> int:
        """Nodes that are not the only one, or the first, of their entity."""
        return int(np.count_nonzero(self.root >= 0)) - len(self.numbers)

    def mentions(self) -> int:
        """Of all entities."""
        return int(self.counts.sum())


def _owned(
    owners: NDArray[np.integer], items: NDArray[np.integer], weights: NDArray[np.integer],
    kept: NDArray[np.bool_] | None = None,
) -> Owned:
    if kept is not None:
        owners, items, weights = owners[kept], items[kept], weights[kept]
    keys, sums = summed(owners.astype(np.int64) << _BITS | items, weights)
    return keys >> _BITS, keys & LOW, sums


def frame_of(contents: Contents, entities: Entities, revision: int) -> Frame:
    sealed, changes = contents.sealed, changes_of(contents)
    root = entities.roots()
    alive = np.ones(len(sealed.chunks) + len(changes.chunks), np.bool_)
    gone = np.fromiter(contents.gone, np.int64, len(contents.gone))
    alive[gone] = False
    frame = Frame(
        contents, changes, dict(contents.came), root.copy() if root.flags.writeable else root,
        contents.counts[: contents.writings].copy() if contents.counts.flags.writeable else contents.counts, alive,
        np.zeros(len(root), np.int32), degrees(sealed, len(root), changes.pairs), dict(entities.groups()), revision,
    )  # fmt: skip
    _count_chunks(frame, np.sort(gone))
    return frame


def _count_chunks(frame: Frame, gone: Longs) -> None:
    """Fills `entity_chunks`: of entities with the same nodes as before by what came and went, of others anew."""
    sealed, counts = frame.contents.sealed, frame.entity_chunks
    counts[: sealed.nodes] = sealed.entity_chunks
    at, which = rows_of(sealed.member_starts, gone)
    went = _different(gone[which], sealed.root[sealed.writing_node[sealed.member_writing[at]]])
    new = frame.changes
    came = _different(np.repeat(np.arange(len(new.chunks)), np.diff(new.starts)), frame.root[new.node])
    np.subtract.at(counts, went, 1)
    np.add.at(counts, came, 1)
    others = np.array(sorted(frame.groups), np.int64)
    counts[others] = 0
    owners, _, _ = frame.places(others)
    np.add.at(counts, others[owners], 1)


def _different(owners: NDArray[np.integer], items: Iterable[int]) -> Longs:
    """The items of each owner, once."""
    return np.unique(owners.astype(np.int64) << _BITS | np.asarray(items)) & LOW
