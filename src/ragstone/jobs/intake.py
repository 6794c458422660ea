"""Requests become jobs. What is large goes into an upload first; the job's row is what acknowledges it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import InputError
from ..protocols import Queue
from ..types import Job, Metadata
from .uploads import Incoming, Uploads

INGEST, TEXTS, REBUILD, SPACE, PURGE = "ingest", "texts", "rebuild", "space", "purge"
JUDGE = "judge"
GRAPH, DEEPEN = "graph", "deepen"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that came whole."""

    file: Incoming
    uri: str
    media_type: str = ""


class Text(msgspec.Struct, frozen=True):
    """A document that is text already."""

    uri: str
    text: str
    title: str = ""
    metadata: dict[str, str | int | float | bool] = {}


def submit_files(
    queue: Queue,
    arrived: Sequence[Arrived],
    *,
    tenant: str,
    collection: str,
    metadata: Metadata | None = None,
    keep: bool = False,
    idempotency_key: str = "",
    priority: int = 0,
) -> Job:
    """Seals the files and promises to add them; those of a request that was made before are discarded. Equal uris: the
    last one counts. Jobs for one document run in the order of submission. `keep`: PDFs are kept as they came. Raises
    Conflict, QueueFull, StoreError."""
    if not arrived:
        raise InputError("there is no file.", "Send at least one.")
    documents = {one.uri: one for one in arrived}
    for one in arrived:
        if documents[one.uri] is not one:
            one.file.discard()
    parts = [(one.uri, one.media_type, one.file.digest) for one in documents.values()]
    names = [one.file.seal() for one in documents.values()]
    payload = {
        "collection": collection,
        "metadata": dict(metadata or {}),
        "keep": keep,
        "documents": [
            {"file": one.file.name, "uri": one.uri, "media_type": one.media_type} for one in documents.values()
        ],
    }
    return _put(queue, INGEST, payload, [one.file for one in documents.values()], names, tenant, idempotency_key,
                priority, fingerprint(collection, dict(metadata or {}), parts), list(documents))  # fmt: skip


def submit_texts(
    queue: Queue,
    uploads: Uploads,
    texts: Sequence[Text],
    *,
    tenant: str,
    collection: str,
    most_bytes: int,
    idempotency_key: str = "",
    priority: int = 0,
) -> Job:
    """The same for documents that are text already."""
    if not texts:
        raise InputError("there are no documents.", "Send at least one.")
    body = msgspec.json.encode(texts)
    with uploads.incoming(most_bytes) as incoming:
        incoming.write(body)
        names = [incoming.seal()]
        payload = {"collection": collection, "file": incoming.name, "documents": len(texts)}
        return _put(queue, TEXTS, payload, [incoming], names, tenant, idempotency_key, priority,
                    fingerprint(collection, incoming.digest), [text.uri for text in texts])  # fmt: skip


def submit(
    queue: Queue, kind: str, payload: Mapping[str, Any], *, tenant: str, idempotency_key: str = "", priority: int = 0
) -> Job:
    """Upkeep: `rebuild` and `purge` of everything, `space` {collection, action, …}, `judge` {collection, space,
    questions}, `graph` {collection}, `deepen` {collection, limit, again}: one at a time."""
    return queue.put(
        kind, payload, tenant=tenant, priority=priority, idempotency_key=idempotency_key,
        fingerprint=fingerprint(dict(payload)), lanes=["upkeep"],
    )  # fmt: skip


def _put(
    queue: Queue,
    kind: str,
    payload: Mapping[str, Any],
    files: Sequence[Incoming],
    names: Sequence[str],
    tenant: str,
    key: str,
    priority: int,
    fingerprint: bytes,
    uris: Sequence[str],
) -> Job:
    lanes = [f"{payload['collection']}\0{uri}" for uri in uris]
    try:
        job = queue.put(
            kind, payload, tenant=tenant, priority=priority, idempotency_key=key, fingerprint=fingerprint, lanes=lanes,
            files=names,
        )  # fmt: skip
    except InputError:  # refused, so not written
        for file in files:
            file.discard()
        raise
    if job.files != tuple(names):  # the job from then has its own
        for file in files:
            file.discard()
    return job


def fingerprint(*parts: Any) -> bytes:
    """Tells a request from any other."""
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=32).digest()


def release(queue: Queue, uploads: Uploads, job: Job) -> None:
    """Removes the uploads of a job that has ended, except where it can be run again."""
    for name in job.files:
        if not queue.wanted(name):
            uploads.remove(name)
