"""What is remembered: the vocabulary of memory, frozen and slotted. Times are POSIX seconds (UTC).

    fact        a key and its value in a project ("deadline" → "12 May"); a later value replaces it, history stays
    episode     what happened: when, who took part, how it ended
    knowledge   a decision, fact, pattern, problem, solution, preference or question that somebody stated
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from .errors import InputError

Kind = Literal["fact", "episode", "knowledge"]
Type = Literal["decision", "fact", "pattern", "problem", "solution", "preference", "question"]
State = Literal["valid", "replaced", "contradicted", "stale"]
Outcome = Literal["added", "merged", "replaced", "unchanged"]

MEMORY: Final = ":memory"
"""The collection that items stand in. No collection of a user can have this name."""
SESSION_SECONDS: Final = 1_800.0
"""Pause after which an episode belongs to another session."""
GENERAL: Final = ""
"""The project of what belongs to none."""
ANSWERED: Final = 0.5
"""`Recall.answerable` from which on a recall is taken to answer the question."""


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """Where something stands: `[start, end)` in the text of the document `uri`, as code points; `start == end` is the
    whole document. `content_hash` is BLAKE2b-128 of that text; b"" has it filled in where the document is there.
    A uri that no collection has (a transcript that was only read) is kept as it is."""

    collection: str
    uri: str
    start: int = 0
    end: int = 0
    content_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """One thing that is remembered. `type` is "" but for knowledge, `key` and `value` "" but for facts.

    `at`: when it happened or was said; it holds in [`valid_from`, `valid_to`). `confidence` in [0, 1]. `told`: how
    often it was told, the last time at `told_at`, repetitions that were merged into it counted; `sources` are those of
    all of them. `state`: "replaced" by the item `replaced_by` of the same key, "contradicted" by one of
    `contradicts` that was told later, "stale" where the words it stood on are gone from its source, or it was not told
    for longer than its type keeps fresh."""

    id: str
    kind: Kind
    type: Type | Literal[""]
    text: str
    project: str = GENERAL
    key: str = ""
    value: str = ""
    at: float = 0.0
    valid_from: float = 0.0
    valid_to: float | None = None
    who: str = ""
    participants: tuple[str, ...] = ()
    outcome: str = ""
    confidence: float = 1.0
    intent: str = ""
    sources: tuple[SourceSpan, ...] = ()
    told: int = 1
    state: State = "valid"
    replaced_by: str = ""
    contradicts: tuple[str, ...] = ()
    told_at: float = 0.0
    created: float = 0.0
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is to be remembered. A fact has `key` and `value`; its `text` may be left out. `project` None is the current
    one; `at` None is now. `context` are words said just before, which help to find the item and are not part of it;
    that of an episode is the episode before it in its session. Something told twice under one `idempotency_key` is
    remembered once."""

    text: str = ""
    kind: Kind = "knowledge"
    type: Type = "fact"
    key: str = ""
    value: str = ""
    project: str | None = None
    at: float | None = None
    who: str = ""
    participants: tuple[str, ...] = ()
    outcome: str = ""
    confidence: float = 1.0
    intent: str = ""
    sources: tuple[SourceSpan, ...] = ()
    context: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of something told. `item` is the one that holds it now. "merged": it repeats `item`, `similarity`
    is the cosine of the two texts; "replaced": the key has this value from now on; "unchanged": told under this
    idempotency key before. `contradicted`: items that no longer hold because of it."""

    item: MemoryItem
    outcome: Outcome
    similarity: float = 0.0
    contradicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecallHit:
    """`score` in [0, 1], what the order follows. `why`: its parts (`words`, `meaning`, `neighbours`, `time`, `who`),
    weighted as they are added up."""

    item: MemoryItem
    score: float
    why: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recall:
    """`since` and `until`: what the question's time words were understood as (or what was given). `answerable` in
    [0, 1]: how likely memory holds what the question asks for. `timings` in milliseconds by stage."""

    question: str
    hits: tuple[RecallHit, ...]
    since: float | None = None
    until: float | None = None
    answerable: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """`items` counts those of every state."""

    name: str
    items: int
    created: float
    archived: bool = False
    current: bool = False


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """`told`: everything told, `merged`: how much of it repeated something. `stale`: share of items. `recalls` and
    `found` are counted in this process: questions, and those with a hit that memory is likely to answer. `bytes`: of
    texts, vectors and rows in the database."""

    items: int
    by_kind: Mapping[str, int]
    by_type: Mapping[str, int]
    by_state: Mapping[str, int]
    told: int
    merged: int
    stale: float
    contradictions: int
    projects: int
    recalls: int
    found: int
    hit_rate: float | None
    bytes: int


def not_memory(collection: str) -> str:
    """The name of a collection of documents. Raises InputError for that of memory."""
    if collection == MEMORY:
        raise InputError(
            f"{collection!r} is what is remembered, not a collection of documents.",
            "Use `ragstone recall`, `timeline` and `forget`, or the calls of memory.",
        )
    return collection


KINDS: Final[tuple[Kind, ...]] = ("fact", "episode", "knowledge")
TYPES: Final[tuple[Type | Literal[""], ...]] = (
    "", "decision", "fact", "pattern", "problem", "solution", "preference", "question",
)  # fmt: skip
STATES: Final[tuple[State, ...]] = ("valid", "replaced", "contradicted", "stale")
"""The store keeps positions in these three: add at the end only."""
