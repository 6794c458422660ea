"""What a segment of vectors is written with beside its rows, so that a question need not score all of them.

    rows    nothing: all are scored
    codes   a product quantiser's 4-bit codes, dimension / 2 parts of 16 centroids each, in one list
    lists   the same codes in the lists of an inverted file, each around a centroid
    graph   links from each row to some near ones (HNSW; Malkov and Yashunin, 2016), which lead to the nearest

Codes may be of the principal components of the rows instead of the rows (`components`): shorter and faster to look at,
and a little worse at choosing. Everything here is deterministic in the rows and their order.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..protocols import Ids

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Structure = Literal["auto", "exact", "flat", "ivf", "hnsw"]
Form = Literal["rows", "codes", "lists", "graph"]

EXACT_ROWS = 10_240
"""Above, codes take a third of the time: at 20,000 rows 0.3 ms instead of 0.9 (docs/decisions/0004-vector-index.md)."""
LISTED_ROWS = 200_000
"""Below, looking at all codes takes less than 1.5 ms."""
BLOCK = 4096
"""Rows read and written at a time: 3 MB at 384 dimensions."""
_FORGET = 64  # blocks read one after the other until their pages are given back: 200 MB at 384 dimensions
_CODE_BYTES = 1 << 22  # of the codes in one piece
# Training: more rows or rounds did not raise recall measurably (docs/decisions/0004-vector-index.md).
_TRAINING_ROWS = 8192
_TRAINING_ROUNDS = 5
# Centroids of the lists: 2.5 s of CPU for 1,024 of them (docs/decisions/0009-vector-lists.md).
_LIST_ROWS = 40
_LIST_ROUNDS = 8
# Of a graph: links of a row (twice as many on the lowest level), and how many candidates for them are looked at.
_LINKS = 16
_LINK_CANDIDATES = 64


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


@dataclass(frozen=True, slots=True)
class Encoding:
    """`pieces` are what faiss writes for its index, the rows themselves left out; `principal` is
    float32[components, dimension] where the codes are of components, else empty."""

    form: Form = "rows"
    lists: int = 0
    principal: bytes = b""
    components: int = 0
    pieces: Sequence[bytes] = ()


def load_faiss() -> Any:
    """faiss, imported when a segment is large enough to need it (0.1 s). Untyped on purpose: its own annotations do
    not describe the wrappers it puts around its functions."""
    return importlib.import_module("faiss")


def form_of(
    structure: Structure, rows: int, *, exact_rows: int = EXACT_ROWS, listed_rows: int = LISTED_ROWS
) -> Form:
    """What a segment of so many rows is written with."""
    if structure == "exact" or rows <= exact_rows:
        return "rows"
    if structure == "hnsw":
        return "graph"
    return "lists" if structure == "ivf" or (structure == "auto" and rows > listed_rows) else "codes"


def list_count(rows: int) -> int:
    """Lists of a segment: the power of two next to the root of its rows, so that finding the nearest centroids costs
    a small part of looking at the codes around them."""
    return 1 << max(0, round(math.log2(max(1, rows)) / 2))


def components_of(dimension: int, wanted: int) -> int:
    """How many components codes are made of that shall be of `wanted`: an even number, 0 (none are taken) where that
    is no fewer than the rows have or nothing was wanted."""
    wanted -= wanted % 2
    return wanted if 0 < wanted < dimension else 0


def encode(source: RowSource, dimension: int, form: Form, wanted: int = 0) -> Encoding:
    """What stands in a file beside the rows, in memory. Codes need twice their size, a graph needs a byte for every
    dimension of every row beside itself. CPU seconds are in docs/decisions/0004-vector-index.md and
    0009-vector-lists.md. Codes of an odd dimension are not made."""
    components = components_of(dimension, wanted)
    if form == "rows" or not len(source.ids) or (form != "graph" and dimension % 2 and not components):
        return Encoding()
    faiss = load_faiss()
    faiss.omp_set_num_threads(1)  # with more they wait for each other where other work fills the cores
    if form == "graph":
        return Encoding(form, pieces=_written(faiss, _graph(faiss, source, dimension), faiss.IO_FLAG_SKIP_STORAGE))
    sample = _sample(source, _TRAINING_ROWS, 16)
    principal = principal_components(sample, components) if components else np.empty((0, dimension), np.float32)
    width = components or dimension
    lists = list_count(len(source.ids)) if form == "lists" else 0
    if lists:
        means = _centroids(faiss, reduced(_sample(source, _LIST_ROWS * lists, lists), principal), lists)
        index = faiss.IndexIVFPQFastScan(means, width, lists, width // 2, 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual = False
    else:
        index = faiss.IndexPQFastScan(width, width // 2, 4, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = _TRAINING_ROUNDS
    index.pq.cp.min_points_per_centroid = 1
    index.train(reduced(sample, principal))
    for block in read_all(source):
        index.add(reduced(block.astype(np.float32), principal))
    pieces = _written(faiss, index, 0)
    return Encoding(form, lists, principal.astype("<f4").tobytes(), components, pieces)


def reduced(rows: Floats, principal: Floats) -> Floats:
    """Their components; the rows themselves where there are none. One row goes without BLAS, whose threads wait for
    each other where other work fills the cores."""
    if not len(principal):
        return rows
    return np.einsum("qd,cd->qc", rows, principal) if len(rows) == 1 else np.ascontiguousarray(rows @ principal.T)


def principal_components(rows: Floats, count: int) -> Floats:
    """float32[count, d]: orthonormal directions in which the rows differ most, most first."""
    exact = rows.astype(np.float64)
    exact -= exact.mean(axis=0)
    directions = np.linalg.eigh(exact.T @ exact)[1][:, ::-1][:, :count].T
    largest = directions[np.arange(count), np.abs(directions).argmax(axis=1)]
    return np.ascontiguousarray(directions * np.sign(largest)[:, None], dtype=np.float32)


def read_all(source: RowSource) -> Iterable[Halves]:
    for number, first in enumerate(range(0, len(source.ids), BLOCK), start=1):
        yield source.read(np.arange(first, min(first + BLOCK, len(source.ids))))
        if number % _FORGET == 0:
            source.forget()
    source.forget()


def _graph(faiss: Any, source: RowSource, dimension: int) -> Any:
    quantiser = faiss.ScalarQuantizer.QT_8bit
    graph = faiss.IndexHNSWSQ(dimension, quantiser, _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _LINK_CANDIDATES
    graph.train(_sample(source, _TRAINING_ROWS, 16))
    for block in read_all(source):
        graph.add(block.astype(np.float32))
    return graph


def _written(faiss: Any, index: Any, flags: int) -> list[bytes]:
    pieces: list[bytes] = []
    faiss.write_index(index, faiss.PyCallbackIOWriter(pieces.append, _CODE_BYTES), flags)
    return pieces


def _centroids(faiss: Any, rows: Floats, lists: int) -> Any:
    centroids = faiss.IndexFlatL2(rows.shape[1])
    means = faiss.Clustering(rows.shape[1], lists)
    means.niter = _LIST_ROUNDS
    means.min_points_per_centroid = 1
    means.max_points_per_centroid = 2 * _LIST_ROWS
    means.train(rows, centroids)
    return centroids


def _sample(source: RowSource, most: int, least: int) -> Floats:
    """At most `most` rows, spread evenly; repeated where there are fewer than `least`."""
    places = np.unique(np.linspace(0, len(source.ids) - 1, most).astype(np.int64))
    rows = np.concatenate([source.read(some) for some in np.array_split(places, -(-len(places) // BLOCK))])
    source.forget()
    return np.resize(rows.astype(np.float32), (max(least, len(rows)), rows.shape[1]))
