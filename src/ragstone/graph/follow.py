"""The graph of one collection in this process: read from the store when it is first asked for, then kept at every write
that any process has had acknowledged, by the operation log. What a change does not touch is not looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from ..graph_types import GraphDecision
from ..protocols import Embedder, Store
from .contents import Contents
from .entities import Entities
from .layers import extractions
from .resolve import Explanation
from .viewing import Frame, frame_of

_BATCH: Final = 2_000
_TRIES: Final = 5


class CollectionGraph:
    """Safe from several threads."""

    def __init__(self, store: Store, collection: str, embedder: Callable[[], Embedder] | None) -> None:
        """Raises NotFound."""
        store.revision(collection)
        self._store = store
        self._collection = collection
        self._embedder = embedder
        self._lock = threading.RLock()
        self._version = -1
        self._seq = -1
        self._revision = -1
        self._contents = Contents()
        self._entities = Entities(self._contents, embedder)
        self._frame: Frame | None = None

    def frame(self) -> Frame:
        """As of every write that was acknowledged. Raises NotFound where the collection was dropped, StoreError,
        ModelError."""
        with self._lock:
            self._refresh()
            if self._frame is None:
                self._frame = frame_of(self._contents, self._entities.roots(), self._revision)
            return self._frame

    def explain(self, a: str, b: str) -> Explanation:
        with self._lock:
            self._refresh()
            return self._entities.explain(a, b)

    def decisions(self) -> Sequence[GraphDecision]:
        with self._lock:
            self._refresh()
            return self._entities.decisions

    def name(self, key: str) -> str:
        """How a form is mostly written; "" where no text has it."""
        with self._lock:
            self._refresh()
            node = self._contents.node_of_key(key)
            return self._contents.best(node).text if node is not None and self._contents.alive(node) else ""

    @property
    def contents(self) -> Contents:
        return self._contents

    def _refresh(self) -> None:
        # Read first: what is committed after this moment changes the version again.
        version = self._store.data_version()
        if version == self._version and not self._contents.touched:
            return
        for _ in range(_TRIES):
            revision = self._store.revision(self._collection)
            if self._seq < 0 or self._seq < self._store.first_seq() - 1:
                self._load()
            self._follow()
            if self._store.revision(self._collection) == revision:
                break
        decisions = self._store.graph.decisions(self._collection)
        self._entities.follow()
        self._entities.decide(decisions)
        if revision != self._revision:
            self._frame, self._revision = None, revision
        self._version = version

    def _load(self) -> None:
        """All from the store. The log is followed from before, so what is written meanwhile is not missed."""
        self._contents = Contents()
        self._entities = Entities(self._contents, self._embedder)
        self._seq = self._store.last_seq()
        ids = self._store.chunk_ids(self._collection)
        for first in range(0, len(ids), _BATCH):
            self._read(ids[first : first + _BATCH].tolist())

    def _follow(self) -> None:
        while changes := self._store.changes(self._seq, _BATCH, self._collection):
            gone = {change.chunk_id for change in changes if change.op == "delete"}
            new = {change.chunk_id for change in changes if change.op in ("add", "extract")}
            self._contents.drop(gone)
            self._read(sorted(new - gone))
            self._seq = changes[-1].seq
            if len(changes) < _BATCH:
                break

    def _read(self, ids: Sequence[int]) -> None:
        """What their texts say now; of chunks that are gone nothing is found, and their `delete` follows in the log."""
        for chunk_id, found in extractions(self._store, ids):
            if found is None:
                self._contents.drop((chunk_id,))
            else:
                self._contents.put(chunk_id, found)
