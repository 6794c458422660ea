"""Extracts what waits in a store, in the background or at once. Each group of chunks is one write, so a process that
ends at any moment has lost a second of work at most, and nothing is done twice but that."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from ..errors import NotFound, RagstoneError
from ..faults import reach
from ..protocols import Extracted, Extractor, Store, Unread
from ..types import Progress, ProgressCallback
from .codec import encode
from .layers import RULES

SLAB: Final = 256
"""Chunks asked from the store at once."""
GROUP_SECONDS: Final = 0.5
"""Of work between two writes."""
LOOK_SECONDS: Final = 2.0
"""Between two looks whether another process wrote; as long must nothing have been added before work begins."""
SERVED_SHARE: Final = 0.2
"""Of the time, while questions are answered: rules run in Python and hold up other threads."""
POLL_SECONDS: Final = 0.2
_LONGEST_ERROR: Final = 200

Turn = Callable[[], AbstractContextManager[threading.Event | None]]
"""Of one process at a time in a data folder: None where another has it, else an event that is set when it is lost."""

log = logging.getLogger(__name__)


class GraphBuilder:
    """Any thread may call it; calls take turns. `serving`: whether questions are being answered here."""

    def __init__(
        self, store: Store, extractor: Callable[[], Extractor], turn: Turn, serving: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._extractor = extractor
        self._take = turn
        self._serving = serving
        self._turn = threading.Lock()

    @property
    def version(self) -> str:
        return self._extractor().version

    def run(
        self,
        collection: str,
        *,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
        background: bool = False,
    ) -> int:
        """Extracts from every chunk that waits, newest first, until nothing is left or `stop` is set; returns for how
        many chunks. Where another process does that in this folder, waits for it; with `background` returns 0.
        An extraction that raises is recorded in the store and the rest goes on. Raises StoreError, NotFound."""
        stop = stop or threading.Event()
        with self._turn:
            while not stop.is_set():
                with self._take() as lost:
                    if lost is not None:
                        made = self._run(collection, progress, lambda: stop.is_set() or lost.is_set(), stop, background)
                        if not lost.is_set() or background:
                            return made
                if background or not self._store.graph.count_waiting(collection, RULES, self.version):
                    return 0
                stop.wait(POLL_SECONDS)
        return 0

    def _run(
        self,
        collection: str,
        progress: ProgressCallback | None,
        ended: Callable[[], bool],
        stop: threading.Event,
        background: bool,
    ) -> int:
        done, before, began = 0, None, time.monotonic()
        total = self._store.graph.count_waiting(collection, RULES, self.version) if progress else 0
        while not ended():
            slab = self._store.graph.waiting(collection, RULES, self.version, SLAB, before=before)
            if not slab:
                # what came meanwhile is newer than where this began
                if before is None or not self._store.graph.waiting(collection, RULES, self.version, 1):
                    break
                before = None
                continue
            before = slab[-1].chunk_id
            while slab and not ended():
                done += self._group(slab, ended, stop, background)
                if progress:
                    rate = done / max(time.monotonic() - began, 1e-3)
                    total = max(total, done)
                    state = f"{rate:.1f}/s, {(total - done) / max(rate, 1e-3):.0f} s left"
                    progress(Progress("graph", done, total, collection, state=state))
        return done

    def _group(
        self, slab: list[Unread], ended: Callable[[], bool], stop: threading.Event, background: bool
    ) -> int:
        """Removes the next group from the head of `slab`, and stores what it says."""
        extractor, found = self._extractor(), dict[bytes, Extracted]()
        began = time.monotonic()
        for unread in slab:
            if unread.content_hash not in found:
                found[unread.content_hash] = extracted(extractor, unread)
            if ended() or time.monotonic() - began > GROUP_SECONDS:
                break
        slab[:] = [unread for unread in slab if unread.content_hash not in found]
        reach("graph.extracted")
        made = self._store.graph.put(RULES, extractor.version, found)
        reach("graph.told")
        if background and self._serving():
            stop.wait((time.monotonic() - began) * (1 / SERVED_SHARE - 1))
        return made


def extracted(extractor: Extractor, unread: Unread) -> Extracted:
    """Depends on what the content hash covers, and on nothing else. The context of a chunk are its headings."""
    headings = [part for part in unread.context.split(" › ") if part]
    try:
        return Extracted(encode(extractor.extract(unread.text, unread.language or None, headings), unread.language))
    except Exception as error:  # noqa: BLE001 - whatever a text does to an extractor, the other texts are read
        log.warning("nothing was extracted from chunk %d: %s", unread.chunk_id, error)
        return Extracted(b"", f"{type(error).__name__}: {error}"[:_LONGEST_ERROR])


class BackgroundGraph:
    """One thread, from `start` on: extracts what this process adds, and what others leave to whoever does. It begins
    when nothing was added for LOOK_SECONDS, so that ingest has the processor for itself."""

    def __init__(self, store: Store, builder: Callable[[], GraphBuilder], seal: Callable[[str], object]) -> None:
        """`seal` writes the graph of a collection to a file where that is worth it."""
        self._store = store
        self._load = builder
        self._seal = seal
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._seen = -1
        self._newest: dict[str, int] = {}
        self._behind = False
        self._done: dict[str, int] = {}  # newest chunk, when nothing of the collection waited any more

    def start(self) -> None:
        """No effect where it runs already, or was stopped."""
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="ragstone-graph", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Waits for the group that is in work."""
        with self._lock:
            self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                version = self._store.data_version()
                if version == self._seen and not self._behind:
                    continue
                self._seen, self._behind = version, False
                for name in self._store.collections():
                    if self._closing.is_set():
                        return
                    self._look(name)
            except RagstoneError as error:
                _postponed(error)

    def _look(self, name: str) -> None:
        builder = self._load()
        try:
            newest = self._store.graph.waiting(name, RULES, builder.version, 1, after=self._done.get(name, 0))
            if not newest:
                self._seal(name)
                return
            chunk_id = newest[0].chunk_id
            if self._newest.get(name) != chunk_id:
                self._newest[name], self._behind = chunk_id, True
                return
            builder.run(name, stop=self._closing, background=True)
            if self._store.graph.waiting(name, RULES, builder.version, 1):
                self._behind = True  # another process is at it, or more came
            else:
                self._done[name] = chunk_id
                self._seal(name)
        except NotFound:
            pass  # dropped meanwhile
        except RagstoneError as error:
            _postponed(error)


def _postponed(error: RagstoneError) -> None:
    """The chunks wait on: the next write, of any process, or `build` tries again."""
    log.warning("extraction waits: %s", error)
