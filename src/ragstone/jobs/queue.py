"""The queue in DATA/jobs.db: leases with fencing tokens, priorities, lanes, retries. `protocols.Queue` is the contract.

    DATA/jobs.db (-wal, -shm)  the jobs           DATA/jobs/*.lease  processes that work (locked while they live)
    DATA/jobs.lock             who writes next    DATA/jobs/*.bell   processes that wait (jobs/bell.py)

One writer for each process commits the requests of its threads together. A lease ends when its time is over, and at
once when its process ended: the kernel lets go of the lock on that process's lease file.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from ..budget.lease import Lease as Presence
from ..budget.lease import boot_id
from ..budget.lease import ended as process_ended
from ..budget.lease import sweep as sweep_presences
from ..errors import Conflict, InputError, LeaseLost, NotFound, QueueFull
from ..protocols import Queue
from ..storage.connect import ReaderPool, fetch, mapped
from ..storage.writer import Writer
from ..types import ENDED, Job, JobFailure, JobLease, JobProgress, JobState
from .bell import Listener, ring
from .tables import COLUMNS, DATABASE, FOLDER, GATE, encode, job_of, prepare

BUSY_SECONDS: Final = 60.0
PAYLOAD_BYTES: Final = 1 << 20
FAILURES_KEPT: Final = 20
LANE_BYTES: Final = 16
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
        self._losses = losses
        self._backoff = backoff
        self._keep = (keep_seconds, keep_failed_seconds)
        prepare(folder, busy_timeout)
        self._readers = ReaderPool(folder, DATABASE)
        self._writer = Writer(folder, busy_timeout, database=DATABASE, gate=GATE, committed=self._ring)
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
        hashes = b"".join(sorted({_lane(tenant, lane) for lane in lanes}))

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
                    return _job(connection, found[0][0])
            waiting = connection.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").get
            if waiting >= self._most_waiting:
                raise QueueFull(
                    f"{waiting:,} jobs wait already, as many as may.", "Try again later, or start more workers."
                )
            version, now = _next_version(connection), time.time()
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
            _enter(connection, number, version, hashes)
            return _job(connection, number)

        return self._writer.run(work)

    def cancel(self, id: str, *, tenant: str | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = _found(connection, id, tenant)
            if job.state == "queued":
                return self._end(connection, job, "cancelled", failures=(*job.failures, _cancelled()))
            if job.state == "running" and not job.cancelling:
                connection.execute(
                    "UPDATE jobs SET cancelling = 1, version = ? WHERE number = ?",
                    (_next_version(connection), job.number),
                )
            return _job(connection, job.number)

        return self._writer.run(work)

    def retry(self, id: str, *, tenant: str | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = _found(connection, id, tenant)
            if job.state not in ("failed", "cancelled"):
                raise Conflict(f"job {id} is {job.state}.", "Only a job that failed or was cancelled is run again.")
            held = connection.execute("SELECT count(*) FROM files WHERE job = ?", (job.number,)).get
            if held < len(job.files):
                raise Conflict(f"the files of job {id} are gone.", "Upload them again.")
            version = _next_version(connection)
            connection.execute(
                "UPDATE jobs SET state = 'queued', position = ?, not_before = 0, attempts = 0, losses = 0, "
                "ended = NULL, cancelling = 0, progress = ?, version = ? WHERE number = ?",
                (version, encode(JobProgress()), version, job.number),
            )
            hashes = connection.execute("SELECT lanes FROM jobs WHERE number = ?", (job.number,)).get
            _enter(connection, job.number, version, hashes)
            return _job(connection, job.number)

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
                worth = self._lost(connection) or self._candidates(connection, kinds)
                due = _next_due(connection, kinds)
            if worth:
                lease = self._writer.run(lambda connection: self._take(connection, kinds, lease_seconds))
                if lease is not None:
                    return lease
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if due is not None:
                left = min(left, max(due - time.time(), 0.001))
            self._await(rings, left)

    def _take(self, connection: apsw.Connection, kinds: Sequence[str], lease_seconds: float) -> JobLease | None:
        for number in self._lost(connection):
            self._lose(connection, _job(connection, number))
        for number, tenant in self._candidates(connection, kinds):
            version, worker = _next_version(connection), self._present().name
            connection.execute(
                "UPDATE jobs SET state = 'running', worker = ?, until = ?, fence = fence + 1, attempts = attempts + 1, "
                "started = ?, version = ? WHERE number = ?",
                (worker, time.monotonic() + lease_seconds, time.time(), version, number),
            )
            connection.execute("INSERT OR REPLACE INTO turns VALUES (?, ?)", (tenant, version))
            fence = connection.execute("SELECT fence FROM jobs WHERE number = ?", (number,)).get
            return JobLease(_job(connection, number), worker, fence, lease_seconds)
        return None

    def _candidates(self, connection: apsw.Connection, kinds: Sequence[str]) -> list[tuple[int, str]]:
        """(number, tenant) of the job to take; empty where none is due and free."""
        now = time.time()
        # a time that lies further ahead than any pause is due too: the clock was set back
        due = f"state = 'queued' AND kind IN ({_marks(kinds)}) AND not_before NOT BETWEEN ? AND ?"
        values = (*kinds, now, now + 2 * self._backoff[1])
        groups = fetch(
            connection,
            "SELECT priority, tenant, coalesce((SELECT turn FROM turns t WHERE t.tenant = jobs.tenant), 0) AS turn "  # noqa: S608
            f"FROM jobs WHERE {due} GROUP BY priority, tenant ORDER BY priority DESC, turn, tenant",
            values,
        )
        for priority, tenant, _ in groups:
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

    def _lost(self, connection: apsw.Connection) -> list[int]:
        """Numbers of running jobs whose lease is over."""
        running = fetch(connection, "SELECT worker, number, until FROM jobs WHERE state = 'running'")
        boot, now = boot_id(), time.monotonic()
        dead = {
            worker for worker in {row[0] for row in running} if process_ended(self._folder / FOLDER, worker) is not None
        }
        return [n for worker, n, until in running if worker in dead or not worker.startswith(boot) or until < now]

    def _lose(self, connection: apsw.Connection, job: Job) -> None:
        """Its worker died, or did not renew the lease."""
        failures = (*job.failures, JobFailure("WorkerDied", "the worker ended or stood still.", at=time.time()))
        if job.cancelling:
            self._end(connection, job, "cancelled", failures=failures)
        elif job.losses + 1 >= self._losses:
            self._end(connection, job, "failed", failures=failures, losses=job.losses + 1)
        else:
            _queue_again(connection, job, failures, 0.0, job.attempts - 1, job.losses + 1)

    def heartbeat(self, lease: JobLease, progress: JobProgress | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            _held(connection, lease)
            connection.execute(
                "UPDATE jobs SET until = ? WHERE number = ?", (time.monotonic() + lease.seconds, lease.job.number)
            )
            if progress is not None:
                connection.execute(
                    "UPDATE jobs SET progress = ?, version = ? WHERE number = ?",
                    (encode(progress), _next_version(connection), lease.job.number),
                )
            return _job(connection, lease.job.number)

        return self._writer.run(work)

    def holds(self, lease: JobLease) -> bool:
        with self._readers.use() as connection:
            return _holds(connection, lease)

    def finish(self, lease: JobLease, result: Mapping[str, Any], *, progress: JobProgress | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            if progress is not None and _holds(connection, lease):
                connection.execute(
                    "UPDATE jobs SET progress = ? WHERE number = ?", (encode(progress), lease.job.number)
                )
            return self._end(connection, _held(connection, lease), "done", result=encode(dict(result)))

        return self._writer.run(work)

    def fail(self, lease: JobLease, failure: JobFailure, *, retryable: bool, after: float | None = None) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = _held(connection, lease)
            failures = (*job.failures, failure)
            if job.cancelling:
                return self._end(connection, job, "cancelled", failures=failures)
            if not retryable or job.attempts >= self._attempts:
                return self._end(connection, job, "failed", failures=failures)
            pause = min(self._backoff[1], self._backoff[0] * 2 ** (job.attempts - 1)) * random.uniform(0.5, 1.0)
            pause = min(max(pause, after or 0.0), self._backoff[1])
            return _queue_again(connection, job, failures, time.time() + pause, job.attempts, job.losses)

        return self._writer.run(work)

    def give_back(self, lease: JobLease) -> Job:
        def work(connection: apsw.Connection) -> Job:
            job = _held(connection, lease)
            if job.cancelling:
                return self._end(connection, job, "cancelled", failures=(*job.failures, _cancelled()))
            return _queue_again(connection, job, job.failures, 0.0, job.attempts - 1, job.losses)

        return self._writer.run(work)

    def _end(
        self,
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
                _next_version(connection), job.number,
            ),
        )  # fmt: skip
        connection.execute("DELETE FROM lanes WHERE job = ?", (job.number,))
        if state != "failed":
            connection.execute("DELETE FROM files WHERE job = ?", (job.number,))
        return _job(connection, job.number)

    # ------------------------------------------------------------------ looking
    def get(self, id: str, *, tenant: str | None = None) -> Job:
        with self._readers.use() as connection:
            return _found(connection, id, tenant)

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
                tests.append(f"{column} IN ({_marks(wanted)})")
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


# ---------------------------------------------------------------------- inside a transaction
def _next_version(connection: apsw.Connection) -> int:
    version: int = connection.execute("UPDATE state SET version = version + 1 RETURNING version").get
    return version


def _job(connection: apsw.Connection, number: int) -> Job:
    return job_of(fetch(connection, f"SELECT {COLUMNS} FROM jobs WHERE number = ?", (number,))[0])  # noqa: S608


def _found(connection: apsw.Connection, id: str, tenant: str | None) -> Job:
    rows = fetch(connection, f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,))  # noqa: S608
    if not rows or tenant not in (None, rows[0][2]):
        raise NotFound(f"there is no job {id!r}.", "`ragstone jobs list` shows them; old ones are forgotten.")
    return job_of(rows[0])


def _holds(connection: apsw.Connection, lease: JobLease) -> bool:
    sql = "SELECT 1 FROM jobs WHERE number = ? AND fence = ? AND state = 'running'"
    return bool(fetch(connection, sql, (lease.job.number, lease.fence)))


def _held(connection: apsw.Connection, lease: JobLease) -> Job:
    if not _holds(connection, lease):
        raise LeaseLost(f"job {lease.job.id} went to another worker.", "Nothing is to be done: that one finishes it.")
    return _job(connection, lease.job.number)


def _queue_again(
    connection: apsw.Connection, job: Job, failures: Sequence[JobFailure], due: float, attempts: int, losses: int
) -> Job:
    """It keeps its place in its lanes."""
    connection.execute(
        "UPDATE jobs SET state = 'queued', failures = ?, not_before = ?, attempts = ?, losses = ?, worker = '', "
        "version = ? WHERE number = ?",
        (encode(failures[-FAILURES_KEPT:]), due, attempts, losses, _next_version(connection), job.number),
    )
    return _job(connection, job.number)


def _enter(connection: apsw.Connection, number: int, position: int, hashes: bytes) -> None:
    parts = [hashes[at : at + LANE_BYTES] for at in range(0, len(hashes), LANE_BYTES)]
    connection.executemany("INSERT INTO lanes VALUES (?, ?, ?)", [(part, position, number) for part in parts])


def _next_due(connection: apsw.Connection, kinds: Sequence[str]) -> float | None:
    found: float | None = connection.execute(
        f"SELECT min(not_before) FROM jobs WHERE state = 'queued' AND not_before > ? AND kind IN ({_marks(kinds)})",  # noqa: S608
        (time.time(), *kinds),
    ).get
    return found


def _lane(tenant: str, lane: str) -> bytes:
    return hashlib.blake2b(f"{tenant}\0{lane}".encode("utf-8", "surrogatepass"), digest_size=LANE_BYTES).digest()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _cancelled() -> JobFailure:
    return JobFailure("Cancelled", "somebody cancelled it.", at=time.time())
