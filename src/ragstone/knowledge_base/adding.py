"""Documents in, and out again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..embedding.precedence import PRECEDENCE
from ..errors import InputError, NotFound
from ..ingest import pipeline, roots, sources
from ..ingest.names import uri_of
from ..ingest.prepare import prepare_parsed, source_hash
from ..ingest.sandbox import Sandbox
from ..memory_types import not_memory
from ..protocols import Guard
from ..storage.originals import Originals
from ..types import IngestReport, Metadata, ParsedDocument, ProgressCallback, Upload
from .names import matching, named
from .parts import Parts
from .running import Running

Text = tuple[str, str, str, Metadata]
"""uri, title, text and metadata of a document that is text already."""


class Adding:
    """Thread-safe. Holds the process that reads files, from the first file on."""

    def __init__(self, parts: Parts, running: Running) -> None:
        self._parts = parts
        self._store = parts.store
        self._running = running
        self._originals = Originals(parts.store.folder)
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()

    def files(
        self, given: Sequence[str], collection: str, metadata: Metadata | None, progress: ProgressCallback | None,
        *, remember: bool,
    ) -> IngestReport:  # fmt: skip
        if not given:
            raise InputError("there is nothing to add.", "Name a file or a folder.")
        found = list(sources.discover(given, self._parts.source_options))
        self._parts.spaces.require(collection)  # known now, not after an hour of reading
        self._store.create_collection(collection)
        report = self._ingested(found, collection, metadata, progress)
        if remember:
            for path in given:
                if Path(path).is_dir():
                    roots.remember(self._store, collection, path, metadata or {})
        return self._written(collection, report)

    def uploads(
        self, uploads: Iterable[Upload], collection: str, metadata: Metadata | None, progress: ProgressCallback | None,
        guard: Guard | None, uris: Sequence[str] | None,
    ) -> IngestReport:  # fmt: skip
        self._parts.spaces.require(collection)
        found = (
            sources.Source(os.fspath(u.path), u.uri, os.fspath(u.path.parent), media_type=u.media_type) for u in uploads
        )
        return self._written(collection, self._ingested(found, collection, metadata, progress, guard, uris))

    def texts(
        self, texts: Iterable[Text], collection: str, progress: ProgressCallback | None, guard: Guard | None,
        uris: Sequence[str] | None,
    ) -> IngestReport:  # fmt: skip
        self._store.create_collection(collection)
        ready = (self._prepared(*text) for text in texts)
        with PRECEDENCE.adding():
            report = pipeline.ingest_prepared(self._store, ready, collection, progress=progress, guard=guard, uris=uris)
        return self._written(collection, report)

    def sync(self, collection: str | None, progress: ProgressCallback | None) -> IngestReport:
        reports = []
        for name in named(self._store, collection):
            report = roots.sync(
                self._store, self.reader(), name, self._parts.source_options, progress=progress, salt=self._parts.salt
            )
            reports.append(self._written(name, report))
        return pipeline.joined(reports)

    def watch(
        self, paths: Sequence[str], collection: str, progress: ProgressCallback | None, stop: threading.Event | None
    ) -> Iterator[IngestReport]:
        following = sources.watch(paths, self._parts.source_options, stop=stop)
        next(following, None)  # the watch stands before the folders are read: no change falls in between
        yield self.files(paths, collection, None, progress, remember=True)
        for change in following:
            report = roots.apply_changes(
                self._store, self.reader(), collection, change, self._parts.source_options, progress=progress,
                salt=self._parts.salt,
            )  # fmt: skip
            yield self._written(collection, report)

    def remove(self, patterns: Sequence[str], collection: str) -> list[str]:
        known = self._store.known(not_memory(collection))
        chosen: dict[str, None] = {}
        for pattern in patterns:
            fitting = matching(pattern, known)
            if not fitting:
                raise NotFound(f"nothing in {collection!r} matches {pattern!r}.", "See `ragstone list`.")
            chosen.update(dict.fromkeys(fitting))
        removed = self._store.delete(collection, list(chosen))
        self._originals.forget(collection, removed)
        for pattern in patterns:
            if "\0" not in pattern:
                self._store.remove_root(collection, uri_of(os.path.abspath(pattern)))  # noqa: PTH100 - as it was given
        self._running.after_write(collection, removed=bool(removed))
        return removed

    def remove_exactly(self, uris: Sequence[str], collection: str, guard: Guard | None) -> list[str]:
        removed = self._store.delete(not_memory(collection), uris, guard=guard)
        self._originals.forget(collection, removed)
        self._running.after_write(collection, removed=bool(removed))
        return removed

    def drop(self, collection: str) -> None:
        self._store.drop_collection(not_memory(collection))
        self._originals.forget_collection(collection)
        self._running.dropped(collection)

    def sweep(self) -> None:
        """Originals that no document needs go."""
        self._originals.sweep(self._store)

    def reader(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                self._sandbox = self._parts.sandbox()
            return self._sandbox

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def _ingested(
        self, found: Iterable[sources.Source], collection: str, metadata: Metadata | None,
        progress: ProgressCallback | None, guard: Guard | None = None, uris: Sequence[str] | None = None,
    ) -> IngestReport:  # fmt: skip
        with PRECEDENCE.adding():
            return pipeline.ingest(
                self._store, self.reader(), found, collection, progress=progress, metadata=metadata,
                salt=self._parts.salt, max_bytes=self._parts.source_options.file_bytes, guard=guard, uris=uris,
            )  # fmt: skip

    def _prepared(self, uri: str, title: str, text: str, metadata: Metadata) -> pipeline.Ready:
        options = self._parts.prepare
        data = text.encode("utf-8", "surrogatepass")
        head = repr((title, sorted(metadata.items()))).encode("utf-8", "surrogatepass")
        content_hash = source_hash(head + b"\0" + data, options)
        parsed = ParsedDocument(text=text, title=title, metadata=metadata)
        size = len(data)
        return pipeline.Ready(
            uri, content_hash, size, lambda: prepare_parsed(uri, parsed, content_hash, size, 0.0, options)
        )

    def _written(self, collection: str, report: IngestReport) -> IngestReport:
        gone = any(file.chunks_removed or file.state == "removed" for file in report.files)
        self._running.after_write(collection, removed=gone)
        return report
