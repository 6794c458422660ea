"""What became of work, and how things stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache holds now, and what became of it since the process began."""

    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


FileState = Literal["added", "updated", "unchanged", "failed", "skipped", "removed"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one source. `reason` and `code` (an error class's code) are set when failed or skipped."""

    uri: str
    state: FileState
    chunks_added: int = 0
    chunks_removed: int = 0
    characters: int = 0
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Everything reported here as added, updated or removed is durable and searchable."""

    files: tuple[FileReport, ...]
    bytes_read: int
    seconds: float
    revision: int

    def count(self, state: FileState) -> int:
        return sum(1 for f in self.files if f.state == state)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of long work. `total` is None while it is not known."""

    stage: Literal[
        "discover", "read", "store", "embed", "index", "rebuild", "verify", "export", "import",
        "backup", "restore", "check", "stress", "eval", "bench", "drop", "compare", "learn", "graph", "deepen",
    ]  # fmt: skip
    done: int
    total: int | None
    item: str = ""
    state: str = ""


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    name: str
    documents: int
    chunks: int
    characters: int
    revision: int
    embedded: int
    waiting: int
    space: str
    languages: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`problems` is empty exactly when store and derived indexes agree. `checked` counts by kind."""

    checked: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.problems
