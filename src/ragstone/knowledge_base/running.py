"""What is open and at work while a knowledge base is: indexes, and embedding, extraction and sealing behind them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, partial

from ..embedding.background import BackgroundEmbedding
from ..embedding.turn import GRAPH_LOCK_FILE, turn
from ..embedding.workers import EmbeddingWorker
from ..errors import RagstoneError, StoreError
from ..graph.building import BackgroundGraph, GraphBuilder
from ..index.indexer import Indexer
from ..index.sync import CollectionIndex
from ..types import ProgressCallback
from .parts import Parts

log = logging.getLogger(__name__)


class Running:
    """Thread-safe. `serving` tells whether questions are being answered, for which the rest steps back."""

    def __init__(self, parts: Parts, serving: Callable[[], bool], seal_graph: Callable[[str], object]) -> None:
        """`seal_graph` writes the graph of a collection to its file where that is worth it."""
        self.parts = parts
        self.store = parts.store
        self._serving = serving
        self._lock = threading.RLock()
        self._indexes: dict[str, CollectionIndex] = {}
        self._indexer: Indexer | None = None
        self._worker: EmbeddingWorker | None = None
        self.embedding: BackgroundEmbedding | None = None
        """None: another process does it, or a person asks for it."""
        if parts.background and parts.worker is not None:
            self.embedding = BackgroundEmbedding(parts.store, self.worker, parts.spaces.finish_drops)
        self.extraction: BackgroundGraph | None = None
        """The same, of what the graph is made of."""
        if parts.background_graph:
            self.extraction = BackgroundGraph(parts.store, lambda: self.graph_builder, seal_graph)

    def index(self, collection: str) -> CollectionIndex:
        """The indexes of one collection, opened once. Raises NotFound."""
        with self._lock:
            held = self._indexes.get(collection)
            if held is None:
                self.store.revision(collection)
                held = self._indexes[collection] = self.parts.open_index(collection)
                if self._indexer is None and (self.parts.background or self.parts.upkept):
                    self._indexer = Indexer(self._open_indexes, on_error=_report, writes=self.parts.background)
                    self._indexer.start()
                    if self.embedding is not None:
                        self.embedding.start()
                if self.extraction is not None:
                    self.extraction.start()
            return held

    def worker(self) -> EmbeddingWorker:
        """What embeds; only where there is one."""
        with self._lock:
            if self._worker is None:
                assert self.parts.worker is not None  # noqa: S101 - callers asked
                self._worker = self.parts.worker(self._serving)
            return self._worker

    @cached_property
    def graph_builder(self) -> GraphBuilder:
        """What extracts; only where something can be written."""
        taken = partial(turn, self.store.folder, GRAPH_LOCK_FILE)
        return GraphBuilder(self.store, self.parts.extractor, taken, self._serving)

    def embed_pending(
        self, collections: Sequence[str], progress: ProgressCallback | None, stop: threading.Event | None
    ) -> int:
        """Vectors made until none waits in any space that the collections use, or `stop` is set."""
        if self.parts.worker is None:
            return 0
        worker, made = self.worker(), 0
        for name in collections:
            made += worker.run(name, progress=progress, stop=stop, foreground=True, wait_for_others=True)
            self.parts.spaces.finish_drops(name)
        return made

    def wake(self) -> None:
        """What waits for a vector is embedded in the background from now on, where this process does that."""
        if self.embedding is not None:
            self.embedding.wake()

    def after_write(self, collection: str, *, removed: bool) -> None:
        """What was written can be found from now on, and what is gone is kept nowhere."""
        self.settle(removed=removed)
        index = self.index(collection)
        index.refresh()
        try:
            index.seal(quick=self.parts.background and self._indexer is not None)  # which does the rest
        except StoreError as error:
            _report(error)
        self.wake()

    def settle(self, *, removed: bool) -> None:
        """What is gone from the store goes from the cache on disk as well, and from the slots of local models. It is
        never served; and where it cannot be removed now, the next write, of any process, removes it."""
        if removed:
            self.parts.language_models().forget()
        if self.parts.persistent is not None:
            try:
                self.parts.persistent.settle()
            except StoreError as error:
                log.warning("deleted passages wait to be removed from cache.db: %s", error)

    def dropped(self, collection: str) -> None:
        """Lets go of the indexes of a collection that is no more."""
        with self._lock:
            index = self._indexes.pop(collection, None)
        if index is not None:
            index.close()

    def stop(self) -> None:
        """Ends what is done in the background."""
        for background in (self.embedding, self.extraction):
            if background is not None:
                background.stop()
        if self._indexer is not None:
            self._indexer.stop()

    def close(self) -> None:
        """Seals what is worth sealing and lets go of the files, also of the rest where one of them fails."""
        with self._lock:
            indexes, self._indexes = list(self._indexes.values()), {}
        with ExitStack() as stack:
            for index in indexes:
                stack.callback(index.close)

    def _open_indexes(self) -> list[CollectionIndex]:
        with self._lock:
            return list(self._indexes.values())


def _report(error: RagstoneError) -> None:
    """Sealing only moves rows to files; what failed is tried again and nothing is lost, but a person should know."""
    log.warning("sealing waits: %s", error)
