"""Sealed vectors of one segment: float16 rows, and what chooses among them, in one memory-mapped file.

File, little-endian, every section aligned to 64 bytes:

    magic 8 bytes · rows u64 · dimension u64 · largest norm f64 · bytes of the space id u64 · bytes of the codes u64
    · lists u64 · components u64
    space id (UTF-8) · ids i64[rows] rising · 256 free bytes · vectors f16[rows, dimension]
    · principal components f32[components, dimension] · codes

The codes are what index/vector_codes.py made, as faiss writes it; there are none where the segment is small. The free
bytes are there for the reader: mapped privately, they take the few bytes that faiss wants to see before a matrix, so
that it scans the mapped file itself, not a copy.
"""

from __future__ import annotations

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
from .files import REBUILD, map_file, write_file
from .vector_codes import Encoding, Floats, Form, Halves, RowSource, load_faiss, read_all

# Of a file by what its codes are. An earlier version knows the first, or the first two: it makes the others again
# instead of searching them wrongly.
MAGIC = b"RGSVEC\x00\x01"
LISTED = b"RGSVEC\x00\x02"
GRAPH = b"RGSVEC\x00\x03"
REDUCED = b"RGSVEC\x00\x04"
_HEADER = struct.Struct("<8sQQdQQQQ")
_ALIGN = 64
_LEAD = 256


@dataclass(frozen=True, slots=True, eq=False)
class VectorFile:
    """An open file. `lead` is a writable view of the free bytes and the vectors after them; `norm` is the largest
    length of a row; `codes` is empty where there are none, `principal` where they are of the rows themselves."""

    ids: Ids
    halves: Halves
    norm: float
    codes: NDArray[np.uint8]
    lead: NDArray[np.uint8]
    form: Form
    lists: int
    principal: Floats
    data: mmap.mmap

    def scanner(self) -> Any:
        """A faiss index over the mapped vectors themselves: float32 inner products of every row. This object must
        outlive it."""
        return _scan_in_place(self.lead, *self.halves.shape)

    def coded(self) -> Any | None:
        """A faiss index that chooses rows: codes (a copy), or a graph (mapped) over the mapped rows. None where there
        is neither. This object must outlive it."""
        if not self.codes.size:
            return None
        faiss = load_faiss()
        coded = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(self.codes), self.codes.size))
        if self.form == "graph":
            coded.storage = scanner = self.scanner()
            faiss.add_to_referenced_objects(coded, scanner)  # it lives as long
        else:
            self._forget(len(self.data) - self.codes.size, len(self.data))
        return coded

    def forget_rows(self) -> None:
        """Gives the pages of the vectors back to the system, which keeps them while it has room: who reads all rows
        once needs little memory. They are read again when used."""
        first = len(self.data) - self.codes.size - _aligned(self.principal.nbytes) - _aligned(self.halves.nbytes)
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


def write_vectors(path: Path, space: str, dimension: int, source: RowSource, encoding: Encoding) -> bytes:
    """Writes the file so that it is either complete and durable under `path` or not there; returns its checksum.
    The source's ids rise. Raises DiskFull, StoreReadOnly, StoreError."""
    return write_file(path, _pieces(space, dimension, source, encoding))


@dataclass(frozen=True, slots=True)
class VectorHead:
    """What a file says of itself."""

    form: Form
    dimension: int
    lists: int
    components: int


def head_of(path: Path) -> VectorHead:
    """Only the head is looked at. Raises StoreDamaged."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except OSError as error:
        raise StoreDamaged(f"{path.name}: the index file cannot be read ({error}).", REBUILD) from error
    if len(head) < _HEADER.size:
        raise StoreDamaged(f"{path.name}: not an index file of this version.", REBUILD)
    magic, _, dimension, _, _, code_bytes, lists, components = _HEADER.unpack(head)
    return VectorHead(_form(path, magic, code_bytes, lists, components), dimension, lists, components)


def _form(path: Path, magic: bytes, code_bytes: int, lists: int, components: int) -> Form:
    form: Form = "graph" if magic == GRAPH else "lists" if lists else "codes" if code_bytes else "rows"
    if magic != _magic(form, components):
        raise StoreDamaged(f"{path.name}: not an index file of this version.", REBUILD)
    return form


def _magic(form: Form, components: int) -> bytes:
    if components:
        return REDUCED
    return {"rows": MAGIC, "codes": MAGIC, "lists": LISTED, "graph": GRAPH}[form]


def open_vectors(path: Path, checksum: bytes, space: str, dimension: int) -> VectorFile:
    """Maps a file that `write_vectors` made, after checking every byte of it. Raises StoreDamaged where it is not the
    file that was written, or is one of another space."""
    data = map_file(path, checksum, mmap.ACCESS_COPY)
    if len(data) < _HEADER.size:
        raise StoreDamaged(f"{path.name}: the index file is cut short.", REBUILD)
    magic, rows, width, norm, space_bytes, code_bytes, lists, components = _HEADER.unpack_from(data)
    form = _form(path, magic, code_bytes, lists, components)
    where_space = _aligned(_HEADER.size)
    where_ids = where_space + _aligned(space_bytes)
    where_rows = where_ids + _aligned(8 * rows) + _LEAD
    where_principal = where_rows + _aligned(2 * rows * width)
    where_codes = where_principal + _aligned(4 * components * width)
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
        form=form,
        lists=lists,
        principal=whole[where_principal : where_principal + 4 * components * width].view("<f4").reshape(-1, width),
        data=data,
    )


def _pieces(space: str, dimension: int, source: RowSource, encoding: Encoding) -> Iterable[bytes]:
    rows = len(source.ids)
    name = space.encode()
    norm = 0.0
    for halves in read_all(source):
        block = halves.astype(np.float32)
        norm = max(norm, float(np.sqrt(np.einsum("ij,ij->i", block, block).max())))
    magic = _magic(encoding.form, encoding.components)
    code_bytes = sum(map(len, encoding.pieces))
    yield _HEADER.pack(magic, rows, dimension, norm, len(name), code_bytes, encoding.lists, encoding.components)
    yield name.ljust(_aligned(len(name)), b"\0")
    yield source.ids.astype("<i8", copy=False).tobytes().ljust(_aligned(8 * rows), b"\0")
    yield bytes(_LEAD)
    for halves in read_all(source):
        yield halves.astype("<f2", copy=False).tobytes()
    yield bytes(-2 * rows * dimension % _ALIGN)
    yield encoding.principal.ljust(_aligned(len(encoding.principal)), b"\0")
    yield from encoding.pieces


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
