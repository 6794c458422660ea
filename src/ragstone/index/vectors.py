"""Nearest neighbours by inner product in one space of one collection.

Rows are float16: sealed segments are files (memory-mapped, immutable), the tail is a few blocks in memory. A delete
clears a row's bit. A search works on the snapshot it finds and never waits; changes make a new snapshot under a lock.

How each run of rows is searched stands in index/vector_search.py, what a file is written with for that in
index/vector_codes.py. `structure` overrides the choice by rows: "exact" never uses codes, "flat" never lists, "ivf"
lists and "hnsw" graphs wherever there would be codes; `components` makes codes of as many principal components. What a
file was written with counts, until a merge or a rebuild writes it anew; "exact" passes over it at once.

The runs only choose candidates: everything within their rounding error of the k-th goes on, and is scored again,
one row at a time, in float64 (`inner_products`). So a score depends on the row and the question alone, bit for bit,
and wherever all rows are scored the result is exactly that of sorting all live rows, whatever the history of adds,
deletes, seals and merges. With codes or a graph the scores are as exact, but a neighbour may be missed.

The calls for whoever follows the operation log are those of index/lexical.py: `open_segment`, `add`, `delete`, `seal`,
`merge`, `segment_infos`, `dead_ids`, and `stored` for verifying.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import ModelError, ModelMismatch
from ..protocols import Ids, Scores, VectorIndex, Vectors
from ..types import Space
from . import vector_codes
from .largest import kth_largest
from .lexical import SegmentInfo
from .vector_codes import Floats, Halves, Structure, encode, form_of
from .vector_file import open_vectors, write_vectors
from .vector_search import BLOCK_ROWS, Among, Block, Rows, Sealed, rounding

DECODED_ROWS = 10_240
"""A float32 copy of as many rows is 16 MB at 384 dimensions, made in 8 ms; faiss is not imported."""
_BATCH_SCORES = 4_000_000  # scores of a batch that are in memory at once: 16 MB


def inner_products(rows: Halves | Floats, query: Floats) -> Scores:
    """float32[m] of rows [m, d] and query float32[d]. Products of float16 by float32 are exact in float64; numpy adds
    up each row by itself in a fixed order; so the result of a row does not depend on the others."""
    products = rows.astype(np.float64) * query.astype(np.float64)
    return np.asarray(products.sum(axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Rows as one snapshot sees them: the first `count`, or those of them that are `alive`."""

    source: Sealed | Block
    count: int
    alive: Among | None = None
    path: Path | None = None
    checksum: bytes = b""

    @property
    def live(self) -> int:
        return self.count if self.alive is None else len(self.alive.rows)

    def live_rows(self) -> Rows:
        return np.arange(self.count) if self.alive is None else self.alive.rows

    def live_ids(self) -> Ids:
        ids = self.source.ids[: self.count]
        return ids if self.alive is None else self.source.ids[self.alive.rows]

    def dead_ids(self) -> Ids:
        return self.source.ids[:0] if self.alive is None else self.source.ids[: self.count][~self.alive.mask]

    def rows_of(self, ids: Ids) -> Rows:
        """Live rows of those of `ids` (sorted) that are here."""
        rows = self.source.rows_of(ids, self.count)
        return rows if self.alive is None else rows[self.alive.mask[rows]]

    def without(self, ids: Ids) -> _View:
        """The same rows with these ids dead; itself where none of them is live here."""
        rows = self.rows_of(ids)
        if not len(rows):
            return self
        alive = np.ones(self.count, dtype=np.bool_) if self.alive is None else self.alive.mask.copy()
        alive[rows] = False
        return replace(self, alive=Among(np.flatnonzero(alive), self.count, alive))

    def choose(self, queries: Floats, k: int, allow: Ids | None, share: float) -> list[tuple[Rows, Scores]]:
        among = self.alive if allow is None else Among(self.rows_of(allow), self.count)
        if among is not None and not len(among.rows):
            return [(among.rows, np.empty(0, dtype=np.float32))] * len(queries)
        return self.source.choose(queries, k, self.count, among, share)


class _Joined:
    """Live rows of several views in the order of their ids, for writing them to one file."""

    def __init__(self, views: Sequence[_View], dimension: int) -> None:
        self._sources = [view.source for view in views]
        self._dimension = dimension
        rows = [view.live_rows() for view in views]
        ids = np.concatenate([view.live_ids() for view in views] or [np.empty(0, dtype=np.int64)])
        order = np.argsort(ids, kind="stable")  # views are runs of rising ids: merged in linear time
        self.ids = ids[order]
        self._rows = np.concatenate(rows or [np.empty(0, dtype=np.int64)])[order]
        self._owners = np.repeat(np.arange(len(rows), dtype=np.int32), [len(r) for r in rows])[order]

    def read(self, places: Rows) -> Halves:
        halves = np.empty((len(places), self._dimension), dtype=np.float16)
        owners, rows = self._owners[places], self._rows[places]
        for owner in np.unique(owners).tolist():
            mine = owners == owner
            halves[mine] = self._sources[owner].read(rows[mine])
        return halves

    def forget(self) -> None:
        for source in self._sources:
            source.forget()


class FlatVectorIndex(VectorIndex):
    """See the module. Safe for several threads; searches never wait for changes."""

    def __init__(
        self,
        space: Space,
        *,
        structure: Structure = "auto",
        components: int = 0,
        exact_rows: int | None = None,
        listed_rows: int | None = None,
        decoded_rows: int = DECODED_ROWS,
    ) -> None:
        self._space = space
        self._structure = structure
        self._components = components
        self._exact_rows = vector_codes.EXACT_ROWS if exact_rows is None else exact_rows
        self._listed_rows = vector_codes.LISTED_ROWS if listed_rows is None else listed_rows
        self._decoded_rows = decoded_rows
        self._lock = threading.Lock()  # guards the fields below
        self._maintenance = threading.Lock()  # one seal, merge or open at a time; taken before _lock
        self._sealed: tuple[_View, ...] = ()
        self._frozen: tuple[_View, ...] = ()  # tail blocks that are being written to a file
        self._tail: tuple[_View, ...] = ()
        self._views: tuple[_View, ...] = ()

    @property
    def space(self) -> Space:
        return self._space

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Adds to the tail, rounded to float16. An id that is already there is ignored. Raises ModelMismatch where the
        dimension is not the space's, ModelError where a value is not finite in float16."""
        if vectors.shape != (len(ids), self._space.dimension):
            raise ModelMismatch(
                f"vectors of shape {vectors.shape} do not fit {len(ids)} chunks of {self._space.dimension} dimensions.",
                "Embed again with the model of this space.",
            )
        with np.errstate(over="ignore"):
            floats = vectors.astype(np.float16).astype(np.float32)
        if not np.isfinite(floats).all():
            raise ModelError("a vector has values that are not finite numbers.", "Embed again, or use another model.")
        given = np.asarray(ids, dtype=np.int64)
        first = np.sort(np.unique(given, return_index=True)[1])
        given, floats = given[first], floats[first]
        with self._lock:
            fresh = np.ones(len(given), dtype=np.bool_)
            for view in self._views:
                rows = view.rows_of(np.sort(given))
                fresh &= ~np.isin(given, view.source.ids[rows])
            self._append(given[fresh], floats[fresh])

    def _append(self, ids: Ids, floats: Floats) -> None:
        tail = list(self._tail)
        done = 0
        while done < len(ids):
            if not tail or tail[-1].count == BLOCK_ROWS:
                tail.append(_View(Block(self._space.dimension), 0))
            last = tail[-1]
            block = last.source
            assert isinstance(block, Block)  # noqa: S101 - the tail is made of blocks only
            taken = min(BLOCK_ROWS - last.count, len(ids) - done)
            count = last.count + taken
            block.ids[last.count : count] = ids[done : done + taken]
            block.floats[last.count : count] = floats[done : done + taken]
            block.norm = max(block.norm, _largest_norm(floats[done : done + taken]))
            alive = last.alive
            if alive is not None:
                alive = Among(np.concatenate([alive.rows, np.arange(last.count, count)]), count)
            tail[-1] = replace(last, count=count, alive=alive)
            done += taken
        self._set(tail=tuple(tail))

    def delete(self, ids: Iterable[int]) -> None:
        """Unknown ids are ignored."""
        given = np.unique(np.fromiter(ids, dtype=np.int64))
        with self._lock:
            tail = tuple(v.without(given) for v in self._tail)
            self._set(
                sealed=tuple(v.without(given) for v in self._sealed),
                frozen=tuple(v.without(given) for v in self._frozen),
                tail=tuple(v for v in tail if v.live),
            )

    def search(self, query: Vectors, k: int, allow: Ids | None = None) -> list[tuple[Ids, Scores]]:
        queries = np.ascontiguousarray(query, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self._space.dimension:
            raise ModelMismatch(
                f"a question of shape {queries.shape} does not fit a space of dimension {self._space.dimension}.",
                "Embed it with the model of this space.",
            )
        views = self._views
        results: list[tuple[Ids, Scores]] = []
        largest = max((view.count for view in views), default=1)
        step = max(1, _BATCH_SCORES // largest)
        every = sum(view.count for view in views)
        for first in range(0, len(queries), step):
            some = queries[first : first + step]
            chosen = [view.choose(some, k, allow, view.count / every) if k > 0 else [] for view in views]
            results += [_best(views, [c[i] if c else None for c in chosen], some[i], k) for i in range(len(some))]
        return results

    def ids(self) -> Ids:
        """Sorted."""
        parts = [view.live_ids() for view in self._views]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)

    def tail_size(self) -> int:
        """Live rows that are in no file."""
        return sum(view.live for view in self._views if view.path is None)

    def size(self) -> int:
        """Live rows."""
        return sum(view.live for view in self._views)

    def stored(self, ids: Ids) -> tuple[Ids, Halves]:
        """Those of `ids` (sorted) that are here, rising, with their float16 rows."""
        found = [(view, view.rows_of(ids)) for view in self._views]
        some = np.concatenate([view.source.ids[rows] for view, rows in found] or [np.empty(0, dtype=np.int64)])
        values = _gather(found, self._space.dimension)
        order = np.argsort(some)
        return some[order], values[order]

    # segments

    def open_segment(self, path: Path, checksum: bytes, dead: Ids) -> None:
        """Adds a sealed file. Raises StoreDamaged where its bytes are not those that were written, or are vectors of
        another space."""
        with self._maintenance:
            view = self._open(path, checksum).without(np.sort(dead))
            with self._lock:
                tail = tuple(v.without(view.source.ids) for v in self._tail)
                self._set(sealed=(*self._sealed, view), tail=tuple(v for v in tail if v.live))

    def replace(self, segments: Sequence[tuple[Path, bytes]]) -> bool:
        """Makes the files (path, checksum) the set of sealed segments in one step. Nothing that is found changes by
        it; see `Bm25Index.replace`."""
        with self._maintenance:
            known = {(v.path, v.checksum) for v in self._sealed}
            opened = {pair: self._open(*pair) for pair in segments if pair not in known}
            with self._lock:
                live = self.ids()
                views = {(v.path, v.checksum): v for v in self._sealed}
                tail = self._tail
                for pair, view in opened.items():
                    later = _differing(view, tail)  # embedded again since the file was written
                    missing = np.setdiff1d(view.source.ids, live, assume_unique=True)
                    views[pair] = view.without(np.union1d(missing, later))
                    tail = tuple(v.without(views[pair].live_ids()) for v in tail)
                sealed = tuple(views[pair] for pair in segments)
                tail = tuple(v for v in tail if v.live)
                if sum(v.live for v in (*sealed, *tail)) != len(live):
                    return False
                self._set(sealed=sealed, tail=tail)
                return True

    def seal(self, path: Path) -> tuple[bytes, int]:
        """Writes the live rows of the tail to `path` and opens it in their place: (checksum, rows). What is added
        meanwhile stays in the tail. Raises DiskFull, StoreReadOnly, StoreError, and then the tail is as before."""
        return self.merge(path, (), with_tail=True)

    def merge(self, path: Path, names: Sequence[str] | None = None, *, with_tail: bool = False) -> tuple[bytes, int]:
        """Writes the live rows of the named sealed segments (all of them and the tail where None) to `path` and
        opens it in their place: (checksum, rows). Errors as `seal`."""
        with self._maintenance:
            paths = {v.path for v in self._sealed if names is None or (v.path is not None and v.path.name in names)}
            with self._lock:
                if with_tail or names is None:
                    self._set(frozen=self._tail, tail=())
                source = (*(v for v in self._sealed if v.path in paths), *self._frozen)
            try:
                view = self._write(path, source)
            except BaseException:
                with self._lock:
                    self._set(frozen=(), tail=(*self._frozen, *self._tail))
                raise
            with self._lock:
                # Rows deleted while the file was written are dead in it from the start.
                now = (*(v for v in self._sealed if v.path in paths), *self._frozen)
                live = np.concatenate([v.live_ids() for v in now] or [view.source.ids[:0]])
                view = view.without(np.setdiff1d(view.source.ids, live))
                others = tuple(v for v in self._sealed if v.path not in paths)
                self._set(sealed=(*others, view), frozen=())
            return view.checksum, view.count

    def segment_infos(self) -> list[SegmentInfo]:
        return [
            SegmentInfo(v.path.name, v.path, v.checksum, v.source.file_bytes, v.count, v.live)
            for v in self._sealed
            if v.path is not None
        ]

    def dead_ids(self, name: str) -> Ids:
        """Ids of the named sealed segment that were deleted since it was written, sorted."""
        return next(v.dead_ids() for v in self._sealed if v.path is not None and v.path.name == name)

    def _write(self, path: Path, views: Sequence[_View]) -> _View:
        source = _Joined(views, self._space.dimension)
        form = form_of(
            self._structure, len(source.ids), exact_rows=self._exact_rows, listed_rows=self._listed_rows
        )
        encoding = encode(source, self._space.dimension, form, self._components)
        return self._open(path, write_vectors(path, self._space.id, self._space.dimension, source, encoding))

    def _open(self, path: Path, checksum: bytes) -> _View:
        file = open_vectors(path, checksum, self._space.id, self._space.dimension)
        coded = self._structure != "exact" and len(file.ids) > self._exact_rows
        return _View(Sealed(file, coded, self._decoded_rows), len(file.ids), None, path, checksum)

    def _set(
        self,
        sealed: tuple[_View, ...] | None = None,
        frozen: tuple[_View, ...] | None = None,
        tail: tuple[_View, ...] | None = None,
    ) -> None:
        self._sealed = self._sealed if sealed is None else sealed
        self._frozen = self._frozen if frozen is None else frozen
        self._tail = self._tail if tail is None else tail
        self._views = tuple(v for v in (*self._sealed, *self._frozen, *self._tail) if v.count)


def _best(
    views: Sequence[_View], chosen: Sequence[tuple[Rows, Scores] | None], query: Floats, k: int
) -> tuple[Ids, Scores]:
    """The k best of what the views chose, by exact score, then by id."""
    parts = [(view, *pair) for view, pair in zip(views, chosen, strict=True) if pair is not None and len(pair[0])]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    near = np.concatenate([scores for _, _, scores in parts])
    if len(near) > k:
        allowance = 2 * rounding(query, max(view.source.norm for view, _, _ in parts))
        least = kth_largest(near, k) - allowance
        parts = [(view, rows[scores >= least], scores) for view, rows, scores in parts]
    ids = np.concatenate([view.source.ids[rows] for view, rows, _ in parts])
    scores = np.concatenate([inner_products(view.source.read(rows), query) for view, rows, _ in parts])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _differing(view: _View, others: Sequence[_View]) -> Ids:
    """Ids whose rows in `others` are not those of `view`, sorted."""
    found = []
    for other in others:
        ids = np.sort(other.live_ids())
        own, rows = view.source.ids[view.rows_of(ids)], other.rows_of(ids)
        shared = np.isin(other.source.ids[rows], own)
        rows = rows[shared][np.argsort(other.source.ids[rows[shared]])]
        same = (view.source.read(view.rows_of(own)) == other.source.read(rows)).all(axis=1)
        found.append(own[~same])
    return np.unique(np.concatenate([*found, view.source.ids[:0]]))


def _largest_norm(floats: Floats) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", floats, floats, dtype=np.float64).max(initial=0.0)))


def _gather(found: Sequence[tuple[_View, Rows]], dimension: int) -> Halves:
    """float16 rows of the views, one after the other."""
    total = sum(len(rows) for _, rows in found)
    halves = np.empty((total, dimension), dtype=np.float16)
    first = 0
    for view, rows in found:
        last = first + len(rows)
        halves[first:last] = view.source.read(rows)
        first = last
    return halves
