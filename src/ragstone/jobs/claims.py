"""Which job is taken next, and which ones lost their worker.

A lease ends when its time is over, and at once when its process ended: the kernel lets go of the lock on that process's
lease file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import apsw

from ..budget.lease import boot_id
from ..budget.lease import ended as process_ended
from ..storage.connect import fetch
from ..types import Job, JobFailure, JobLease
from .changes import end, job_row, next_version, queue_again
from .tables import FOLDER

_PRIORITY: Final = "SELECT max(priority) FROM jobs INDEXED BY jobs_waiting WHERE state = 'queued' AND priority < ?"
_FIRST_TENANT: Final = "SELECT min(tenant) FROM jobs INDEXED BY jobs_waiting WHERE state = 'queued' AND priority = ?"
_NEXT_TENANT: Final = f"{_FIRST_TENANT} AND tenant > ?"
_TURN: Final = "SELECT turn FROM turns WHERE tenant = ?"
_HIGHEST: Final = 1 << 62


class Claims:
    """`longest_pause` lies between two attempts at most; a job is given up after `losses` deaths of its worker."""

    def __init__(self, folder: Path, losses: int, longest_pause: float) -> None:
        self._folder = folder / FOLDER
        self._losses = losses
        self._longest_pause = longest_pause

    def take(
        self, connection: apsw.Connection, kinds: Sequence[str], lease_seconds: float, worker: str
    ) -> JobLease | None:
        """The next job, for the process `worker`; None where none is due and free."""
        for number in self.lost(connection):
            self._lose(connection, job_row(connection, number))
        for number, tenant in self.candidates(connection, kinds):
            version = next_version(connection)
            connection.execute(
                "UPDATE jobs SET state = 'running', worker = ?, until = ?, fence = fence + 1, attempts = attempts + 1, "
                "started = ?, version = ? WHERE number = ?",
                (worker, time.monotonic() + lease_seconds, time.time(), version, number),
            )
            connection.execute("INSERT OR REPLACE INTO turns VALUES (?, ?)", (tenant, version))
            fence = connection.execute("SELECT fence FROM jobs WHERE number = ?", (number,)).get
            return JobLease(job_row(connection, number), worker, fence, lease_seconds)
        return None

    def candidates(self, connection: apsw.Connection, kinds: Sequence[str]) -> list[tuple[int, str]]:
        """(number, tenant) of the job to take; empty where none is due and free."""
        now = time.time()
        # a time that lies further ahead than any pause is due too: the clock was set back
        due = f"state = 'queued' AND kind IN ({marks(kinds)}) AND not_before NOT BETWEEN ? AND ?"
        values = (*kinds, now, now + 2 * self._longest_pause)
        for priority, tenant in _groups(connection):
            found = fetch(
                connection,
                f"SELECT number, tenant FROM jobs WHERE {due} AND priority = ? AND tenant = ? AND NOT EXISTS ("  # noqa: S608
                "SELECT 1 FROM lanes mine JOIN lanes earlier ON earlier.lane = mine.lane "
                "AND earlier.position < mine.position WHERE mine.job = jobs.number) ORDER BY position LIMIT 1",
                (*values, priority, tenant),
            )
            if found:
                return found
        return []

    def lost(self, connection: apsw.Connection) -> list[int]:
        """Numbers of running jobs whose lease is over."""
        running = fetch(connection, "SELECT worker, number, until FROM jobs WHERE state = 'running'")
        boot, now = boot_id(), time.monotonic()
        dead = {
            worker for worker in {row[0] for row in running} if process_ended(self._folder, worker) is not None
        }
        return [n for worker, n, until in running if worker in dead or not worker.startswith(boot) or until < now]

    def _lose(self, connection: apsw.Connection, job: Job) -> None:
        """Its worker died, or did not renew the lease."""
        failures = (*job.failures, JobFailure("WorkerDied", "the worker ended or stood still.", at=time.time()))
        if job.cancelling:
            end(connection, job, "cancelled", failures=failures)
        elif job.losses + 1 >= self._losses:
            end(connection, job, "failed", failures=failures, losses=job.losses + 1)
        else:
            queue_again(connection, job, failures, 0.0, job.attempts - 1, job.losses + 1)


def _groups(connection: apsw.Connection) -> Iterator[tuple[int, str]]:
    """Priorities and tenants that have something queued, in the order in which it is their turn: with one look at the
    index for each of them, not for each job."""
    priority = connection.execute(_PRIORITY, (_HIGHEST,)).get
    while priority is not None:
        waiting: list[tuple[int, str]] = []
        tenant = connection.execute(_FIRST_TENANT, (priority,)).get
        while tenant is not None:
            waiting.append((connection.execute(_TURN, (tenant,)).get or 0, tenant))
            tenant = connection.execute(_NEXT_TENANT, (priority, tenant)).get
        for _, tenant in sorted(waiting):
            yield priority, tenant
        priority = connection.execute(_PRIORITY, (priority,)).get


def next_due(connection: apsw.Connection, kinds: Sequence[str]) -> float | None:
    found: float | None = connection.execute(
        f"SELECT min(not_before) FROM jobs WHERE state = 'queued' AND not_before > ? AND kind IN ({marks(kinds)})",  # noqa: S608
        (time.time(), *kinds),
    ).get
    return found


def marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
