"""The graph of a collection from afar, to be drawn: its most connected entities, what joins them, and their places."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...graph_records import GraphEntityRecord, entity_record
from ...knowledge_base import KnowledgeBase
from ..operations import Call, Operation
from .graph import GRAPH, collection_of

MOST_DRAWN: Final = 10_000
EDGES_FOR_EACH: Final = 3
"""Edges of a map for each entity on it, at most."""
LABELLED: Final = 500
"""Entities of a map whose edges are told with their labels: each takes a look at the passages."""


NAMED: Final = 3
"""Members after whom a community is called."""


class MapCommunity(TypedDict):
    name: Annotated[str, f"its {NAMED} most central entities"]
    size: Annotated[int, "entities"]
    x: Annotated[int, "middle of the disc that it lies in"]
    y: int
    radius: int


class GraphMap(TypedDict):
    entities: Annotated[list[GraphEntityRecord], "the most connected first"]
    x: Annotated[list[int], "place of each entity, in units of which its disc is some ten wide"]
    y: list[int]
    community: Annotated[list[int], "of each entity: a place in `communities`"]
    communities: Annotated[list[MapCommunity], "the largest first"]
    heads: Annotated[list[int], "of each edge, what stands out most first: the place of one end in `entities`"]
    tails: Annotated[list[int], "of each edge: the place of the other end"]
    weights: list[float]
    labels: Annotated[list[str] | None, f"of each edge, from head to tail; null: of more than {LABELLED} entities"]
    hidden: Annotated[int, "edges between these entities that are left out"]
    truncated: Annotated[bool, "the graph has more"]


class MapQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=MOST_DRAWN)] = 100


def map_(call: Call, kb: KnowledgeBase) -> Any:
    query: MapQuery = call.query
    collection = collection_of(call)
    found = kb.graph.overview(collection, limit=query.limit, most=EDGES_FOR_EACH * query.limit)
    entities = [found.view.entities[number] for number in found.numbers.tolist()]
    places = found.places.round().astype(int)
    community = [0] * len(entities)
    for number, circle in enumerate(found.circles):
        for member in circle.members:
            community[member] = number
    heads, tails, weights = found.heads.tolist(), found.tails.tolist(), found.weights.tolist()
    labels: list[str] | None = None
    if len(entities) <= LABELLED:
        place = {one.id: at for at, one in enumerate(entities)}
        edges = kb.graph.neighbours(list(place), collection=collection, limit=0).edges
        known = {(place[e.head], place[e.tail]): e.label for e in edges if e.head in place and e.tail in place}
        pairs = [(b, a) if (b, a) in known else (a, b) for a, b in zip(heads, tails, strict=True)]
        heads, tails = [a for a, _ in pairs], [b for _, b in pairs]
        labels = [known.get(pair, "") for pair in pairs]
    return {
        "entities": [entity_record(one) for one in entities],
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "community": community,
        "communities": [
            {
                "name": ", ".join(entities[member].name for member in circle.members[:NAMED]),
                "size": len(circle.members), "x": round(circle.x), "y": round(circle.y), "radius": round(circle.radius),
            }
            for circle in found.circles
        ],
        "heads": heads,
        "tails": tails,
        "weights": [round(weight, 3) for weight in weights],
        "labels": labels,
        "hidden": found.hidden,
        "truncated": found.hidden > 0 or len(entities) < len(found.view.entities),
    }  # fmt: skip


OPERATIONS = [
    Operation(
        "GET", f"{GRAPH}/map", "graphMap", "The most connected entities and what joins them, to be drawn.", map_,
        query=MapQuery, result=GraphMap, conditional=True, group="graph", errors=(404,),
    ),
]  # fmt: skip
