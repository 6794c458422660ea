"""The queue in DATA/jobs.db: leases with fencing tokens, priorities, lanes, retries. `protocols.Queue` is the contract.
Which job is taken is in claims.py, what becomes of one in changes.py.

    DATA/jobs.db (-wal, -shm)  the jobs           DATA/jobs/*.lease  processes that work (locked while they live)
    DATA/jobs.lock             who writes next    DATA/jobs/*.bell   processes that wait (jobs/bell.py)

One writer for each process commits the requests of its threads together. A lease ends when its time is over, and at
once when its process ended: the kernel lets go of the lock on that process's lease file.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from ..budget.lease import Lease as Presence
from ..budget.lease import sweep as sweep_presences
from ..errors import Conflict, InputError, QueueFull
from ..protocols import Queue
from ..storage.connect import ReaderPool, fetch, mapped
from ..storage.layout import JOBS, JOBS_GATE
from ..storage.writer import Writer
from ..types import ENDED, Job, JobFailure, JobLease, JobProgress, JobState
from .bell import Listener, ring
from .changes import (
    cancelled,
    end,
    enter,
    found,
    held,
    holds,
    job_row,
    lane_hash,
    next_version,
    queue_again,
)
from .claims import Claims, marks, next_due
from .tables import COLUMNS, FOLDER, encode, job_of, prepare

BUSY_SECONDS: Final = 60.0
PAYLOAD_BYTES: Final = 1 << 20
STATES: Final[tuple[JobState, ...]] = ("queued", "running", "done", "failed", "cancelled")


class SqliteQueue(Queue):
    """At most `most_waiting` jobs wait. A job fails for good after `attempts`, or after `losses` deaths of its worker.
    Between two attempts lie `backoff[0]` seconds, doubled each time up to `backoff[1]`, with jitter. Jobs that are done
    or cancelled are forgotten after `keep_seconds`, failed ones after `keep_failed_seconds`.
    Raises StoreError and its kinds."""

    def __init__(
        self,
        folder: Path,
        *,
        most_waiting: int = 10_000,
        attempts: int = 5,
        losses: int = 10,
        backoff: tuple[float, float] = (1.0, 300.0),
        keep_seconds: float = 7 * 86_400.0,
        keep_failed_seconds: float = 30 * 86_400.0,
        busy_timeout: float = BUSY_SECONDS,
    ) -> None:
        self._folder = folder
        self._most_waiting = most_waiting
        self._attempts = attempts
        self._claims = Claims(folder, losses, backoff[1])
        self._backoff = backoff
        self._keep = (keep_seconds, keep_failed_seconds)
        prepare(folder, busy_timeout)
        self._readers = ReaderPool(folder, JOBS)
        self._writer = Writer(folder, busy_timeout, database=JOBS, gate=JOBS_GATE, committed=self._ring)
        self._lock = threading.Lock()
        self._presence: Presence | None = None
        self._listener: Listener | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._heard = threading.Condition()
        self._rings = 0
        self._seen = -1
        self._woken = False

    # ------------------------------------------------------------------ asking for work
    def put(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        tenant: str = "",
        priority: int = 0,
        idempotency_key: str = "",
        fingerprint: bytes = b"",
        lanes: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> Job:
        body = encode(dict(payload))
        if len(body) > PAYLOAD_BYTES:
            raise InputError(
                f"a job of {len(body):,} bytes is too large for the queue.", "Put what is large into an upload."
            )
        hashes = b"".join(sorted({lane_hash(tenant, lane) for lane in lanes}))

        def work(connection: apsw.Connection) -> Job:
            if idempotency_key:
                found = fetch(
                    connection, "SELECT number, kind, fingerprint FROM jobs WHERE tenant = ? AND key = ?",
                    (tenant, idempotency_key),
                )  # fmt: skip
                if found:
                    if found[0][1:] != (kind, fingerprint):
                        raise Conflict(
                            "this idempotency key was used for another request.", "Use a new key for a new request."
                        )
                    return job_row(connection, found[0][0])
            waiting = connection.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").get
            if waiting >= self._most_waiting:
                raise QueueFull(
                    f"{waiting:,} jobs wait already, as many as may.", "Try again later, or start more workers."
                )
            version, now = next_version(connection), time.time()
            connection.execute(
                "INSERT INTO jobs (id, tenant, kind, state, priority, position, payload, files, lanes, progress, "
                "failures, created, not_before, attempts, losses, fence, worker, until, cancelling, version, key, "
                "fingerprint) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, X'5B5D', ?, 0, 0, 0, 0, '', 0, 0, ?, ?, ?)",
                (
                    secrets.token_hex(16), tenant, kind, priority, version, body, encode(list(files)), hashes,
                    encode(JobProgress()), now, version, idempotency_key, fingerprint,
                ),
            )  # fmt: skip
            number = connection.last_insert_rowid()
            connection.executemany("INSERT INTO files VALUES (?, ?)", [(name, number) for name in files])
            enter(connection, number, version, hashes)
            return job_row(connection, number)

        return self._writer.run(work)

    def cancel(self, id: str, *, tenant: str | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = found(connection, id, tenant)
            if job.state == "queued":
                return end(connection, job, "cancelled", failures=(*job.failures, cancelled()))
            if job.state == "running" and not job.cancelling:
                connection.execute(
                    "UPDATE jobs SET cancelling = 1, version = ? WHERE number = ?",
                    (next_version(connection), job.number),
                )
            return job_row(connection, job.number)

        return self._writer.run(work)

    def retry(self, id: str, *, tenant: str | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = found(connection, id, tenant)
            if job.state not in ("failed", "cancelled"):
                raise Conflict(f"job {id} is {job.state}.", "Only a job that failed or was cancelled is run again.")
            held = connection.execute("SELECT count(*) FROM files WHERE job = ?", (job.number,)).get
            if held < len(job.files):
                raise Conflict(f"the files of job {id} are gone.", "Upload them again.")
            version = next_version(connection)
            connection.execute(
                "UPDATE jobs SET state = 'queued', position = ?, not_before = 0, attempts = 0, losses = 0, "
                "ended = NULL, cancelling = 0, progress = ?, version = ? WHERE number = ?",
                (version, encode(JobProgress()), version, job.number),
            )
            hashes = connection.execute("SELECT lanes FROM jobs WHERE number = ?", (job.number,)).get
            enter(connection, job.number, version, hashes)
            return job_row(connection, job.number)

        return self._writer.run(work)

    # ------------------------------------------------------------------ working
    def take(
        self, kinds: Sequence[str], lease_seconds: float, *, wait: float = 0.0, stop: threading.Event | None = None
    ) -> JobLease | None:
        deadline = time.monotonic() + wait
        if wait > 0:
            self._listen()
        while True:
            rings = self._rings
            if stop is not None and stop.is_set():
                return None
            with self._readers.snapshot() as connection:
                worth = self._claims.lost(connection) or self._claims.candidates(connection, kinds)
                due = None if worth else next_due(connection, kinds)
            if worth:
                lease = self._writer.run(lambda c: self._claims.take(c, kinds, lease_seconds, self._present().name))
                if lease is not None:
                    return lease
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if due is not None:
                left = min(left, max(due - time.time(), 0.001))
            self._await(rings, left)

    def heartbeat(self, lease: JobLease, progress: JobProgress | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            held(connection, lease)
            connection.execute(
                "UPDATE jobs SET until = ? WHERE number = ?", (time.monotonic() + lease.seconds, lease.job.number)
            )
            if progress is not None:
                connection.execute(
                    "UPDATE jobs SET progress = ?, version = ? WHERE number = ?",
                    (encode(progress), next_version(connection), lease.job.number),
                )
            return job_row(connection, lease.job.number)

        return self._writer.run(work)

    def holds(self, lease: JobLease) -> bool:
        with self._readers.use() as connection:
            return holds(connection, lease)

    def finish(self, lease: JobLease, result: Mapping[str, Any], *, progress: JobProgress | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            if progress is not None and holds(connection, lease):
                connection.execute(
                    "UPDATE jobs SET progress = ? WHERE number = ?", (encode(progress), lease.job.number)
                )
            return end(connection, held(connection, lease), "done", result=encode(dict(result)))

        return self._writer.run(work)

    def fail(self, lease: JobLease, failure: JobFailure, *, retryable: bool, after: float | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = held(connection, lease)
            failures = (*job.failures, failure)
            if job.cancelling:
                return end(connection, job, "cancelled", failures=failures)
            if not retryable or job.attempts >= self._attempts:
                return end(connection, job, "failed", failures=failures)
            pause = min(self._backoff[1], self._backoff[0] * 2 ** (job.attempts - 1)) * random.uniform(0.5, 1.0)
            pause = min(max(pause, after or 0.0), self._backoff[1])
            return queue_again(connection, job, failures, time.time() + pause, job.attempts, job.losses)

        return self._writer.run(work)

    def give_back(self, lease: JobLease) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = held(connection, lease)
            if job.cancelling:
                return end(connection, job, "cancelled", failures=(*job.failures, cancelled()))
            return queue_again(connection, job, job.failures, 0.0, job.attempts - 1, job.losses)

        return self._writer.run(work)

    # ------------------------------------------------------------------ looking
    def get(self, id: str, *, tenant: str | None = None) -> Job:
        with self._readers.use() as connection:
            return found(connection, id, tenant)

    def list(
        self,
        *,
        tenant: str | None = None,
        states: Sequence[JobState] = (),
        kinds: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        tests: list[str] = []
        values: list[Any] = []
        for column, wanted in (("state", states), ("kind", kinds)):
            if wanted:
                tests.append(f"{column} IN ({marks(wanted)})")
                values.extend(wanted)
        for test, value in (("tenant = ?", tenant), ("number < ?", before)):
            if value is not None:
                tests.append(test)
                values.append(value)
        where = " AND ".join(tests) or "1"
        with self._readers.use() as connection:
            sql = f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
            return [job_of(row) for row in fetch(connection, sql, (*values, limit))]

    def counts(self, *, tenant: str | None = None) -> dict[JobState, int]:
        where, values = ("", ()) if tenant is None else ("WHERE tenant = ?", (tenant,))
        with self._readers.use() as connection:
            found = dict(fetch(connection, f"SELECT state, count(*) FROM jobs {where} GROUP BY state", values))  # noqa: S608
        return {state: found.get(state, 0) for state in STATES}

    def oldest(self, *, tenant: str | None = None) -> float | None:
        test, values = ("", ()) if tenant is None else (" AND tenant = ?", (tenant,))
        sql = f"SELECT min(created) FROM jobs WHERE state = 'queued'{test}"  # noqa: S608
        with self._readers.use() as connection:
            found: float | None = connection.execute(sql, values).get
        return found

    def wanted(self, file: str) -> bool:
        with self._readers.use() as connection:
            return bool(fetch(connection, "SELECT 1 FROM files WHERE name = ?", (file,)))

    # ------------------------------------------------------------------ waiting
    def wait(self, id: str, since: int, timeout: float, *, tenant: str | None = None) -> Job:
        self._listen()
        deadline = time.monotonic() + timeout
        while True:
            rings = self._rings
            job = self.get(id, tenant=tenant)
            left = deadline - time.monotonic()
            if job.version > since or job.state in ENDED or left <= 0:
                return job
            self._await(rings, left)

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            key = max(self._callbacks, default=0) + 1
            self._callbacks[key] = callback
        self._listen()

        def stop() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return stop

    def wake(self) -> None:
        self._woken = True
        with self._lock:
            if self._listener is not None:
                self._listener.wake()

    def _await(self, rings: int, seconds: float) -> None:
        """Until something changed after `rings` was read."""
        with self._heard:
            self._heard.wait_for(lambda: self._rings != rings, seconds)

    def _listen(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = Listener(self._folder / FOLDER, self._look)

    def _look(self) -> None:
        """On the listener's thread. Workers that died change nothing by themselves, so those who wait for work look
        again each time as well."""
        with mapped(self._folder), self._readers.use() as connection:
            seen = connection.execute("SELECT version FROM state").get
        with self._heard:
            self._rings += 1
            self._heard.notify_all()
        changed, self._seen = seen != self._seen, seen
        if changed or self._woken:
            self._woken = False
            with self._lock:
                callbacks = [*self._callbacks.values()]
            for callback in callbacks:
                callback()

    def _ring(self) -> None:
        ring(self._folder / FOLDER)

    # ------------------------------------------------------------------ care
    def tidy(self) -> int:
        now = time.time()

        def work(connection: apsw.Connection) -> int:
            old = fetch(
                connection,
                "SELECT number FROM jobs WHERE state IN ('done', 'cancelled') AND ended < ? "
                "UNION ALL SELECT number FROM jobs WHERE state = 'failed' AND ended < ?",
                (now - self._keep[0], now - self._keep[1]),
            )
            connection.executemany("DELETE FROM files WHERE job = ?", old)
            connection.executemany("DELETE FROM jobs WHERE number = ?", old)
            return len(old)

        with self._readers.use() as connection:
            working = {row[0] for row in connection.execute("SELECT worker FROM jobs WHERE state = 'running'")}
        sweep_presences(self._folder / FOLDER, working)
        return self._writer.run(work)

    def _present(self) -> Presence:
        with self._lock:
            if self._presence is None:
                self._presence = Presence(self._folder / FOLDER)
            return self._presence

    def close(self) -> None:
        """Leases that are held still count as lost."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self._readers.close()
        self._writer.close()
        with self._lock:
            if self._presence is not None:
                self._presence.close()
                self._presence = None
