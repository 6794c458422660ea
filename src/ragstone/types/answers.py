"""Searches and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .documents import Chunk, MetadataValue

Mode = Literal["hybrid", "lexical", "dense", "mixed", "graph", "global"]
"""hybrid: words and vectors. mixed: hybrid with what the knowledge graph leads to, where that helps. graph: what the
graph leads to, in its order. global: what the whole collection is about, one passage for each of its communities."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which chunks may be found. Fields combine with AND; inside a tuple with OR. `path` are globs over the uri
    (`*` stays inside a folder, `**` crosses folders). Times are POSIX seconds of the source's modification."""

    path: tuple[str, ...] = ()
    media_type: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    metadata: tuple[tuple[str, MetadataValue], ...] = ()
    modified_after: float | None = None
    modified_before: float | None = None

    def __bool__(self) -> bool:
        return self != Filter()


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What a hit's score is made of. `None`: that part did not run or did not see the chunk. `lexical` is BM25,
    `dense` the cosine, `rerank` the cross-encoder's score. Where several spaces were searched, `dense` is on one scale
    (search/nearest.py)."""

    lexical: float | None = None
    dense: float | None = None
    rerank: float | None = None
    graph: float | None = None
    """Share of the time of a walk through the graph, the most visited chunk having 1."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `highlights` are spans in the document's text where words of the question stand."""

    chunk: Chunk
    score: float
    parts: ScoreParts
    highlights: tuple[tuple[int, int], ...] = ()
    reason: str = ""
    """The way through the graph that led here: "A —restarts→ B, page 12"."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`timings` are milliseconds by stage. `notes` say what was left out and why (no vectors yet, deadline).
    `complete` is False where that was for want of time. `spaces` names for each collection the vector spaces that its
    hits were found in, the preferred one first; none where only words were searched."""

    query: str
    hits: tuple[Hit, ...]
    revision: int
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()
    complete: bool = True
    spaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Citation:
    """A span of a document that supports a sentence of an answer. `number` is what `[n]` in the text refers to."""

    number: int
    uri: str
    title: str
    page: int | None
    line: int
    section: tuple[str, ...]
    start: int
    end: int
    text: str
    score: float
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, `citations` are numbers. `support` in [0, 1]; unsupported sentences have no
    citations and `supported` False."""

    text: str
    citations: tuple[int, ...]
    support: float
    supported: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a model call; `estimated` when the server did not report them. `cached_tokens` are those of the prompt
    that the server had computed before."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` carries `[n]` after each supported sentence. `answered` is False when nothing found supports an
    answer; then `text` says so in the question's language. `model` is "extractive" or the model's name. `complete` is
    False where a deadline or a failing model left something out: asked again, the answer may be another."""

    question: str
    text: str
    language: str
    answered: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    model: str
    usage: Usage
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """A step of a streamed answer: `stage` (name in `text`), `token` (more text, and the citations of all of it so
    far), `final` (`answer` is set)."""

    kind: Literal["stage", "token", "final"]
    text: str = ""
    answer: Answer | None = None
    citations: tuple[Citation, ...] = ()
