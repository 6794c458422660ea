"""Search. A question that was asked before is answered on the event loop, from the bytes that were sent then, while
the state of the data is the same; so is one whose asker has that answer already (304)."""

from __future__ import annotations

import gzip
import time
from hashlib import blake2b
from typing import Any, Final, TypedDict

from ...errors import InputError
from ...knowledge_base import KnowledgeBase
from ...observe.instruments import SEARCHES, looked_up
from ...records import HitRecord, SearchRecord, search_record
from ...types import SearchResult
from ..encoded import Kept
from ..ids import public
from ..operations import COMPRESSED_FROM, Call, Operation, Reply, decode_body, encode, read_body, takes_gzip, unchanged
from ..wire import SearchBody
from .documents import FROM_DOCUMENT

PACKED: Final = [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]


class FoundHit(HitRecord):
    document_id: str
    chunk_id: str


class Found(SearchRecord):
    hits: list[FoundHit]  # type: ignore[misc]


class FoundMany(TypedDict):
    """For `queries`: one result for each."""

    results: list[Found]


async def search(call: Call) -> Reply:
    service = call.service
    raw = await read_body(call, service.json_bytes)
    key = (call.tenant, raw)
    kept = service.encoded.get(key)
    if kept is not None:
        kb = service.tenants.peek(call.tenant)
        if kb is not None and kb.state_tag(kept.collections) == kept.tag:
            looked_up("responses", kept)
            spent = time.perf_counter() - call.started
            SEARCHES.observe(spent, "yes")
            call.stages = {"cache": 1000 * spent}
            return _reply(call, kept)
    body: SearchBody = decode_body(raw, SearchBody)
    if (body.query is None) == (body.queries is None):
        raise InputError("a search has either a query or queries.", "Send one of them.")
    made = await service.bridge.search.run(
        lambda: service.with_data(call, lambda call, kb: _search(call, kb, body, raw)), call.deadline
    )
    if made.tag:
        service.encoded.put(key, made)
    return _reply(call, made)


def _search(call: Call, kb: KnowledgeBase, body: SearchBody, raw: bytes) -> Kept:
    """The encoded answer. It may be kept where the state was the same before and after, and nothing was left out."""
    began = time.perf_counter()
    collections = None if body.collections is None else tuple(dict.fromkeys(body.collections))
    before = kb.state_tag(collections, refresh=True)
    defaults = call.service.settings.search
    k = defaults.k if body.k is None else body.k
    mode = body.mode or defaults.mode
    diversity = defaults.diversity if body.diversity is None else body.diversity
    wanted = body.filter.chosen() if body.filter is not None else None
    secret = call.service.tenant(call).secret
    if body.query is not None:
        result = kb.search(
            body.query, collections=collections, k=k, filter=wanted, mode=mode, diversity=diversity,
            deadline=call.deadline,
        )  # fmt: skip
        complete, call.stages = result.complete, _stages(result, began - call.started, time.perf_counter() - began)
        plain = encode(found_record(result, secret))
    else:
        results = kb.search_batch(
            body.queries or [], collections=collections, k=k, filter=wanted, mode=mode, diversity=diversity
        )
        complete = True
        plain = encode({"results": [found_record(result, secret) for result in results]})
    kept = complete and before is not None and before == kb.state_tag(collections)
    packed = gzip.compress(plain, 1) if len(plain) >= COMPRESSED_FROM and takes_gzip(call) else b""
    etag = blake2b(f"{before}".encode() + raw, digest_size=12).hexdigest()
    return Kept(collections, before or "" if kept else "", f'W/"{etag}"', plain, packed)


def _stages(result: SearchResult, waited: float, searched: float) -> dict[str, float]:
    """Milliseconds; a result that took longer to make than it took to get was made before."""
    made = result.timings["total"] <= 1000 * searched
    return {"wait": 1000 * waited, **(result.timings if made else {"cache": 1000 * searched})}


def found_record(result: SearchResult, secret: bytes) -> Any:
    """As the command line prints it, with ids that lead to the documents."""
    record: Any = search_record(result)
    for shown, hit in zip(record["hits"], result.hits, strict=True):
        shown["document_id"] = public("doc", hit.chunk.document_id, secret)
        shown["chunk_id"] = public("chunk", hit.chunk.id, secret)
    return record


def _reply(call: Call, kept: Kept) -> Reply:
    headers = []
    if kept.tag:
        headers += [(b"etag", kept.etag.encode()), (b"cache-control", b"private, no-cache")]
        if unchanged(call, kept.etag):
            return Reply(None, 304, headers)
    if kept.packed and takes_gzip(call):
        return Reply(kept.packed, 200, [*headers, *PACKED])
    return Reply(kept.plain, 200, headers)


OPERATIONS = [
    Operation(
        "POST", "/v1/search", "search", "Find passages.", search, lane="loop", body=SearchBody,
        upload=True, conditional=True, result=(Found, FoundMany), group="questions", errors=(404, 422),
        example={"query": "How long does the battery last?", "k": 5},
        rule={
            "oneOf": [
                {"required": ["query"], "properties": {"query": {"type": "string"}, "queries": {"type": "null"}}},
                {"required": ["queries"], "properties": {"query": {"type": "null"}, "queries": {"type": "array"}}},
            ]
        },
        links={name: {"document": "$response.body#/hits/0/document_id"} for name in FROM_DOCUMENT},
        description="Carries an ETag; with If-None-Match, 304 while the documents are as they were.",
    ),
]  # fmt: skip
