"""Sealed vectors of one segment: float16 rows and their 4-bit codes in one memory-mapped file.

File, little-endian, every section aligned to 64 bytes:

    magic 8 bytes · rows u64 · dimension u64 · largest norm f64 · bytes of the space id u64 · bytes of the codes u64
    space id (UTF-8) · ids i64[rows] rising · 256 free bytes · vectors f16[rows, dimension] · codes

The codes are a product quantiser's (dimension / 2 parts, 16 centroids each), as faiss writes them; there are none
where the segment is small or the dimension odd. The free bytes are there for the reader: mapped privately, they
take the few bytes that faiss wants to see before a matrix, so that it scans the mapped file itself, not a copy.
"""

from __future__ import annotations

import importlib
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreDamaged
from ..protocols import Ids
from .files import REBUILD, file_checksum, write_file

MAGIC = b"RGSVEC\x00\x01"
_HEADER = struct.Struct("<8sQQdQQ")
_ALIGN = 64
_LEAD = 256
_BLOCK = 4096  # rows written at a time: 3 MB at 384 dimensions
# Training: more rows or rounds did not raise recall measurably (docs/decisions/0004-vector-index.md).
_TRAINING_ROWS = 8192
_TRAINING_ROUNDS = 5

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

    def scanner(self) -> Any:
        """A faiss index over the mapped vectors themselves: float32 inner products of every row. This object must
        outlive it."""
        faiss = load_faiss()
        rows, dimension = self.halves.shape
        index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.ntotal = rows
        # What faiss writes for such an index ends in the number of code bytes (0 here) and the codes.
        head = bytes(faiss.serialize_index(index))[:-8] + struct.pack("<Q", self.halves.nbytes)
        stream = self.lead[_LEAD - len(head) :]
        stream[: len(head)] = np.frombuffer(head, dtype=np.uint8)
        return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(stream), stream.size))

    def coded(self) -> Any | None:
        """The quantised index, or None."""
        if not self.codes.size:
            return None
        faiss = load_faiss()
        return faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(self.codes), self.codes.size))


def quantise(halves: Halves) -> bytes:
    """4-bit codes of the rows, ready for the file. Deterministic in the rows. 1.3 s of CPU for 100,000 × 384."""
    rows, dimension = halves.shape
    if dimension % 2 or not rows:
        return b""
    faiss = load_faiss()
    faiss.omp_set_num_threads(1)  # with more they wait for each other where other work fills the cores
    index = faiss.IndexPQFastScan(dimension, dimension // 2, 4, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = _TRAINING_ROUNDS
    index.pq.cp.min_points_per_centroid = 1
    sample = np.unique(np.linspace(0, rows - 1, _TRAINING_ROWS).astype(np.int64))
    training = halves[sample].astype(np.float32)
    index.train(np.resize(training, (max(16, len(training)), dimension)))
    for first in range(0, rows, _BLOCK):
        index.add(halves[first : first + _BLOCK].astype(np.float32))
    return bytes(faiss.serialize_index(index))


def write_vectors(path: Path, space: str, ids: Ids, halves: Halves, codes: bytes) -> bytes:
    """Writes the file so that it is either complete and durable under `path` or not there; returns its checksum.
    `ids` rise. Raises DiskFull, StoreReadOnly, StoreError."""
    return write_file(path, _pieces(space, ids, halves, codes))


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
    magic, rows, width, norm, space_bytes, code_bytes = _HEADER.unpack_from(data)
    if magic != MAGIC:
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
    )


def _pieces(space: str, ids: Ids, halves: Halves, codes: bytes) -> Iterable[bytes]:
    rows, dimension = halves.shape
    name = space.encode()
    norm = 0.0
    for first in range(0, rows, _BLOCK):
        block = halves[first : first + _BLOCK].astype(np.float32)
        norm = max(norm, float(np.sqrt(np.einsum("ij,ij->i", block, block).max())))
    header = _HEADER.pack(MAGIC, rows, dimension, norm, len(name), len(codes))
    yield header.ljust(_aligned(len(header)), b"\0")
    yield name.ljust(_aligned(len(name)), b"\0")
    yield ids.astype("<i8", copy=False).tobytes().ljust(_aligned(8 * rows), b"\0")
    yield bytes(_LEAD)
    for first in range(0, rows, _BLOCK):
        yield halves[first : first + _BLOCK].astype("<f2", copy=False).tobytes()
    yield bytes(-halves.nbytes % _ALIGN)
    yield codes


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
