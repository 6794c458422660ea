"""The knowledge graph of a collection: entities, edges, paths and communities, each down to the passages; what is one
thing and what is two; and all of it as a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypedDict

from msgspec import Meta, Struct

from ...graph import overview
from ...graph.decided import about, explanation_record
from ...graph.export import MEDIA_TYPES, exported
from ...graph_records import (
    GraphCommunitiesRecord,
    GraphDecisionsRecord,
    GraphEdgeRecord,
    GraphEntitiesRecord,
    GraphEntityRecord,
    GraphEvidenceRecord,
    GraphExplanationRecord,
    GraphStatusDetail,
    communities_record,
    decisions_record,
    edge_record,
    entities_record,
    entity_record,
    evidence_record,
    first_entities,
    status_detail,
)
from ...graph_types import Edge, Evidence, MentionKind
from ...jobs.intake import DEEPEN, GRAPH, submit
from ...knowledge_base import KnowledgeBase
from ...types import Job
from ..ids import public
from ..operations import Call, Operation, Reply, reply_headers
from .jobs import JobItem, queue_tenant
from .uploads import JOB, WaitQuery, idempotency_key, promised

MOST_DRAWN: Final = 10_000
EDGES_FOR_EACH: Final = 4
"""Edges of a map for each entity on it, at most."""
LABELLED: Final = 500
"""Entities of a map whose edges are told with their labels: each takes a look at the passages."""
PIECE_BYTES: Final = 1 << 16

Id = Annotated[str, Meta(min_length=1, max_length=200, description="id of an entity")]
Form = Annotated[str, Meta(min_length=1, max_length=1_000, description="as texts write it, or its key")]


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


class GraphMap(TypedDict):
    entities: Annotated[list[GraphEntityRecord], "the most connected first"]
    heads: Annotated[list[int], "of each edge: the place of one end in `entities`"]
    tails: Annotated[list[int], "of each edge: the place of the other end"]
    weights: list[float]
    labels: Annotated[list[str] | None, f"of each edge, from head to tail; null: of more than {LABELLED} entities"]
    truncated: Annotated[bool, "the graph has more"]


class FindQuery(Struct, forbid_unknown_fields=True):
    q: Annotated[str, Meta(max_length=1_000, description="a name or its beginning; empty: the most connected")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class NearQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50
    kind: MentionKind | None = None
    labelled: Annotated[bool, Meta(description="only edges that words of a text name")] = False


class LimitQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class MapQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=MOST_DRAWN)] = 100


class PathQuery(Struct, forbid_unknown_fields=True):
    start: Id
    end: Id
    longest: Annotated[int, Meta(ge=1, le=12)] = 6


class PairQuery(Struct, forbid_unknown_fields=True):
    a: Form
    b: Form


class DeepenQuery(WaitQuery, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, description="passages, at most")] | None = None
    again: Annotated[bool, Meta(description="also those for which the model's answers were no use")] = False


class ExportQuery(Struct, forbid_unknown_fields=True):
    format: Literal["graphml", "json"] = "graphml"
    evidence: Annotated[bool, Meta(description="with passages that show each edge")] = False


class MergeBody(Struct, forbid_unknown_fields=True):
    a: Id
    b: Id


class SplitBody(Struct, forbid_unknown_fields=True):
    entity: Id
    alias: Annotated[str, Meta(min_length=1, max_length=1_000, description="the form that is something else")]


class WithdrawBody(Struct, forbid_unknown_fields=True):
    a: Form
    b: Annotated[str, Meta(max_length=1_000, description="empty: all that was decided about `a`")] = ""


def status(call: Call, kb: KnowledgeBase) -> Any:
    (found,) = kb.graph.status(_collection(call))
    return status_detail(found)


def find(call: Call, kb: KnowledgeBase) -> Any:
    query: FindQuery = call.query
    collection = _collection(call)
    if query.q.strip():
        found: Iterable[Any] = kb.graph.find(query.q, collection=collection, limit=query.limit)
    else:
        view = kb.graph.view(collection)
        found = [view.entities[number] for number in overview.strongest(view, query.limit).tolist()]
    return entities_record(found)


def show(call: Call, kb: KnowledgeBase) -> Any:
    query: NearQuery = call.query
    id, collection = call.path["entity"], _collection(call)
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
    found = kb.graph.mentions(call.path["entity"], collection=_collection(call), limit=query.limit)
    return {"items": _shown(call, kb, found)}


def edge(call: Call, kb: KnowledgeBase) -> Any:
    query: LimitQuery = call.query
    collection = _collection(call)
    found = kb.graph.edge(call.path["entity"], call.path["other"], collection=collection, limit=query.limit)
    ends = [kb.graph.entity(id, collection=collection) for id in (found.head, found.tail)]
    return {**_edge_item(call, kb, found), "entities": [entity_record(one) for one in ends]}


def path(call: Call, kb: KnowledgeBase) -> Any:
    query: PathQuery = call.query
    way = kb.graph.path(query.start, query.end, collection=_collection(call), longest=query.longest)
    return {
        "entities": [entity_record(one) for one in way.entities],
        "edges": [_edge_item(call, kb, one) for one in way.edges],
    }


def map_(call: Call, kb: KnowledgeBase) -> Any:
    query: MapQuery = call.query
    collection = _collection(call)
    view = kb.graph.view(collection)
    numbers = overview.strongest(view, query.limit)
    entities = [view.entities[number] for number in numbers.tolist()]
    heads, tails, weights, more = overview.among(view, numbers, EDGES_FOR_EACH * query.limit)
    shown = {
        "entities": [entity_record(one) for one in entities],
        "heads": heads.tolist(),
        "tails": tails.tolist(),
        "weights": [round(weight, 3) for weight in weights.tolist()],
        "labels": None,
        "truncated": more or len(entities) < len(view.entities),
    }
    if len(entities) > LABELLED:
        return shown
    place = {one.id: at for at, one in enumerate(entities)}
    edges = kb.graph.neighbours(list(place), collection=collection, limit=0).edges[: len(heads)]
    kept = [one for one in edges if one.head in place and one.tail in place]
    return {
        **shown,
        "heads": [place[one.head] for one in kept],
        "tails": [place[one.tail] for one in kept],
        "weights": [round(one.weight, 3) for one in kept],
        "labels": [one.label for one in kept],
    }


def communities(call: Call, kb: KnowledgeBase) -> Any:
    query: LimitQuery = call.query
    collection = _collection(call)
    found = kb.graph.communities(collection=collection, limit=query.limit)
    names = {id: kb.graph.entity(id, collection=collection).name for id in first_entities(found)}
    chunks = {chunk.id: chunk for chunk in kb.store.chunks([s.chunk_id for one in found for s in one.sentences])}
    return communities_record(found, names, chunks)


def decisions(call: Call, kb: KnowledgeBase) -> Any:
    return decisions_record(kb.graph.decisions(_collection(call)))


def explain(call: Call, kb: KnowledgeBase) -> Any:
    query: PairQuery = call.query
    return explanation_record(kb.graph.explain(query.a, query.b, collection=_collection(call)))


def merge(call: Call, kb: KnowledgeBase) -> Any:
    body: MergeBody = call.body
    made = kb.graph.merge(body.a, body.b, collection=_collection(call), by=call.who.key.name)
    call.record("graph.merge", f"{body.a} {body.b}")
    return entities_record([made])


def split(call: Call, kb: KnowledgeBase) -> Any:
    body: SplitBody = call.body
    parts = kb.graph.split(body.entity, body.alias, collection=_collection(call), by=call.who.key.name)
    call.record("graph.split", f"{body.entity} {body.alias}")
    return entities_record(parts)


def withdraw(call: Call, kb: KnowledgeBase) -> Any:
    body: WithdrawBody = call.body
    collection = _collection(call)
    for one in about(kb.graph.decisions(collection), body.a, body.b):
        kb.graph.withdraw(one.a, one.b, collection=collection)
    call.record("graph.withdraw", f"{body.a} {body.b}".strip())
    return decisions_record(kb.graph.decisions(collection))


async def build(call: Call) -> Reply:
    return await _job(call, GRAPH, "graph.build", {})


async def deepen(call: Call) -> Reply:
    query: DeepenQuery = call.query
    return await _job(call, DEEPEN, "graph.deepen", {"limit": query.limit, "again": query.again})


async def _job(call: Call, kind: str, recorded: str, more: Mapping[str, Any]) -> Reply:
    service, collection = call.service, _collection(call)

    def put(call: Call, kb: KnowledgeBase) -> Job:
        kb.collection(collection)
        job = submit(
            service.queue, kind, {"collection": collection, **more}, tenant=queue_tenant(call.tenant),
            idempotency_key=idempotency_key(call),
        )  # fmt: skip
        call.record(recorded, collection)
        return job

    return await promised(call, await service.bridge.work.run(lambda: service.with_data(call, put), call.deadline))


async def export(call: Call) -> Reply | None:
    """A piece at a time, as fast as the client reads: no more than one is held."""
    query: ExportQuery = call.query
    service = call.service
    pieces = _pieces(call, query)
    begun = False
    try:
        while True:
            data = await service.bridge.work.run(lambda: next(pieces, None), call.deadline)
            if not begun:
                begun = True
                headers = [
                    (b"content-type", MEDIA_TYPES[query.format].encode()),
                    (b"content-disposition", f'attachment; filename="graph.{query.format}"'.encode()),
                    *reply_headers(call),
                ]
                await call.send({"type": "http.response.start", "status": 200, "headers": headers})
            if data is None:
                break
            await call.send({"type": "http.response.body", "body": data, "more_body": True})
    finally:
        await service.bridge.work.run(pieces.close, float("inf"))
    await call.send({"type": "http.response.body", "body": b"", "more_body": False})
    return None


def _pieces(call: Call, query: ExportQuery) -> Any:
    def made() -> Iterator[bytes]:
        with call.service.tenants.use(call.tenant) as kb:
            held, size = [], 0
            for part in exported(kb.graph, kb.store, _collection(call), query.format, evidence=query.evidence):
                held.append(part)
                size += len(part)
                if size >= PIECE_BYTES:
                    yield "".join(held).encode()
                    held, size = [], 0
            yield "".join(held).encode()

    return made()


def _collection(call: Call) -> str:
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


_GRAPH: Final = "/v1/collections/{collection}/graph"
_ENTITY: Final = _GRAPH + "/entities/{entity}"
_LEADS: Final = {
    name: {"entity": f"$response.body#/{place}/id"}
    for name, place in (("showEntity", "entities/0"), ("entityMentions", "entities/0"))
}

OPERATIONS = [
    Operation(
        "GET", _GRAPH, "graphStatus", "How large the graph is, and how much waits to be read for it.", status,
        result=GraphStatusDetail, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_GRAPH}/entities", "findEntities", "Find entities by name.", find, lane="search", query=FindQuery,
        result=GraphEntitiesRecord, conditional=True, group="graph", errors=(404,), links=_LEADS,
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
        "GET", f"{_GRAPH}/path", "findPath", "The shortest sure way from one entity to another, with passages.", path,
        lane="search", query=PathQuery, result=PathItem, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_GRAPH}/map", "graphMap", "The most connected entities and what joins them, to be drawn.", map_,
        query=MapQuery, result=GraphMap, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_GRAPH}/communities", "graphCommunities", "Groups of entities, the largest first.", communities,
        query=LimitQuery, result=GraphCommunitiesRecord, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_GRAPH}/export", "exportGraph", "The whole graph as GraphML or JSON.", export, lane="loop",
        query=ExportQuery, group="graph", errors=(404,), result=bytes, media_type=", ".join(MEDIA_TYPES.values()),
        description="It comes as it is read; an answer that ends early is not whole.",
    ),
    Operation(
        "GET", f"{_GRAPH}/explanation", "explainEntities", "Why two forms are one entity, or are not.", explain,
        query=PairQuery, result=GraphExplanationRecord, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{_GRAPH}/decisions", "graphDecisions", "What was merged and split by hand.", decisions,
        result=GraphDecisionsRecord, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "POST", f"{_GRAPH}:merge", "mergeEntities", "Say that two entities are one thing.", merge, scope="write",
        body=MergeBody, result=GraphEntitiesRecord, group="graph", errors=(404,), links=_LEADS,
        example={"a": "659d1d523ebe83da62104e34", "b": "47d3def0de9b2f0aa87cd77a"},
        description="It holds for documents that come later too.",
    ),
    Operation(
        "POST", f"{_GRAPH}:split", "splitEntity", "Say that a form of an entity is something else.", split,
        scope="write", body=SplitBody, result=GraphEntitiesRecord, group="graph", errors=(404,), links=_LEADS,
        example={"entity": "659d1d523ebe83da62104e34", "alias": "Pumpen"},
    ),
    Operation(
        "POST", f"{_GRAPH}:withdraw", "withdrawDecision", "Take back what a merge or a split said.", withdraw,
        scope="write", body=WithdrawBody, result=GraphDecisionsRecord, group="graph", errors=(404,),
        example={"a": "Pumpe", "b": "Pumpen"},
    ),
    Operation(
        "POST", f"{_GRAPH}:build", "buildGraph", "Read every passage that waits, now: as a job.", build, scope="write",
        lane="loop", query=WaitQuery, result=JobItem, status=202, group="graph", errors=(404, 409, 503), links=JOB,
        description="Passages are read in the background anyway, more slowly while questions are answered.",
    ),
    Operation(
        "POST", f"{_GRAPH}:deepen", "deepenGraph", "Have a language model read passages too: as a job.",
        deepen, scope="write", lane="loop", query=DeepenQuery, result=JobItem, status=202, group="graph",
        errors=(404, 409, 503), links=JOB,
        description="Each passage is read once, the newest first; the model's calls count against the budget.",
    ),
]  # fmt: skip
