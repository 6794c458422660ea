"""Folders that a collection follows: brought to their state at once, or change by change.

`sync` removes a document only when its file is gone while its root is there: a disk that is not mounted, an empty mount
point or a folder that cannot be listed removes nothing.
"""

# Paths are plain strings, as in sources.py.
# ruff: noqa: PTH100, PTH116

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import msgspec

from ..protocols import Store
from ..types import FileReport, IngestReport, Metadata, MetadataValue, Progress, ProgressCallback
from .names import MEMBER, path_of, source_of, uri_of
from .pipeline import Reading, ingest_with, joined
from .sources import DEFAULTS, Changes, SourceOptions, changed, discover, resolved


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
    report = ingest_with(store, sandbox, found, collection, metadata_of, progress, salt, options.file_bytes)
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
    report = ingest_with(store, sandbox, found, collection, metadata_of, progress, salt, options.file_bytes)
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
