"""Inverted rows of one lexical segment: immutable arrays, in memory or in one memory-mapped file.

A term is its 64-bit key (text/analysis.py), so that look-ups, merges and digests are single array operations. Term
frequencies are kept up to 255, where BM25 is long saturated.

File, little-endian, every section aligned to 8 bytes:

    magic 8 bytes, with the version of the analysis · rows u64 · terms u64 · postings u64
    ids i64[rows] rising · lengths u32[rows] · keys u64[terms] rising · starts u64[terms + 1]
    docs u32[postings] (row of each posting, rising inside a term) · tfs u8[postings]
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreDamaged
from ..protocols import Ids
from ..text.analysis import ANALYSIS_VERSION
from ..types import Terms
from .files import REBUILD, map_file, write_file

MAGIC = b"RGSLEX" + bytes([1, ANALYSIS_VERSION])
MAX_TF = 255
_HEADER = struct.Struct("<8sQQQ")
_MERGE_BLOCK = 1 << 21  # postings moved at a time, so that a merge needs tens, not hundreds, of MB beyond its result

Mask = NDArray[np.bool_]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Rows in order of their id. `docs[starts[i]:starts[i + 1]]` are the rows that hold the term `keys[i]`."""

    ids: Ids
    lengths: NDArray[np.uint32]
    keys: Keys
    starts: NDArray[np.uint64]
    docs: NDArray[np.uint32]
    tfs: NDArray[np.uint8]
    file_bytes: int = 0
    """Of the file they are mapped from; 0: none."""

    def rows_of(self, ids: Ids) -> NDArray[np.intp]:
        """Rows of those of `ids` that are here."""
        where = np.searchsorted(self.ids, ids)
        inside = where < len(self.ids)
        where, ids = where[inside], ids[inside]
        rows: NDArray[np.intp] = where[self.ids[where] == ids]
        return rows

    def digests(self) -> Keys:
        """uint64[rows], equal to `bag_digest` of the terms each row was made from. Computed from the postings
        themselves, so that a wrong posting shows."""
        total = _mix(self.lengths.astype(np.uint64))
        for low, high, first, last in _blocks(self.starts):
            counts = _sizes(self.starts[low : high + 1])
            marks = _mix(np.repeat(self.keys[low:high], counts) + self.tfs[first:last].astype(np.uint64))
            np.add.at(total, self.docs[first:last], marks)
        return total


def build_postings(ids: Sequence[int], terms: Sequence[Terms]) -> Postings:
    """`ids` are distinct, in any order."""
    given = np.asarray(ids, dtype=np.int64)
    order = np.argsort(given, kind="stable")
    rank = np.empty(len(given), dtype=np.int64)
    rank[order] = np.arange(len(given))
    every = np.frombuffer(b"".join([t.keys for t in terms]), dtype="<u8")
    counts = np.fromiter((len(t.keys) // 8 for t in terms), dtype=np.int64, count=len(given))
    keys = _distinct(every)
    # np.unique(…, return_inverse=True) takes half as long again
    pairs = np.sort((np.searchsorted(keys, every) << 32) | np.repeat(rank, counts))
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    tfs = np.diff(first, append=len(pairs))
    pairs = pairs[first]
    starts = np.searchsorted(pairs >> 32, np.arange(len(keys) + 1))
    lengths = np.fromiter((t.length for t in terms), dtype=np.uint32, count=len(given))
    return Postings(
        ids=given[order],
        lengths=lengths[order],
        keys=keys,
        starts=starts.astype(np.uint64),
        docs=(pairs & 0xFFFFFFFF).astype(np.uint32),
        tfs=np.minimum(tfs, MAX_TF).astype(np.uint8),
    )


def merge_postings(parts: Sequence[tuple[Postings, Mask | None]]) -> Postings:
    """The rows of all parts, those whose mask is False left out. Ids of the rows that stay are distinct."""
    kept = [p.ids if mask is None else p.ids[mask] for p, mask in parts]
    lengths = [p.lengths if mask is None else p.lengths[mask] for p, mask in parts]
    ids = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
    in_order = bool(np.all(ids[1:] > ids[:-1]))
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    moved = np.split(rank, np.cumsum([len(k) for k in kept])[:-1]) if kept else []
    keys = _distinct(np.concatenate([np.empty(0, dtype=np.uint64), *(p.keys for p, _ in parts)]))
    counts = [_live_counts(p, mask) for p, mask in parts]
    places = [np.searchsorted(keys, p.keys) for p, _ in parts]
    sizes = np.zeros(len(keys), dtype=np.int64)
    for place, count in zip(places, counts, strict=True):
        sizes[place] += count
    used = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    docs = np.empty(total, dtype=np.uint32)
    tfs = np.empty(total, dtype=np.uint8)
    for (part, mask), count, place, to_rank in zip(parts, counts, places, moved, strict=True):
        row = to_rank
        if mask is not None:
            row = np.zeros(len(part.ids), dtype=np.int64)
            row[mask] = to_rank
        for low, high, first, last in _blocks(part.starts):
            here_docs, here_tfs = part.docs[first:last], part.tfs[first:last]
            if mask is not None:
                stay = mask[here_docs]
                here_docs, here_tfs = here_docs[stay], here_tfs[stay]
            here = count[low:high]
            target = np.repeat(used[place[low:high]] - (np.cumsum(here) - here), here) + np.arange(len(here_docs))
            docs[target] = row[here_docs]
            tfs[target] = here_tfs
        used[place] += count
    present = sizes > 0
    starts = np.zeros(int(present.sum()) + 1, dtype=np.uint64)
    np.cumsum(sizes[present], out=starts[1:])
    if not in_order:
        within = np.argsort((np.repeat(np.arange(len(sizes)), sizes) << 32) | docs)
        docs, tfs = docs[within], tfs[within]
    all_lengths = np.concatenate(lengths) if lengths else np.empty(0, dtype=np.uint32)
    return Postings(ids[order], all_lengths[order], keys[present], starts, docs, tfs)


def _distinct(keys: Keys) -> Keys:
    """Sorted. np.unique takes six times as long."""
    rising = np.sort(keys)
    return rising[np.flatnonzero(np.append(True, rising[1:] != rising[:-1])[: len(rising)])]


def bag_digest(terms: Terms) -> int:
    """64-bit digest of a bag of terms and its length; the order of the terms does not matter."""
    marks, counts = np.unique(np.frombuffer(terms.keys, dtype="<u8"), return_counts=True)
    marks = marks + np.minimum(counts.astype(np.uint64), MAX_TF)
    return int(_mix(np.append(marks, np.uint64(terms.length))).sum(dtype=np.uint64))


def write_postings(postings: Postings, path: Path) -> bytes:
    """Writes the file so that it is either complete and durable under `path` or not there; returns its checksum.
    Raises DiskFull, StoreReadOnly, StoreError."""
    return write_file(path, _pieces(postings))


def open_postings(path: Path, checksum: bytes) -> Postings:
    """Maps a file that `write_postings` made, after checking every byte of it. Raises StoreDamaged."""
    data = map_file(path, checksum)
    if len(data) < _HEADER.size:
        raise StoreDamaged(f"{path.name}: the index file is cut short.", REBUILD)
    magic, rows, terms, postings = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise StoreDamaged(f"{path.name}: not an index file of this version.", REBUILD)
    layout: list[tuple[Any, int]] = [
        (np.dtype("<i8"), rows),
        (np.dtype("<u4"), rows),
        (np.dtype("<u8"), terms),
        (np.dtype("<u8"), terms + 1),
        (np.dtype("<u4"), postings),
        (np.dtype("u1"), postings),
    ]
    arrays: list[NDArray[Any]] = []
    offset = _HEADER.size
    for dtype, count in layout:
        if offset + dtype.itemsize * count > len(data):
            raise StoreDamaged(f"{path.name}: the index file is cut short.", REBUILD)
        arrays.append(np.frombuffer(data, dtype=dtype, count=count, offset=offset))
        offset += -(-dtype.itemsize * count // 8) * 8
    ids, lengths, keys, starts, docs, tfs = arrays
    return Postings(ids, lengths, keys, starts, docs, tfs, len(data))


def _pieces(postings: Postings) -> Iterable[bytes]:
    p = postings
    yield _HEADER.pack(MAGIC, len(p.ids), len(p.keys), len(p.docs))
    sections: tuple[tuple[NDArray[Any], str], ...] = (
        (p.ids, "<i8"),
        (p.lengths, "<u4"),
        (p.keys, "<u8"),
        (p.starts, "<u8"),
        (p.docs, "<u4"),
        (p.tfs, "u1"),
    )
    for array, kind in sections:
        for first in range(0, len(array), _MERGE_BLOCK):
            yield array[first : first + _MERGE_BLOCK].astype(kind, copy=False).tobytes()
        yield bytes(-array.nbytes % 8)


def _live_counts(postings: Postings, mask: Mask | None) -> NDArray[np.int64]:
    """Postings of each term whose row stays."""
    starts = postings.starts.astype(np.int64)
    if mask is None:
        return _sizes(postings.starts)
    before = np.zeros(len(postings.docs) + 1, dtype=np.int64)
    np.cumsum(mask[postings.docs], out=before[1:])
    counts: NDArray[np.int64] = before[starts[1:]] - before[starts[:-1]]
    return counts


def _sizes(starts: NDArray[np.uint64]) -> NDArray[np.int64]:
    edges = starts.astype(np.int64)
    sizes: NDArray[np.int64] = edges[1:] - edges[:-1]
    return sizes


def _blocks(starts: NDArray[np.uint64]) -> list[tuple[int, int, int, int]]:
    """Consecutive ranges of terms (low, high) with their postings (first, last), of bounded size where a single
    term is not larger."""
    total = int(starts[-1])
    cuts = np.searchsorted(starts, np.arange(0, total + _MERGE_BLOCK, _MERGE_BLOCK, dtype=np.uint64))
    edges = sorted({0, len(starts) - 1, *(int(c) for c in cuts if c < len(starts))})
    return [(low, high, int(starts[low]), int(starts[high])) for low, high in pairwise(edges)]


def _mix(values: Keys) -> Keys:
    """Finaliser of the SplitMix64 generator: spreads every input bit over the whole word."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
