"""Embeds while a process goes on: what it adds itself, and what others leave to whoever embeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import NotFound, RagstoneError
from ..protocols import Store
from .workers import EmbeddingWorker

LOOK_SECONDS = 2.0
"""Between two looks whether another process wrote."""

log = logging.getLogger(__name__)


class BackgroundEmbedding:
    """One thread, from `start` on. `tidy` is called for each collection after it was embedded."""

    def __init__(
        self, store: Store, worker: Callable[[], EmbeddingWorker], tidy: Callable[[str], None]
    ) -> None:
        self._store = store
        self._worker = worker
        self._tidy = tidy
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._seen = -1

    def start(self) -> None:
        """No effect where it runs already, or was stopped."""
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="ragstone-embedding", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """There is something to do now."""
        self.start()
        self._wake.set()

    def stop(self) -> None:
        """Waits for the group that is in work."""
        with self._lock:
            self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            told = self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            try:
                version = self._store.data_version()
                if not told and version == self._seen:
                    continue
                self._seen = version
                names = self._store.every_collection()
            except RagstoneError as error:
                _postponed(error)
                continue
            for name in names:
                if self._closing.is_set():
                    return
                self._embed(name)

    def _embed(self, name: str) -> None:
        try:
            self._worker().run(name, stop=self._closing)
            self._tidy(name)
        except NotFound:
            pass  # dropped meanwhile
        except RagstoneError as error:
            _postponed(error)


def _postponed(error: RagstoneError) -> None:
    """The chunks stay marked as waiting: the next write, of any process, or `embed_pending` tries again."""
    log.warning("embedding waits: %s", error)
