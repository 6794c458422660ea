"""Sealed segments in the data folder: who may write them, which are merged, and what is thrown away.

One process at a time seals: it holds a lock on DATA/indexer.lock, which the system releases when the process ends, in
whatever way. A file is published (a transaction of the store) only when it is complete and durable, so a process that
dies leaves at most files that nobody refers to; the next one that seals removes them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import NotFound, StoreBusy, StoreDamaged
from ..faults import reach
from ..protocols import Ids, Segment, Store
from .files import remove_file
from .lexical import SegmentInfo
from .vector_codes import EXACT_ROWS, LISTED_ROWS, Structure, components_of, form_of
from .vector_file import head_of

LOCK = "indexer.lock"
SEGMENTS = "segments"
MOST_DEAD = 0.2
"""Share of dead rows above which a segment is written anew."""
GRACE_SECONDS = 60.0
"""A file that nothing refers to is left alone for so long after it was written."""
PURGE_WAIT_SECONDS = 60.0
SLACK = 5_000
"""Log entries that stay below the watermarks, so that who follows the log rarely has to open the segments again."""
MOST_LAG = 100_000
"""Log entries after which a set of segments is no longer waited for: who opens it makes it again from the store."""


class Sealable(Protocol):
    """What Bm25Index and FlatVectorIndex have in common for sealing."""

    def tail_size(self) -> int: ...
    def seal(self, path: Path) -> tuple[bytes, int]: ...
    def merge(self, path: Path, names: Sequence[str] | None = None) -> tuple[bytes, int]: ...
    def replace(self, segments: Sequence[tuple[Path, bytes]]) -> bool: ...
    def segment_infos(self) -> list[SegmentInfo]: ...
    def dead_ids(self, name: str) -> Ids: ...


@contextmanager
def indexer_lock(folder: Path, *, wait_seconds: float = 0.0) -> Iterator[bool]:
    """Whether this caller may write segments now; until the block ends nobody else may. False too where the folder
    cannot be written."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    deadline = time.monotonic() + wait_seconds
    try:
        while not (held := _lock(descriptor)) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield held
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def new_path(folder: Path, kind: str, seq: int) -> Path:
    return folder / SEGMENTS / f"{kind}-{seq:012d}-{secrets.token_hex(4)}.seg"


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """More than `most` segments are merged. A segment joins where it is at most `growth` times as large as the smaller
    ones together, and the merged one gets no more than `rows`, which bounds the memory of merging. While a collection
    grows by 2,000 rows at a time to 1,000,000, each row of the vector index is moved 10 times (docs/decisions/0009)."""

    most: int
    growth: float
    rows: int


POLICIES = {
    # A search visits every word index for a few microseconds, and every small vector index for half a millisecond.
    "lexical": MergePolicy(6, 2.0, 4_000_000),
    "vector": MergePolicy(3, 3.0, 2_000_000),
}


def segments_to_merge(infos: Sequence[SegmentInfo], policy: MergePolicy) -> list[str]:
    """Names of the segments that are to become one; none where all is well."""
    rising = sorted(infos, key=lambda info: info.live)
    full = [info for info in rising if 2 * info.live > policy.rows]  # these stay what they are
    if len(rising) - len(full) > policy.most:
        group, live = rising[:2], rising[0].live + rising[1].live
        for info in rising[2 : len(rising) - len(full)]:
            if info.live > policy.growth * live and len(rising) - len(full) - len(group) < policy.most:
                break
            if info.live + live > policy.rows:
                break
            group.append(info)
            live += info.live
        return [info.name for info in group]
    dead = [info for info in rising if info.rows - info.live > MOST_DEAD * info.rows]
    return [dead[0].name] if dead else []


RESTING_ROWS = 500_000
"""Rows of the largest file that is made while nobody writes: some ten seconds of processor time."""
RESTING_SHARE = 0.1
"""Rows beside the largest file, in its rows, from which making one file of all is worth it."""


def segments_at_rest(infos: Sequence[SegmentInfo]) -> list[str]:
    """Names of the vector segments that are to become one where nobody writes any more; none where all is well. Every
    file costs a search its share of candidates to score, however few rows it has (docs/decisions/0009)."""
    if len(infos) < 2:
        return []
    *smaller, largest = sorted(infos, key=lambda info: info.live)
    beside = sum(info.live for info in smaller)
    if beside >= RESTING_SHARE * largest.live and beside + largest.live <= RESTING_ROWS:
        return [info.name for info in infos]
    return [info.name for info in smaller] if len(smaller) > 1 and beside <= RESTING_ROWS else []


def described(index: Sealable, kind: str, space: str, watermark: int) -> list[Segment]:
    """The sealed segments of an index as the store keeps them."""
    return [
        Segment(
            kind="lexical" if kind == "lexical" else "vector",
            space=space,
            name=info.name,
            checksum=info.checksum,
            size=info.bytes,
            rows=info.rows,
            watermark=watermark,
            dead=index.dead_ids(info.name).astype("<i8").tobytes(),
        )
        for info in index.segment_infos()
    ]


def explained(segment: Segment, folder: Path, structure: Structure, components: int) -> dict[str, str]:
    """How a segment is searched, and why. `structure` and `components` are the settings. Empty where the file is gone
    or not readable: whoever opens it says so."""
    if segment.kind == "lexical":
        return {"search": "bm25", "why": "every posting of the question's words counts"}
    if segment.kind == "graph":
        return {"search": "graph", "why": "a walk reads it in place"}
    try:
        head = head_of(folder / SEGMENTS / segment.name)
    except StoreDamaged:
        return {}
    set_by = "" if structure == "auto" else f" (search.vector_index = {structure})"
    if structure == "exact":
        return {"search": "exact", "why": f"all rows are scored{set_by}"}
    of = f" of {head.components} principal components" if head.components else ""
    why = {
        "rows": f"at most {EXACT_ROWS:,} rows are all scored",
        "codes": f"above {EXACT_ROWS:,} rows, 4-bit codes{of} choose what is scored{set_by}",
        "lists": f"above {LISTED_ROWS if structure == 'auto' else EXACT_ROWS:,} rows, {head.lists:,} lists{of} are "
        f"searched in part{set_by}",
        "graph": f"above {EXACT_ROWS:,} rows, links between near rows are followed{set_by}",
    }[head.form]
    wanted = components_of(head.dimension, components) if head.form in ("codes", "lists") else 0
    if (head.form, head.components) != (form_of(structure, segment.rows), wanted):
        why = "written before the settings were these, or of an odd dimension; `ragstone rebuild` writes it anew"
    return {"search": {"rows": "exact", "codes": "flat", "lists": "ivf", "graph": "hnsw"}[head.form], "why": why}


def dead_ids(segment: Segment) -> Ids:
    return np.frombuffer(segment.dead, dtype="<i8").astype(np.int64)


def _published(store: Store) -> Iterator[tuple[str, list[Segment]]]:
    """Every collection with its segments; one that is dropped meanwhile has none any more."""
    for collection in store.every_collection():
        try:
            yield collection, store.segments(collection)
        except NotFound:
            continue


def remove_orphans(store: Store, *, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Removes files that no published set refers to; returns their names. The caller holds the indexer lock.
    Processes that have such a file mapped keep it; one that is about to open it reads the set again. Raises
    StoreError, StoreReadOnly."""
    published = {segment.name for _, segments in _published(store) for segment in segments}
    removed = []
    for path in sorted((store.folder / SEGMENTS).iterdir()):
        abandoned = path.suffix == ".tmp"
        if path.name in published or not path.is_file():
            continue
        if abandoned or time.time() - path.stat().st_mtime >= grace_seconds:
            remove_file(path)
            reach("orphan.removed")
            removed.append(path.name)
    return removed


def purge_files(store: Store) -> list[str]:
    """Removes every index file that nothing refers to, however new. Raises StoreBusy where another process seals for
    more than a minute."""
    with indexer_lock(store.folder, wait_seconds=PURGE_WAIT_SECONDS) as held:
        if not held:
            raise StoreBusy("the indexes are being written by another process.", "Try again later.")
        return remove_orphans(store, grace_seconds=0)


def trim_log(store: Store, *, slack: int = SLACK) -> None:
    """Forgets log entries that no set of segments needs. The caller holds the indexer lock."""
    last, first = store.last_seq(), store.first_seq()
    if last - first < 2 * slack:
        return
    needed = last
    followed: list[tuple[str, list[Segment]]] = []
    for collection, segments in _published(store):
        groups: dict[tuple[str, str], list[Segment]] = {("lexical", ""): []}
        for segment in segments:
            groups.setdefault((segment.kind, segment.space), []).append(segment)
        for group in groups.values():
            watermark = group[0].watermark if group else 0
            waiting = store.changes(watermark, 1, collection)
            if not waiting or waiting[0].seq > last - MOST_LAG:
                needed = min(needed, waiting[0].seq - 1 if waiting else last)
                followed.append((collection, group))
    below = needed - slack + 1
    if below - first < slack:
        return
    for collection, group in followed:  # nothing of theirs stands between their watermark and `needed`
        if group and group[0].watermark < below:
            moved = [replace(segment, watermark=needed) for segment in group]
            with suppress(NotFound):  # dropped meanwhile
                store.publish(collection, group[0].kind, group[0].space, moved)
    store.trim_log(below)
