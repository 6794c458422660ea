"""Scores of BM25 over the segments of one moment.

The number of chunks, the average length and every document frequency are counted over live rows when a question comes,
so ids and scores depend only on which chunks are live.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..protocols import Ids, Owners, QueryTerms, Scores
from ..text.analysis import term_key
from .largest import kth_largest
from .postings import Keys, Mask, Postings

# Chosen on eight development sets, see docs/decisions/0002.
K1 = 1.2
B = 0.8
_LONG = 50_000
"""Postings of a word that are worth finding out whether only the best rows so far need them: scoring as many takes
0.5 ms, finding out as much at 1,000,000 rows."""
_LOOKED_UP = 20
"""Postings that are passed over in the time that looking up one row among them takes."""
SAMPLE = 64
"""Ids that `Bm25Index.sample` gives."""
_SCATTER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: neighbouring ids end far apart
_Form = tuple[NDArray[np.uint32], NDArray[np.uint8], int, float]
"""Rows that hold a term (rising, dead ones too), how often, how many live ones, weight."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A segment as one snapshot sees it. `alive` None means every row is live."""

    postings: Postings
    alive: Mask | None = None
    path: Path | None = None
    checksum: bytes = b""
    sample: Ids | None = None  # what `sampled` found among the live ids when last asked, less what died since

    def sampled(self) -> Ids:
        """The `SAMPLE` live ids that stand first when scattered, and maybe some that follow; all where there are
        fewer. Found out once, so that a write costs the same whatever the size."""
        if self.sample is None:
            object.__setattr__(self, "sample", first_scattered(self.live_ids(), 4 * SAMPLE))
        return self.sample if self.sample is not None else self.postings.ids[:0]

    @property
    def live(self) -> int:
        return len(self.postings.ids) if self.alive is None else int(np.count_nonzero(self.alive))

    def mask(self) -> Mask:
        return np.ones(len(self.postings.ids), dtype=np.bool_) if self.alive is None else self.alive

    def live_ids(self) -> Ids:
        return self.postings.ids if self.alive is None else self.postings.ids[self.alive]

    def dead_ids(self) -> Ids:
        return self.postings.ids[:0] if self.alive is None else self.postings.ids[~self.alive]

    def holds(self, ids: Ids) -> Mask:
        """Which of `ids` are live here."""
        rows = np.minimum(np.searchsorted(self.postings.ids, ids), len(self.postings.ids) - 1)
        if not len(self.postings.ids):
            return np.zeros(len(ids), dtype=np.bool_)
        here: Mask = self.postings.ids[rows] == ids
        return here if self.alive is None else here & self.alive[rows]

    def without(self, ids: Ids) -> View:
        """The same segment with these ids dead; itself where none of them is live here."""
        rows = self.postings.rows_of(ids)
        if self.alive is not None:
            rows = rows[self.alive[rows]]
        if not len(rows):
            return self
        alive = self.mask().copy()
        alive[rows] = False
        sample = None if self.sample is None else self.sample[~np.isin(self.sample, ids)]
        if sample is not None and len(sample) < min(SAMPLE, int(np.count_nonzero(alive))):
            sample = None
        return replace(self, alive=alive, sample=sample)


class Snapshot:
    """All segments at one moment. Row numbers run through the segments in order."""

    def __init__(self, views: Sequence[View], k1: float, b: float) -> None:
        self.views = tuple(v for v in views if len(v.postings.ids))
        self._k1 = k1
        self._b = b
        self._live_df: dict[int, int] = {}
        self._owners: tuple[Owners, Ids, NDArray[np.int64], NDArray[np.float64]] | None = None

    @cached_property
    def _bases(self) -> NDArray[np.int64]:
        sizes = [len(v.postings.ids) for v in self.views]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])

    @cached_property
    def _alive(self) -> Mask | None:
        if all(v.alive is None for v in self.views):
            return None
        return np.concatenate([v.mask() for v in self.views])

    @cached_property
    def _chunks(self) -> int:
        return sum(v.live for v in self.views)

    @cached_property
    def _norms(self) -> NDArray[np.float32]:
        """k1 · (1 - b + b · length / average length) of every row."""
        lengths = np.concatenate([v.postings.lengths for v in self.views])
        live = lengths if self._alive is None else lengths[self._alive]
        average = int(live.sum(dtype=np.int64)) / max(1, len(live)) or 1.0
        return (self._k1 * (1 - self._b) + (self._k1 * self._b / average) * lengths).astype(np.float32)

    def search(self, query: QueryTerms, k: int, allow: Ids | None) -> tuple[Ids, Scores]:
        if k <= 0 or not self._chunks or not query.groups:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        groups = self._groups(query)
        bounds = [max(self._bound(form) for form in forms) for forms in groups]
        scores = np.zeros(int(self._bases[-1]), dtype=np.float32)
        for place, forms in enumerate(groups):
            rest = sum(bounds[place:])
            if sum(len(rows) for rows, *_ in forms) > _LONG and rest < sum(bounds[:place]):
                rows = self._outstanding(scores, rest, k, allow)
                if rows is not None:
                    return self._finish(rows, scores[rows], groups[place:], bounds[place:], k)
            self._add(scores, forms)
        rows = np.flatnonzero(scores > 0)  # the comparison first: of floats themselves it takes ten times as long
        rows = self._shown(rows, allow)
        return self._best(rows, scores[rows], k)

    def _groups(self, query: QueryTerms) -> list[list[_Form]]:
        """For each group of the question the forms that live rows hold, rarest group first: the order in which scores
        are added up, the same for the same live rows."""
        keys = {term: term_key(term) for group in query.groups for term, _ in group}
        found = self._find(np.fromiter(keys.values(), dtype=np.uint64, count=len(keys)))
        groups = [
            [(*found[keys[term]], weight) for term, weight in group if keys[term] in found and weight > 0]
            for group in query.groups
        ]
        return sorted((forms for forms in groups if forms), key=lambda forms: sum(df for _, _, df, _ in forms))

    def _add(self, scores: NDArray[np.float32], forms: Sequence[_Form]) -> None:
        """Adds to each row the best form of one group."""
        if len(forms) == 1:
            scores[forms[0][0]] += self._contribution(*forms[0])
            return
        best = np.zeros_like(scores)
        for form in forms:
            rows = form[0]
            best[rows] = np.maximum(best[rows], self._contribution(*form))
        scores += best

    def _outstanding(
        self, scores: NDArray[np.float32], rest: float, k: int, allow: Ids | None
    ) -> NDArray[np.int64] | None:
        """Rows that can still be among the k best when no more than `rest` is added to any; None where rows that have
        nothing yet can be (Turtle and Flood, 1995: what is left are their optional terms)."""
        rows = self._shown(np.flatnonzero(scores > 0), allow)
        if len(rows) < k:
            return None
        values = scores[rows]
        least = _kth(values, k)
        return None if rest >= least else rows[values + rest >= least]

    def _finish(
        self,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        groups: Sequence[Sequence[_Form]],
        bounds: Sequence[float],
        k: int,
    ) -> tuple[Ids, Scores]:
        """The k best of `rows`, which rise and have `scores` so far: the same additions as over all rows."""
        for place, forms in enumerate(groups):
            best = np.zeros_like(scores)
            for docs, tfs, df, weight in forms:
                at, here = _meeting(docs, rows)
                best[here] = np.maximum(best[here], self._contribution(docs[at], tfs[at], df, weight))
            scores = scores + best
            if len(rows) > k:
                keep = scores + sum(bounds[place + 1 :]) >= _kth(scores, k)
                rows, scores = rows[keep], scores[keep]
        return self._best(rows, scores, k)

    def _shown(self, rows: NDArray[np.int64], allow: Ids | None) -> NDArray[np.int64]:
        """Those of `rows` that are live, and allowed."""
        if self._alive is not None:
            rows = rows[self._alive[rows]]
        if allow is not None:
            ids = self._ids_of(rows)
            at = np.minimum(np.searchsorted(allow, ids), max(0, len(allow) - 1))
            rows = rows[allow[at] == ids] if len(allow) else rows[:0]
        return rows

    def _ids_of(self, rows: NDArray[np.int64]) -> Ids:
        ids = np.empty(len(rows), dtype=np.int64)
        edges = np.searchsorted(rows, self._bases)
        for view, first, low, high in zip(self.views, self._bases, edges, edges[1:], strict=False):
            ids[low:high] = view.postings.ids[rows[low:high] - first]
        return ids

    @cached_property
    def _least_norm(self) -> float:
        return float(self._norms.min())

    def _bound(self, form: _Form) -> float:
        """No row scores more by this form. A thousandth more covers all rounding."""
        _, tfs, df, weight = form
        tf = float(tfs.max())
        return 1.001 * weight * self._idf(df) * (self._k1 + 1) * tf / (tf + self._least_norm)

    def search_documents(self, query: QueryTerms, k: int, owners: Owners, allow: Ids | None) -> tuple[Ids, Scores]:
        if k <= 0 or not self._chunks or not query.groups:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        documents, place, lengths = self._grouped(owners)
        average = float(lengths.sum()) / max(1, len(documents)) or 1.0
        norms = self._k1 * (1 - self._b) + (self._k1 * self._b / average) * lengths
        keys = {term: term_key(term) for group in query.groups for term, _ in group}
        found = self._find(np.fromiter(keys.values(), dtype=np.uint64, count=len(keys)))
        scores = np.zeros(len(documents), dtype=np.float64)
        for group in query.groups:
            best = np.zeros(len(documents), dtype=np.float64)
            for term, weight in group:
                if keys[term] not in found or weight <= 0:
                    continue
                rows, tfs, _ = found[keys[term]]
                into = place[rows]
                tf = np.bincount(into[into >= 0], weights=tfs[into >= 0], minlength=len(documents))
                df = int(np.count_nonzero(tf))
                idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
                best = np.maximum(best, weight * idf * (self._k1 + 1) * tf / (tf + norms))
            scores += best
        if allow is not None:
            scores[~np.isin(documents, owners.documents[np.isin(owners.chunks, allow)])] = 0
        order = np.lexsort((documents, -scores))[:k]
        order = order[scores[order] > 0]
        return documents[order], scores[order].astype(np.float32)

    def _grouped(self, owners: Owners) -> tuple[Ids, NDArray[np.int64], NDArray[np.float64]]:
        """Document ids (rising), for each row the place of its document among them (-1: dead or unknown), and the
        documents' lengths. Kept for the owners asked last."""
        if self._owners is None or self._owners[0] is not owners:
            ids = np.concatenate([view.postings.ids for view in self.views])
            at = np.minimum(np.searchsorted(owners.chunks, ids), max(0, len(owners.chunks) - 1))
            known = owners.chunks[at] == ids if len(owners.chunks) else np.zeros(len(ids), dtype=np.bool_)
            if self._alive is not None:
                known &= self._alive
            documents, places = np.unique(owners.documents[at[known]], return_inverse=True)
            place = np.full(len(ids), -1, dtype=np.int64)
            place[known] = places
            every = np.concatenate([view.postings.lengths for view in self.views])
            lengths = np.bincount(places, weights=every[known], minlength=len(documents)).astype(np.float64)
            self._owners = (owners, documents, place, lengths)
        _, documents, place, lengths = self._owners
        return documents, place, lengths

    def _find(self, keys: Keys) -> dict[int, tuple[NDArray[np.uint32], NDArray[np.uint8], int]]:
        """For every key with a live row: its rows (dead ones too), their term frequencies, live rows."""
        pieces: dict[int, list[tuple[NDArray[np.uint32], NDArray[np.uint8]]]] = {}
        for view, base in zip(self.views, self._bases.tolist(), strict=False):
            postings = view.postings
            if not len(postings.keys):
                continue
            where = np.minimum(np.searchsorted(postings.keys, keys), len(postings.keys) - 1)
            hit = postings.keys[where] == keys
            for key, at in zip(keys[hit].tolist(), where[hit].tolist(), strict=True):
                first, last = int(postings.starts[at]), int(postings.starts[at + 1])
                rows = postings.docs[first:last]
                pieces.setdefault(key, []).append((rows + np.uint32(base) if base else rows, postings.tfs[first:last]))
        found = {}
        for key, parts in pieces.items():
            rows = parts[0][0] if len(parts) == 1 else np.concatenate([r for r, _ in parts])
            tfs = parts[0][1] if len(parts) == 1 else np.concatenate([t for _, t in parts])
            df = len(rows) if self._alive is None else self._live_df.get(key, -1)
            if df < 0 and self._alive is not None:
                df = self._live_df[key] = int(np.count_nonzero(self._alive[rows]))
            if df:
                found[key] = (rows, tfs, df)
        return found

    def _contribution(
        self, rows: NDArray[np.uint32], tfs: NDArray[np.uint8], df: int, weight: float
    ) -> NDArray[np.float32]:
        tf = tfs.astype(np.float32)
        return np.float32(weight * self._idf(df) * (self._k1 + 1)) * (tf / (tf + self._norms[rows]))

    def _idf(self, df: int) -> float:
        return math.log(1 + (self._chunks - df + 0.5) / (df + 0.5))

    def rarity(self, terms: Sequence[str]) -> Scores:
        keys = [term_key(term) for term in terms]
        found = self._find(np.array(keys, dtype=np.uint64)) if keys and self._chunks else {}
        return np.array([self._idf(found[key][2] if key in found else 0) for key in keys], dtype=np.float32)

    def _best(self, rows: NDArray[np.int64], values: NDArray[np.float32], k: int) -> tuple[Ids, Scores]:
        """The k best of `rows`, which rise."""
        if len(rows) > k:
            keep = values >= kth_largest(values, k)
            rows, values = rows[keep], values[keep]
        ids = self._ids_of(rows)
        order = np.lexsort((ids, -values))[:k]
        return ids[order], values[order]


def _meeting(docs: NDArray[np.uint32], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the same row stands in both, which rise: places in `docs` and in `rows`."""
    if len(rows) * _LOOKED_UP < len(docs):
        at = np.minimum(np.searchsorted(docs, rows.astype(docs.dtype)), len(docs) - 1)
        here = np.flatnonzero(docs[at] == rows)
        return at[here], here
    wanted = np.zeros(max(int(rows[-1]), int(docs[-1])) + 1 if len(rows) else 1, dtype=np.bool_)
    wanted[rows] = True
    at = np.flatnonzero(wanted[docs]) if len(rows) else rows
    return at, np.searchsorted(rows, docs[at].astype(np.int64))


def first_scattered(ids: Ids, count: int) -> Ids:
    scattered = ids.astype(np.uint64) * _SCATTER
    return ids[np.argpartition(scattered, count)[:count]] if len(ids) > count else ids


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """What the k best have at least, less all rounding that additions can bring."""
    return kth_largest(scores, k) * (1 - 1e-5)
