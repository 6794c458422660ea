"""Jobs and their leases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
"""`queued`: waits, for its first attempt or for the next. `failed`: given up, kept to be looked at and run again."""
ENDED: Final = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is: `done` of `total` (None: nobody knows) in the present stage."""

    stage: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why an attempt ended without a result. `code` is that of the error, or `WorkerDied`, `Cancelled`."""

    code: str
    message: str
    hint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """Work that was promised. `payload` and `result` are JSON objects; `files` names uploads that it needs. `version`
    rises with every change of any job. `not_before`: when the next attempt is due. `attempts` were begun,
    `losses` of them ended because their worker died. `failures`: the reasons, the last ones last."""

    id: str
    number: int
    tenant: str
    kind: str
    state: JobState
    priority: int
    payload: Mapping[str, Any]
    files: tuple[str, ...]
    progress: JobProgress
    result: Mapping[str, Any] | None
    failures: tuple[JobFailure, ...]
    created: float
    started: float | None
    ended: float | None
    not_before: float
    attempts: int
    losses: int
    worker: str
    cancelling: bool
    version: int


@dataclass(frozen=True, slots=True)
class JobLease:
    """The right to work on a job until another worker has it: `fence` is larger in each later lease of the job."""

    job: Job
    worker: str
    fence: int
    seconds: float
