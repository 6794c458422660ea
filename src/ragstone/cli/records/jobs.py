"""The JSON of jobs."""

from __future__ import annotations

from typing import Annotated, TypedDict


class JobProgressRecord(TypedDict):
    stage: str
    done: int
    total: Annotated[int | None, "null: nobody knows"]
    note: str


class JobFailureRecord(TypedDict):
    code: Annotated[str, "class of the error (errors.py), `WorkerDied` or `Cancelled`"]
    message: str
    hint: str
    at: float


class JobDetail(TypedDict):
    id: str
    tenant: str
    kind: Annotated[str, "ingest, texts, rebuild, space, judge, graph, deepen or purge"]
    state: Annotated[str, "queued, running, done, failed or cancelled"]
    cancelling: Annotated[bool, "true: it runs, and its worker was told to end"]
    priority: int
    created: float
    started: Annotated[float | None, "the last attempt"]
    ended: float | None
    not_before: Annotated[float, "when the next attempt is due; 0: at once"]
    attempts: int
    losses: Annotated[int, "times that its worker died"]
    progress: JobProgressRecord
    failures: list[JobFailureRecord]
    result: Annotated[dict[str, object] | None, "what was done, by kind; `files` are as in `add`"]


class JobRecord(TypedDict):
    """`jobs show`, `jobs cancel` and `jobs retry`."""

    schema_version: int
    job: JobDetail


class JobsRecord(TypedDict):
    """`jobs list`; `jobs work` tells what it did."""

    schema_version: int
    jobs: list[JobDetail]
    counts: Annotated[dict[str, int], "jobs by state"]
