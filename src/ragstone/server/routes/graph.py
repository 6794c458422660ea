"""The knowledge graph of a collection: entities, edges, paths and communities, each down to the passages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...graph import overview
from ...graph_records import (
    GraphCommunitiesRecord,
    GraphEdgeRecord,
    GraphEntitiesRecord,
    GraphEntityRecord,
    GraphEvidenceRecord,
    GraphStatusDetail,
    communities_record,
    edge_record,
    entities_record,
    entity_record,
    evidence_record,
    first_entities,
    status_detail,
)
from ...graph_types import Edge, Evidence, MentionKind
from ...knowledge_base import KnowledgeBase
from ..ids import public
from ..operations import Call, Operation

Id = Annotated[str, Meta(min_length=1, max_length=200, description="id of an entity")]


class EvidenceItem(GraphEvidenceRecord):
    document_id: str


class EvidenceList(TypedDict):
    items: list[EvidenceItem]


class EdgeItem(TypedDict):
    head: str
    tail: str
    label: Annotated[str, "it leads from head to tail; empty: none is known"]
    weight: float
    chunks: int
    evidence: Annotated[list[EvidenceItem], "the surest first"]


class EdgeDetail(EdgeItem):
    entities: Annotated[list[GraphEntityRecord], "head and tail"]


class Neighbourhood(TypedDict):
    entity: GraphEntityRecord
    neighbours: Annotated[list[GraphEntityRecord], "the strongest first"]
    edges: Annotated[list[GraphEdgeRecord], "to them, without evidence"]
    truncated: bool


class PathItem(TypedDict):
    entities: Annotated[list[GraphEntityRecord], "empty: no path is as short as that"]
    edges: Annotated[list[EdgeItem], "each joins the entity at its place and the next one"]


class FindQuery(Struct, forbid_unknown_fields=True):
    q: Annotated[str, Meta(max_length=1_000, description="a name or its beginning; empty: the most connected")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class NearQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50
    kind: MentionKind | None = None
    labelled: Annotated[bool, Meta(description="only edges that words of a text name")] = False


class LimitQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class PathQuery(Struct, forbid_unknown_fields=True):
    start: Id
    end: Id
    longest: Annotated[int, Meta(ge=1, le=12)] = 6


def status(call: Call, kb: KnowledgeBase) -> Any:
    (found,) = kb.graph.status(collection_of(call))
    return status_detail(found)


def find(call: Call, kb: KnowledgeBase) -> Any:
    query: FindQuery = call.query
    collection = collection_of(call)
    if query.q.strip():
        found: Iterable[Any] = kb.graph.find(query.q, collection=collection, limit=query.limit)
    else:
        view = kb.graph.view(collection)
        found = [view.entities[number] for number in overview.strongest(view, query.limit).tolist()]
    return entities_record(found)


def show(call: Call, kb: KnowledgeBase) -> Any:
    query: NearQuery = call.query
    id, collection = call.path["entity"], collection_of(call)
    kinds = None if query.kind is None else [query.kind]
    entity = kb.graph.entity(id, collection=collection)
    around = kb.graph.neighbours([id], collection=collection, limit=query.limit, kinds=kinds, labelled=query.labelled)
    return {
        "entity": entity_record(entity),
        "neighbours": [entity_record(one) for one in around.entities if one.id != id],
        "edges": [edge_record(edge, {}) for edge in around.edges],
        "truncated": around.truncated,
    }


def mentions(call: Call, kb: KnowledgeBase) -> Any:
    query: LimitQuery = call.query
    found = kb.graph.mentions(call.path["entity"], collection=collection_of(call), limit=query.limit)
    return {"items": _shown(call, kb, found)}


def edge(call: Call, kb: KnowledgeBase) -> Any:
    query: LimitQuery = call.query
    collection = collection_of(call)
    found = kb.graph.edge(call.path["entity"], call.path["other"], collection=collection, limit=query.limit)
    ends = [kb.graph.entity(id, collection=collection) for id in (found.head, found.tail)]
    return {**_edge_item(call, kb, found), "entities": [entity_record(one) for one in ends]}


def path(call: Call, kb: KnowledgeBase) -> Any:
    query: PathQuery = call.query
    way = kb.graph.path(query.start, query.end, collection=collection_of(call), longest=query.longest)
    return {
        "entities": [entity_record(one) for one in way.entities],
        "edges": [_edge_item(call, kb, one) for one in way.edges],
    }


def communities(call: Call, kb: KnowledgeBase) -> Any:
    query: LimitQuery = call.query
    collection = collection_of(call)
    found = kb.graph.communities(collection=collection, limit=query.limit)
    names = {id: kb.graph.entity(id, collection=collection).name for id in first_entities(found)}
    chunks = {chunk.id: chunk for chunk in kb.store.chunks([s.chunk_id for one in found for s in one.sentences])}
    return communities_record(found, names, chunks)


def collection_of(call: Call) -> str:
    return call.path["collection"]


def _shown(call: Call, kb: KnowledgeBase, evidence: Iterable[Evidence]) -> list[EvidenceItem]:
    """Evidence with ids that lead to its documents, where those are still there."""
    listed = list(evidence)
    chunks = {chunk.id: chunk for chunk in kb.store.chunks(sorted({one.chunk_id for one in listed}))}
    secret = call.service.tenant(call).secret
    return [
        {**evidence_record(one, chunk), "document_id": public("doc", chunk.document_id, secret)}
        for one in listed
        if (chunk := chunks.get(one.chunk_id)) is not None
    ]


def _edge_item(call: Call, kb: KnowledgeBase, edge: Edge) -> EdgeItem:
    return {
        "head": edge.head, "tail": edge.tail, "label": edge.label, "weight": edge.weight, "chunks": edge.chunks,
        "evidence": _shown(call, kb, edge.evidence),
    }  # fmt: skip


GRAPH: Final = "/v1/collections/{collection}/graph"
_ENTITY: Final = GRAPH + "/entities/{entity}"
LEADS: Final = {
    name: {"entity": f"$response.body#/{place}/id"}
    for name, place in (("showEntity", "entities/0"), ("entityMentions", "entities/0"))
}

OPERATIONS = [
    Operation(
        "GET", GRAPH, "graphStatus", "How large the graph is, and how much waits to be read for it.", status,
        result=GraphStatusDetail, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{GRAPH}/entities", "findEntities", "Find entities by name.", find, lane="search", query=FindQuery,
        result=GraphEntitiesRecord, conditional=True, group="graph", errors=(404,), links=LEADS,
    ),
    Operation(
        "GET", _ENTITY, "showEntity", "An entity and what belongs to it.", show, lane="search", query=NearQuery,
        result=Neighbourhood, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_ENTITY}/mentions", "entityMentions", "Passages that mention an entity.", mentions, lane="search",
        query=LimitQuery, result=EvidenceList, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_ENTITY}/edges/{{other}}", "showEdge", "How two entities belong together, with the passages.", edge,
        lane="search", query=LimitQuery, result=EdgeDetail, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{GRAPH}/path", "findPath", "The shortest sure way from one entity to another, with passages.", path,
        lane="search", query=PathQuery, result=PathItem, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{GRAPH}/communities", "graphCommunities", "Groups of entities, the largest first.", communities,
        query=LimitQuery, result=GraphCommunitiesRecord, conditional=True, group="graph", errors=(404,),
    ),
]  # fmt: skip
