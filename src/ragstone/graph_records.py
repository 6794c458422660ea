"""The JSON of the knowledge graph, as the command line prints it and servers send it.

Offsets count code points of the document's text, as everywhere; evidence counts them in its chunk, so a record of it is
made with that chunk at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, TypedDict, get_args

from .errors import InputError
from .graph_types import (
    Community,
    DeepenReport,
    Edge,
    Entity,
    Evidence,
    GraphDecision,
    GraphPath,
    GraphStatus,
    MentionKind,
    Subgraph,
)
from .records import SCHEMA_VERSION
from .types import Chunk

Chunks = Mapping[int, Chunk]
"""By id: those that evidence stands in."""


class GraphEntityRecord(TypedDict):
    id: Annotated[str, "the same whatever was added in whatever order"]
    name: str
    kind: Annotated[str, "name, term, identifier, standard, date, number, heading or definition"]
    aliases: Annotated[list[str], "other forms of it"]
    mentions: Annotated[int, "places that name it"]
    chunks: Annotated[int, "passages that name it"]


class GraphEvidenceRecord(TypedDict):
    uri: Annotated[str, "absolute path or other stable name of the document"]
    title: str
    page: Annotated[int | None, "page, slide or sheet where the span begins"]
    start: Annotated[int, "offset of the span's first character in the document's text"]
    end: Annotated[int, "offset after its last character"]
    text: Annotated[str, "the span itself"]
    label: Annotated[str, "the words that say how; empty: they stand together"]
    forward: Annotated[bool, "the words lead from head to tail"]


class GraphEdgeRecord(TypedDict):
    head: Annotated[str, "id of an entity"]
    tail: Annotated[str, "id of an entity"]
    label: Annotated[str, "the surest word for how they belong together; empty: none is known"]
    weight: Annotated[float, "the sum over the passages that show it"]
    chunks: Annotated[int, "passages that show it"]
    evidence: Annotated[list[GraphEvidenceRecord], "some of them, the surest first"]


class GraphShowRecord(TypedDict):
    """`graph show`."""

    schema_version: int
    entity: GraphEntityRecord
    neighbours: Annotated[list[GraphEntityRecord], "the strongest first"]
    edges: Annotated[list[GraphEdgeRecord], "between them and the entity, and among them; without evidence"]
    truncated: Annotated[bool, "there are more neighbours"]
    passages: Annotated[list[GraphEvidenceRecord], "some that name the entity"]


class GraphPathRecord(TypedDict):
    """`graph path`. Exit code 3 where there is none."""

    schema_version: int
    entities: list[GraphEntityRecord]
    edges: Annotated[list[GraphEdgeRecord], "each joins the entity at its place and the next one"]


class GraphEntitiesRecord(TypedDict):
    """`graph find`; `graph merge` and `graph split`: what there is then."""

    schema_version: int
    entities: list[GraphEntityRecord]


class GraphDecisionRecord(TypedDict):
    kind: Annotated[str, "merge or split"]
    a: Annotated[str, "key of a form"]
    b: Annotated[str, "key of the other"]
    a_name: Annotated[str, "how texts write it; empty: none does now"]
    b_name: str
    at: Annotated[float, "POSIX seconds"]
    by: str


class GraphDecisionsRecord(TypedDict):
    """`graph decisions` and `graph withdraw`: what somebody decided."""

    schema_version: int
    decisions: list[GraphDecisionRecord]


class GraphReasonRecord(TypedDict):
    what: str
    about: str
    odds: Annotated[float, "logarithm; above 0 it speaks for one entity"]


class GraphLinkRecord(TypedDict):
    a: str
    b: str
    similarity: Annotated[float | None, "null: decided by hand"]


class GraphExplanationRecord(TypedDict):
    """`graph explain`."""

    schema_version: int
    same: Annotated[bool, "whether both are one entity"]
    similarity: Annotated[float, "0 to 1"]
    by_hand: Annotated[bool, "somebody decided it"]
    reasons: list[GraphReasonRecord]
    path: Annotated[list[GraphLinkRecord], "links from one form to the other"]
    text: Annotated[str, "the same as a sentence"]


class GraphCommunityRecord(TypedDict):
    id: str
    name: str
    summary: Annotated[str, "the sentences of its passages that stand nearest to its centre"]
    sentences: Annotated[list[GraphEvidenceRecord], "the same, each with its place"]
    entities: Annotated[list[str], "ids, the most central first"]
    chunks: Annotated[int, "passages that it comes from"]


class GraphCommunitiesRecord(TypedDict):
    """`graph communities`."""

    schema_version: int
    communities: list[GraphCommunityRecord]
    names: Annotated[dict[str, str], "of entities, by id: the first ones of each community"]


class GraphFailureRecord(TypedDict):
    chunk_id: int
    uri: Annotated[str, "absolute path or other stable name of the document"]
    error: Annotated[str, "what the extraction raised"]


class GraphStatusDetail(TypedDict):
    collection: str
    chunks: int
    waiting: Annotated[int, "passages that nothing was extracted from yet"]
    failed: Annotated[int, "passages from which nothing can be extracted"]
    failures: Annotated[list[GraphFailureRecord], "the newest of those, at most 20"]
    entities: int
    edges: int
    mentions: int
    merged: Annotated[int, "forms that were joined to another form's entity"]
    decisions: Annotated[int, "made by hand"]
    extractor: Annotated[str, "version of the extraction"]
    revision: int
    deepened: Annotated[int, "passages that a language model has read too"]


class GraphStatusRecord(TypedDict):
    """`graph status` and `graph build`."""

    schema_version: int
    collections: list[GraphStatusDetail]


class GraphDeepenDetail(TypedDict):
    collection: str
    model: Annotated[str, "that was asked"]
    read: Annotated[int, "passages that are settled now and were not before"]
    failed: Annotated[int, "of these, whose answers were no use; `--again` asks about them again"]
    mentions: Annotated[int, "places that it named and that stand in the text"]
    relations: int
    labelled: Annotated[int, "of these, with words of the text"]
    answers: Annotated[int, "of the model"]
    broken: Annotated[int, "of these, no JSON of the schema, or nothing of them stood in a passage"]
    refused: Annotated[int, "names and labels that do not stand where the model says"]
    waiting: Annotated[int, "passages that this model has not read"]
    seconds: float


class GraphDeepenRecord(TypedDict):
    """`graph deepen`."""

    schema_version: int
    collections: list[GraphDeepenDetail]


class GraphExportRecord(TypedDict):
    """`graph export` to a file."""

    schema_version: int
    path: str
    format: Annotated[str, "graphml or json"]
    entities: int
    edges: int


RECORDS: Final[tuple[type, ...]] = (
    GraphStatusRecord,
    GraphDeepenRecord,
    GraphShowRecord,
    GraphPathRecord,
    GraphEntitiesRecord,
    GraphDecisionsRecord,
    GraphExplanationRecord,
    GraphCommunitiesRecord,
    GraphExportRecord,
)
"""What commands print."""
SHOWN_NAMES: Final = 12
"""Entities of a community whose names go with it."""


def entity_record(entity: Entity) -> GraphEntityRecord:
    return {
        "id": entity.id, "name": entity.name, "kind": entity.kind, "aliases": list(entity.aliases),
        "mentions": entity.mentions, "chunks": entity.chunks,
    }  # fmt: skip


def evidence_records(evidence: Iterable[Evidence], chunks: Chunks) -> list[GraphEvidenceRecord]:
    """Those whose chunk is still there."""
    return [evidence_record(one, chunks[one.chunk_id]) for one in evidence if one.chunk_id in chunks]


def evidence_record(one: Evidence, chunk: Chunk) -> GraphEvidenceRecord:
    return {
        "uri": one.document, "title": chunk.title, "page": one.page, "start": chunk.start + one.start,
        "end": chunk.start + one.end, "text": one.text, "label": one.label, "forward": one.forward,
    }  # fmt: skip


def edge_record(edge: Edge, chunks: Chunks) -> GraphEdgeRecord:
    return {
        "head": edge.head, "tail": edge.tail, "label": edge.label, "weight": edge.weight, "chunks": edge.chunks,
        "evidence": evidence_records(edge.evidence, chunks),
    }  # fmt: skip


def show_record(
    entity: Entity, around: Subgraph, passages: Sequence[Evidence], chunks: Chunks
) -> GraphShowRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "entity": entity_record(entity),
        "neighbours": [entity_record(e) for e in around.entities if e.id != entity.id],
        "edges": [edge_record(edge, {}) for edge in around.edges],
        "truncated": around.truncated,
        "passages": evidence_records(passages, chunks),
    }


def path_record(path: GraphPath, chunks: Chunks) -> GraphPathRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "entities": [entity_record(e) for e in path.entities],
        "edges": [edge_record(edge, chunks) for edge in path.edges],
    }


def entities_record(entities: Iterable[Entity]) -> GraphEntitiesRecord:
    return {"schema_version": SCHEMA_VERSION, "entities": [entity_record(e) for e in entities]}


def decisions_record(decisions: Iterable[GraphDecision]) -> GraphDecisionsRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "decisions": [
            {
                "kind": d.kind, "a": d.a, "b": d.b, "a_name": d.a_name, "b_name": d.b_name, "at": d.at, "by": d.by,
            }
            for d in decisions
        ],
    }  # fmt: skip


def kinds(given: Sequence[str]) -> tuple[MentionKind, ...] | None:
    """None: all. Raises InputError."""
    known = get_args(MentionKind)
    for name in given:
        if name not in known:
            raise InputError(f"{name!r} is no kind of entity.", f"Kinds are {', '.join(known)}.")
    return tuple(name for name in known if name in given) or None


def first_entities(communities: Iterable[Community]) -> list[str]:
    """Ids whose names go with communities."""
    return list(dict.fromkeys(id for one in communities for id in one.entities[:SHOWN_NAMES]))


def communities_record(
    found: Iterable[Community], names: Mapping[str, str], chunks: Chunks
) -> GraphCommunitiesRecord:
    """`names`: of `first_entities`; `chunks`: those that sentences stand in."""
    return {
        "schema_version": SCHEMA_VERSION,
        "communities": [
            {
                "id": one.id, "name": one.name, "summary": one.summary, "entities": list(one.entities),
                "chunks": len(one.chunks), "sentences": evidence_records(one.sentences, chunks),
            }
            for one in found
        ],
        "names": dict(names),
    }  # fmt: skip


def status_detail(status: GraphStatus) -> GraphStatusDetail:
    return {
        "collection": status.collection, "chunks": status.chunks, "waiting": status.waiting,
        "failed": status.failed,
        "failures": [{"chunk_id": f.chunk_id, "uri": f.uri, "error": f.error} for f in status.failures],
        "entities": status.entities, "edges": status.edges, "mentions": status.mentions, "merged": status.merged,
        "decisions": status.decisions, "extractor": status.extractor, "revision": status.revision,
        "deepened": status.deepened,
    }  # fmt: skip


def deepen_detail(report: DeepenReport) -> GraphDeepenDetail:
    return {
        "collection": report.collection, "model": report.model, "read": report.read, "failed": report.failed,
        "mentions": report.mentions, "relations": report.relations, "labelled": report.labelled,
        "answers": report.answers, "broken": report.broken, "refused": report.refused, "waiting": report.waiting,
        "seconds": report.seconds,
    }  # fmt: skip


def deepen_record(reports: Iterable[DeepenReport]) -> GraphDeepenRecord:
    return {"schema_version": SCHEMA_VERSION, "collections": [deepen_detail(one) for one in reports]}


def status_record(statuses: Iterable[GraphStatus]) -> GraphStatusRecord:
    return {"schema_version": SCHEMA_VERSION, "collections": [status_detail(one) for one in statuses]}
