"""What the knowledge graph is made of: frozen and slotted. Offsets are code points in the text of one chunk.

    mention     a place in a chunk where something is named, spoken of or defined
    relation    two mentions of a chunk that belong together, with the words that say how
    extraction  all mentions and relations of one chunk: a pure function of its text, language and headings
    entity      what equal and resolved mentions name
    edge        two entities that relations join, with the passages that show it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MentionKind = Literal["name", "term", "identifier", "standard", "date", "number", "heading", "definition"]
"""name: of a person, place, organisation, product, work; term: a noun phrase; identifier: of code or technical text
(`FB_Timer1`, part numbers, parameters); standard: `IEC 61131-3`; number: a quantity with its unit; heading: a heading
of the chunk; definition: a term that the chunk defines."""

TOGETHER: Final = ""
"""Label of two mentions of which only is known that they stand together."""


@dataclass(frozen=True, slots=True)
class Mention:
    """`[start, end)` in the chunk's text. A heading that the text does not hold has start = end = 0. `norm`: what equal
    mentions share, case and white space folded. `weight` in (0, 1]: how sure it is that this is worth a node."""

    start: int
    end: int
    text: str
    norm: str
    kind: MentionKind
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Relation:
    """`head` and `tail`: places in `Extraction.mentions`. `label`: the verb or pattern as it stands ("is a", "part of",
    "startet"), TOGETHER where there is none. `[start, end)`: the passage that shows it. `weight` in (0, 1]."""

    head: int
    tail: int
    label: str
    start: int
    end: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Extraction:
    """`version` names the extractor and its rules; what another version extracted is extracted again. Mentions are
    ordered by start, then by falling end; relations by head and tail."""

    version: str
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """`id` comes from the canonical form alone, so it is the same whatever was added in whatever order. `mentions` and
    `chunks` count what supports it; an entity without support does not exist."""

    id: str
    name: str
    kind: MentionKind
    aliases: tuple[str, ...] = ()
    mentions: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage that shows an edge: `[start, end)` in the text of the chunk, read from head to tail as `label` says."""

    chunk_id: int
    document: str
    """uri."""
    page: int | None
    start: int
    end: int
    text: str
    label: str = TOGETHER
    forward: bool = True
    """Whether the relation leads from `Edge.head` to `Edge.tail`."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`label`: the surest word for how they belong together, TOGETHER where none is known. `weight`: the sum over the
    chunks that show it; `chunks`: how many do. `evidence`: some of them, the surest first, none where not asked for."""

    head: str
    tail: str
    label: str
    weight: float
    chunks: int
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Subgraph:
    """`truncated`: there was more than was asked for."""

    entities: tuple[Entity, ...]
    edges: tuple[Edge, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class GraphPath:
    """The shortest sure way from one entity to another: `edges[i]` joins `entities[i]` and `entities[i + 1]`, with its
    evidence. Empty where there is none."""

    entities: tuple[Entity, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Community:
    """Entities that belong together more than with others; exists as long as chunks support it. `chunks`: those it
    comes from; `sentences`: of them those nearest to its centre; `summary`: these as one text."""

    id: str
    name: str
    entities: tuple[str, ...]
    chunks: tuple[int, ...]
    summary: str = ""
    sentences: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphFailure:
    """A chunk whose extraction raised, and what."""

    chunk_id: int
    uri: str
    error: str


@dataclass(frozen=True, slots=True)
class GraphStatus:
    """`waiting`: chunks that nothing was extracted from yet; `deepened`: those that a language model has read too."""

    collection: str
    chunks: int
    waiting: int
    entities: int
    edges: int
    mentions: int
    merged: int
    """Forms that resolution joined to another form's entity."""
    decisions: int
    extractor: str
    revision: int
    deepened: int = 0
    failed: int = 0
    """Chunks whose extraction raised; another version of the extractor reads them again."""
    failures: tuple[GraphFailure, ...] = ()
    """The newest of them."""


@dataclass(frozen=True, slots=True)
class DeepenReport:
    """What a language model was asked. `read`: passages that are settled, of which the answers about `failed` were no
    use. `answers` of the model; `broken` ones were no JSON of the schema, or nothing of them stood in a passage.
    `refused`: names and labels that do not stand where the model says. `waiting`: passages that it has not read."""

    collection: str
    model: str
    read: int = 0
    failed: int = 0
    mentions: int = 0
    relations: int = 0
    labelled: int = 0
    """Of the relations."""
    answers: int = 0
    broken: int = 0
    refused: int = 0
    waiting: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GraphDecision:
    """What somebody decided about two forms, by their keys: a merge or split holds until it is withdrawn, also while
    a text that names them is gone. `at` is in POSIX seconds; a higher `order` wins. `a_name`, `b_name`: how they are
    written, "" where no text names them."""

    a: str
    b: str
    kind: Literal["merge", "split"]
    at: float
    by: str
    order: int
    a_name: str = ""
    b_name: str = ""
