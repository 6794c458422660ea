"""Files into the store: find, load, pass over what did not change, read in confinement, store in batches.

Decisions about what goes wrong:
- One file that fails is reported and the others go on. Its earlier version stays in the store: nothing is lost.
- An archive that was added again loses the members it no longer has; a member that cannot be read any more stays.
- A store that cannot be written (full disk, read-only) ends the work with its error. What was reported before as
  added or updated is durable, also when the person interrupts.
- `sync` removes a document only when its file is gone while its root is there: a disk that is not mounted, an
  empty mount point or a folder that cannot be listed removes nothing.
"""

# Paths are plain strings, as in sources.py.
# ruff: noqa: PTH100, PTH116

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..errors import ReadError, StoreError
from ..observe.instruments import DOCUMENTS
from ..protocols import Guard, Known, Store
from ..types import (
    Blob,
    FileReport,
    IngestReport,
    Metadata,
    MetadataValue,
    PreparedDocument,
    Progress,
    ProgressCallback,
)
from .batches import Batches
from .chunking import CHUNKER_VERSION
from .frames import Result
from .limits import ReadFailure
from .names import MEMBER, path_of, source_of, uri_of
from .prepare import READER_VERSION
from .sources import DEFAULTS, Changes, Source, SourceOptions, changed, discover, load, resolved

READING: Final = repr((READER_VERSION, CHUNKER_VERSION)).encode()
"""Part of every content hash, so that files are read again that did not change when a newer version of readers
or chunking gives something else for the same bytes."""

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
    return _ingest(store, sandbox, sources, collection, lambda _: given, progress, salt, max_bytes, guard, uris)


def _ingest(
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
    members = _members(run.known)
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
            content_hash = hashlib.blake2b(blob.data, digest_size=32, key=_key(salt, metadata)).digest()
            if _unchanged(run.known, members, blob.uri, content_hash):
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
            marked = _marked(documents, blob.uri, content_hash, metadata, complete=not failures)
            there = {document.uri for document in documents} | {failure.uri for failure in failures}
            stale: list[str] = []
            if documents:
                stale = [uri for uri in (blob.uri, *members.get(blob.uri, ())) if uri in run.known and uri not in there]
            run.batches.submit(marked, stale)
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


def sync(
    store: Store,
    sandbox: Reading,
    collection: str,
    options: SourceOptions = DEFAULTS,
    *,
    progress: ProgressCallback | None = None,
    salt: bytes = b"",
) -> IngestReport:
    """Brings the collection to the state of its roots. Raises StoreError."""
    started = time.monotonic()
    known = store.known(collection)
    skipped: list[FileReport] = []
    usable: list[str] = []
    for root in map(path_of, store.roots(collection)):
        reason = _not_usable(root, known)
        if reason:
            skipped.append(FileReport(uri_of(root), "skipped", reason=reason, code="NotFound"))
        else:
            usable.append(root)
    found = list(discover(usable, options)) if usable else []
    metadata_of = _remembered(store, collection)
    report = _ingest(store, sandbox, found, collection, metadata_of, progress, salt, options.file_bytes)
    seen = {source.uri for source in found}
    unlisted = [source.uri for source in found if source.folder]
    below = [_prefix(os.path.realpath(root)) for root in usable]
    vanished = [
        uri for uri in known
        if source_of(uri) not in seen
        and uri.startswith(tuple(below))
        and not any(_under(uri, folder) for folder in unlisted)
        and _gone(uri)
    ]  # fmt: skip
    removed = _remove(store, collection, vanished, progress)
    return joined([report, _rest(store, collection, [*skipped, *removed], started, report)])


def apply_changes(
    store: Store,
    sandbox: Reading,
    collection: str,
    changes: Changes,
    options: SourceOptions = DEFAULTS,
    *,
    progress: ProgressCallback | None = None,
    salt: bytes = b"",
) -> IngestReport:
    """Takes over what `sources.watch` saw. New files first, so that a text that only moved keeps its vectors.
    Raises StoreError."""
    started = time.monotonic()
    found = changed(changes, options)
    metadata_of = _remembered(store, collection)
    report = _ingest(store, sandbox, found, collection, metadata_of, progress, salt, options.file_bytes)
    vanished: list[str] = []
    if changes.removed:
        known = store.known(collection)
        usable = tuple(root.rstrip("/") + "/" for root in changes.roots if not _not_usable(root, known))
        places = [uri_of(path) for path in changes.removed if path.startswith(usable)]
        vanished = [uri for uri in known if any(_under(uri, place) for place in places) and _gone(uri)]
    removed = _remove(store, collection, vanished, progress)
    return joined([report, _rest(store, collection, removed, started, report)])


def _rest(store: Store, collection: str, files: list[FileReport], started: float, report: IngestReport) -> IngestReport:
    """What was done beside `report` since `started` (monotonic seconds)."""
    return IngestReport(tuple(files), 0, time.monotonic() - started - report.seconds, store.revision(collection))


def remember(store: Store, collection: str, root: str, metadata: Metadata) -> None:
    """Makes `sync` follow the folder `root`, and give `metadata` to its documents also later."""
    store.add_root(collection, uri_of(os.path.abspath(root)))
    store.set_state(_metadata_key(collection, resolved(root)), msgspec.json.encode(dict(metadata)).decode())


def _remembered(store: Store, collection: str) -> Callable[[str], Metadata]:
    @cache
    def metadata_of(root: str) -> Metadata:
        text = store.get_state(_metadata_key(collection, root))
        return msgspec.json.decode(text, type=dict[str, MetadataValue]) if text else {}

    return metadata_of


def needed_metadata(store: Store) -> Callable[[str], bool]:
    """Whether a value that `remember` kept under this key belongs to a root that is still followed. A root that is
    not there now, whose links cannot be resolved, keeps all of its collection."""
    live: set[str] = set()
    unsure: set[str] = set()
    for collection in store.collections():
        for root in store.roots(collection):
            path = path_of(root)
            live |= {_metadata_key(collection, path), _metadata_key(collection, resolved(path))}
            if not Path(path).exists():
                unsure.add(_metadata_key(collection, ""))
    return lambda key: key in live or key.startswith(tuple(unsure))


def _metadata_key(collection: str, root: str) -> str:
    return f"metadata:{collection}:{uri_of(root)}"


def joined(reports: Sequence[IngestReport]) -> IngestReport:
    """One report of several that followed each other."""
    return IngestReport(
        tuple(file for report in reports for file in report.files),
        sum(report.bytes_read for report in reports),
        sum(report.seconds for report in reports),
        max((report.revision for report in reports), default=0),
    )


# ---------------------------------------------------------------------- one run
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


# ---------------------------------------------------------------------- what changed
def _key(salt: bytes, metadata: Metadata) -> bytes:
    """What decides, besides the bytes of a file, what is stored of it."""
    return hashlib.blake2b(READING + salt + msgspec.json.encode(dict(metadata), order="sorted")).digest()


def _members(known: Iterable[str]) -> dict[str, list[str]]:
    """Uris of stored members by the uri of their archive."""
    found: dict[str, list[str]] = {}
    for uri in known:
        if MEMBER in uri:
            found.setdefault(source_of(uri), []).append(uri)
    return found


def _unchanged(known: Mapping[str, Known], members: Mapping[str, list[str]], uri: str, content_hash: bytes) -> bool:
    if uri in known:
        return known[uri].content_hash == content_hash
    inside = members.get(uri)
    if not inside:
        return False
    mark = _mark(content_hash, len(inside))
    return all(known[member].content_hash[:16] == mark for member in inside)


def _mark(content_hash: bytes, members: int) -> bytes:
    """First half of the content hash of an archive's members: equal for all of them, and only as long as none is
    missing, so that the archive is known as unchanged without being opened, and as incomplete after a crash."""
    return hashlib.blake2b(content_hash + members.to_bytes(8, "little"), digest_size=16).digest()


def _marked(
    documents: list[PreparedDocument], uri: str, content_hash: bytes, metadata: Metadata, *, complete: bool
) -> list[PreparedDocument]:
    """The documents with their content hashes: that of the source, or for members mark and hash of their own. A
    source with failures is never known as unchanged, so that it is read again next time."""
    mark = _mark(content_hash, len(documents)) if complete else os.urandom(16)
    found = []
    for document in documents:
        if metadata:
            document = replace(document, metadata={**document.metadata, **metadata})
        whole = content_hash if complete else os.urandom(32)
        own = whole if document.uri == uri else mark + _own_hash(document)
        found.append(replace(document, content_hash=own))
    return found


def _own_hash(document: PreparedDocument) -> bytes:
    """Second half of a member's content hash: of all that is stored of it, whatever the archive around it."""
    bare = replace(document, content_hash=b"", size=0, modified=0.0, chunks=())
    chunks = [(chunk.content_hash, chunk.span) for chunk in document.chunks]
    return hashlib.blake2b(repr((bare, chunks)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


# ---------------------------------------------------------------------- what vanished
def _not_usable(root: str, known: Iterable[str]) -> str:
    """Why nothing may be concluded from the root, or ""."""
    try:
        empty = stat.S_ISDIR(os.stat(root).st_mode)
        if empty:
            with os.scandir(root) as entries:
                empty = next(entries, None) is None
    except OSError as error:
        return f"the folder is not there ({os.strerror(error.errno or 0)}); its documents were kept."
    prefix = _prefix(os.path.realpath(root))
    if empty and any(uri.startswith(prefix) for uri in known):
        return "the folder is empty (not mounted?); its documents were kept. Remove them with `ragstone remove`."
    return ""


def _prefix(folder: str) -> str:
    return uri_of(folder.rstrip("/") + "/")


def _under(uri: str, place: str) -> bool:
    return uri == place or uri.startswith((place.rstrip("/") + "/", place + MEMBER))


def _gone(uri: str) -> bool:
    """Whether there is certainly no such file any more. Whatever cannot be told counts as there."""
    try:
        return not stat.S_ISREG(os.lstat(path_of(uri)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _remove(store: Store, collection: str, uris: list[str], progress: ProgressCallback | None) -> list[FileReport]:
    reports = [FileReport(uri, "removed") for uri in (store.delete(collection, uris) if uris else ())]
    if progress is not None:
        for done, report in enumerate(reports, 1):
            progress(Progress("store", done, len(reports), report.uri, report.state))
    return reports
