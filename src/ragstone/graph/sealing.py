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
from .contents import Contents, Said
from .entities import Entities
from .packed import Strings, encoded, grouped, rows_of, spread, starts_of, strings, summed
from .resolve import key_of
from .sealed import Ints, Longs, Sealed, tables_of, write

KIND: Final = "graph"
_BLOCK: Final = 1 << 20
"""Relations summed at once: they are many, and few pairs."""
_PARTS: Final = 16
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
    keys = bytes.fromhex("".join(map(key_of, contents.came_norms())))
    fresh = np.frombuffer(keys, ">u4").reshape(-1, 3).astype(np.uint64)
    high = np.concatenate([old.key_high, fresh[:, 0] << np.uint64(_BITS) | fresh[:, 1]])[nodes]
    low = np.concatenate([old.key_low, fresh[:, 2].astype(np.uint32)])[nodes]
    by_key = np.lexsort((low, high))
    nodes = nodes[by_key]
    node = _places(nodes, contents.nodes)
    writings = alive[np.lexsort((alive, node[owner[alive]]))]
    writing = _places(writings, contents.writings)
    kinds = np.concatenate([old.writing_kind, np.frombuffer(bytes(came_kinds), np.uint8)])
    spoken = np.concatenate([old.writing_language, np.frombuffer(bytes(came_spoken), np.uint8)])

    chunks, said, members, relations = _all_said(contents)
    labels, label = np.unique(np.append(said.label, 0), return_inverse=True)
    member_starts, relation_starts = starts_of(members), starts_of(relations)
    of_member = node[owner[said.writing]].astype(np.int32)
    starts = np.repeat(member_starts[:-1].astype(np.int32), relations)
    pair_starts, pair_other, pair_weight = _pairs(of_member, starts, said, len(nodes))
    del starts
    post_starts, post_chunk, post_weight = _posts(of_member, members, said, len(nodes))
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
        member_writing=writing[said.writing].astype(np.int32),
        member_mentions=_small(said.mentions),
        member_weight=_small(said.weight),
        relation_starts=relation_starts,
        relation_head=_small(said.head),
        relation_tail=_small(said.tail),
        relation_label=label[:-1].astype(np.int32),
        relation_weight=_small(said.strength),
        labels=strings(encoded(contents.labels[at] for at in labels.tolist())),
        writing_node=node[owner[writings]].astype(np.int32),
        writing_kind=kinds[writings],
        writing_language=spoken[writings],
        writing_count=counts[writings],
        texts=strings(_gathered(old.texts, came_texts, writings)),
        key_high=high[by_key],
        key_low=low[by_key],
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

    def columns(which: Longs, starts: Longs, *tables: tuple[NDArray[np.integer], str]) -> Iterator[Any]:
        held = rows_of(starts, kept)[0]
        moved = None if in_order else rows_of(starts_of(which), order)[0]
        for table, name in tables:
            whole = np.concatenate([table[held], *(getattr(some.said, name) for some in contents.packed)])
            yield whole if moved is None else whole[moved]

    of_members = columns(
        members, sealed.member_starts, (sealed.member_writing, "writing"), (sealed.member_mentions, "mentions"),
        (sealed.member_weight, "weight"),
    )  # fmt: skip
    of_relations = columns(
        relations, sealed.relation_starts, (sealed.relation_head, "head"), (sealed.relation_tail, "tail"),
        (sealed.relation_label, "label"), (sealed.relation_weight, "strength"),
    )  # fmt: skip
    said = Said(*of_members, *of_relations)
    contents.packed.clear()
    return ids[order], said, members[order], relations[order]


def _posts(of_member: Ints, sizes: Longs, said: Said, nodes: int) -> tuple[Longs, Ints, Ints]:
    """Starts by node, places of chunks and summed weights."""
    place = np.repeat(np.arange(len(sizes)), sizes)
    keys, weights = summed(of_member.astype(np.int64) << _BITS | place, said.weight)
    return grouped(keys >> _BITS, nodes), (keys & 0xFFFFFFFF).astype(np.int32), weights.astype(np.int32)


def _pairs(of_member: Ints, starts: Ints, said: Said, nodes: int) -> tuple[Longs, Ints, NDArray[np.integer]]:
    """Starts by node, other nodes and summed weights. `starts`: by relation, of its chunk's members."""
    low, high, weight = _different_pairs(of_member, starts, said, nodes)
    before, after = np.bincount(high, minlength=nodes), np.bincount(low, minlength=nodes)
    row, lower, upper = starts_of(before + after), starts_of(before), starts_of(after)
    others, weights = np.empty(2 * len(low), np.int32), np.empty(2 * len(low), weight.dtype)
    other_way = np.argsort(high, kind="stable").astype(np.int32)
    for some in _parts_of(nodes):  # of a node the smaller others, then the larger ones
        at = spread(row[some], before[some])
        from_ = other_way[lower[some.start] : lower[some.stop]]
        others[at], weights[at] = low[from_], weight[from_]
        at = spread(row[some] + before[some], after[some])
        larger = slice(upper[some.start], upper[some.stop])
        others[at], weights[at] = high[larger], weight[larger]
    return row, others, weights


def _parts_of(nodes: int) -> list[slice]:
    """Some nodes at a time."""
    edges = np.linspace(0, nodes, _PARTS + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _different_pairs(of_member: Ints, starts: Ints, said: Said, nodes: int) -> tuple[Ints, Ints, NDArray[np.integer]]:
    """Pairs of different nodes, the smaller first, rising, with their summed weights. What is sorted at once is small:
    first the relations of some chunks, then the pairs of some nodes."""
    found: list[tuple[Longs, Ints]] = []
    for first in range(0, len(said.head), _BLOCK):
        some = slice(first, first + _BLOCK)
        one, other = of_member[starts[some] + said.head[some]], of_member[starts[some] + said.tail[some]]
        kept = one != other
        low, high = np.minimum(one, other)[kept].astype(np.int64), np.maximum(one, other)[kept]
        keys, weights = summed(low << _BITS | high, said.strength[some][kept])
        found.append((keys, weights.astype(np.int32)))
    lows: list[Ints] = []
    highs: list[Ints] = []
    sums: list[NDArray[np.integer]] = []
    for nodes_ in _parts_of(nodes):
        bounds = nodes_.start << _BITS, nodes_.stop << _BITS
        slices = [(keys, weights, slice(*np.searchsorted(keys, bounds))) for keys, weights in found]
        keys, total = summed(
            np.concatenate([_NONE, *(keys[part] for keys, _, part in slices)]),
            np.concatenate([_NONE, *(weights[part] for _, weights, part in slices)]),
        )
        lows.append((keys >> _BITS).astype(np.int32))
        highs.append((keys & 0xFFFFFFFF).astype(np.int32))
        sums.append(total.astype(np.int32) if not len(total) or int(total.max()) < 1 << 31 else total)
    return np.concatenate(lows), np.concatenate(highs), np.concatenate(sums)


def _chunks_of_entities(root: NDArray[np.integer], group: Ints, post_starts: Longs, post_chunk: Ints) -> Ints:
    found = np.where(root == np.arange(len(root)), np.diff(post_starts), 0).astype(np.int32)
    sizes = np.bincount(root, minlength=len(root))
    several = group[sizes[root[group]] > 1]
    places, which = rows_of(post_starts, several)
    pairs = np.unique(root[several][which].astype(np.int64) << _BITS | post_chunk[places])
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


def _small(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
    """In half the bytes, where they fit."""
    return numbers.astype(np.uint16, copy=False) if len(numbers) and int(numbers.max()) < 1 << 16 else numbers
