"""How one run of rows is searched: the blocks of the tail, and files.

How a file is searched depends on its live rows and never on the question:

    up to `decoded_rows`   a float32 copy and one matrix product
    without codes          faiss over the mapped float16 rows themselves
    codes                  4-bit codes choose `depth(k)` rows, which are then scored. A filter that leaves few rows,
                           or hides most of what the codes chose, makes it score all rows that are left
    lists                  the same, but the codes stand in lists around centroids, and only those of the lists
                           nearest to the question are looked at; more of them the fewer rows a filter leaves
    graph                  the same, but a walk along links from row to row finds `breadth(k)` rows; a longer one the
                           fewer rows a filter leaves

What is given back are candidates that hold all that were wanted, and scores within `rounding` of the exact ones.
Recall and times are in docs/decisions/0004-vector-index.md, those of lists and graphs in 0009-vector-lists.md.
"""

from __future__ import annotations

import math
import threading
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocols import Ids, Scores
from .largest import kth_largest
from .vector_codes import Floats, Form, Halves, load_faiss, reduced
from .vector_file import RowBuffer, VectorFile

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK_ROWS = 1024
"""Of a block of the tail."""
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
_WALKED = 20
"""Rows that are scored one after the other in the time that a graph takes for one more row it is to find."""
_buffers = threading.local()


def depth(k: int, share: float = 1.0) -> int:
    """How many rows the codes of a segment choose that holds this share of all: recall@10 above 0.99 and recall@100
    above 0.98 at 100,000 rows. More than its share, because what belongs together is often added together."""
    return int(min(max(1000, 12 * k), 16_384) * min(1.0, 0.15 + 1.2 * share))


def breadth(k: int) -> int:
    """How many rows a walk through a graph finds: recall is in docs/decisions/0009-vector-lists.md."""
    return max(400, 4 * k)


class Among:
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


class Block:
    """Rows of the tail, decoded from float16. Rows below the count that a snapshot knows never change."""

    def __init__(self, dimension: int) -> None:
        self.ids = np.empty(BLOCK_ROWS, dtype=np.int64)
        self.floats = np.empty((BLOCK_ROWS, dimension), dtype=np.float32)
        self.norm = 0.0
        self.file_bytes = 0

    def rows_of(self, ids: Ids, count: int) -> Rows:
        return np.flatnonzero(np.isin(self.ids[:count], ids))

    def read(self, rows: Rows) -> Floats:
        return self.floats[rows]

    def forget(self) -> None:
        """There is no file that could be read again."""

    def choose(
        self, queries: Floats, k: int, count: int, among: Among | None, share: float  # noqa: ARG002 - all are scored
    ) -> list[tuple[Rows, Scores]]:
        return _choose_dense(self.floats[:count], queries, k, None if among is None else among.rows, self.norm)


class Sealed:
    """Rows of a file with what searching them needs, made when first needed and shared by all snapshots."""

    def __init__(self, file: VectorFile, coded: bool, decoded_rows: int) -> None:
        self.ids = file.ids
        self.norm = file.norm
        self.file_bytes = len(file.data)
        self._file = file
        self._decodes = len(file.ids) <= decoded_rows
        self._form: Form = file.form if coded else "rows"
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
        self, queries: Floats, k: int, count: int, among: Among | None, share: float
    ) -> list[tuple[Rows, Scores]]:
        """For each question rows that hold its k best of `among` (all where None), with scores that are off by no
        more than `rounding`; where codes are used, most of the k best."""
        if self._decodes:
            return _choose_dense(self._decoded(), queries, k, None if among is None else among.rows, self.norm)
        load_faiss().omp_set_num_threads(1)
        wanted = breadth(k) if self._form == "graph" else depth(k, share)
        return [self._choose(query, k, count, among, wanted) for query in queries]

    def _choose(self, query: Floats, k: int, count: int, among: Among | None, wanted: int) -> tuple[Rows, Scores]:
        left = count if among is None else len(among.rows)
        if among is not None and left < self._few(wanted, count):
            return self._choose_read(query, k, among.rows)
        if self._form != "rows" and left > 2 * wanted:
            near = self._near_listed if self._form == "lists" else self._near
            found = near(query, wanted, count, among)
            if among is None or len(found) >= wanted // 2:
                return self._choose_read(query, k, np.sort(found))
        return self._choose_scanned(query, k, count, among)

    def _few(self, wanted: int, count: int) -> float:
        """Rows that a filter leaves, below which scoring those alone is no slower than choosing among all."""
        if self._form == "graph":
            return math.sqrt(_WALKED * wanted * count)  # a walk that finds enough of `left` finds wanted · count / left
        return _LISTED_GATHERED if self._form == "lists" else _SHARE * count

    def _near(self, query: Floats, wanted: int, count: int, among: Among | None) -> Rows:
        """About as many rows as `wanted`, the best by codes or along links."""
        asked = wanted if among is None else min(count, wanted * count // len(among.rows))
        walk = load_faiss().SearchParametersHNSW(efSearch=asked) if self._form == "graph" else None
        found = self._search_codes(query, asked, walk)
        return found if among is None else found[among.mask[found]]

    def _near_listed(self, query: Floats, wanted: int, count: int, among: Among | None) -> Rows:
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

    def _choose_scanned(self, query: Floats, k: int, count: int, among: Among | None) -> tuple[Rows, Scores]:
        """Scores every row and takes so many of the best that the k best of `among` are among them."""
        if among is None:
            return self._nearest(self._scan(), query, k, count)
        rows, mask = among.rows, among.mask
        asked = (k + _SLACK) * count // len(rows)
        while asked < count // 4:
            scores, found = (row[0] for row in self._scan().search(query[None], asked))
            left = mask[found]
            near = scores[left]
            if len(near) >= k and scores[-1] < near[k - 1] - 2 * rounding(query, self.norm):
                return found[left], near
            asked *= 4
        return self._choose_read(query, k, rows)

    def _choose_read(self, query: Floats, k: int, rows: Rows) -> tuple[Rows, Scores]:
        """Scores these rows alone."""
        chosen: list[tuple[Rows, Scores]] = []
        for first in range(0, len(rows), _GATHERED_ROWS):
            some = rows[first : first + _GATHERED_ROWS]
            buffer = _buffer(self._file.halves.shape[1], len(some))  # faiss reads its memory, and does not hold it
            at, scores = self._nearest(buffer.scan(self._file.halves, some), query, k, len(some))
            chosen.append((some[at], scores))
        return np.concatenate([at for at, _ in chosen]), np.concatenate([scores for _, scores in chosen])

    def _nearest(self, scan: Any, query: Floats, k: int, count: int) -> tuple[Rows, Scores]:
        """The k best rows of a faiss index of `count`, and all that stand as near as rounding can tell."""
        asked = min(count, k + _SLACK)
        while True:
            scores, found = (row[0] for row in scan.search(query[None], asked))
            if asked == count or scores[-1] < scores[k - 1] - 2 * rounding(query, self.norm):
                return found, scores
            asked = min(count, 4 * asked)

    def _search_codes(self, query: Floats, asked: int, parameters: Any) -> Rows:
        with self._lock:
            if self._coded is None:
                self._coded = self._file.coded()
            coded = self._coded
        found: Rows = coded.search(reduced(query[None], self._file.principal), asked, params=parameters)[1][0]
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


def _choose_dense(floats: Floats, queries: Floats, k: int, rows: Rows | None, norm: float) -> list[tuple[Rows, Scores]]:
    if rows is not None and len(rows) * 4 < len(floats):
        return [(rows[at], scores) for at, scores in _choose_dense(floats[rows], queries, k, None, norm)]
    chosen = []
    for query, scores in zip(queries, _products(queries, floats), strict=True):
        at = np.arange(len(floats)) if rows is None else rows
        near = scores if rows is None else scores[rows]
        if len(near) > k + _SLACK:
            least = kth_largest(near, k) - 2 * rounding(query, norm)
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


def rounding(query: Floats, norm: float) -> float:
    """Bound of the error of a float32 inner product in any order of additions: d · 2^-24 · |q| · |v| (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1), and a tenth more for the terms of second order."""
    return float(1.1 * len(query) * 2.0**-24 * np.linalg.norm(query) * norm)
