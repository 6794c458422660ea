"""Tools over the knowledge graph: what they take and give, what they do, and how a model reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from msgspec import Meta, Struct

from ..graph_records import evidence_record
from ..graph_types import Entity, Evidence
from .reach import ToolCall
from .rendering import flat, quoted
from .shapes import NOTICE, Collection

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

Name = Annotated[str, Meta(min_length=1, max_length=1_000, description="A name as texts write it, or an id.")]


class FindArguments(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=1_000, description="A name, or its beginning or a part of it.")]
    collection: Collection = "default"
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class NeighbourArguments(Struct, forbid_unknown_fields=True):
    entity: Name
    collection: Collection = "default"
    limit: Annotated[int, Meta(ge=1, le=100, description="How many neighbours.")] = 20
    labelled: Annotated[bool, Meta(description="Only connections that words of a text name.")] = False
    passages: Annotated[int, Meta(ge=0, le=20, description="How many passages that mention it.")] = 3


class PathArguments(Struct, forbid_unknown_fields=True):
    start: Name
    end: Name
    collection: Collection = "default"
    longest: Annotated[int, Meta(ge=1, le=12, description="Steps at most.")] = 6


class MergeArguments(Struct, forbid_unknown_fields=True):
    a: Name
    b: Name
    collection: Collection = "default"


class SplitArguments(Struct, forbid_unknown_fields=True):
    entity: Name
    alias: Annotated[str, Meta(min_length=1, max_length=1_000, description="The form that is something else.")]
    collection: Collection = "default"


class EntityItem(TypedDict):
    id: str
    name: str
    kind: Annotated[str, "name, term, identifier, standard, date, number, heading or definition"]
    aliases: Annotated[list[str], "other forms of it"]
    chunks: Annotated[int, "passages that mention it"]


class PassageItem(TypedDict):
    uri: str
    page: int | None
    start: Annotated[int, "first character in the document's text"]
    end: int
    text: str


class ConnectionItem(TypedDict):
    head: Annotated[str, "name of the entity that the label leads from"]
    label: Annotated[str, "words of a text; empty: they stand together"]
    tail: str
    chunks: Annotated[int, "passages that show it"]
    passages: list[PassageItem]


class EntitiesResult(TypedDict):
    entities: list[EntityItem]
    notice: str


class NeighboursResult(TypedDict):
    entity: EntityItem
    neighbours: Annotated[list[EntityItem], "the strongest first"]
    connections: list[ConnectionItem]
    passages: Annotated[list[PassageItem], "some that mention the entity"]
    truncated: Annotated[bool, "there are more neighbours"]
    notice: str


class PathResult(TypedDict):
    found: bool
    steps: Annotated[list[ConnectionItem], "from start to end"]
    notice: str


async def find(call: ToolCall) -> EntitiesResult:
    given: FindArguments = call.arguments
    return _entities(
        await call.reach.run(
            "search", lambda kb: kb.graph.find(given.name, collection=given.collection, limit=given.limit)
        )
    )


async def neighbours(call: ToolCall) -> NeighboursResult:
    given: NeighbourArguments = call.arguments
    collection = given.collection

    def look(kb: KnowledgeBase) -> NeighboursResult:
        entity = _called(kb, given.entity, collection)
        around = kb.graph.neighbours([entity.id], collection=collection, limit=given.limit, labelled=given.labelled)
        places = kb.graph.mentions(entity.id, collection=collection, limit=given.passages) if given.passages else []
        names = {one.id: one.name for one in around.entities}
        return {
            "entity": _entity(entity),
            "neighbours": [_entity(one) for one in around.entities if one.id != entity.id],
            "connections": [
                {"head": names[e.head], "label": e.label, "tail": names[e.tail], "chunks": e.chunks, "passages": []}
                for e in around.edges
            ],
            "passages": _passages(kb, places),
            "truncated": around.truncated,
            "notice": NOTICE,
        }  # fmt: skip

    return await call.reach.run("search", look)


async def path(call: ToolCall) -> PathResult:
    given: PathArguments = call.arguments
    collection = given.collection

    def look(kb: KnowledgeBase) -> PathResult:
        a, b = (_called(kb, name, collection) for name in (given.start, given.end))
        way = kb.graph.path(a.id, b.id, collection=collection, longest=given.longest)
        names = {one.id: one.name for one in way.entities}
        return {
            "found": bool(way.entities),
            "steps": [
                {
                    "head": names[edge.head], "label": edge.label, "tail": names[edge.tail], "chunks": edge.chunks,
                    "passages": _passages(kb, edge.evidence),
                }
                for edge in way.edges
            ],
            "notice": NOTICE,
        }  # fmt: skip

    return await call.reach.run("search", look)


async def merge(call: ToolCall) -> EntitiesResult:
    given: MergeArguments = call.arguments

    def go(kb: KnowledgeBase) -> Sequence[Entity]:
        a, b = (_called(kb, name, given.collection) for name in (given.a, given.b))
        made = kb.graph.merge(a.id, b.id, collection=given.collection, by="mcp")
        call.reach.record("graph.merge", f"{a.id} {b.id}")
        return [made]

    return _entities(await call.reach.run("work", go))


async def split(call: ToolCall) -> EntitiesResult:
    given: SplitArguments = call.arguments

    def go(kb: KnowledgeBase) -> Sequence[Entity]:
        entity = _called(kb, given.entity, given.collection)
        parts = kb.graph.split(entity.id, given.alias, collection=given.collection, by="mcp")
        call.reach.record("graph.split", f"{entity.id} {given.alias}")
        return parts

    return _entities(await call.reach.run("work", go))


def _entities(found: Iterable[Entity]) -> EntitiesResult:
    return {"entities": [_entity(one) for one in found], "notice": NOTICE}


def _entity(one: Entity) -> EntityItem:
    return {
        "id": one.id, "name": one.name, "kind": one.kind, "aliases": list(one.aliases), "chunks": one.chunks,
    }  # fmt: skip


def _passages(kb: KnowledgeBase, evidence: Iterable[Evidence]) -> list[PassageItem]:
    listed = list(evidence)
    chunks = {chunk.id: chunk for chunk in kb.store.chunks(sorted({one.chunk_id for one in listed}))}
    records = [evidence_record(one, chunks[one.chunk_id]) for one in listed if one.chunk_id in chunks]
    return [
        {"uri": r["uri"], "page": r["page"], "start": r["start"], "end": r["end"], "text": r["text"]} for r in records
    ]


# ---------------------------------------------------------------------- as models read it
def entities(result: Mapping[str, Any]) -> str:
    if not result["entities"]:
        return "Nothing is called like that. search finds passages by words and meaning."
    return quoted("\n".join(_line(one) for one in result["entities"]))


def neighbourhood(result: Mapping[str, Any]) -> str:
    lines = [_line(result["entity"]), *(_connection(one) for one in result["connections"])]
    lines += [_passage(one) for one in result["passages"]]
    more = "There are more neighbours; ask with a larger limit.\n" if result["truncated"] else ""
    return more + quoted("\n".join(lines))


def steps(result: Mapping[str, Any]) -> str:
    if not result["found"]:
        return "No path is as short as that. Try graph_neighbours of both, or a larger longest."
    lines = []
    for one in result["steps"]:
        lines.append(_connection(one))
        lines += [_passage(passage) for passage in one["passages"][:1]]
    return quoted("\n".join(lines) or "Both are the same entity.")


def _line(one: Mapping[str, Any]) -> str:
    also = f", also {', '.join(map(flat, one['aliases']))}" if one["aliases"] else ""
    return f"{flat(one['name'])} ({one['kind']}, {one['chunks']} passages{also}) id {one['id']}"


def _connection(one: Mapping[str, Any]) -> str:
    label = flat(one["label"])
    return f"{flat(one['head'])} {f'—{label}→' if label else '——'} {flat(one['tail'])}"


def _passage(one: Mapping[str, Any]) -> str:
    page = "" if one["page"] is None else f", page {one['page']}"
    return f"  {flat(one['uri'])}{page}, characters {one['start']} to {one['end']}: {flat(one['text'])}"


def _called(kb: KnowledgeBase, name: str, collection: str) -> Entity:
    from ..graph.naming import called

    return called(kb.graph, name, collection)
