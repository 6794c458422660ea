"""Jobs are done, over a real store, with real readers in their sandbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ragstone.errors import Conflict, LeaseLost
from ragstone.jobs.intake import (
    INGEST,
    Arrived,
    Text,
    submit,
    submit_files,
    submit_texts,
)
from ragstone.jobs.queue import SqliteQueue
from ragstone.jobs.uploads import Uploads
from ragstone.jobs.worker import Work, Worker
from ragstone.knowledge_base import KnowledgeBase
from ragstone.storage.layout import UPLOADS
from ragstone.stress.workload import open_folder
from ragstone.types import Job, Upload


class Place:
    """A data folder with its queue, its knowledge base and a worker."""

    def __init__(self, folder: Path, queue: SqliteQueue, kb: KnowledgeBase) -> None:
        self.folder, self.queue, self.kb = folder, queue, kb
        self.uploads = Uploads(folder)

        @contextmanager
        def use(_: str) -> Iterator[KnowledgeBase]:
            yield kb

        self.worker = Worker(queue, use, lambda _: self.uploads)

    def send(self, uri: str, data: bytes, key: str = "", media_type: str = "") -> Job:
        with self.uploads.incoming(1 << 20) as incoming:
            incoming.write(data)
            return submit_files(
                self.queue, [Arrived(incoming, uri, media_type)], tenant="", collection="c",
                metadata={"from": "test"}, idempotency_key=key,
            )  # fmt: skip

    def left(self) -> int:
        return len(list((self.folder / UPLOADS).iterdir()))

    def done(self) -> Job:
        job = self.worker.one(wait=5.0)
        assert job is not None
        return job


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    queue = SqliteQueue(tmp_path, backoff=(0.01, 0.02))
    with open_folder(tmp_path) as kb:
        yield Place(tmp_path, queue, kb)
    queue.close()


def test_an_upload_becomes_a_document(place: Place) -> None:
    job = place.send("notes/valve.md", "# Ventil\n\nDas Ventil schließt bei 4 bar.".encode())
    assert job.state == "queued"
    done = place.done()
    assert (done.id, done.state) == (job.id, "done")
    assert done.result is not None
    assert [(f["uri"], f["state"]) for f in done.result["files"]] == [("notes/valve.md", "added")]
    document = place.kb.document("notes/valve.md", "c")
    assert document.metadata["from"] == "test"
    assert place.kb.search("Ventil 4 bar").hits[0].chunk.uri == "notes/valve.md"
    assert place.left() == 0


def test_the_senders_word_for_a_file_without_ending_is_used(place: Place) -> None:
    place.send("page", b"<html><body><p>The pump runs.</p><script>x()</script></body></html>", media_type="text/html")
    place.done()
    assert place.kb.text("page", "c").strip() == "The pump runs."


def test_versions_of_one_document_are_stored_in_the_order_they_were_sent(place: Place) -> None:
    place.send("a.txt", b"the first version")
    place.send("a.txt", b"the second version")
    place.done()
    place.done()
    assert place.kb.text("a.txt", "c") == "the second version"


def test_a_file_that_cannot_be_read_fails_and_can_be_run_again(place: Place) -> None:
    job = place.send("broken.pdf", b"%PDF-1.7 and nothing else")
    failed = place.done()
    assert (failed.state, failed.attempts) == ("failed", 1)
    assert failed.failures[0].code == "DamagedFile"
    assert place.left() == 1
    place.queue.retry(job.id)
    assert place.done().state == "failed"


def test_a_repeated_request_is_one_job_and_keeps_one_file(place: Place) -> None:
    first = place.send("a.txt", b"text", key="k")
    assert place.send("a.txt", b"text", key="k").id == first.id
    assert place.left() == 1
    with pytest.raises(Conflict):
        place.send("a.txt", b"other text", key="k")
    assert place.left() == 1
    place.done()
    assert place.send("a.txt", b"text", key="k").state == "done"
    assert place.left() == 0


def test_texts_and_upkeep(place: Place) -> None:
    texts = [Text("one", "The boiler is warm.", "One", {"n": 1}), Text("two*", "The pump is cold.")]
    submit_texts(place.queue, place.uploads, texts, tenant="", collection="c", most_bytes=1 << 20)
    done = place.done()
    assert (done.state, done.progress.total) == ("done", 2)
    assert place.kb.document("one", "c").title == "One"
    for kind in ("rebuild", "purge"):
        submit(place.queue, kind, {}, tenant="")
        assert place.done().state == "done"
    assert place.kb.verify().problems == ()
    assert place.left() == 0


def test_a_defect_in_a_job_ends_the_job_and_not_the_worker(place: Place) -> None:
    place.queue.put(INGEST, {"nothing": "of what it needs"})
    for _ in range(4):
        assert place.done().state == "queued"
    failed = place.done()
    assert (failed.state, failed.failures[-1].code) == ("failed", "KeyError")
    place.send("a.txt", b"text")
    assert place.done().state == "done"


def test_a_worker_that_lost_its_lease_writes_nothing(place: Place) -> None:
    """The one that stood still finds out inside the transaction, and the version that came later stays."""
    place.send("a.txt", b"the first version")
    lease = place.queue.take([INGEST], 0.05)
    assert lease is not None
    (name,) = lease.job.files
    kept = place.folder / "kept"
    kept.write_bytes(place.uploads.path(name).read_bytes())
    work = Work(place.queue, lease, place.uploads, threading.Event())
    work.end()  # nobody renews it
    time.sleep(0.1)
    place.send("a.txt", b"the second version")
    assert place.done().id == lease.job.id
    assert place.done().state == "done"
    revision = place.kb.collection("c").revision
    with pytest.raises(LeaseLost):
        place.kb.add_uploads([Upload(kept, "a.txt")], collection="c", guard=work.guard)
    with pytest.raises(LeaseLost):
        place.kb.remove_documents(["a.txt"], collection="c", guard=work.guard)
    assert place.kb.text("a.txt", "c") == "the second version"
    assert place.kb.collection("c").revision == revision


def test_a_job_is_cancelled_between_its_files(place: Place) -> None:
    texts = [Text(f"{n}", f"text number {n} of many") for n in range(100_000)]
    submit_texts(place.queue, place.uploads, texts, tenant="", collection="c", most_bytes=1 << 30)
    working = threading.Thread(target=place.worker.one, kwargs={"wait": 5.0})
    working.start()
    job = place.queue.list()[0]
    while job.state == "queued" or (job.state == "running" and job.progress.done == 0):
        job = place.queue.wait(job.id, job.version, 30.0)
    place.queue.cancel(job.id)
    working.join()
    job = place.queue.get(job.id)
    assert (job.state, job.failures[-1].code) == ("cancelled", "Cancelled")
    assert 0 < len(place.kb.documents("c")) < 100_000
    assert place.left() == 0


def test_a_worker_that_is_stopped_gives_back_what_it_does(place: Place) -> None:
    texts = [Text(f"{n}", f"text number {n} of many") for n in range(100_000)]
    submit_texts(place.queue, place.uploads, texts, tenant="", collection="c", most_bytes=1 << 30)
    working = threading.Thread(target=place.worker.run)
    working.start()
    job = place.queue.list()[0]
    while job.state == "queued" or job.progress.done == 0:
        job = place.queue.wait(job.id, job.version, 30.0)
    place.worker.stop()
    working.join()
    job = place.queue.get(job.id)
    assert (job.state, job.attempts) == ("queued", 0)
    assert place.left() == 1
