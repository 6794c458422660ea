"""Reading passages for the graph of a collection, by rules and by a language model: jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from ...jobs.intake import DEEPEN, submit
from ...jobs.intake import GRAPH as READ
from ...knowledge_base import KnowledgeBase
from ...types import Job
from ..operations import Call, Operation, Reply
from .graph import GRAPH, collection_of
from .jobs import JobItem, queue_tenant
from .uploads import JOB, WaitQuery, idempotency_key, promised


class DeepenQuery(WaitQuery, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, description="passages, at most")] | None = None
    again: Annotated[bool, Meta(description="also those for which the model's answers were no use")] = False


async def build(call: Call) -> Reply:
    return await _job(call, READ, "graph.build", {})


async def deepen(call: Call) -> Reply:
    query: DeepenQuery = call.query
    return await _job(call, DEEPEN, "graph.deepen", {"limit": query.limit, "again": query.again})


async def _job(call: Call, kind: str, recorded: str, more: Mapping[str, Any]) -> Reply:
    service, collection = call.service, collection_of(call)

    def put(call: Call, kb: KnowledgeBase) -> Job:
        kb.collection(collection)
        job = submit(
            service.queue, kind, {"collection": collection, **more}, tenant=queue_tenant(call.tenant),
            idempotency_key=idempotency_key(call),
        )  # fmt: skip
        call.record(recorded, collection)
        return job

    return await promised(call, await service.bridge.work.run(lambda: service.with_data(call, put), call.deadline))


OPERATIONS = [
    Operation(
        "POST", f"{GRAPH}:build", "buildGraph", "Read every passage that waits, now: as a job.", build, scope="write",
        lane="loop", query=WaitQuery, result=JobItem, status=202, group="graph", errors=(404, 409, 503), links=JOB,
        description="Passages are read in the background anyway, more slowly while questions are answered.",
    ),
    Operation(
        "POST", f"{GRAPH}:deepen", "deepenGraph", "Have a language model read passages too: as a job.",
        deepen, scope="write", lane="loop", query=DeepenQuery, result=JobItem, status=202, group="graph",
        errors=(404, 409, 503), links=JOB,
        description="Each passage is read once, the newest first; the model's calls count against the budget.",
    ),
]  # fmt: skip
