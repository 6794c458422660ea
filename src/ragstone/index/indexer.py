"""Follows the log and seals in the background, for processes that go on for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from ..errors import NotFound, RagstoneError
from .sync import CollectionIndex

PERIOD_SECONDS = 1.0
REST_SECONDS = 20.0
"""Without a change, after which a collection counts as at rest: what is best for searches is done then, though it would
be wasted if writing went on."""
_MOST_SECONDS = 60.0


class Indexer:
    """Every `period` seconds brings the indexes up to date and seals what is worth it. `indexes` is asked each time
    for those that are open. What did not change for `rest` seconds is consolidated. An error (disk full, store busy)
    goes to `on_error`, and the next attempt waits longer, up to a minute: nothing is lost meanwhile, since all of it
    stands in the store. Where it does not write, it opens what others write."""

    def __init__(
        self,
        indexes: Callable[[], Iterable[CollectionIndex]],
        *,
        on_error: Callable[[RagstoneError], None],
        period: float = PERIOD_SECONDS,
        rest: float = REST_SECONDS,
        writes: bool = True,
    ) -> None:
        self._indexes = indexes
        self._on_error = on_error
        self._period = period
        self._rest = rest
        self._writes = writes
        self._changed: WeakKeyDictionary[CollectionIndex, tuple[tuple[int, int], float]] = WeakKeyDictionary()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """No effect where it runs already."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="ragstone-indexer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Waits for the round that is under way."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        pause = self._period
        while not self._stopping.wait(pause):
            pause = self._period if self._round() else min(2 * pause, _MOST_SECONDS)

    def _round(self) -> bool:
        well = True
        for index in self._indexes():
            try:
                if not self._writes:
                    index.adopt()
                    continue
                index.refresh()
                index.seal()
                if self._rests(index):
                    index.consolidate()
            except NotFound:
                continue  # dropped by someone; whoever holds the index lets go of it
            except RagstoneError as error:
                well = False
                self._on_error(error)
        return well

    def _rests(self, index: CollectionIndex) -> bool:
        now, at = time.monotonic(), index.at()
        seen, since = self._changed.get(index, (None, now))
        if seen != at:
            self._changed[index] = (at, now)
            return False
        return now - since >= self._rest
