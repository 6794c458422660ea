"""What is there: collections, index files, caches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from ..errors import DiskFull
from ..index.sealing import explained
from ..memory_types import not_memory
from ..protocols import Cache, Store
from ..storage.layout import own_bytes
from ..types import CollectionStatus
from .names import chosen
from .parts import Parts

PERSISTENT_KINDS = ("answer", "vector")
"""Of values in cache.db."""


def collection_status(parts: Parts, name: str) -> CollectionStatus:
    """Raises NotFound."""
    store = parts.store
    documents = characters = chunks = 0
    for document in store.documents(not_memory(name)):
        documents += 1
        characters += document.characters
        chunks += document.chunks
    space = parts.spaces.active(name).id
    waiting = store.count_pending(name, space)
    return CollectionStatus(
        name, documents, chunks, characters, store.revision(name), chunks - waiting, waiting, space,
        store.languages(name),
    )  # fmt: skip


def waiting(parts: Parts, collections: Sequence[str] | None) -> int:
    """Chunks that have no vector yet. Raises NotFound."""
    names = parts.store.every_collection() if collections is None else chosen(parts.store, collections)
    return sum(parts.store.count_pending(name, parts.spaces.active(name).id) for name in names)


def status(parts: Parts) -> dict[str, Any]:
    """Everything `ragstone status` shows, as plain values."""
    import psutil

    store, folder = parts.store, parts.store.folder
    names = store.collections()
    return {
        "folder": str(folder),
        "bytes": own_bytes(folder),
        "state": writing(store),
        "collections": [msgspec.to_builtins(collection_status(parts, name)) for name in names],
        "segments": {
            name: [
                {
                    "kind": s.kind, "space": s.space, "name": s.name, "rows": s.rows, "bytes": s.size,
                    **explained(s, folder, parts.vector_structure, parts.vector_components),
                }
                for s in store.segments(name)
            ]
            for name in names
        },
        "roots": {name: store.roots(name) for name in names},
        "caches": _caches(parts),
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
    }  # fmt: skip


def writing(store: Store) -> str:
    """"writable", or "read-only: " and why."""
    try:
        store.require_room()
    except DiskFull:
        return "read-only: disk nearly full"
    return "writable" if os.access(store.folder, os.W_OK) else "read-only: the folder cannot be written"


def _caches(parts: Parts) -> dict[str, dict[str, float]]:
    caches = {"results": _counts(parts.results), "answers": _counts(parts.answers)}
    if parts.persistent is not None:
        for kind in PERSISTENT_KINDS:
            entries, size = parts.persistent.size(kind)
            caches[f"{kind}s on disk"] = {"entries": entries, "bytes": size}
        caches["questions on disk"] = {"entries": parts.persistent.questions()}
    return caches


def _counts(cache: Cache[Any, Any]) -> dict[str, float]:
    seen = cache.statistics()
    return {
        "entries": seen.entries, "bytes": seen.bytes, "hits": seen.hits, "misses": seen.misses,
        "evictions": seen.evictions, "hit_rate": seen.hit_rate,
    }  # fmt: skip
