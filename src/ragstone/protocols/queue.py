"""Jobs that survive every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, Protocol

from ..types import Job, JobFailure, JobLease, JobProgress, JobState


class Queue(Protocol):
    """Jobs that survive every process. Safe from several threads and processes. A method that changes something returns
    once that is durable.

    A lease is lost when it was not renewed in time or when its process ended, and the job then goes to another worker.
    Whoever lost a lease gets LeaseLost from every method that takes it, and nothing changes."""

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
        """A new job; or, where this tenant used the key before, the job from then. Jobs of one tenant that share a lane
        run one after the other, in the order of `put`. `files` name uploads that are kept until the job has ended.
        Raises Conflict where the key was used with another kind or `fingerprint`, QueueFull."""
        ...

    def take(
        self, kinds: Sequence[str], lease_seconds: float, *, wait: float = 0.0, stop: Event | None = None
    ) -> JobLease | None:
        """The next job of these kinds: by falling priority, then the tenant that waited longest, then in order. Waits
        up to `wait` seconds for one, but not once `stop` is set (`wake` makes it look)."""
        ...

    def heartbeat(self, lease: JobLease, progress: JobProgress | None = None) -> Job:
        """Renews the lease. A job that is `cancelling` is to be given up with `fail`."""
        ...

    def holds(self, lease: JobLease) -> bool:
        """Whether no other worker has had the job since. A read, to be asked inside the transaction that writes what
        the job does."""
        ...

    def finish(self, lease: JobLease, result: Mapping[str, Any], *, progress: JobProgress | None = None) -> Job: ...

    def fail(self, lease: JobLease, failure: JobFailure, *, retryable: bool, after: float | None = None) -> Job:
        """The attempt ended. The job is queued again where that makes sense (not before `after` seconds, where given),
        cancelled where that was asked for, else failed."""
        ...

    def give_back(self, lease: JobLease) -> Job:
        """The worker stops: the attempt does not count, another worker makes it."""
        ...

    def cancel(self, id: str, *, tenant: str | None = None) -> Job:
        """Ends a job that waits; tells the worker of one that runs. No effect on one that ended. With `tenant`, here
        and below, a job of another one is NotFound."""
        ...

    def retry(self, id: str, *, tenant: str | None = None) -> Job:
        """Runs a failed or cancelled job again, as if it was put now. Raises Conflict where it is not one, or its files
        are gone."""
        ...

    def get(self, id: str, *, tenant: str | None = None) -> Job:
        """Raises NotFound."""
        ...

    def list(
        self,
        *,
        tenant: str | None = None,
        states: Sequence[JobState] = (),
        kinds: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        """Newest first, with numbers below `before`."""
        ...

    def counts(self, *, tenant: str | None = None) -> dict[JobState, int]:
        """Of every state."""
        ...

    def oldest(self, *, tenant: str | None = None) -> float | None:
        """When the job was put that waits longest; None where none waits."""
        ...

    def wait(self, id: str, since: int, timeout: float, *, tenant: str | None = None) -> Job:
        """The job, as soon as its version is above `since` or it has ended, or after `timeout` seconds as it is."""
        ...

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback`, on a thread of the queue, soon after any process changed any job; gives what ends that."""
        ...

    def wake(self) -> None:
        """Makes everybody look who waits in this process."""
        ...

    def wanted(self, file: str) -> bool:
        """Whether a job still needs the upload."""
        ...

    def tidy(self) -> int:
        """Forgets jobs that ended long ago; returns how many."""
        ...

    def close(self) -> None: ...
