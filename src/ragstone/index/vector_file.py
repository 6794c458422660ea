"""Sealed vectors of one segment: float16 rows and their 4-bit codes in one memory-mapped file.

File, little-endian, every section aligned to 64 bytes:

    magic 8 bytes · rows u64 · dimension u64 · largest norm f64 · bytes of the space id u64 · bytes of the codes u64
    · lists u64
    space id (UTF-8) · ids i64[rows] rising · 256 free bytes · vectors f16[rows, dimension] · codes

The codes are a product quantiser's (dimension / 2 parts, 16 centroids each), as faiss writes them, in one list
(`lists` 0) or in the lists of an inverted file, each around a centroid; there are none where the segment is small or
the dimension odd. The free bytes are there for the reader: mapped privately, they take the few bytes that faiss wants
to see before a matrix, so that it scans the mapped file itself, not a copy.
"""

from __future__ import annotations

import importlib
import mmap
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreDamaged
from ..protocols import Ids
from .files import REBUILD, file_checksum, write_file

MAGIC = b"RGSVEC\x00\x01"
LISTED = b"RGSVEC\x00\x02"
"""Of a file with lists: an earlier version, which would search one of them alone, makes it again."""
_HEADER = struct.Struct("<8sQQdQQQ")
_ALIGN = 64
_LEAD = 256
_BLOCK = 4096  # rows written at a time: 3 MB at 384 dimensions
_CODE_BYTES = 1 << 22  # of the codes in one piece
# Training: more rows or rounds did not raise recall measurably (docs/decisions/0004-vector-index.md).
_TRAINING_ROWS = 8192
_TRAINING_ROUNDS = 5
# Centroids of the lists: 2.5 s of CPU for 1,024 of them (docs/decisions/0009-vector-lists.md).
_LIST_ROWS = 40
_LIST_ROUNDS = 8
_FORGET = 64  # blocks read one after the other until their pages are given back: 200 MB at 384 dimensions

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]


def load_faiss() -> Any:
    """faiss, imported when a segment is large enough to need it (0.1 s). Untyped on purpose: its own annotations do
    not describe the wrappers it puts around its functions."""
    return importlib.import_module("faiss")


@dataclass(frozen=True, slots=True, eq=False)
class VectorFile:
    """An open file. `lead` is a writable view of the free bytes and the vectors after them; `norm` is the largest
    length of a row; `codes` is empty where there are none."""

    ids: Ids
    halves: Halves
    norm: float
    codes: NDArray[np.uint8]
    lead: NDArray[np.uint8]
    lists: int
    data: mmap.mmap

    def scanner(self) -> Any:
        """A faiss index over the mapped vectors themselves: float32 inner products of every row. This object must
        outlive it."""
        return _scan_in_place(self.lead, *self.halves.shape)

    def coded(self) -> Any | None:
        """The quantised index (a copy), or None."""
        if not self.codes.size:
            return None
        faiss = load_faiss()
        coded = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(self.codes), self.codes.size))
        self._forget(len(self.data) - self.codes.size, len(self.data))
        return coded

    def forget_rows(self) -> None:
        """Gives the pages of the vectors back to the system, which keeps them while it has room: who reads all rows
        once needs little memory. They are read again when used."""
        first = len(self.data) - self.codes.size - _aligned(self.halves.nbytes)
        self._forget(first, first + self.halves.nbytes)

    def _forget(self, first: int, last: int) -> None:
        first = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE  # what stands in the free bytes is in no file
        if last > first and hasattr(mmap, "MADV_DONTNEED"):
            self.data.madvise(mmap.MADV_DONTNEED, first, last - first)


class RowBuffer:
    """Room for some rows that are scored by themselves; kept, because new memory of their size costs more than scoring
    them. For one thread."""

    def __init__(self, dimension: int, capacity: int) -> None:
        self.capacity = capacity
        self._lead = np.empty(_LEAD + 2 * capacity * dimension, dtype=np.uint8)
        self._halves = self._lead[_LEAD:].view(np.float16).reshape(capacity, dimension)
        self._scan = _scan_in_place(self._lead, capacity, dimension)

    def scan(self, halves: Halves, rows: NDArray[np.int64]) -> Any:
        """A faiss index over copies of these rows (no more than `capacity`), good until the next call."""
        np.take(halves, rows, axis=0, out=self._halves[: len(rows)], mode="clip")  # "raise" would copy once more
        self._scan.ntotal = len(rows)
        return self._scan


def _scan_in_place(lead: NDArray[np.uint8], rows: int, dimension: int) -> Any:
    """A faiss index over the float16 rows that follow `_LEAD` free bytes; they must outlive it."""
    faiss = load_faiss()
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.ntotal = rows
    # What faiss writes for such an index ends in the number of code bytes (0 here) and the codes.
    head = bytes(faiss.serialize_index(index))[:-8] + struct.pack("<Q", 2 * rows * dimension)
    stream = lead[_LEAD - len(head) :]
    stream[: len(head)] = np.frombuffer(head, dtype=np.uint8)
    return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(stream), stream.size))


class RowSource(Protocol):
    """Rows that are written to a file, in the order of their ids."""

    @property
    def ids(self) -> Ids: ...

    def read(self, places: NDArray[np.int64]) -> Halves:
        """The rows at these places (rising) of `ids`."""
        ...

    def forget(self) -> None:
        """What was read is not needed soon."""
        ...


def encode(source: RowSource, dimension: int, lists: int) -> list[bytes]:
    """4-bit codes of the rows, ready for the file in pieces, in so many lists (0: without lists). Deterministic in the
    rows. 1.3 s of CPU for 100,000 × 384, 22 s for 1,000,000 in 1,024 lists; needs the memory of the codes twice."""
    rows = len(source.ids)
    if dimension % 2 or not rows:
        return []
    faiss = load_faiss()
    faiss.omp_set_num_threads(1)  # with more they wait for each other where other work fills the cores
    if lists:
        centroids = _centroids(faiss, source, dimension, lists)
        index = faiss.IndexIVFPQFastScan(
            centroids, dimension, lists, dimension // 2, 4, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = False
    else:
        index = faiss.IndexPQFastScan(dimension, dimension // 2, 4, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = _TRAINING_ROUNDS
    index.pq.cp.min_points_per_centroid = 1
    index.train(_sample(source, _TRAINING_ROWS, 16))
    for block in _read_all(source):
        index.add(block.astype(np.float32))
    pieces: list[bytes] = []
    faiss.write_index(index, faiss.PyCallbackIOWriter(pieces.append, _CODE_BYTES))
    return pieces


def _centroids(faiss: Any, source: RowSource, dimension: int, lists: int) -> Any:
    centroids = faiss.IndexFlatL2(dimension)
    means = faiss.Clustering(dimension, lists)
    means.niter = _LIST_ROUNDS
    means.min_points_per_centroid = 1
    means.max_points_per_centroid = 2 * _LIST_ROWS
    means.train(_sample(source, _LIST_ROWS * lists, lists), centroids)
    return centroids


def _sample(source: RowSource, most: int, least: int) -> Floats:
    """At most `most` rows, spread evenly; repeated where there are fewer than `least`."""
    places = np.unique(np.linspace(0, len(source.ids) - 1, most).astype(np.int64))
    rows = np.concatenate([source.read(some) for some in np.array_split(places, -(-len(places) // _BLOCK))])
    source.forget()
    return np.resize(rows.astype(np.float32), (max(least, len(rows)), rows.shape[1]))


def _read_all(source: RowSource) -> Iterable[Halves]:
    for number, first in enumerate(range(0, len(source.ids), _BLOCK), start=1):
        yield source.read(np.arange(first, min(first + _BLOCK, len(source.ids))))
        if number % _FORGET == 0:
            source.forget()
    source.forget()


def write_vectors(
    path: Path, space: str, dimension: int, source: RowSource, codes: Sequence[bytes], lists: int
) -> bytes:
    """Writes the file so that it is either complete and durable under `path` or not there; returns its checksum.
    The source's ids rise. Raises DiskFull, StoreReadOnly, StoreError."""
    return write_file(path, _pieces(space, dimension, source, codes, lists))


def lists_of(path: Path) -> tuple[int, int]:
    """(lists, bytes of the codes) as the file's head names them; the rest is not looked at. Raises StoreDamaged."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except OSError as error:
        raise StoreDamaged(f"{path.name}: the index file cannot be read ({error}).", REBUILD) from error
    if len(head) < _HEADER.size or head[:8] not in (MAGIC, LISTED):
        raise StoreDamaged(f"{path.name}: not an index file of this version.", REBUILD)
    return _HEADER.unpack(head)[6], _HEADER.unpack(head)[5]


def open_vectors(path: Path, checksum: bytes, space: str, dimension: int) -> VectorFile:
    """Maps a file that `write_vectors` made, after checking every byte of it. Raises StoreDamaged where it is not the
    file that was written, or is one of another space."""
    try:
        if file_checksum(path) != checksum:
            raise StoreDamaged(f"{path.name}: the index file does not have the checksum it was written with.", REBUILD)
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{path.name}: the index file cannot be read ({error}).", REBUILD) from error
    if len(data) < _HEADER.size:
        raise StoreDamaged(f"{path.name}: the index file is cut short.", REBUILD)
    magic, rows, width, norm, space_bytes, code_bytes, lists = _HEADER.unpack_from(data)
    if magic != (LISTED if lists else MAGIC):
        raise StoreDamaged(f"{path.name}: not an index file of this version.", REBUILD)
    where_space = _aligned(_HEADER.size)
    where_ids = where_space + _aligned(space_bytes)
    where_rows = where_ids + _aligned(8 * rows) + _LEAD
    where_codes = where_rows + _aligned(2 * rows * width)
    if where_codes + code_bytes > len(data):
        raise StoreDamaged(f"{path.name}: the index file is cut short.", REBUILD)
    if data[where_space : where_space + space_bytes] != space.encode() or width != dimension:
        raise StoreDamaged(f"{path.name}: the vectors in it are of another space.", REBUILD)
    whole = np.frombuffer(data, dtype=np.uint8)
    vector_end = where_rows + 2 * rows * width
    return VectorFile(
        ids=whole[where_ids : where_ids + 8 * rows].view("<i8"),
        halves=whole[where_rows:vector_end].view("<f2").reshape(rows, width),
        norm=norm,
        codes=whole[where_codes : where_codes + code_bytes],
        lead=whole[where_rows - _LEAD : vector_end],
        lists=lists,
        data=data,
    )


def _pieces(
    space: str, dimension: int, source: RowSource, codes: Sequence[bytes], lists: int
) -> Iterable[bytes]:
    rows = len(source.ids)
    name = space.encode()
    norm = 0.0
    for halves in _read_all(source):
        block = halves.astype(np.float32)
        norm = max(norm, float(np.sqrt(np.einsum("ij,ij->i", block, block).max())))
    header = _HEADER.pack(LISTED if lists else MAGIC, rows, dimension, norm, len(name), sum(map(len, codes)), lists)
    yield header.ljust(_aligned(len(header)), b"\0")
    yield name.ljust(_aligned(len(name)), b"\0")
    yield source.ids.astype("<i8", copy=False).tobytes().ljust(_aligned(8 * rows), b"\0")
    yield bytes(_LEAD)
    for halves in _read_all(source):
        yield halves.astype("<f2", copy=False).tobytes()
    yield bytes(-2 * rows * dimension % _ALIGN)
    yield from codes


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
