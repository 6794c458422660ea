"""The vocabulary of chat: sessions, their turns, and what an answer was made of.

A turn quotes no passage: it names chunks, whose text is looked up when it is shown, and is gone with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AnswerState = Literal["answered", "stopped", "failed"]
"""Of an answer: whole; the part that came until it was stopped; the part that came until it broke."""


@dataclass(frozen=True, slots=True)
class Cited:
    """What `[number]` in an answer refers to. `chunk` is 0 where it is in no document of this data folder; an item of
    memory is in the collection `memory_types.MEMORY`, and `uri` is its id."""

    number: int
    collection: str
    uri: str
    title: str
    page: int | None
    line: int
    section: tuple[str, ...]
    start: int
    end: int
    chunk: int


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that the search gave, with its score and the parts of it (types.ScoreParts)."""

    chunk: int
    score: float
    lexical: float | None = None
    dense: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """`unsupported` are sentences that nothing supports, `timings` milliseconds by stage, `cost` dollars (None: nothing
    was paid for). `remembered` is the item of memory that was made of the turn."""

    text: str
    state: AnswerState = "answered"
    language: str = ""
    model: str = ""
    citations: tuple[Cited, ...] = ()
    unsupported: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    found: tuple[Found, ...] = ()
    remembered: str = ""

    def passages(self) -> set[int]:
        """Chunks that the answer is made from: those that it cites, and where a model wrote it, all that it was
        shown."""
        used = {cited.chunk for cited in self.citations}
        if self.model not in ("", "extractive", "memory"):
            used |= {found.chunk for found in self.found}
        return used - {0}


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """`answer` is None where the chat ended before one was stored; `withdrawn`: it was made from a passage that was
    removed or changed since, and went with it. `at` is in seconds since the epoch."""

    id: str
    at: float
    question: str
    answer: ChatAnswer | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ChatSession:
    """`first` is its first question. Times are seconds since the epoch."""

    id: str
    name: str
    created: float
    changed: float
    turns: int = 0
    first: str = ""
