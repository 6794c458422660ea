"""Jobs: what became of what was promised."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...jobs.intake import release
from ...knowledge_base import KnowledgeBase
from ...types import ENDED, Job, JobState
from ..accounts import DEFAULT_TENANT
from ..events import Event, send_events
from ..operations import Call, Operation, Reply
from ..wire import rfc3339

LOOK_SECONDS: Final = 5.0
"""After which a job is looked at although nobody said that it changed."""


class ProgressItem(TypedDict):
    stage: str
    done: int
    total: int | None
    item: str


class FailureItem(TypedDict):
    code: Annotated[str, "an error class of Ragstone"]
    message: str
    hint: str
    at: str


class JobItem(TypedDict):
    id: str
    kind: str
    state: Annotated[str, "queued, running, done, failed or cancelled"]
    created: Annotated[str, "RFC 3339"]
    started: str | None
    ended: str | None
    attempts: int
    cancelling: bool
    progress: ProgressItem
    result: dict[str, Any] | None
    failures: Annotated[list[FailureItem], "the last one last"]


class JobPage(TypedDict):
    items: list[JobItem]
    next: Annotated[int | None, "cursor of the next page; null at the end"]


class JobQuery(Struct, forbid_unknown_fields=True):
    state: JobState | None = None
    cursor: Annotated[int, Meta(ge=1, le=1 << 53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


def list_jobs(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    query: JobQuery = call.query
    states = () if query.state is None else (query.state,)
    found = call.service.queue.list(
        tenant=queue_tenant(call.tenant), states=states, before=query.cursor, limit=query.limit + 1
    )
    shown = found[: query.limit]
    following = shown[-1].number if len(found) > len(shown) else None
    return {"items": [job_item(call, job) for job in shown], "next": following}


def show(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    return job_item(call, _job(call))


def cancel(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    queue = call.service.queue
    job = queue.cancel(call.path["job"], tenant=queue_tenant(call.tenant))
    if job.state in ENDED:
        release(queue, call.service.uploads(call.tenant), job)
    call.record("job.cancel", job.id)
    return job_item(call, job)


def retry(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    job = call.service.queue.retry(call.path["job"], tenant=queue_tenant(call.tenant))
    call.record("job.retry", job.id)
    return job_item(call, job)


async def events(call: Call) -> Reply | None:
    await send_events(call, _changes(call))
    return None


async def _changes(call: Call) -> AsyncIterator[Event]:
    """The job at first and whenever it changed, until it has ended."""
    version = -1
    while True:
        ring = call.service.changes.next()
        job = await _read(call, call.path["job"])
        if job.version != version:
            version = job.version
            yield "job", job_item(call, job)
        if job.state in ENDED:
            return
        await ring(LOOK_SECONDS)


async def ended_in_time(call: Call, job: Job, seconds: float) -> Job:
    """The job as soon as it has ended, or as it is after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        ring = call.service.changes.next()
        job = await _read(call, job.id)
        left = until - time.monotonic()
        if job.state in ENDED or left <= 0:
            return job
        await ring(min(left, LOOK_SECONDS))


async def _read(call: Call, id: str) -> Job:
    service = call.service
    until = time.monotonic() + service.deadline
    return await service.bridge.work.run(lambda: service.queue.get(id, tenant=queue_tenant(call.tenant)), until)


def _job(call: Call) -> Job:
    """Raises NotFound."""
    return call.service.queue.get(call.path["job"], tenant=queue_tenant(call.tenant))


def queue_tenant(tenant: str) -> str:
    """How the queue, which knows no accounts, names a tenant."""
    return "" if tenant == DEFAULT_TENANT else tenant


def job_item(call: Call, job: Job) -> JobItem:
    hidden = str(call.service.data)
    progress: Any = {
        "stage": job.progress.stage, "done": job.progress.done, "total": job.progress.total, "item": job.progress.note,
    }  # fmt: skip
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created": rfc3339(job.created),
        "started": None if job.started is None else rfc3339(job.started),
        "ended": None if job.ended is None else rfc3339(job.ended),
        "attempts": job.attempts,
        "cancelling": job.cancelling,
        "progress": progress,
        "result": None if job.result is None else dict(job.result),
        "failures": [
            {
                "code": failure.code, "message": failure.message.replace(hidden, "…"),
                "hint": failure.hint.replace(hidden, "…"), "at": rfc3339(failure.at),
            }
            for failure in job.failures
        ],
    }  # fmt: skip


OPERATIONS = [
    Operation(
        "GET", "/v1/jobs", "listJobs", "List jobs, newest first.", list_jobs, query=JobQuery, result=JobPage,
        group="jobs",
    ),
    Operation("GET", "/v1/jobs/{job}", "showJob", "Show a job.", show, result=JobItem, group="jobs", errors=(404,)),
    Operation(
        "GET", "/v1/jobs/{job}/events", "jobEvents", "The job whenever it changes, as server-sent events `job`, until "
        "it has ended.", events, lane="loop", streams=True, group="jobs", errors=(404,),
    ),
    Operation(
        "POST", "/v1/jobs/{job}/cancel", "cancelJob", "End a job that waits; ask one that runs to end.", cancel,
        scope="write", result=JobItem, group="jobs", errors=(404,),
    ),
    Operation(
        "POST", "/v1/jobs/{job}/retry", "retryJob", "Run a job again that failed or was cancelled.", retry,
        scope="write", result=JobItem, group="jobs", errors=(404, 409),
    ),
]  # fmt: skip
