"""The graph of a collection as a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from ...graph.export import MEDIA_TYPES, exported
from ..operations import Call, Operation, Reply, reply_headers
from .graph import GRAPH, collection_of

PIECE_BYTES: Final = 1 << 16


class ExportQuery(Struct, forbid_unknown_fields=True):
    format: Literal["graphml", "json"] = "graphml"
    evidence: Annotated[bool, Meta(description="with passages that show each edge")] = False


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
            for part in exported(kb.graph, kb.store, collection_of(call), query.format, evidence=query.evidence):
                held.append(part)
                size += len(part)
                if size >= PIECE_BYTES:
                    yield "".join(held).encode()
                    held, size = [], 0
            yield "".join(held).encode()

    return made()


OPERATIONS = [
    Operation(
        "GET", f"{GRAPH}/export", "exportGraph", "The whole graph as GraphML or JSON.", export, lane="loop",
        query=ExportQuery, group="graph", errors=(404,), result=bytes, media_type=", ".join(MEDIA_TYPES.values()),
        description="It comes as it is read; an answer that ends early is not whole.",
    ),
]  # fmt: skip
