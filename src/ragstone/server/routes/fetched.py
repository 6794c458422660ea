"""Documents by address, where the settings allow it."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from ...errors import Forbidden
from ...jobs.intake import Arrived, submit_files
from ...knowledge_base import KnowledgeBase
from ...types import Job
from ..fetching import URL_LENGTH, FetchLimits, fetch, require_allowed
from ..operations import Call, Operation, Reply
from .jobs import JobItem, queue_tenant
from .uploads import JOB, DocumentMetadata, Uri, WaitQuery, admitted, document_uri, idempotency_key, promised


class FetchBody(Struct, forbid_unknown_fields=True):
    """`uri`: name of the document; the address itself where it is left out."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_LENGTH, pattern=r"^https?://", description="what to fetch")]
    uri: Uri | None = None
    metadata: DocumentMetadata = {}


async def fetch_document(call: Call) -> Reply:
    service = call.service
    chosen = service.settings.server
    if not chosen.fetch:
        raise Forbidden("this server fetches no documents.", "Upload the file; or switch the setting server.fetch on.")
    body: FetchBody = call.body
    require_allowed(body.url, chosen.fetch_hosts)
    uri = document_uri(body.uri or body.url)

    def put(call: Call, kb: KnowledgeBase) -> Job:
        admitted(call, kb)
        deadline = min(call.deadline, time.monotonic() + chosen.fetch_seconds)
        with service.uploads(call.tenant).incoming(chosen.upload_bytes) as incoming:
            limits = FetchLimits(chosen.fetch_hosts, chosen.upload_bytes, deadline)
            found = fetch(body.url, limits, incoming.write)
            call.record("document.fetch", found.url)
            return submit_files(
                service.queue, [Arrived(incoming, uri, found.media_type)], tenant=queue_tenant(call.tenant),
                collection=call.path["collection"], metadata=body.metadata, keep=chosen.keep_originals,
                idempotency_key=idempotency_key(call),
            )  # fmt: skip

    return await promised(call, await service.bridge.work.run(lambda: service.with_data(call, put), call.deadline))


OPERATIONS = [
    Operation(
        "POST", "/v1/collections/{collection}/documents:fetch", "fetchDocument", "Add a document by its address.",
        fetch_document, scope="write", lane="loop", query=WaitQuery, body=FetchBody, result=JobItem, status=202,
        group="documents", errors=(404, 409, 413, 422, 507), links=JOB,
        example={"url": "https://example.org/manual.pdf", "uri": "manuals/pump.pdf"},
        description="Off unless the setting server.fetch is on. It is fetched before the answer; the answer's job adds "
        "it. Only hosts whose addresses are all public are asked, or those of server.fetch_hosts.",
    ),
]  # fmt: skip
