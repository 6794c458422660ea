"""Rows of indexes, as the store has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..protocols import Ids, Store
from ..types import Chunk, Space, Terms
from .lexical import Bm25Index
from .vector_codes import Structure
from .vectors import FlatVectorIndex

VECTORS = 2_000
TEXTS = 500
"""Rows that are read at once."""


class FromStore:
    """Of one collection. `terms_of` makes a chunk's index terms where the store no longer keeps them; what is wrong
    with what it holds is added to `notes`."""

    def __init__(
        self,
        store: Store,
        collection: str,
        structure: Structure,
        components: int,
        terms_of: Callable[[Chunk], Terms],
        notes: list[str],
    ) -> None:
        self._store = store
        self._collection = collection
        self._structure = structure
        self._components = components
        self._terms_of = terms_of
        self._notes = notes

    def new_vectors(self, space: Space) -> FlatVectorIndex:
        return FlatVectorIndex(space, structure=self._structure, components=self._components)

    def lexical(self, step: Callable[[Bm25Index, int, int], None] | None = None) -> Bm25Index:
        index = Bm25Index()
        for done, total, ids in self._blocks(TEXTS):
            chunks = self._store.chunks(ids.tolist())
            index.add([chunk.id for chunk in chunks], [self._terms_of(chunk) for chunk in chunks])
            if step:
                step(index, done, total)
        return index

    def vectors(
        self, space: Space, step: Callable[[FlatVectorIndex, int, int], None] | None = None
    ) -> FlatVectorIndex:
        index = self.new_vectors(space)
        for done, total, ids in self._blocks(VECTORS):
            self.add_vectors(index, ids.tolist())
            if step:
                step(index, done, total)
        return index

    def _blocks(self, size: int) -> Iterator[tuple[int, int, Ids]]:
        ids = self._store.chunk_ids(self._collection)
        for first in range(0, len(ids), size):
            yield min(first + size, len(ids)), len(ids), ids[first : first + size]

    def add_terms(self, index: Bm25Index, ids: list[int]) -> None:
        terms = self._store.terms(ids)
        missing = [chunk_id for chunk_id in ids if chunk_id not in terms]
        # Without a row as well: removed meanwhile, and its `delete` follows in the log.
        terms |= {chunk.id: self._terms_of(chunk) for chunk in self._store.chunks(missing)}
        present = [chunk_id for chunk_id in ids if chunk_id in terms]
        index.add(present, [terms[chunk_id] for chunk_id in present])

    def add_vectors(self, index: FlatVectorIndex, wanted: Sequence[int]) -> None:
        ids, vectors = self._store.embeddings(index.space.id, wanted)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            self._notes.append(f"{len(ids) - int(finite.sum())} vectors are not finite numbers and were left out")
            ids, vectors = ids[finite], vectors[finite]
        if not len(ids):
            return
        # A text may have been embedded again, with another result.
        order = np.argsort(ids)
        ids, vectors = ids[order], vectors[order]
        held, rows = index.stored(ids)
        same = (rows == vectors[np.isin(ids, held)].astype(np.float16)).all(axis=1)
        index.delete(held[~same].tolist())
        index.add(ids.tolist(), vectors)
