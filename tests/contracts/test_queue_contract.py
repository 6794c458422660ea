"""What every Queue promises, for every implementation."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.errors import Conflict, InputError, LeaseLost, NotFound, QueueFull
from ragstone.jobs.queue import SqliteQueue
from ragstone.protocols import Queue
from ragstone.types import JobFailure, JobLease, JobProgress

KINDS = ("ingest", "remove")
LONG = 600.0


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = SqliteQueue(tmp_path, most_waiting=50, attempts=3, losses=2, backoff=(0.01, 0.02))
    yield queue
    queue.close()


def taken(queue: Queue, kinds: tuple[str, ...] = KINDS, seconds: float = LONG) -> JobLease:
    lease = queue.take(kinds, seconds, wait=5.0)
    assert lease is not None
    return lease


def broken(code: str = "ReadError") -> JobFailure:
    return JobFailure(code, "it broke.", "Look at it.", time.time())


def test_a_job_is_put_taken_and_finished(queue: Queue) -> None:
    put = queue.put("ingest", {"uri": "a", "größe": [1, 2]}, tenant="t", priority=3)
    assert (put.state, put.kind, put.tenant, put.priority, put.attempts) == ("queued", "ingest", "t", 3, 0)
    assert put.payload == {"uri": "a", "größe": [1, 2]}
    lease = taken(queue)
    assert (lease.job.id, lease.job.state, lease.job.attempts) == (put.id, "running", 1)
    assert queue.take(KINDS, LONG) is None
    assert queue.holds(lease)
    done = queue.finish(lease, {"added": 1})
    assert (done.state, done.result, done.ended is not None) == ("done", {"added": 1}, True)
    assert queue.get(put.id) == done
    assert not queue.holds(lease)
    assert [j.state for j in queue.list()] == ["done"]


def test_only_the_kinds_that_were_asked_for_are_taken(queue: Queue) -> None:
    queue.put("purge", {})
    assert queue.take(KINDS, LONG) is None
    assert taken(queue, ("purge",)).job.kind == "purge"


def test_priority_goes_first_then_the_order_of_putting(queue: Queue) -> None:
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.put("ingest", {"name": name}, priority=priority)
    assert [taken(queue).job.payload["name"] for _ in range(4)] == ["b", "d", "a", "c"]


def test_tenants_take_turns(queue: Queue) -> None:
    for tenant in ("many", "many", "many", "few"):
        queue.put("ingest", {}, tenant=tenant)
    assert [taken(queue).job.tenant for _ in range(4)] == ["few", "many", "many", "many"]
    for tenant in ("many", "many", "few", "few"):
        queue.put("ingest", {}, tenant=tenant)
    assert [taken(queue).job.tenant for _ in range(4)] == ["few", "many", "few", "many"]


def test_a_key_that_was_used_gives_the_job_from_then(queue: Queue) -> None:
    first = queue.put("ingest", {"uri": "a"}, tenant="t", idempotency_key="k", fingerprint=b"1")
    again = queue.put("ingest", {"uri": "a"}, tenant="t", idempotency_key="k", fingerprint=b"1")
    assert again.id == first.id
    assert queue.put("ingest", {"uri": "a"}, tenant="other", idempotency_key="k", fingerprint=b"1").id != first.id
    with pytest.raises(Conflict):
        queue.put("ingest", {"uri": "b"}, tenant="t", idempotency_key="k", fingerprint=b"2")
    queue.finish(taken(queue), {})
    assert queue.put("ingest", {"uri": "a"}, tenant="t", idempotency_key="k", fingerprint=b"1").id == first.id


def test_equal_puts_at_once_make_one_job(queue: Queue) -> None:
    ids: list[str] = []

    def put() -> None:
        ids.append(queue.put("ingest", {}, idempotency_key="k").id)

    threads = [threading.Thread(target=put) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 16
    assert len(set(ids)) == 1


def test_jobs_that_share_a_lane_run_one_after_the_other(queue: Queue) -> None:
    queue.put("ingest", {"n": 1}, lanes=["a", "b"])
    queue.put("ingest", {"n": 2}, lanes=["b", "c"])
    queue.put("ingest", {"n": 3}, lanes=["c"], priority=9)
    queue.put("ingest", {"n": 4}, lanes=["d"])
    queue.put("ingest", {"n": 5}, lanes=["a"], tenant="other")
    first = {lease.job.payload["n"]: lease for lease in (taken(queue), taken(queue), taken(queue))}
    assert sorted(first) == [1, 4, 5]
    assert queue.take(KINDS, LONG) is None
    queue.finish(first[1], {})
    second = taken(queue)
    assert second.job.payload["n"] == 2
    assert queue.take(KINDS, LONG) is None
    queue.fail(second, broken(), retryable=False)
    assert taken(queue).job.payload["n"] == 3


def test_a_job_that_waits_for_its_next_attempt_keeps_its_place_in_the_lane(queue: Queue) -> None:
    queue.put("ingest", {"n": 1}, lanes=["a"])
    queue.put("ingest", {"n": 2}, lanes=["a"])
    queue.fail(taken(queue), broken(), retryable=True)
    again = taken(queue)
    assert again.job.payload["n"] == 1


def test_a_failed_attempt_is_repeated_and_tells_why(queue: Queue) -> None:
    id = queue.put("ingest", {}).id
    for attempt in (1, 2):
        lease = taken(queue)
        assert lease.job.attempts == attempt
        assert queue.fail(lease, broken(f"E{attempt}"), retryable=True).state == "queued"
    ended = queue.fail(taken(queue), broken("E3"), retryable=True)
    assert (ended.state, [f.code for f in ended.failures]) == ("failed", ["E1", "E2", "E3"])
    assert queue.take(KINDS, LONG) is None
    again = queue.retry(id)
    assert (again.state, again.attempts, len(again.failures)) == ("queued", 0, 3)
    assert queue.finish(taken(queue), {}).state == "done"


def test_a_failure_that_cannot_be_helped_is_not_repeated(queue: Queue) -> None:
    queue.put("ingest", {}, files=["f"])
    ended = queue.fail(taken(queue), broken(), retryable=False)
    assert ended.state == "failed"
    assert queue.wanted("f")  # to be looked at, and run again


def test_only_what_did_not_succeed_is_run_again(queue: Queue) -> None:
    id = queue.put("ingest", {}, files=["f"]).id
    with pytest.raises(Conflict):
        queue.retry(id)
    queue.cancel(id)
    assert not queue.wanted("f")
    with pytest.raises(Conflict, match="gone"):
        queue.retry(id)
    other = queue.put("ingest", {}).id
    queue.finish(taken(queue), {})
    with pytest.raises(Conflict):
        queue.retry(other)


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_by_its_worker(queue: Queue) -> None:
    waiting, running = queue.put("remove", {}), queue.put("ingest", {})
    assert queue.cancel(waiting.id).state == "cancelled"
    lease = taken(queue)
    assert lease.job.id == running.id
    assert queue.cancel(running.id).cancelling
    assert queue.heartbeat(lease).cancelling
    assert queue.fail(lease, broken("Cancelled"), retryable=True).state == "cancelled"
    assert queue.cancel(running.id).state == "cancelled"


def test_what_was_done_before_the_cancelling_was_seen_is_done(queue: Queue) -> None:
    id = queue.put("ingest", {}).id
    lease = taken(queue)
    queue.cancel(id)
    assert queue.finish(lease, {}).state == "done"


def test_a_lease_that_ran_out_goes_to_another_worker_and_its_token_is_refused(queue: Queue) -> None:
    queue.put("ingest", {})
    old = taken(queue, seconds=0.01)
    time.sleep(0.02)
    new = taken(queue)
    assert new.job.id == old.job.id
    assert new.fence > old.fence
    assert (new.job.losses, new.job.attempts) == (1, 1)
    assert not queue.holds(old)
    before = queue.get(new.job.id)
    for attempt in (
        lambda: queue.finish(old, {}),
        lambda: queue.fail(old, broken(), retryable=False),
        lambda: queue.heartbeat(old, JobProgress("x")),
        lambda: queue.give_back(old),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    assert queue.get(new.job.id) == before
    assert queue.finish(new, {}).state == "done"


def test_a_heartbeat_keeps_the_lease(queue: Queue) -> None:
    queue.put("ingest", {})
    lease = taken(queue, seconds=0.3)
    until = time.monotonic() + 0.9
    while time.monotonic() < until:
        assert queue.heartbeat(lease).state == "running"
        assert queue.take(KINDS, LONG) is None
    queue.finish(lease, {})


def test_a_job_whose_workers_die_is_given_up(queue: Queue) -> None:
    id = queue.put("ingest", {}).id
    for _ in range(2):
        taken(queue, seconds=0.001)
        time.sleep(0.01)
    assert queue.take(KINDS, LONG) is None
    job = queue.get(id)
    assert (job.state, [f.code for f in job.failures]) == ("failed", ["WorkerDied", "WorkerDied"])


def test_a_job_given_back_counts_no_attempt(queue: Queue) -> None:
    queue.put("ingest", {})
    back = queue.give_back(taken(queue))
    assert (back.state, back.attempts, back.failures) == ("queued", 0, ())
    assert taken(queue).job.attempts == 1


def test_progress_is_seen_and_raises_the_version(queue: Queue) -> None:
    id = queue.put("ingest", {}).id
    lease = taken(queue)
    before = queue.get(id).version
    queue.heartbeat(lease, JobProgress("store", 3, 10, "a.txt"))
    job = queue.get(id)
    assert job.progress == JobProgress("store", 3, 10, "a.txt")
    assert job.version > before


def test_wait_returns_with_the_next_change(queue: Queue) -> None:
    job = queue.put("ingest", {})
    assert queue.wait(job.id, job.version, 0.01).version == job.version
    seen: list[int] = []
    waiting = threading.Thread(target=lambda: seen.append(queue.wait(job.id, job.version, 60.0).version))
    waiting.start()
    lease = taken(queue)
    waiting.join(30)
    assert seen
    assert seen[0] > job.version
    done = queue.finish(lease, {})
    assert queue.wait(job.id, done.version, 60.0) == done  # nothing changes any more: it does not wait


def test_take_waits_for_a_job_and_ends_when_told(queue: Queue) -> None:
    leases: list[JobLease | None] = []
    waiting = threading.Thread(target=lambda: leases.append(queue.take(KINDS, LONG, wait=60.0)))
    waiting.start()
    time.sleep(0.05)
    queue.put("ingest", {"n": 1})
    waiting.join(30)
    assert leases[0] is not None
    assert leases[0].job.payload == {"n": 1}
    stop = threading.Event()
    waiting = threading.Thread(target=lambda: leases.append(queue.take(KINDS, LONG, wait=60.0, stop=stop)))
    waiting.start()
    stop.set()
    queue.wake()
    waiting.join(30)
    assert leases[1] is None


def test_those_who_asked_are_told_of_changes(queue: Queue) -> None:
    told = threading.Event()
    stop = queue.on_change(told.set)
    told.clear()
    queue.put("ingest", {})
    assert told.wait(30)
    stop()


def test_another_tenants_job_is_not_there(queue: Queue) -> None:
    job = queue.put("ingest", {}, tenant="mine")
    queue.put("ingest", {}, tenant="other")
    for call in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(NotFound):
            call(job.id, tenant="other")
    with pytest.raises(NotFound):
        queue.wait(job.id, 0, 0.0, tenant="other")
    assert queue.get(job.id, tenant="mine") == job
    assert [found.id for found in queue.list(tenant="mine")] == [job.id]
    assert queue.counts(tenant="mine")["queued"] == 1
    assert queue.counts()["queued"] == 2
    with pytest.raises(NotFound):
        queue.get("nothing")


def test_lists_are_newest_first_and_paged(queue: Queue) -> None:
    for n in range(5):
        queue.put("ingest" if n % 2 else "remove", {"n": n})
    first = queue.list(limit=2)
    assert [job.payload["n"] for job in first] == [4, 3]
    assert [job.payload["n"] for job in queue.list(before=first[-1].number, limit=9)] == [2, 1, 0]
    assert [job.payload["n"] for job in queue.list(kinds=["ingest"])] == [3, 1]
    assert queue.list(states=["done", "failed"]) == []
    assert queue.oldest() == queue.list()[-1].created


def test_files_are_wanted_until_the_job_has_ended(queue: Queue) -> None:
    queue.put("ingest", {}, files=["one", "two"])
    assert queue.wanted("one")
    lease = taken(queue)
    assert queue.wanted("two")
    queue.finish(lease, {})
    assert not queue.wanted("one")
    assert not queue.wanted("two")


def test_a_full_queue_and_a_large_payload_are_refused(queue: Queue) -> None:
    with pytest.raises(InputError):
        queue.put("ingest", {"text": "x" * 2_000_000})
    for _ in range(50):
        queue.put("ingest", {})
    with pytest.raises(QueueFull):
        queue.put("ingest", {})
    taken(queue)
    queue.put("ingest", {})


def test_jobs_survive_and_old_ones_are_forgotten(queue: Queue, tmp_path: Path) -> None:
    done, kept = queue.put("ingest", {}), queue.put("remove", {})
    queue.finish(taken(queue, ("ingest",)), {})
    assert queue.tidy() == 0
    queue.close()
    other = SqliteQueue(tmp_path, keep_seconds=0.0)
    try:
        assert [job.id for job in other.list()] == [kept.id, done.id]
        time.sleep(0.01)
        assert other.tidy() == 1
        assert [job.id for job in other.list()] == [kept.id]
    finally:
        other.close()
