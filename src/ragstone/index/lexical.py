"""BM25 over one collection, exact under deletes.

The rows live in a list of segments: sealed ones are files (memory-mapped, immutable), the tail is a few small
ones in memory. A delete clears a row's bit in its segment's mask. The number of chunks, the average length and
every document frequency are counted over live rows when a question comes, so ids and scores depend only on which
chunks are live, never on the history of adds, deletes, seals and merges.

A search works on the snapshot it finds and never waits; changes build a new snapshot under one lock. For whoever
follows the operation log (index/sync.py):

    open      `open_segment(path, checksum, dead)`, then `add`/`delete` for the changes after the watermark
    follow    `add`, `delete`; both may be repeated
    seal      `checksum, rows = seal(path)` writes the tail; publish the file with the seq applied before the call
    merge     `checksum, rows = merge(path, names)` writes one file in the place of several; publish, then remove
              the old files (a search in flight keeps its mapping)
    publish   `segment_infos()` and `dead_ids(name)` describe what is open
    another process published: `replace([(path, checksum), ...])` with the new set
    verify    `digests()` against `postings.bag_digest(terms)`

`name` is the file's name. Nothing here deletes files or knows of log positions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..protocols import Ids, LexicalIndex, Owners, QueryTerms, Scores
from ..types import Terms
from .bm25 import K1, SAMPLE, B, Snapshot, View, first_scattered
from .postings import Keys, build_postings, merge_postings, open_postings, write_postings

# Where the tail has more segments, the young ones are merged: each with the one before it unless that one is at least
# _TAIL_RATIO times larger, so that a row is moved a small number of times and few changes wait for a merge.
_TAIL_SEGMENTS = 8
_TAIL_RATIO = 4


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """An open sealed segment. `rows` are those in the file, `live` those not deleted."""

    name: str
    path: Path
    checksum: bytes
    bytes: int
    rows: int
    live: int


class Bm25Index(LexicalIndex):
    """See the module. Safe for several threads; searches never wait for changes."""

    def __init__(self, *, k1: float = K1, b: float = B) -> None:
        self._k1 = k1
        self._b = b
        self._lock = threading.Lock()  # guards the three tuples below
        self._maintenance = threading.Lock()  # one seal, merge, open or replace at a time; taken before _lock
        self._sealed: tuple[View, ...] = ()
        self._frozen: tuple[View, ...] = ()  # tail segments that are being written to a file
        self._tail: tuple[View, ...] = ()
        self._snapshot = Snapshot((), k1, b)

    def add(self, ids: Sequence[int], terms: Sequence[Terms]) -> None:
        with self._lock:
            given = np.asarray(ids, dtype=np.int64)
            fresh = np.zeros(len(given), dtype=np.bool_)
            fresh[np.unique(given, return_index=True)[1]] = True  # the first of equal ids
            for view in self._views():
                fresh &= ~view.holds(given)
            chosen = np.flatnonzero(fresh).tolist()
            if not chosen:
                return
            view = View(build_postings([int(given[i]) for i in chosen], [terms[i] for i in chosen]))
            tail = (*self._tail, view)
            self._set(tail=_settle(tail) if len(tail) > _TAIL_SEGMENTS else tail)

    def delete(self, ids: Iterable[int]) -> None:
        given = np.unique(np.fromiter(ids, dtype=np.int64))
        with self._lock:
            self._set(
                sealed=tuple(v.without(given) for v in self._sealed),
                frozen=tuple(v.without(given) for v in self._frozen),
                tail=tuple(w for v in self._tail if (w := v.without(given)).live),
            )

    def search(self, query: QueryTerms, k: int, allow: Ids | None = None) -> tuple[Ids, Scores]:
        return self._snapshot.search(query, k, allow)

    def rarity(self, terms: Sequence[str]) -> Scores:
        return self._snapshot.rarity(terms)

    def search_documents(
        self, query: QueryTerms, k: int, owners: Owners, allow: Ids | None = None
    ) -> tuple[Ids, Scores]:
        return self._snapshot.search_documents(query, k, owners, allow)

    def ids(self) -> Ids:
        """Sorted."""
        parts = [v.live_ids() for v in self._snapshot.views]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)

    def sample(self) -> Ids:
        parts = [v.sampled() for v in self._snapshot.views]
        return first_scattered(np.concatenate([np.empty(0, np.int64), *parts]), SAMPLE)

    def tail_size(self) -> int:
        """Live rows that are in no file."""
        return sum(v.live for v in self._snapshot.views if v.path is None)

    def digests(self) -> tuple[Ids, Keys]:
        """Live ids (sorted) and for each the `bag_digest` of the terms it was added with."""
        views = self._snapshot.views
        parts = [(v.live_ids(), v.postings.digests()[v.mask()]) for v in views]
        if not parts:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)
        ids = np.concatenate([i for i, _ in parts])
        order = np.argsort(ids)
        return ids[order], np.concatenate([d for _, d in parts])[order]

    # segments

    def open_segment(self, path: Path, checksum: bytes, dead: Ids) -> None:
        """Adds a sealed file. Raises StoreDamaged where its bytes are not those that were written."""
        with self._maintenance:
            view = View(open_postings(path, checksum), None, path, checksum).without(dead)
            with self._lock:
                self._set(sealed=(*self._sealed, view), tail=self._outside((view,)))

    def replace(self, segments: Sequence[tuple[Path, bytes]]) -> bool:
        """Makes the files (path, checksum) the set of sealed segments in one step. Nothing that is found changes by
        it: rows of theirs that are not live here are dead in them, and what stands in none of them stays in the tail.
        This index must have seen every change that the files hold. False where a row would be missed, and then nothing
        changed. Raises StoreDamaged, as before."""
        with self._maintenance:
            known = {(v.path, v.checksum) for v in self._sealed}
            opened = {pair: View(open_postings(*pair), None, *pair) for pair in segments if pair not in known}
            with self._lock:
                live = self.ids()
                views = {(v.path, v.checksum): v for v in self._sealed}
                for pair, view in opened.items():
                    views[pair] = view.without(np.setdiff1d(view.postings.ids, live, assume_unique=True))
                sealed = tuple(views[pair] for pair in segments)
                tail = self._outside(tuple(opened.values()))
                if sum(v.live for v in (*sealed, *tail)) != len(live):
                    return False
                self._set(sealed=sealed, tail=tail)
                return True

    def seal(self, path: Path) -> tuple[bytes, int]:
        """Writes the live rows of the tail to `path` and opens it in their place: (checksum, rows). What is added
        meanwhile stays in the tail. Raises DiskFull, StoreReadOnly, StoreError, and then the tail is as before."""
        with self._maintenance:
            return self._rewrite(path, ())

    def merge(self, path: Path, names: Sequence[str] | None = None) -> tuple[bytes, int]:
        """Writes the live rows of the named sealed segments (all of them and the tail where None) to `path` and
        opens it in their place: (checksum, rows). Errors as `seal`."""
        with self._maintenance:
            sealed = tuple(v for v in self._sealed if names is None or (v.path and v.path.name in names))
            return self._rewrite(path, sealed, with_tail=names is None)

    def segment_infos(self) -> list[SegmentInfo]:
        return [
            SegmentInfo(v.path.name, v.path, v.checksum, v.postings.file_bytes, len(v.postings.ids), v.live)
            for v in self._sealed
            if v.path
        ]

    def dead_ids(self, name: str) -> Ids:
        """Ids of the named sealed segment that were deleted since it was written, sorted."""
        return next(v.dead_ids() for v in self._sealed if v.path and v.path.name == name)

    def _rewrite(self, path: Path, sealed: tuple[View, ...], with_tail: bool = True) -> tuple[bytes, int]:
        """The caller holds `_maintenance`, so `_sealed` changes only by deletes until the swap."""
        with self._lock:
            if with_tail:
                self._set(frozen=self._tail, tail=())
            paths = {v.path for v in sealed}
            source = (*(v for v in self._sealed if v.path in paths), *self._frozen)
        try:
            merged = merge_postings([(v.postings, v.alive) for v in source])
            checksum = write_postings(merged, path)
            view = View(open_postings(path, checksum), None, path, checksum)
        except BaseException:
            with self._lock:
                self._set(frozen=(), tail=(*self._frozen, *self._tail))
            raise
        with self._lock:
            now = (*(v for v in self._sealed if v.path in paths), *self._frozen)
            live = [v.live_ids() for v in now]
            gone = np.setdiff1d(view.postings.ids, np.concatenate(live) if live else view.postings.ids[:0])
            others = tuple(v for v in self._sealed if v.path not in paths)
            self._set(sealed=(*others, view.without(gone)), frozen=())
        return checksum, len(view.postings.ids)

    def _views(self) -> tuple[View, ...]:
        return (*self._sealed, *self._frozen, *self._tail)

    def _outside(self, sealed: tuple[View, ...]) -> tuple[View, ...]:
        """The tail without the rows that stand in these segments."""
        tail = self._tail
        for segment in sealed:
            tail = tuple(v.without(segment.postings.ids) for v in tail)
        return tuple(v for v in tail if v.live)

    def _set(
        self,
        sealed: tuple[View, ...] | None = None,
        frozen: tuple[View, ...] | None = None,
        tail: tuple[View, ...] | None = None,
    ) -> None:
        self._sealed = self._sealed if sealed is None else sealed
        self._frozen = self._frozen if frozen is None else frozen
        self._tail = self._tail if tail is None else tail
        self._snapshot = Snapshot(self._views(), self._k1, self._b)


def _settle(tail: tuple[View, ...]) -> tuple[View, ...]:
    """Merges the youngest segments of the tail until each is much smaller than the one before it."""
    first = len(tail) - 1
    rows = len(tail[first].postings.ids)
    while first and len(tail[first - 1].postings.ids) < _TAIL_RATIO * rows:
        first -= 1
        rows += len(tail[first].postings.ids)
    if first == len(tail) - 1:
        return tail
    return (*tail[:first], View(merge_postings([(v.postings, v.alive) for v in tail[first:]])))
