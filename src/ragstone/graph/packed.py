"""Strings and rows of different lengths without an object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Longs = NDArray[np.int64]
_BLOCK: Final = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """String i is `data[starts[i]:starts[i + 1]]` in UTF-8."""

    starts: Longs
    data: Bytes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, at: int) -> str:
        return self.data[self.starts[at] : self.starts[at + 1]].tobytes().decode("utf-8", "surrogatepass")

    def all(self) -> Iterator[str]:
        """Some at a time, so that they are not held as objects together."""
        for first in range(0, len(self), _BLOCK):
            starts = self.starts[first : first + _BLOCK + 1].tolist()
            data = self.data[starts[0] : starts[-1]].tobytes()
            for start, end in pairwise(starts):
                yield data[start - starts[0] : end - starts[0]].decode("utf-8", "surrogatepass")

    def raw(self, numbers: NDArray[np.integer]) -> list[bytes]:
        """Some, as bytes."""
        data = self.data.tobytes()
        starts, ends = self.starts[numbers].tolist(), self.starts[numbers + 1].tolist()
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def encoded(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def strings(pieces: list[bytes]) -> Strings:
    return Strings(starts_of(np.fromiter(map(len, pieces), np.int64, len(pieces))), as_bytes(b"".join(pieces)))


def as_bytes(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


def starts_of(lengths: NDArray[np.integer]) -> Longs:
    """Where rows of these lengths begin, and where the last one ends."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def spread(starts: Longs, lengths: Longs) -> Longs:
    """Places of the items of rows that begin at `starts`, one row behind the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + lengths, lengths) + np.arange(total)


def rows_of(starts: Longs, rows: NDArray[np.integer]) -> tuple[Longs, Longs]:
    """Places of the items of some rows, and to which of `rows` each belongs."""
    first = starts[rows]
    lengths = starts[np.asarray(rows) + 1] - first
    return spread(first, lengths), np.repeat(np.arange(len(rows)), lengths)


def grouped(owner: NDArray[np.integer], count: int) -> Longs:
    """Starts of the rows of 0 … count - 1, of items that are ordered by their owners."""
    return starts_of(np.bincount(owner, minlength=count))


def different(numbers: NDArray[np.integer]) -> Longs:
    """Each once, rising. Of a few thousand that `np.unique` would hash, in a third of its time."""
    ordered = np.sort(numbers).astype(np.int64, copy=False)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def least(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
    """In one or two bytes each, where they fit; they are 0 and more."""
    most = int(numbers.max(initial=0))
    return numbers.astype(np.uint8 if most < 1 << 8 else np.uint16, copy=False) if most < 1 << 16 else numbers


def summed(keys: Longs, values: NDArray[np.integer]) -> tuple[Longs, Longs]:
    """The different keys, rising, with the sums of their values."""
    if not len(keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if (keys[1:] > keys[:-1]).all():
        return keys, values.astype(np.int64, copy=False)
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[first], np.add.reduceat(values[order], first, dtype=np.int64)
