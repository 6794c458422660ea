"""Files into the store: find, load, pass over what did not change, read in confinement, store in batches.

Decisions about what goes wrong:
- One file that fails is reported and the others go on. Its earlier version stays in the store: nothing is lost.
- An archive that was added again loses the members it no longer has; a member that cannot be read any more stays.
- A store that cannot be written (full disk, read-only) ends the work with its error. What was reported before as
  added or updated is durable, also when the person interrupts.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol

from ..errors import ReadError, StoreError
from ..observe.instruments import DOCUMENTS
from ..protocols import Guard, Store
from ..types import Blob, FileReport, IngestReport, Metadata, PreparedDocument, Progress, ProgressCallback
from .batches import Batches
from .frames import Result
from .limits import ReadFailure
from .marks import marked, members_of, reading_key, unchanged
from .names import MEMBER
from .sources import DEFAULTS, Source, load

Prepared = list[Result]


class Reading(Protocol):
    """What the pipeline needs of a sandbox."""

    def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Prepared]]: ...


@dataclass(frozen=True, slots=True)
class Ready:
    """A document that needs no reading: `prepare` gives it, and is called only when `content_hash` is new. May
    raise ReadError."""

    uri: str
    content_hash: bytes
    size: int
    prepare: Callable[[], PreparedDocument]


def ingest(
    store: Store,
    sandbox: Reading,
    sources: Iterable[Source],
    collection: str,
    *,
    progress: ProgressCallback | None = None,
    metadata: Metadata | None = None,
    salt: bytes = b"",
    max_bytes: int = DEFAULTS.file_bytes,
    guard: Guard | None = None,
    uris: Sequence[str] | None = None,
) -> IngestReport:
    """Adds or updates the sources' documents. `metadata` is given to each; `salt` stands for the options that
    decide what is read from a file; `guard` is asked in each transaction that writes. `uris` are those of all sources,
    where they are known beforehand: no others are looked up then. Raises StoreError."""
    given = dict(metadata or {})
    return ingest_with(store, sandbox, sources, collection, lambda _: given, progress, salt, max_bytes, guard, uris)


def ingest_with(
    store: Store,
    sandbox: Reading,
    sources: Iterable[Source],
    collection: str,
    metadata_of: Callable[[str], Metadata],
    progress: ProgressCallback | None,
    salt: bytes,
    max_bytes: int,
    guard: Guard | None = None,
    uris: Sequence[str] | None = None,
) -> IngestReport:
    """`metadata_of` gives what is put on the documents of a root."""
    store.create_collection(collection)
    run = _Run(store, collection, progress, _total(sources), guard, uris)
    members = members_of(run.known)
    reading: dict[str, tuple[bytes, Metadata]] = {}

    def news() -> Iterator[Blob]:
        for source in sources:
            try:
                blob = load(source, max_bytes)
            except ReadError as error:
                run.fail(source.uri, error.code, str(error), skipped=source.skipped)
                continue
            run.bytes_read += len(blob.data)
            metadata = metadata_of(source.root)
            content_hash = hashlib.blake2b(blob.data, digest_size=32, key=reading_key(salt, metadata)).digest()
            if unchanged(run.known, members, blob.uri, content_hash):
                run.report(FileReport(blob.uri, "unchanged"))
                continue
            reading[blob.uri] = content_hash, metadata
            yield blob

    with run:
        for blob, results in sandbox.run(news()):
            content_hash, metadata = reading.pop(blob.uri)
            if not all(result.uri == blob.uri or result.uri.startswith(blob.uri + MEMBER) for result in results):
                # A worker is not trusted: what it read may have taken it over, but never touches another document.
                run.fail(blob.uri, "ReaderCrashed", "the reader answered for another file.")
                continue
            # Of members of one name the last counts, as when the archive is unpacked.
            documents = list({r.uri: r for r in results if isinstance(r, PreparedDocument)}.values())
            failures = [result for result in results if isinstance(result, ReadFailure)]
            for failure in failures:
                run.fail(failure.uri, failure.code, f"{failure.message} {failure.hint}".strip())
            prepared = marked(documents, blob.uri, content_hash, metadata, complete=not failures)
            there = {document.uri for document in documents} | {failure.uri for failure in failures}
            stale: list[str] = []
            if documents:
                stale = [uri for uri in (blob.uri, *members.get(blob.uri, ())) if uri in run.known and uri not in there]
            run.batches.submit(prepared, stale)
    return run.finished()


def ingest_prepared(
    store: Store,
    items: Iterable[Ready],
    collection: str,
    *,
    progress: ProgressCallback | None = None,
    guard: Guard | None = None,
    uris: Sequence[str] | None = None,
) -> IngestReport:
    """Adds or updates documents that are text already; `uris` as for `ingest`. Raises StoreError."""
    store.create_collection(collection)
    run = _Run(store, collection, progress, _total(items), guard, uris)
    with run:
        for item in items:
            run.bytes_read += item.size
            known = run.known.get(item.uri)
            if known is not None and known.content_hash == item.content_hash:
                run.report(FileReport(item.uri, "unchanged"))
                continue
            try:
                document = item.prepare()
            except ReadError as error:
                run.fail(item.uri, error.code, str(error))
                continue
            run.batches.submit([document], [])
    return run.finished()


def joined(reports: Sequence[IngestReport]) -> IngestReport:
    """One report of several that followed each other."""
    return IngestReport(
        tuple(file for report in reports for file in report.files),
        sum(report.bytes_read for report in reports),
        sum(report.seconds for report in reports),
        max((report.revision for report in reports), default=0),
    )


class _Run:
    """Collects what happens; as a context, stores everything that was prepared before it ends."""

    def __init__(
        self,
        store: Store,
        collection: str,
        progress: ProgressCallback | None,
        total: int | None,
        guard: Guard | None = None,
        uris: Sequence[str] | None = None,
    ) -> None:
        self._store = store
        self._collection = collection
        self._progress = progress
        self._total = total
        self._started = time.monotonic()
        self._files: list[FileReport] = []
        self._lock = threading.Lock()  # the storing thread reports too
        self.known = store.known(collection, uris)
        self.bytes_read = 0
        self.batches = Batches(store, collection, self.known, self.report, guard)

    def report(self, file: FileReport) -> None:
        DOCUMENTS.add(1.0, file.state)
        with self._lock:
            self._files.append(file)
            if self._progress is not None:
                self._progress(Progress("store", len(self._files), self._total, file.uri, file.state))

    def fail(self, uri: str, code: str, reason: str, *, skipped: bool = False) -> None:
        self.report(FileReport(uri, "skipped" if skipped else "failed", reason=reason, code=code))

    def __enter__(self) -> _Run:
        self.batches.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            self.batches.close()
        except StoreError as failure:
            stored = sum(file.state in ("added", "updated") for file in self._files)
            hint = f"{failure.hint} {stored} documents were stored before; they stay."
            raise type(failure)(failure.message, hint.strip()) from failure

    def finished(self) -> IngestReport:
        seconds = time.monotonic() - self._started
        return IngestReport(tuple(self._files), self.bytes_read, seconds, self._store.revision(self._collection))


def _total(items: Iterable[object]) -> int | None:
    return len(items) if isinstance(items, Sized) else None
