"""What is remembered, in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..memory_types import MemoryItem, NewItem, Outcome
from ..types import PreparedDocument


@dataclass(frozen=True, slots=True)
class Alike:
    """A text of knowledge, by its hash, of the same project: `similarity` from the threshold of merging on, or
    `contrary`."""

    text: bytes
    similarity: float = 0.0
    contrary: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in which an item of knowledge was told; `vector` is that of the text alone in `space` (float16, little
    endian), b"" where only the item's chunk has it."""

    hash: bytes
    text: str
    space: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Telling:
    """Something told, ready for the store. `document` is the item as a document, `vectors` its vectors by space
    (float16, little endian). `words` is a hash of its words, `folded_key` and `folded_value` are what facts are
    compared by. `text`: a hash of the text to the letter; `alone`: vectors by space of the text without its context, of
    knowledge; `likenesses`: texts told before that say the same or the contrary. `item` names its project."""

    item: NewItem
    document: PreparedDocument
    words: bytes
    folded_key: str
    folded_value: str
    vectors: Mapping[str, bytes]
    text: bytes
    alone: Mapping[str, bytes] = field(default_factory=dict)
    likenesses: tuple[Alike, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a telling: the id of the item that holds it, and how like it is to that one's words where it was
    merged."""

    id: str
    outcome: Outcome
    similarity: float = 0.0
    contradicted: tuple[str, ...] = ()


MemoryRow = tuple[int, int, int, int, int, int, float, float, int, str, int]
"""document, chunk, project, kind, type, state, at, told_at, version, who, characters."""


@dataclass(frozen=True, slots=True)
class MemoryCounts:
    """`groups`: (kind, type, state, items, tellings); `fresh`: (type, told_at) of knowledge that holds."""

    groups: tuple[tuple[int, int, int, int, int], ...]
    fresh: tuple[tuple[int, float], ...]
    contradictions: int
    bytes: int


class MemoryStore(Protocol):
    """What is remembered, in the same database: every write is one transaction of the store, with its log entries and
    its revision of the collection `memory_types.MEMORY`."""

    def remember(self, tellings: Sequence[Telling], *, at_revision: int | None = None) -> list[Told] | None:
        """None, and nothing is written, where the collection is not at that revision any more: look for repetitions
        again. Exact repetitions, values of keys and idempotency keys are looked up inside the transaction."""
        ...

    def forget(self, ids: Sequence[str]) -> int:
        """How many were there."""
        ...

    def items(self, document_ids: Sequence[int]) -> list[MemoryItem]:
        """In the order asked; those that no longer exist are left out."""
        ...

    def wordings(self, document_ids: Sequence[int]) -> dict[int, list[Wording]]:
        """Of items of knowledge, in the order in which they were told first."""
        ...

    def find(self, ids: Sequence[str]) -> list[int]:
        """Document ids of items; unknown ones are left out."""
        ...

    def previous(self, project: str, at: float) -> str:
        """What an episode at that moment is told after: see `memory_sessions.py`. "" where a session begins."""
        ...

    def rows(self, since_version: int) -> list[MemoryRow]:
        """Of items that changed after that revision of the collection; -1: all."""
        ...

    def history(self, project: str, folded_key: str) -> list[int]:
        """Document ids, newest first."""
        ...

    def projects(self) -> list[tuple[str, float, bool, int]]:
        """name, created, archived, items."""
        ...

    def project_ids(self) -> list[tuple[int, str, bool]]:
        """id, name, archived; quick."""
        ...

    def make_project(self, name: str) -> None:
        """And the collection, where it is not there yet."""
        ...

    def archive_project(self, name: str, archived: bool) -> bool:
        """Whether there is such a project."""
        ...

    def counts(self) -> MemoryCounts: ...
