"""Indexes of one collection: words and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..types import Space, Terms
from .arrays import Ids, Scores, Vectors


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """A question as index terms. Each group is one token of the question with its alternative forms (stem in each
    language of the collection, compound parts, folded umlauts) as (term, weight); a chunk scores the best
    weighted form of each group, and the sum over groups."""

    groups: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Owners:
    """Which document each chunk of a collection belongs to: `documents[i]` is that of `chunks[i]`; `chunks` rises."""

    chunks: Ids
    documents: Ids


class LexicalIndex(Protocol):
    """BM25 over one collection: sealed segments (files, memory-mapped) and a tail in memory."""

    def add(self, ids: Sequence[int], terms: Sequence[Terms]) -> None:
        """Adds to the tail. An id that is already there is ignored (applying a change twice is harmless)."""
        ...

    def delete(self, ids: Iterable[int]) -> None:
        """Unknown ids are ignored."""
        ...

    def search(self, query: QueryTerms, k: int, allow: Ids | None = None) -> tuple[Ids, Scores]:
        """Best k, by falling score, then by rising id. Only ids in `allow` (sorted) where given."""
        ...

    def rarity(self, terms: Sequence[str]) -> Scores:
        """Inverse document frequency of each term over the live chunks; of one that no chunk has, the largest."""
        ...

    def search_documents(
        self, query: QueryTerms, k: int, owners: Owners, allow: Ids | None = None
    ) -> tuple[Ids, Scores]:
        """The same over whole documents: frequencies and lengths of a document are those of its chunks together.
        Gives document ids; only of documents with a chunk in `allow` where given. Chunks that `owners` does not name
        do not count."""
        ...

    def ids(self) -> Ids: ...

    def sample(self) -> Ids:
        """Some ids, all where there are few, spread over all: which ones follows from the live ids alone, and a write
        changes few of them."""
        ...

    def tail_size(self) -> int: ...


class VectorIndex(Protocol):
    """Nearest neighbours by inner product in one space of one collection: sealed segments and a tail."""

    @property
    def space(self) -> Space: ...

    def add(self, ids: Sequence[int], vectors: Vectors) -> None: ...

    def delete(self, ids: Iterable[int]) -> None: ...

    def search(self, query: Vectors, k: int, allow: Ids | None = None) -> list[tuple[Ids, Scores]]:
        """`query` is float32[q, d]; one (ids, exact inner products) per row, by falling score, then rising id."""
        ...

    def ids(self) -> Ids:
        """Sorted."""
        ...

    def size(self) -> int: ...

    def tail_size(self) -> int: ...


class CollectionView(Protocol):
    """What a search reads of one collection: both indexes, standing at one point of the operation log."""

    @property
    def lexical(self) -> LexicalIndex: ...

    def vectors(self, space: str) -> VectorIndex | None:
        """None where no chunk has a vector in that space yet."""
        ...

    def dense(self, space: str | None = None) -> tuple[VectorIndex, ...]:
        """What a search reads, of one moment: the index of the preferred space where there is one, then of the active
        one. With `space`, that one alone. Raises NotFound where the collection does not use it."""
        ...

    def refresh(self) -> None:
        """Applies every change that any process has had acknowledged. Microseconds when there is none."""
        ...

    def at(self) -> tuple[int, int]:
        """(revision, log seq) that the indexes stand at; equal values mean equal search results."""
        ...
