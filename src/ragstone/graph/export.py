"""The graph of a collection as GraphML, which other programs read, or JSON: piece by piece, so that a large graph is
never held as text.

GraphML 1.0 (http://graphml.graphdrawing.org/specification.html): entities are nodes; the label of an edge reads from
its source to its target. What XML 1.0 does not allow in a text is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal
from xml.sax.saxutils import escape, quoteattr

from ..errors import NotFound
from ..graph_records import edge_record, entity_record
from ..graph_types import Edge
from ..protocols import Store
from ..records import SCHEMA_VERSION
from .graph import KnowledgeGraph

Format = Literal["graphml", "json"]
MEDIA_TYPES: Final[Mapping[Format, str]] = {"graphml": "application/graphml+xml", "json": "application/json"}
EVIDENCE: Final = 20
"""Passages of an edge that go with it, at most."""
TOGETHER: Final = 200
"""Entities whose edges are read at once."""
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEYS: Final[Sequence[tuple[str, str, str]]] = (
    ("node", "name", "string"), ("node", "kind", "string"), ("node", "aliases", "string"), ("node", "mentions", "int"),
    ("node", "chunks", "int"), ("edge", "label", "string"), ("edge", "weight", "double"), ("edge", "chunks", "int"),
    ("edge", "evidence", "string"),
)  # fmt: skip


@dataclass(slots=True)
class Counted:
    """How much was written so far."""

    entities: int = 0
    edges: int = 0


def exported(
    graph: KnowledgeGraph, store: Store, collection: str, form: Format, *, evidence: bool = False,
    counted: Counted | None = None,
) -> Iterator[str]:
    """Pieces of the file. What is removed while it is written is left out of what follows. Raises NotFound."""
    counted = counted or Counted()
    records = _records(graph, store, collection, counted, evidence=evidence)
    return _graphml(records, collection) if form == "graphml" else _json(records, collection)


def _records(
    graph: KnowledgeGraph, store: Store, collection: str, counted: Counted, *, evidence: bool
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """("node", entity), each, and then ("edge", edge), each, as JSON has them. Raises NotFound."""
    entities = graph.view(collection).entities
    ids: list[str] = []
    for entity in entities:
        ids.append(entity.id)
        counted.entities += 1
        yield "node", entity_record(entity)
    known = set(ids)
    done: set[str] = set()
    rest = iter(ids)
    while some := list(islice(rest, TOGETHER)):
        for edge in _edges(graph, collection, some, len(known)):
            if edge.head in done or edge.tail in done or not {edge.head, edge.tail} <= known:
                continue
            shown = edge
            if evidence:
                try:
                    shown = graph.edge(edge.head, edge.tail, collection=collection, limit=EVIDENCE)
                except NotFound:
                    continue
            chunks = {chunk.id: chunk for chunk in store.chunks([one.chunk_id for one in shown.evidence])}
            counted.edges += 1
            yield "edge", edge_record(shown, chunks)
        done.update(some)


def _edges(graph: KnowledgeGraph, collection: str, ids: list[str], limit: int) -> Sequence[Edge]:
    try:
        return graph.neighbours(ids, collection=collection, limit=limit).edges
    except NotFound:  # one of them was removed meanwhile
        if len(ids) == 1:
            return ()
        return [edge for id in ids for edge in _edges(graph, collection, [id], limit)]


def _json(records: Iterator[tuple[str, Mapping[str, Any]]], collection: str) -> Iterator[str]:
    yield f'{{"schema_version": {SCHEMA_VERSION}, "collection": {json.dumps(collection)},\n"entities": ['
    kind, between = "node", "\n"
    for what, record in records:
        if what != kind:
            yield '\n],\n"edges": ['
            kind, between = what, "\n"
        yield between + json.dumps(record, ensure_ascii=False)
        between = ",\n"
    yield "\n]}\n" if kind == "edge" else '\n],\n"edges": []}\n'


def _graphml(records: Iterator[tuple[str, Mapping[str, Any]]], collection: str) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for owner, name, kind in _KEYS:
        yield f'<key id="{owner}-{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>\n'
    yield f'<graph id={quoteattr(_clean(collection))} edgedefault="directed">\n'
    for what, record in records:
        values = {**record}
        if what == "edge":
            ends = f"source={quoteattr(record['head'])} target={quoteattr(record['tail'])}"
            values["evidence"] = json.dumps(record["evidence"], ensure_ascii=False) if record["evidence"] else ""
        else:
            ends = f"id={quoteattr(record['id'])}"
            values["aliases"] = "\n".join(record["aliases"])
        data = "".join(
            f'<data key="{what}-{name}">{escape(_clean(str(values[name])))}</data>'
            for owner, name, _ in _KEYS
            if owner == what and values[name] != ""
        )
        yield f"<{what} {ends}>{data}</{what}>\n"
    yield "</graph>\n</graphml>\n"


def _clean(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
