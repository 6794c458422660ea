"""Nearest neighbours by inner product in one space of one collection.

Rows are float16: sealed segments are files (memory-mapped, immutable), the tail is a few blocks in memory. A delete
clears a row's bit. A search works on the snapshot it finds and never waits; changes make a new snapshot under a lock.

How a segment is searched depends on its live rows and never on the question:

    up to `decoded_rows`   a float32 copy and one matrix product
    up to `exact_rows`     faiss over the mapped float16 rows themselves
    above                  4-bit codes choose `depth(k)` rows, which are then scored. A filter that leaves few rows,
                           or hides most of what the codes chose, makes it score all rows that are left
    above `listed_rows`    the same, but the codes stand in lists around centroids, and only those of the lists
                           nearest to the question are looked at; more of them the fewer rows a filter leaves

`structure` overrides the choice: "exact" never uses codes, "flat" never lists, "ivf" lists wherever it has codes.
What a file was written with counts, until a merge or a rebuild writes it anew; "exact" passes over it at once.

These scores only choose candidates: everything within their rounding error of the k-th goes on, and is scored again,
one row at a time, in float64 (`inner_products`). So a score depends on the row and the question alone, bit for bit,
and wherever no codes are used the result is exactly that of sorting all live rows, whatever the history of adds,
deletes, seals and merges. With codes the scores are as exact, but a neighbour may be missed: recall and times are in
docs/decisions/0004-vector-index.md, those of lists in docs/decisions/0009-vector-lists.md.

The calls for whoever follows the operation log are those of index/lexical.py: `open_segment`, `add`, `delete`, `seal`,
`merge`, `segment_infos`, `dead_ids`, and `stored` for verifying.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, ModelMismatch
from ..protocols import Ids, Scores, VectorIndex, Vectors
from ..types import Space
from .lexical import SegmentInfo
from .vector_file import Floats, Halves, RowBuffer, VectorFile, encode, load_faiss, open_vectors, write_vectors

Structure = Literal["auto", "exact", "flat", "ivf"]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

DECODED_ROWS = 10_240
"""A float32 copy of as many rows is 16 MB at 384 dimensions, made in 8 ms; faiss is not imported."""
EXACT_ROWS = 10_240
"""Above, codes take a third of the time: at 20,000 rows 0.3 ms instead of 0.9 (docs/decisions/0004-vector-index.md)."""
LISTED_ROWS = 200_000
"""Below, looking at all codes takes less than 1.5 ms."""
_BLOCK_ROWS = 1024
_BATCH_SCORES = 4_000_000  # scores of a batch that are in memory at once: 16 MB
_GATHERED_ROWS = 16_384  # copied at a time: 12 MB at 384 dimensions
_KEPT_ROWS = 4096  # of a thread's buffer: 3 MB at 384 dimensions
_SHARE = 0.2  # of rows that a filter leaves, below which those alone are scored
_SLACK = 32
_PROBED = 1 / 8
"""Share of the lists that a question looks at: recall@10 of .98 at 1,000,000 rows (docs/decisions/0009)."""
_DROPPED = 0.5
"""Share of rows that a filter leaves of a segment with lists, above which more are chosen and the hidden ones dropped;
below, faiss passes over the hidden ones."""
_LISTED_GATHERED = 8_192
"""Rows that a filter leaves of a segment with lists, below which those alone are scored: in 3 ms."""
_buffers = threading.local()


def depth(k: int, share: float = 1.0) -> int:
    """How many rows the codes of a segment choose that holds this share of all: recall@10 above 0.99 and recall@100
    above 0.98 at 100,000 rows. More than its share, because what belongs together is often added together."""
    return int(min(max(1000, 12 * k), 16_384) * min(1.0, 0.15 + 1.2 * share))


def list_count(rows: int) -> int:
    """Lists of a segment: the power of two next to the root of its rows, so that finding the nearest centroids costs
    a small part of looking at the codes around them."""
    return 1 << max(0, round(math.log2(max(1, rows)) / 2))


def inner_products(rows: Halves | Floats, query: Floats) -> Scores:
    """float32[m] of rows [m, d] and query float32[d]. Products of float16 by float32 are exact in float64; numpy adds
    up each row by itself in a fixed order; so the result of a row does not depend on the others."""
    products = rows.astype(np.float64) * query.astype(np.float64)
    return np.asarray(products.sum(axis=1), dtype=np.float32)


def form_of(
    structure: Structure, rows: int, *, exact_rows: int = EXACT_ROWS, listed_rows: int = LISTED_ROWS
) -> Literal["rows", "codes", "lists"]:
    """What a segment of so many rows is written with beside its rows."""
    if structure == "exact" or rows <= exact_rows:
        return "rows"
    return "lists" if structure == "ivf" or (structure == "auto" and rows > listed_rows) else "codes"


class _Among:
    """Some of `count` rows: sorted, and as a mask."""

    def __init__(self, rows: Rows, count: int, mask: Mask | None = None) -> None:
        self.rows = rows
        self._count = count
        self._mask = mask

    @property
    def mask(self) -> Mask:
        if self._mask is None:
            self._mask = np.zeros(self._count, dtype=np.bool_)
            self._mask[self.rows] = True
        return self._mask

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """The mask, eight rows to a byte, as faiss takes it."""
        return np.packbits(self.mask, bitorder="little")


class _Block:
    """Rows of the tail, decoded from float16. Rows below the count that a snapshot knows never change."""

    def __init__(self, dimension: int) -> None:
        self.ids = np.empty(_BLOCK_ROWS, dtype=np.int64)
        self.floats = np.empty((_BLOCK_ROWS, dimension), dtype=np.float32)
        self.norm = 0.0

    def rows_of(self, ids: Ids, count: int) -> Rows:
        return np.flatnonzero(np.isin(self.ids[:count], ids))

    def read(self, rows: Rows) -> Floats:
        return self.floats[rows]

    def forget(self) -> None:
        """There is no file that could be read again."""

    def choose(
        self, queries: Floats, k: int, count: int, among: _Among | None, share: float  # noqa: ARG002 - all are scored
    ) -> list[tuple[Rows, Scores]]:
        return _choose_dense(self.floats[:count], queries, k, None if among is None else among.rows, self.norm)


class _Sealed:
    """Rows of a file with what searching them needs, made when first needed and shared by all snapshots."""

    def __init__(self, file: VectorFile, coded: bool, decoded_rows: int) -> None:
        self.ids = file.ids
        self.norm = file.norm
        self._file = file
        self._decodes = len(file.ids) <= decoded_rows
        self._uses_codes = coded and file.codes.size > 0
        self._lock = threading.Lock()
        self._floats: Floats | None = None
        self._scanner: Any = None
        self._coded: Any = None

    def rows_of(self, ids: Ids, count: int) -> Rows:
        if len(ids) * 16 > count:
            return np.flatnonzero(np.isin(self.ids, ids))
        where = np.searchsorted(self.ids, ids)
        where, ids = where[where < count], ids[where < count]
        return np.sort(where[self.ids[where] == ids])

    def read(self, rows: Rows) -> Halves:
        return self._file.halves[rows]

    def forget(self) -> None:
        self._file.forget_rows()

    def choose(
        self, queries: Floats, k: int, count: int, among: _Among | None, share: float
    ) -> list[tuple[Rows, Scores]]:
        """For each question rows that hold its k best of `among` (all where None), with scores that are off by no
        more than `_rounding`; where codes are used, most of the k best."""
        if self._decodes:
            return _choose_dense(self._decoded(), queries, k, None if among is None else among.rows, self.norm)
        load_faiss().omp_set_num_threads(1)
        return [self._choose(query, k, count, among, depth(k, share)) for query in queries]

    def _choose(self, query: Floats, k: int, count: int, among: _Among | None, wanted: int) -> tuple[Rows, Scores]:
        left = count if among is None else len(among.rows)
        if among is not None and left < (_LISTED_GATHERED if self._uses_lists else _SHARE * count):
            return self._choose_read(query, k, among.rows)
        if self._uses_codes and left > 2 * wanted:
            near = self._near_listed if self._uses_lists else self._near
            found = near(query, wanted, count, among)
            if among is None or len(found) >= wanted // 2:
                return self._choose_read(query, k, np.sort(found))
        return self._choose_scanned(query, k, count, among)

    def _near(self, query: Floats, wanted: int, count: int, among: _Among | None) -> Rows:
        """About as many rows as `wanted`, the best by their codes."""
        if among is None:
            return self._search_codes(query, wanted, None)
        found = self._search_codes(query, min(count, wanted * count // len(among.rows)), None)
        return found[among.mask[found]]

    def _near_listed(self, query: Floats, wanted: int, count: int, among: _Among | None) -> Rows:
        """The same from the lists nearest to the question; from more of them where a filter leaves less, from all
        where they hold too few rows. Few rows where the filter hides most of what is near: codes tell far ones apart
        badly."""
        faiss = load_faiss()
        lists, share = self._file.lists, 1.0 if among is None else len(among.rows) / count
        probes = math.ceil(lists * _PROBED)
        asked = math.ceil(wanted / share) if share >= _DROPPED else wanted
        found = self._search_codes(query, asked, faiss.SearchParametersIVF(nprobe=probes))
        left = found if among is None else found[among.mask[found]]
        if len(left) >= (wanted if among is None else wanted // 2):
            return left
        if len(left) < len(found) * share / 2:
            return left
        probes = lists if len(found) < asked else min(lists, math.ceil(probes / math.sqrt(share)))
        only = {} if among is None else {"sel": faiss.IDSelectorBitmap(among.bits)}
        return self._search_codes(query, wanted, faiss.SearchParametersIVF(nprobe=probes, **only))

    def _choose_scanned(self, query: Floats, k: int, count: int, among: _Among | None) -> tuple[Rows, Scores]:
        """Scores every row and takes so many of the best that the k best of `among` are among them."""
        if among is None:
            return self._nearest(self._scan(), query, k, count)
        rows, mask = among.rows, among.mask
        asked = (k + _SLACK) * count // len(rows)
        while asked < count // 4:
            scores, found = (row[0] for row in self._scan().search(query[None], asked))
            left = mask[found]
            near = scores[left]
            if len(near) >= k and scores[-1] < near[k - 1] - 2 * _rounding(query, self.norm):
                return found[left], near
            asked *= 4
        return self._choose_read(query, k, rows)

    def _choose_read(self, query: Floats, k: int, rows: Rows) -> tuple[Rows, Scores]:
        """Scores these rows alone."""
        chosen: list[tuple[Rows, Scores]] = []
        for first in range(0, len(rows), _GATHERED_ROWS):
            some = rows[first : first + _GATHERED_ROWS]
            scan = _buffer(self._file.halves.shape[1], len(some)).scan(self._file.halves, some)
            at, scores = self._nearest(scan, query, k, len(some))
            chosen.append((some[at], scores))
        return np.concatenate([at for at, _ in chosen]), np.concatenate([scores for _, scores in chosen])

    def _nearest(self, scan: Any, query: Floats, k: int, count: int) -> tuple[Rows, Scores]:
        """The k best rows of a faiss index of `count`, and all that stand as near as rounding can tell."""
        asked = min(count, k + _SLACK)
        while True:
            scores, found = (row[0] for row in scan.search(query[None], asked))
            if asked == count or scores[-1] < scores[k - 1] - 2 * _rounding(query, self.norm):
                return found, scores
            asked = min(count, 4 * asked)

    @property
    def _uses_lists(self) -> bool:
        return self._uses_codes and self._file.lists > 0

    def _search_codes(self, query: Floats, asked: int, parameters: Any) -> Rows:
        with self._lock:
            if self._coded is None:
                self._coded = self._file.coded()
            coded = self._coded
        found: Rows = coded.search(query[None], asked, params=parameters)[1][0]
        return found[found >= 0]

    def _decoded(self) -> Floats:
        with self._lock:
            if self._floats is None:
                self._floats = self._file.halves.astype(np.float32)
            return self._floats

    def _scan(self) -> Any:
        with self._lock:
            if self._scanner is None:
                self._scanner = self._file.scanner()
            return self._scanner


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Rows as one snapshot sees them: the first `count`, or those of them that are `alive`."""

    source: _Sealed | _Block
    count: int
    alive: _Among | None = None
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
        return replace(self, alive=_Among(np.flatnonzero(alive), self.count, alive))

    def choose(self, queries: Floats, k: int, allow: Ids | None, share: float) -> list[tuple[Rows, Scores]]:
        among = self.alive if allow is None else _Among(self.rows_of(allow), self.count)
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
        exact_rows: int = EXACT_ROWS,
        listed_rows: int = LISTED_ROWS,
        decoded_rows: int = DECODED_ROWS,
    ) -> None:
        self._space = space
        self._structure = structure
        self._exact_rows = exact_rows
        self._listed_rows = listed_rows
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
            if not tail or tail[-1].count == _BLOCK_ROWS:
                tail.append(_View(_Block(self._space.dimension), 0))
            last = tail[-1]
            block = last.source
            assert isinstance(block, _Block)  # noqa: S101 - the tail is made of blocks only
            taken = min(_BLOCK_ROWS - last.count, len(ids) - done)
            count = last.count + taken
            block.ids[last.count : count] = ids[done : done + taken]
            block.floats[last.count : count] = floats[done : done + taken]
            block.norm = max(block.norm, _largest_norm(floats[done : done + taken]))
            alive = last.alive
            if alive is not None:
                alive = _Among(np.concatenate([alive.rows, np.arange(last.count, count)]), count)
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
            SegmentInfo(v.path.name, v.path, v.checksum, v.path.stat().st_size, v.count, v.live)
            for v in self._sealed
            if v.path is not None
        ]

    def dead_ids(self, name: str) -> Ids:
        """Ids of the named sealed segment that were deleted since it was written, sorted."""
        return next(v.dead_ids() for v in self._sealed if v.path is not None and v.path.name == name)

    def _write(self, path: Path, views: Sequence[_View]) -> _View:
        source = _Joined(views, self._space.dimension)
        rows = len(source.ids)
        form = form_of(self._structure, rows, exact_rows=self._exact_rows, listed_rows=self._listed_rows)
        lists = list_count(rows) if form == "lists" else 0
        codes = encode(source, self._space.dimension, lists) if form != "rows" else []
        lists = lists if codes else 0
        checksum = write_vectors(path, self._space.id, self._space.dimension, source, codes, lists)
        return self._open(path, checksum)

    def _open(self, path: Path, checksum: bytes) -> _View:
        file = open_vectors(path, checksum, self._space.id, self._space.dimension)
        coded = self._structure != "exact" and len(file.ids) > self._exact_rows
        return _View(_Sealed(file, coded, self._decoded_rows), len(file.ids), None, path, checksum)

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


def _buffer(dimension: int, rows: int) -> RowBuffer:
    """This thread's, of at least so many rows."""
    kept = _buffers.__dict__
    buffer: RowBuffer | None = kept.get(str(dimension))
    if buffer is None or buffer.capacity < rows:
        capacity = 1 << max(11, (rows - 1).bit_length())
        buffer = RowBuffer(dimension, capacity)
        if capacity <= _KEPT_ROWS:
            kept[str(dimension)] = buffer
    return buffer


def _best(
    views: Sequence[_View], chosen: Sequence[tuple[Rows, Scores] | None], query: Floats, k: int
) -> tuple[Ids, Scores]:
    """The k best of what the views chose, by exact score, then by id."""
    parts = [(view, *pair) for view, pair in zip(views, chosen, strict=True) if pair is not None and len(pair[0])]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    near = np.concatenate([scores for _, _, scores in parts])
    if len(near) > k:
        allowance = 2 * _rounding(query, max(view.source.norm for view, _, _ in parts))
        least = np.partition(near, len(near) - k)[len(near) - k] - allowance
        parts = [(view, rows[scores >= least], scores) for view, rows, scores in parts]
    ids = np.concatenate([view.source.ids[rows] for view, rows, _ in parts])
    scores = np.concatenate([inner_products(view.source.read(rows), query) for view, rows, _ in parts])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _choose_dense(floats: Floats, queries: Floats, k: int, rows: Rows | None, norm: float) -> list[tuple[Rows, Scores]]:
    if rows is not None and len(rows) * 4 < len(floats):
        return [(rows[at], scores) for at, scores in _choose_dense(floats[rows], queries, k, None, norm)]
    chosen = []
    for query, scores in zip(queries, _products(queries, floats), strict=True):
        at = np.arange(len(floats)) if rows is None else rows
        near = scores if rows is None else scores[rows]
        if len(near) > k + _SLACK:
            least = np.partition(near, len(near) - k)[len(near) - k] - 2 * _rounding(query, norm)
            keep = near >= least
            at, near = at[keep], near[keep]
        chosen.append((at, near))
    return chosen


def _products(queries: Floats, floats: Floats) -> Floats:
    """float32[q, n]. One question goes without BLAS, whose threads wait for each other: where other work fills the
    cores, that made 10,000 rows take 11 ms instead of 0.4."""
    if len(queries) > 1:
        return queries @ floats.T
    products: Floats = np.einsum("ij,j->i", floats, queries[0])
    return products[None]


def _rounding(query: Floats, norm: float) -> float:
    """Bound of the error of a float32 inner product in any order of additions: d · 2^-24 · |q| · |v| (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1), and a tenth more for the terms of second order."""
    return float(1.1 * len(query) * 2.0**-24 * np.linalg.norm(query) * norm)


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
