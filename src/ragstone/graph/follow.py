"""The graph of one collection in this process: sealed tables where there are any, else the store, then kept at every
write that any process has had acknowledged, by the operation log. What a change does not touch is not looked at."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from ..graph_types import GraphDecision
from ..protocols import Store
from . import sealing
from .contents import Contents
from .entities import Entities
from .layers import briefs, extractions
from .resolve import Explanation
from .sealed import Sealed
from .view import GraphView, view_of
from .viewing import Frame, frame_of

_BATCH: Final = 2_000
_TRIES: Final = 5
MOST_CHANGED: Final = 1_000
"""Chunks that came or went since the tables were sealed, up to which nothing else is looked for; a state costs a
processor a tenth of a millisecond for each."""
MOST_SHARE: Final = 0.2
"""Of the sealed chunks: beyond it, tables are made anew in memory."""


class CollectionGraph:
    """Safe from several threads."""

    def __init__(
        self, store: Store, collection: str, *, from_store: bool = False, start: tuple[Sealed, int] | None = None
    ) -> None:
        """`from_store`: without looking at a file. `start`: tables to go on from, and where the log stood. Raises
        NotFound."""
        store.revision(collection)
        self._store = store
        self._collection = collection
        self._from_store = from_store
        self._lock = threading.RLock()
        self._viewing = threading.Lock()
        self._version = -1
        self._seq = -1
        self._sealed_at = -1
        self._revision = -1
        self._contents = Contents()
        self._entities = Entities(self._contents)
        self._frame: Frame | None = None
        self._view: tuple[Frame, GraphView] | None = None
        self.notes: list[str] = []
        """What was found wrong with a file, and what was done about it."""
        self.file: str | None = None
        """That the tables stand in: "" where they are in memory alone, None where nothing was read yet."""
        if start is not None:
            self._go_on(*start)

    def frame(self) -> Frame:
        """As of every write that was acknowledged. Raises NotFound where the collection was dropped, StoreError."""
        with self._lock:
            self._refresh()
            if self._frame is None:
                self._frame = frame_of(self._contents, self._entities, self._revision)
            return self._frame

    def view(self) -> tuple[Frame, GraphView]:
        """The whole in arrays, made once for each state that is asked for."""
        frame = self.frame()
        with self._viewing:
            if self._view is None or self._view[0] is not frame:
                self._view = None  # its memory is free before the next one is made
                self._view = frame, view_of(frame)
            return self._view

    @property
    def read(self) -> bool:
        """Whether anything was asked of it so far."""
        return self._frame is not None

    def behind(self, most: int) -> bool:
        """Whether more than `most` changes wait to be followed."""
        if self._store.data_version() == self._version:
            return False
        return len(self._store.changes(self._seq, most + 1, self._collection)) > most

    def changed(self) -> int:
        """Chunks that came or went since the tables were sealed."""
        return len(self._contents.came) + len(self._contents.gone)

    def start(self) -> tuple[Sealed, int] | None:
        """The tables that this goes on from; None where nothing was read yet."""
        with self._lock:
            return None if self._seq < 0 else (self._contents.sealed, self._sealed_at)

    def seal(self) -> tuple[Sealed, int]:
        """Tables of the present state, and where the log stood. Raises NotFound, StoreError."""
        with self._lock:
            self._refresh()
            if self.changed():
                self._seal_here()
            return self._contents.sealed, self._seq

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
            contents, node = self._contents, self._contents.node_of_key(key)
            return contents.writing(contents.best(node)).text if node is not None and contents.alive(node) else ""

    def _refresh(self) -> None:
        # Read first: what is committed after this moment changes the version again.
        version = self._store.data_version()
        if version == self._version and not self._contents.touched:
            return
        for _ in range(_TRIES):
            revision = self._store.revision(self._collection)
            if self._seq < 0 or self._seq < self._store.first_seq() - 1 or self._outdated():
                self._load()
            self._follow()
            if self._store.revision(self._collection) == revision:
                break
        decisions = self._store.graph.decisions(self._collection)
        self._entities.follow()
        self._entities.decide(decisions)
        if self.changed() > max(MOST_CHANGED, MOST_SHARE * len(self._contents.sealed.chunks)):
            self._seal_here()
            self._entities.decide(decisions)
        if revision != self._revision:
            self._frame, self._revision = None, revision
        self._version = version

    def _outdated(self) -> bool:
        """Whether a newer file spares following for long."""
        if self.changed() <= MOST_CHANGED or self._from_store:
            return False
        found = sealing.published(self._store, self._collection)
        return found is not None and found.watermark > self._sealed_at

    def _load(self) -> None:
        """The log is followed from before, so what is written meanwhile is not missed."""
        found = None if self._from_store else sealing.opened(self._store, self._collection, self.notes)
        if found is not None:
            self._go_on(found[0], found[1].watermark, found[1].name)
            return
        self._contents = Contents()
        self._entities = Entities(self._contents)
        self._seq = self._store.last_seq()
        ids = self._store.chunk_ids(self._collection)
        for first in range(0, len(ids), _BATCH):
            self._contents.take(briefs(self._store, ids[first : first + _BATCH].tolist()))
        self._contents.forget_words()
        self._entities.resolve_all(self._store.graph.decisions(self._collection))
        self._seal_here()

    def _seal_here(self) -> None:
        """Puts tables in the place of what is held beside them."""
        seq, self._seq, self._version = self._seq, -1, -1  # what is cut short is read again
        self._go_on(sealing.sealed_of(self._contents, self._entities), seq)

    def _go_on(self, sealed: Sealed, seq: int, file: str = "") -> None:
        self.file = file
        self._seq = self._sealed_at = seq
        self._contents = Contents(sealed)
        self._entities = Entities(self._contents)
        self._frame = None

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
