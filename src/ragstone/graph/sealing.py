"""From what is held of a graph to sealed tables, and to the file of a collection that processes open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DiskFull, NotFound, StoreBusy, StoreDamaged, StoreReadOnly
from ..faults import reach
from ..index.files import map_file
from ..index.sealing import SEGMENTS, indexer_lock, new_path, remove_orphans
from ..protocols import Segment, Store
from .changes import LOW
from .contents import Contents, Said
from .entities import Entities
from .packed import Strings, encoded, grouped, least, rows_of, spread, starts_of, strings, summed
from .sealed import Ints, Longs, Sealed, tables_of, write

KIND: Final = "graph"
_BLOCK: Final = 1 << 20
"""Relations summed at once: they are many, and few pairs."""
_PARTS: Final = 16
_PASSES: Final = 4
"""Over all relations, each for the pairs of some nodes: what is sorted at once is small."""
_BITS: Final = 32
_NONE = np.zeros(0, np.int64)


def sealed_of(contents: Contents, entities: Entities) -> Sealed:
    """What both hold, without what no chunk says any more."""
    old = contents.sealed
    owner = contents.node_of[: contents.writings]
    counts = contents.counts[: contents.writings]
    alive = np.flatnonzero(counts)
    nodes = np.unique(owner[alive])
    came_texts, came_kinds, came_spoken = contents.came_writings()
    high, low = contents.key_numbers()
    nodes = nodes[np.lexsort((low[nodes], high[nodes]))]
    node = _places(nodes, contents.nodes)
    writings = alive[np.lexsort((alive, node[owner[alive]]))]
    writing = _places(writings, contents.writings)
    kinds = np.concatenate([old.writing_kind, np.frombuffer(bytes(came_kinds), np.uint8)])
    spoken = np.concatenate([old.writing_language, np.frombuffer(bytes(came_spoken), np.uint8)])

    chunks, said, members, relations = _all_said(contents)
    used = np.bincount(said.label, minlength=len(contents.labels))
    used[0] = 1  # it stands for no word
    labels = np.flatnonzero(used)
    label = least(_places(labels, len(contents.labels))[:-1].clip(min=0))
    member_starts, relation_starts = starts_of(members), starts_of(relations)
    of_member = node.astype(np.int32)[owner][said.writing]
    pair_starts, pair_other, pair_weight = _pairs(of_member, member_starts, relation_starts, said, len(nodes))
    post_starts, post_chunk, post_weight = _posts(of_member, members, said.weight, len(nodes))
    del of_member
    member_writing, relation_label = writing.astype(np.int32)[said.writing], label[said.label]
    rest = said.mentions, said.weight, said.head, said.tail, said.strength
    del said
    member_mentions, member_weight, relation_head, relation_tail, relation_weight = map(least, rest)
    del rest
    given = contents.given()
    form_writing, form_language, blocks, stem, classes = entities.tables()
    resolved = form_writing[nodes]
    root = node[entities.roots()[nodes]]
    group = np.argsort(root, kind="stable").astype(np.int32)
    return Sealed(
        languages=tuple(contents.languages),
        decisions=entities.sealed_decisions(),
        chunks=chunks,
        member_starts=member_starts,
        member_writing=member_writing,
        member_mentions=member_mentions,
        member_weight=member_weight,
        relation_starts=relation_starts,
        relation_head=relation_head,
        relation_tail=relation_tail,
        relation_label=relation_label,
        relation_weight=relation_weight,
        labels=strings(encoded(contents.labels[at] for at in labels.tolist())),
        writing_node=node[owner[writings]].astype(np.int32),
        writing_kind=kinds[writings],
        writing_language=spoken[writings],
        writing_count=counts[writings],
        texts=strings(_gathered(old.texts, came_texts, writings)),
        key_high=high[nodes],
        key_low=low[nodes],
        norms=strings(_gathered(old.norms, contents.came_norms(), nodes)),
        first_writing=grouped(node[owner[writings]], len(nodes)),
        given_chunk=np.array([chunk for chunk, _, _ in given], np.int64),
        given_node=node[np.array([one for _, one, _ in given], np.int64)].astype(np.int32),
        given_alias=strings(encoded(alias for _, _, alias in given)),
        form_writing=np.where(resolved < 0, resolved, writing[resolved]).astype(np.int32),
        form_language=form_language[nodes],
        block_number=blocks[0],
        block_node=node[blocks[1]].astype(np.int32),
        stem=stem[nodes],
        class_stem=classes[0],
        class_node=node[classes[1]].astype(np.int32),
        root=root.astype(np.int32),
        group_starts=grouped(root, len(nodes)),
        group_node=group,
        entity_chunks=_chunks_of_entities(root, group, post_starts, post_chunk),
        post_starts=post_starts,
        post_chunk=post_chunk,
        post_weight=post_weight,
        pair_starts=pair_starts,
        pair_other=pair_other,
        pair_weight=pair_weight,
    )


def opened(store: Store, collection: str, notes: list[str]) -> tuple[Sealed, Segment] | None:
    """What was published, where it can be followed from; what is wrong with it goes to `notes`. Raises NotFound."""
    for segment in store.segments(collection):
        if segment.kind == KIND and store.first_seq() - 1 <= segment.watermark <= store.last_seq():
            path = store.folder / SEGMENTS / segment.name
            if not path.exists():
                continue  # backups leave it out
            data = None
            try:
                data = map_file(path, segment.checksum)
                return tables_of(path.name, data), segment
            except StoreDamaged as error:
                notes.append(f"{error.message} Made again from the store.")
                if data is None:  # another version may be of use to another process
                    _withdraw(store, collection, segment)
    return None


def published(store: Store, collection: str) -> Segment | None:
    return next((segment for segment in store.segments(collection) if segment.kind == KIND), None)


def worth(store: Store, collection: str, held: str | None, changed: int) -> bool:
    """Whether at least `changed` chunks came or went since the file was written, where there is one that is of use.
    `held`: the file that a process has its tables from, "" where it has them in memory alone."""
    file = published(store, collection)
    if file is None or held == "":  # it was no use, or much has changed
        return len(store.chunk_ids(collection)) >= changed
    return len(store.changes(file.watermark, changed, collection)) >= changed


def stale(store: Store, collection: str) -> bool:
    """Whether there is a file, and anything was written since."""
    file = published(store, collection)
    if file is None:
        return False
    return file.watermark < store.first_seq() - 1 or bool(store.changes(file.watermark, 1, collection))


def publish(store: Store, collection: str, sealed: Sealed, seq: int, *, wait_seconds: float = 0.0) -> bool:
    """Writes what was sealed when the log stood at `seq` to a file that takes the place of the one before; False where
    another process is at it, or the folder cannot be written. Raises StoreError."""
    with indexer_lock(store.folder, wait_seconds=wait_seconds) as held:
        if not held:
            return False
        store.require_room()
        segments = []
        if len(sealed.chunks):
            path = new_path(store.folder, KIND, seq)
            checksum = write(path, sealed)
            reach("graph.sealed")
            segments = [Segment(KIND, "", path.name, checksum, path.stat().st_size, len(sealed.chunks), seq)]
        store.publish(collection, KIND, "", segments)
        remove_orphans(store)
        return True


def _withdraw(store: Store, collection: str, segment: Segment) -> None:
    """Nobody else tries to read it. No effect where it was replaced meanwhile, or nothing can be written now."""
    found = published(store, collection)
    if found is not None and found.name == segment.name:
        with suppress(NotFound, StoreBusy, StoreReadOnly, DiskFull):
            store.publish(collection, KIND, "", [])


def withdraw(store: Store, collection: str) -> None:
    """Whoever asks next reads the graph from the store. No effect where nothing is published. Raises StoreError."""
    with suppress(NotFound):  # dropped meanwhile
        if published(store, collection) is not None:
            store.publish(collection, KIND, "", [])


def _all_said(contents: Contents) -> tuple[Longs, Said, Longs, Longs]:
    """Rising ids of all chunks that are there, what they say one behind the other, and how many members and relations
    each has."""
    sealed = contents.sealed
    contents.pack()
    kept = np.setdiff1d(np.arange(len(sealed.chunks)), np.fromiter(contents.gone, np.int64, len(contents.gone)))
    ids = np.concatenate([sealed.chunks[kept], *(some.chunks for some in contents.packed)])
    members = np.concatenate([np.diff(sealed.member_starts)[kept], *(some.members for some in contents.packed)])
    relations = np.concatenate([np.diff(sealed.relation_starts)[kept], *(some.relations for some in contents.packed)])
    order = np.argsort(ids)
    in_order = bool((np.diff(order) == 1).all())
    # one column after the other: what was put together is free before the next one
    parts = {name: [getattr(some.said, name) for some in contents.packed] for name in Said.__slots__}
    contents.packed.clear()

    def columns(which: Longs, starts: Longs, *tables: tuple[NDArray[np.integer], str]) -> Iterator[Any]:
        held = rows_of(starts, kept)[0]
        moved = None if in_order else rows_of(starts_of(which), order)[0]
        for table, name in tables:
            some = parts.pop(name)
            whole = np.concatenate([table[held], *some] if len(held) or not some else some)
            del some
            yield whole if moved is None else whole[moved]

    of_members = columns(
        members, sealed.member_starts, (sealed.member_writing, "writing"), (sealed.member_mentions, "mentions"),
        (sealed.member_weight, "weight"),
    )  # fmt: skip
    of_relations = columns(
        relations, sealed.relation_starts, (sealed.relation_head, "head"), (sealed.relation_tail, "tail"),
        (sealed.relation_label, "label"), (sealed.relation_weight, "strength"),
    )  # fmt: skip
    return ids[order], Said(*of_members, *of_relations), members[order], relations[order]


def _posts(of_member: Ints, sizes: Longs, weight: NDArray[np.integer], nodes: int) -> tuple[Longs, Ints, Ints]:
    """Starts by node, places of chunks and summed weights."""
    place = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    row = np.zeros(nodes, np.int64)
    places: list[NDArray[np.integer]] = []
    sums: list[NDArray[np.integer]] = []
    for some in _parts_of(nodes):
        at = np.flatnonzero((of_member >= some.start) & (of_member < some.stop))
        keys, weights = summed(of_member[at].astype(np.int64) << _BITS | place[at], weight[at])
        row += np.bincount(keys >> _BITS, minlength=nodes)
        places.append((keys & LOW).astype(np.int32))
        sums.append(weights.astype(np.int32))
    return starts_of(row), _emptied(places), _emptied(sums)


def _pairs(
    of_member: Ints, members: Longs, relations: Longs, said: Said, nodes: int
) -> tuple[Longs, Ints, NDArray[np.integer]]:
    """Starts by node, other nodes and summed weights. `members`, `relations`: starts by chunk."""
    low, high, weight = _different_pairs(of_member, members, relations, said, nodes)
    before, after = np.bincount(high, minlength=nodes), np.bincount(low, minlength=nodes)
    row, upper = starts_of(before + after), starts_of(after)
    others, weights = np.empty(2 * len(low), np.int32), np.empty(2 * len(low), weight.dtype)
    for some in _parts_of(nodes):  # of a node the smaller others, then the larger ones
        from_ = np.flatnonzero((high >= some.start) & (high < some.stop))
        from_ = from_[np.argsort(high[from_], kind="stable")]
        at = spread(row[some], before[some])
        others[at], weights[at] = low[from_], weight[from_]
        at = spread(row[some] + before[some], after[some])
        larger = slice(upper[some.start], upper[some.stop])
        others[at], weights[at] = high[larger], weight[larger]
    return row, others, weights


def _parts_of(nodes: int) -> list[slice]:
    """Some nodes at a time."""
    edges = np.linspace(0, nodes, _PARTS + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _different_pairs(
    of_member: Ints, members: Longs, relations: Longs, said: Said, nodes: int
) -> tuple[Ints, Ints, NDArray[np.integer]]:
    """Pairs of different nodes, the smaller first, rising, with their summed weights. What is sorted at once is small:
    the pairs of some nodes, looked for in the relations of some chunks after those of others."""
    blocks = np.searchsorted(relations, np.arange(0, relations[-1] + _BLOCK, _BLOCK)).clip(max=len(members) - 1)
    lows: list[NDArray[np.integer]] = []
    highs: list[NDArray[np.integer]] = []
    sums: list[NDArray[np.integer]] = []
    # the smaller one of two is mostly small: as many pairs in each pass
    edges = (nodes * (1.0 - np.sqrt(1.0 - np.arange(_PASSES + 1) / _PASSES))).astype(int).tolist()
    for begin, end in pairwise(edges):
        keys_: list[Longs] = [_NONE]
        weights: list[NDArray[np.integer]] = [said.strength[:0]]
        for first, last in pairwise(blocks.tolist()):
            some = slice(relations[first], relations[last])
            starts = np.repeat(members[first:last].astype(np.int32), np.diff(relations[first : last + 1]))
            one, other = of_member[starts + said.head[some]], of_member[starts + said.tail[some]]
            low = np.minimum(one, other)
            kept = np.flatnonzero((low >= begin) & (low < end) & (one != other))
            keys_.append(low[kept].astype(np.int64) << _BITS | np.maximum(one[kept], other[kept]))
            weights.append(said.strength[some][kept])
        keys, total = summed(np.concatenate(keys_), np.concatenate(weights))
        lows.append((keys >> _BITS).astype(np.int32))
        highs.append((keys & LOW).astype(np.int32))
        sums.append(total.astype(np.int32) if int(total.max(initial=0)) < 1 << 31 else total)
    return _emptied(lows), _emptied(highs), least(_emptied(sums))


def _emptied(some: list[NDArray[np.integer]]) -> Any:
    whole = np.concatenate(some)
    some.clear()
    return whole


def _chunks_of_entities(root: NDArray[np.integer], group: Ints, post_starts: Longs, post_chunk: Ints) -> Ints:
    found = np.where(root == np.arange(len(root)), np.diff(post_starts), 0).astype(np.int32)
    sizes = np.bincount(root, minlength=len(root))
    several = group[sizes[root[group]] > 1]
    for some in _parts_of(len(root)):
        first, last = np.searchsorted(root[several], (some.start, some.stop))
        places, which = rows_of(post_starts, several[first:last])
        pairs = np.unique(root[several[first:last]][which].astype(np.int64) << _BITS | post_chunk[places])
        heads, counts = np.unique(pairs >> _BITS, return_counts=True)
        found[heads] = counts
    return found


def _places(kept: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """The new number of each old one, -1 where it is not kept."""
    found = np.full(count + 1, -1, np.int64)  # the last one for -1
    found[kept] = np.arange(len(kept))
    return found


def _gathered(old: Strings, came: list[str], numbers: NDArray[np.integer]) -> list[bytes]:
    """Strings of the old numbers, in their order."""
    pieces = old.raw(np.arange(len(old))) if len(old) else []
    pieces += encoded(came)
    return [pieces[at] for at in numbers.tolist()]
