"""What may become of a job, inside a transaction of the queue."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Final

import apsw

from ..errors import LeaseLost, NotFound
from ..storage.connect import fetch
from ..types import Job, JobFailure, JobLease, JobState
from .tables import COLUMNS, encode, job_of

FAILURES_KEPT: Final = 20
LANE_BYTES: Final = 16


def next_version(connection: apsw.Connection) -> int:
    version: int = connection.execute("UPDATE state SET version = version + 1 RETURNING version").get
    return version


def job_row(connection: apsw.Connection, number: int) -> Job:
    return job_of(fetch(connection, f"SELECT {COLUMNS} FROM jobs WHERE number = ?", (number,))[0])  # noqa: S608


def found(connection: apsw.Connection, id: str, tenant: str | None) -> Job:
    rows = fetch(connection, f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,))  # noqa: S608
    if not rows or tenant not in (None, rows[0][2]):
        raise NotFound(f"there is no job {id!r}.", "`ragstone jobs list` shows them; old ones are forgotten.")
    return job_of(rows[0])


def holds(connection: apsw.Connection, lease: JobLease) -> bool:
    sql = "SELECT 1 FROM jobs WHERE number = ? AND fence = ? AND state = 'running'"
    return bool(fetch(connection, sql, (lease.job.number, lease.fence)))


def held(connection: apsw.Connection, lease: JobLease) -> Job:
    if not holds(connection, lease):
        raise LeaseLost(f"job {lease.job.id} went to another worker.", "Nothing is to be done: that one finishes it.")
    return job_row(connection, lease.job.number)


def end(
    connection: apsw.Connection,
    job: Job,
    state: JobState,
    *,
    failures: Sequence[JobFailure] | None = None,
    result: bytes | None = None,
    losses: int | None = None,
) -> Job:
    """A failed job keeps its files, so that it can be run again."""
    kept = job.failures if failures is None else failures[-FAILURES_KEPT:]
    connection.execute(
        "UPDATE jobs SET state = ?, failures = ?, result = ?, losses = ?, ended = ?, worker = '', cancelling = 0, "
        "version = ? WHERE number = ?",
        (
            state, encode(kept), result, job.losses if losses is None else losses, time.time(),
            next_version(connection), job.number,
        ),
    )  # fmt: skip
    connection.execute("DELETE FROM lanes WHERE job = ?", (job.number,))
    if state != "failed":
        connection.execute("DELETE FROM files WHERE job = ?", (job.number,))
    return job_row(connection, job.number)


def queue_again(
    connection: apsw.Connection, job: Job, failures: Sequence[JobFailure], due: float, attempts: int, losses: int
) -> Job:
    """It keeps its place in its lanes."""
    connection.execute(
        "UPDATE jobs SET state = 'queued', failures = ?, not_before = ?, attempts = ?, losses = ?, worker = '', "
        "version = ? WHERE number = ?",
        (encode(failures[-FAILURES_KEPT:]), due, attempts, losses, next_version(connection), job.number),
    )
    return job_row(connection, job.number)


def enter(connection: apsw.Connection, number: int, position: int, hashes: bytes) -> None:
    parts = [hashes[at : at + LANE_BYTES] for at in range(0, len(hashes), LANE_BYTES)]
    connection.executemany("INSERT INTO lanes VALUES (?, ?, ?)", [(part, position, number) for part in parts])


def lane_hash(tenant: str, lane: str) -> bytes:
    return hashlib.blake2b(f"{tenant}\0{lane}".encode("utf-8", "surrogatepass"), digest_size=LANE_BYTES).digest()


def cancelled() -> JobFailure:
    return JobFailure("Cancelled", "somebody cancelled it.", at=time.time())
