"""Takes jobs and does them, one after the other.

A worker that lost its lease writes nothing: every transaction that changes documents asks first, while it holds the
store's write lock, whether the lease still stands (`Work.guard`). Should the job be taken over a moment later, the next
worker's writes come after that transaction, and find its documents unchanged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ..errors import DiskFull, LeaseLost, NotFound, RagstoneError, StoreError, StoreReadOnly
from ..graph_records import deepen_detail, status_detail
from ..knowledge_base import KnowledgeBase
from ..protocols import Queue
from ..storage.originals import Originals
from ..types import IngestReport, Job, JobFailure, JobLease, JobProgress, Progress, Recipe, SpaceStatus, Upload
from .intake import DEEPEN, GRAPH, INGEST, PURGE, REBUILD, SPACE, TEXTS, Text, release
from .uploads import Uploads

T = TypeVar("T")
Handler = Callable[[KnowledgeBase, "Work"], Mapping[str, Any]]

LEASE_SECONDS: Final = 30.0
"""A worker that stands still for so long loses its job; one that died loses it at once."""
PROGRESS_SECONDS: Final = 0.25
"""At most so often is progress written down: each time costs an fsync."""
WAIT_SECONDS: Final = 60.0
TIDY_SECONDS: Final = 3_600.0
_PASSING: Final = (DiskFull, StoreReadOnly)
"""What may be over when the job is tried again, besides what says so itself."""

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The job was cancelled, lost or is to be given back. Never leaves this module."""


class Work:
    """One job while it is being done."""

    def __init__(self, queue: Queue, lease: JobLease, uploads: Uploads, stop: threading.Event) -> None:
        self.job = lease.job
        self.payload: Any = lease.job.payload
        self.uploads = uploads
        self.lost = False
        self.cancelled = False
        self.cut = False
        """Whether something was left out because it was to end."""
        self._queue = queue
        self._lease = lease
        self._stop = stop
        self.progress = JobProgress()
        self._told = self.progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ragstone-lease", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def guard(self) -> None:
        """Inside a write transaction. Raises LeaseLost."""
        if self.lost or not self._queue.holds(self._lease):
            raise LeaseLost(f"job {self.job.id} went to another worker.", "Nothing is to be done.")

    def while_wanted(self, items: Iterable[T]) -> Iterator[T]:
        """Ends early where the job is to end."""
        for item in items:
            if self.lost or self.cancelled or self.stopping:
                self.cut = True
                return
            yield item

    def tell(self, progress: Progress) -> None:
        self.progress = JobProgress(progress.stage, progress.done, progress.total, progress.item)

    def tell_or_end(self, progress: Progress) -> None:
        """For work that can be broken off at any moment. Raises Interrupted."""
        self.tell(progress)
        if self.lost or self.cancelled or self.stopping:
            self.cut = True
            raise Interrupted

    def is_set(self) -> bool:
        """For work that looks now and then whether it is to end."""
        self.cut = self.cut or self.lost or self.cancelled or self.stopping
        return self.cut

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        due = time.monotonic() + self._lease.seconds / 3
        while not self._ended.wait(min(PROGRESS_SECONDS, self._lease.seconds / 3)):
            progress = self.progress
            if progress is self._told and time.monotonic() < due:
                continue
            try:
                job = self._queue.heartbeat(self._lease, None if progress is self._told else progress)
            except LeaseLost:
                self.lost = True
                return
            except StoreError as error:
                log.warning("the lease of job %s was not renewed: %s", self.job.id, error)  # tried again in a moment
                continue
            self._told = progress
            self.cancelled = job.cancelling
            due = time.monotonic() + self._lease.seconds / 3


class Worker:
    """`use` gives a tenant's knowledge base for as long as its context lasts, `uploads` its uploads. Several may run,
    in any number of processes. `tidy` is called when it
    starts and now and then."""

    def __init__(
        self,
        queue: Queue,
        use: Callable[[str], AbstractContextManager[KnowledgeBase]],
        uploads: Callable[[str], Uploads],
        *,
        handlers: Mapping[str, Handler] | None = None,
        lease_seconds: float = LEASE_SECONDS,
        told: Callable[[Job], None] | None = None,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._use = use
        self._uploads = uploads
        self._handlers = HANDLERS if handlers is None else handlers
        self._lease_seconds = lease_seconds
        self._told = told
        self._tidy = tidy
        self._stop = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        tidied = -TIDY_SECONDS
        while not self._stop.is_set():
            if time.monotonic() - tidied > TIDY_SECONDS:
                self._queue.tidy()
                self._tidy()
                tidied = time.monotonic()
            try:
                self.one(wait=WAIT_SECONDS)
            except StoreError as error:
                log.error("the queue cannot be used: %s", error)  # it may be able again: the disk was full
                self._stop.wait(1.0)

    def stop(self) -> None:
        """Gives back what is being done as soon as that can be broken off."""
        self._stop.set()
        self._queue.wake()

    def one(self, *, wait: float = 0.0) -> Job | None:
        """Does the next job; None where none came in time. Raises StoreError where the queue cannot be used."""
        lease = self._queue.take(tuple(self._handlers), self._lease_seconds, wait=wait, stop=self._stop)
        if lease is None:
            return None
        uploads = self._uploads(lease.job.tenant)
        work = Work(self._queue, lease, uploads, self._stop)
        try:
            ended = self._do(lease, work)
        except LeaseLost:
            log.warning("job %s took too long to be renewed and went to another worker", lease.job.id)
            return None
        finally:
            work.end()
        release(self._queue, uploads, ended)
        if self._told is not None:
            self._told(ended)
        return ended

    def _do(self, lease: JobLease, work: Work) -> Job:
        """Raises LeaseLost."""
        try:
            with self._use(work.job.tenant) as kb:
                result = self._handlers[work.job.kind](kb, work)
        except Interrupted:
            return self._broken_off(lease, work)
        except LeaseLost:
            raise
        except RagstoneError as error:
            failure = JobFailure(error.code, error.message, error.hint, time.time())
            retryable = error.retryable or isinstance(error, _PASSING)
            return self._queue.fail(lease, failure, retryable=retryable, after=getattr(error, "retry_after", None))
        except Exception as error:
            log.exception("job %s failed unexpectedly", work.job.id)
            failure = JobFailure(type(error).__name__, str(error), "This is a defect; please report it.", time.time())
            return self._queue.fail(lease, failure, retryable=True)
        if work.cut:
            return self._broken_off(lease, work)
        refused = _refused(result)
        if refused is not None:
            return self._queue.fail(lease, refused, retryable=False)
        return self._queue.finish(lease, result, progress=work.progress)

    def _broken_off(self, lease: JobLease, work: Work) -> Job:
        if work.cancelled:
            return self._queue.fail(lease, JobFailure("Cancelled", "somebody cancelled it.", at=time.time()),
                                    retryable=False)  # fmt: skip
        return self._queue.give_back(lease)


def _refused(result: Mapping[str, Any]) -> JobFailure | None:
    """Of a job none of whose files could be read."""
    files = result.get("files", ())
    if not files or any(file["state"] != "failed" for file in files):
        return None
    more = f" (and {len(files) - 1} more)" if len(files) > 1 else ""
    return JobFailure(files[0]["code"], files[0]["reason"] + more, at=time.time())


# ---------------------------------------------------------------------- what each kind does
def _ingest(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    payload, uploads = work.payload, work.uploads
    files = [Upload(uploads.path(d["file"]), d["uri"], d["media_type"]) for d in payload["documents"]]
    report = kb.add_uploads(
        work.while_wanted(files), collection=payload["collection"], metadata=payload["metadata"], guard=work.guard,
        progress=_of(work, len(files)), uris=[file.uri for file in files],
    )  # fmt: skip
    if payload.get("keep"):
        for file in files:
            _keep(kb, work, file)
    return _reported(report)


def _keep(kb: KnowledgeBase, work: Work, file: Upload) -> None:
    """A PDF that was read, so that its pages can be shown. The job still holds its documents, so what is stored under
    the name is this file; an attempt that was broken off before is made again with the job."""
    if not _is_pdf(file.path):
        return
    work.guard()
    with suppress(NotFound):  # it could not be read
        document = kb.store.document(work.payload["collection"], file.uri)
        if document.size == file.path.stat().st_size:
            Originals(kb.store.folder).keep(file.path, document.collection, document.uri, document.content_hash)


def _is_pdf(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"%PDF-" in stream.read(1_024)


def _texts(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    data = work.uploads.path(work.payload["file"]).read_bytes()
    texts = msgspec.json.decode(data, type=list[Text])
    report = kb.add_texts(
        ((t.uri, t.title, t.text, t.metadata) for t in work.while_wanted(texts)),
        collection=work.payload["collection"], guard=work.guard, progress=_of(work, len(texts)),
        uris=[text.uri for text in texts],
    )  # fmt: skip
    return _reported(report)


def _of(work: Work, total: int) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        work.tell(replace(progress, total=total))

    return tell


def _reported(report: IngestReport) -> Mapping[str, Any]:
    return {
        "files": [msgspec.to_builtins(file) for file in report.files],
        "bytes": report.bytes_read,
        "seconds": report.seconds,
        "revision": report.revision,
    }


def _rebuild(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    kb.rebuild(progress=work.tell_or_end)
    return {}


def _space(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    """What an earlier attempt did already is done again without effect; `active` tells which space there was to go back
    from."""
    payload, collection = work.payload, work.payload["collection"]
    action, space = payload["action"], payload.get("space")
    if action == "add":
        recipe = msgspec.convert(payload["recipe"], Recipe)
        kb.add_space(recipe, collection=collection, progress=work.tell_or_end)
    elif action == "switch":
        kb.switch_space(space, collection=collection, partial=payload.get("partial", False))
    elif action == "rollback":
        if any((s.role, s.space) == ("active", payload["active"]) for s in kb.spaces(collection)):
            kb.rollback_space(collection=collection)
    elif action == "prefer":
        kb.prefer_space(space, collection=collection)
    else:
        kb.drop_space(space, collection=collection, progress=work.tell_or_end)
    return {"spaces": [space_record(status) for status in kb.spaces(collection)]}


def space_record(status: SpaceStatus) -> Mapping[str, Any]:
    return {
        "collection": status.collection,
        "space": status.space,
        "role": status.role,
        "model": status.recipe.model,
        "chunks": status.chunks,
        "embedded": status.embedded,
        "waiting": status.waiting,
    }


def _purge(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    work.guard()
    return {"bytes": kb.purge()}


def _graph(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    (status,) = kb.graph.build(work.payload["collection"], progress=work.tell_or_end)
    return status_detail(status)


def _deepen(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    collection, limit, again = (work.payload[key] for key in ("collection", "limit", "again"))
    kb.graph.build(collection, progress=work.tell_or_end)
    (report,) = kb.graph.deepen(collection, progress=work.tell_or_end, stop=work, limit=limit, again=again)
    return deepen_detail(report)


HANDLERS: Final[Mapping[str, Handler]] = {
    INGEST: _ingest,
    TEXTS: _texts,
    REBUILD: _rebuild,
    SPACE: _space,
    PURGE: _purge,
    GRAPH: _graph,
    DEEPEN: _deepen,
}
