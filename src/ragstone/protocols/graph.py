"""The knowledge graph: what finds it in texts, what keeps that, what a search asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..graph_types import Extraction, GraphDecision, GraphFailure
from ..types import Chunk
from .arrays import Ids, Scores

Span = tuple[int, int]
"""Start and end in a text, in characters."""


class Recognizer(Protocol):
    """A model that sees names in texts. `version` names the model and what was trained into it; what it sees depends on
    the arguments alone."""

    @property
    def version(self) -> str: ...

    def names(self, text: str, language: str) -> Sequence[Span]:
        """In order, none over another; none where it does not know the language (ISO 639-1)."""
        ...


class Extractor(Protocol):
    """Finds what a chunk mentions and how it belongs together. `version` changes whenever the same text would give
    something else; what comes out depends on the arguments alone."""

    @property
    def version(self) -> str: ...

    def extract(self, text: str, language: str | None = None, headings: Sequence[str] = ()) -> Extraction: ...


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """Chunks that a question and its first hits lead to in the graph: `chunks` rise, the best of `scores` is 1.
    `linked`: how many entities the question names, `named`: those that are more than noun phrases, `names`: forms of
    all of them, case folded. `revision`: of the collection, that the graph was made of."""

    chunks: Ids
    scores: Scores
    linked: int
    named: int
    names: tuple[str, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Theme:
    """A community that a question is about. `share`: of what was asked for, the best has the largest. `spans`: its
    sentences, the nearest to its centre first: chunk, and start and end in the chunk's text."""

    name: str
    entities: int
    share: float
    spans: tuple[tuple[int, int, int], ...]


class GraphSearch(Protocol):
    """What a search asks of the knowledge graph of a collection. Raises NotFound, StoreError."""

    def reach(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], *, named: bool
    ) -> Reached | None:
        """None while the graph is brought up to date after a write. `hits`: chunks that were found without the graph,
        the best first; they may be none. Without `named`, what the first ones lead to, they themselves left out; with
        it, what they and the entities of the question do."""
        ...

    def themes(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], count: int
    ) -> tuple[list[Theme], int]:
        """The communities that the question, its `hits` and the whole collection are about, the `count` of the largest
        share; and the revision of the graph."""
        ...

    def reasons(
        self, collection: str, question: str, language: str, first: Sequence[int], chunks: Sequence[Chunk]
    ) -> list[str]:
        """For each of `chunks` the way that leads there from the question or from `first`, the best hits:
        "A —restarts→ B, page 12"; "" where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """A chunk that nothing was extracted from yet. `language` is that of its document, "" where not known."""

    chunk_id: int
    content_hash: bytes
    context: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was extracted, as `graph/codec.py` writes it; or nothing, and the `error` that kept it from being so."""

    data: bytes
    error: str = ""


class GraphStore(Protocol):
    """What the knowledge graph is made from, in the same database. `layer`: 0 is what rules find, 1 a language model.
    Every method raises NotFound where the collection is not there, and StoreError."""

    def waiting(
        self, collection: str, layer: int, version: str, limit: int, *, before: int | None = None, after: int = 0
    ) -> list[Unread]:
        """Chunks with an id between `after` and `before` whose text that version has not read, newest first."""
        ...

    def count_waiting(self, collection: str, layer: int, version: str) -> int: ...
    def count_failed(self, collection: str, layer: int) -> int: ...

    def count_read(self, collection: str, layer: int) -> int:
        """Chunks from which something was extracted, by whatever version, even if it was nothing."""
        ...

    def forget_failed(self, collection: str, layer: int) -> None:
        """Chunks from which nothing could be extracted wait again."""
        ...

    def failures(self, collection: str, layer: int, limit: int) -> list[GraphFailure]:
        """Chunks that cannot be extracted from, newest first."""
        ...

    def put(self, layer: int, version: str, found: Mapping[bytes, Extracted]) -> int:
        """By content hash. Logs an `extract` change for every chunk with that hash; hashes that no chunk has any more
        are dropped. Returns the number of chunks."""
        ...

    def extractions(self, ids: Sequence[int], layer: int) -> list[tuple[int, bytes]]:
        """Those of the chunks that have one, in the order asked; empty where extraction failed."""
        ...

    def decisions(self, collection: str) -> list[GraphDecision]:
        """By rising order."""
        ...

    def decide(
        self, collection: str, kind: Literal["merge", "split"], pairs: Sequence[tuple[str, str]], who: str
    ) -> None:
        """One transaction. Replaces what was decided about the pairs."""
        ...

    def withdraw(self, collection: str, a: str, b: str) -> None:
        """Raises NotFound."""
        ...
