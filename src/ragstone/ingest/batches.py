"""Documents on their way into the store: put together so that one fsync serves many, but acknowledged soon."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import InputError
from ..faults import reach
from ..protocols import Guard, Known, PutResult, Store
from ..types import FileReport, PreparedDocument

BATCH_CHARACTERS: Final = 2_000_000
BATCH_DOCUMENTS: Final = 64
BATCH_SECONDS: Final = 0.1
"""How long a document waits at most for others to be stored with."""
QUEUED_CHARACTERS: Final = 8_000_000
"""Beyond this the reading side waits for the disk: bounds memory."""


@dataclass(frozen=True, slots=True)
class _Item:
    """Documents of one source, and those of its earlier documents that are to go once these are stored."""

    documents: list[PreparedDocument]
    stale: list[str]
    characters: int


class Batches:
    """A thread that stores what `submit` is given while the caller reads on. `report` is called from both threads,
    one at a time, and for stored documents only after they are durable."""

    def __init__(
        self,
        store: Store,
        collection: str,
        known: Mapping[str, Known],
        report: Callable[[FileReport], None],
        guard: Guard | None = None,
    ) -> None:
        self._store = store
        self._collection = collection
        self._known = known
        self._report = report
        self._guard = guard
        self._changed = threading.Condition()
        self._items: deque[_Item] = deque()
        self._characters = 0
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="ragstone-batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, documents: list[PreparedDocument], stale: list[str]) -> None:
        """Waits while too much is queued. Raises the error that ended the storing."""
        if not documents and not stale:
            return
        characters = sum(document.chunks[-1].span.end for document in documents if document.chunks)
        with self._changed:
            while self._characters > QUEUED_CHARACTERS and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            self._items.append(_Item(documents, stale, characters))
            self._characters += characters
            self._changed.notify_all()

    def close(self) -> None:
        """Stores what is queued, and ends. Raises the error that ended the storing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self._error is not None:
            raise self._error

    # ------------------------------------------------------------------ on the storing thread
    def _serve(self) -> None:
        try:
            while batch := self._take():
                self._put(batch)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that submits
            with self._changed:
                self._error = error
                self._items.clear()
                self._changed.notify_all()

    def _take(self) -> list[_Item]:
        """The next batch; empty when closed and nothing is left."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            until = time.monotonic() + BATCH_SECONDS
            while not self._closed and self._characters < BATCH_CHARACTERS and self._count() < BATCH_DOCUMENTS:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch: list[_Item] = []
            characters = documents = 0
            while self._items and characters < BATCH_CHARACTERS and documents < BATCH_DOCUMENTS:
                item = self._items.popleft()
                characters += item.characters
                documents += len(item.documents)
                batch.append(item)
            self._characters -= characters
            self._changed.notify_all()
            return batch

    def _count(self) -> int:
        return sum(len(item.documents) for item in self._items)

    def _put(self, batch: list[_Item]) -> None:
        documents = [document for item in batch for document in item.documents]
        stored = self._stored(documents)
        reach("batch.stored")
        stale = [uri for item in batch for uri in item.stale]
        removed = self._store.delete(self._collection, stale, guard=self._guard) if stale else []
        for document, result in zip(documents, stored, strict=True):
            self._report(self._file(document, result))
        for uri in removed:
            self._report(FileReport(uri, "removed"))

    def _stored(self, documents: list[PreparedDocument]) -> list[PutResult | InputError]:
        """A document that the store refuses (not valid Unicode) fails alone."""
        try:
            return list(self._store.put(self._collection, documents, guard=self._guard)) if documents else []
        except InputError as error:
            if len(documents) == 1:
                return [error]
            return [result for document in documents for result in self._stored([document])]

    def _file(self, document: PreparedDocument, result: PutResult | InputError) -> FileReport:
        if isinstance(result, InputError):
            return FileReport(document.uri, "failed", reason=str(result), code=result.code)
        before = self._known.get(document.uri)
        # A member of a changed archive carries the archive's mark in its first half: only the second is its own.
        same = before is not None and before.content_hash[16:] == document.content_hash[16:]
        state = "unchanged" if same else result.state
        characters = document.chunks[-1].span.end if document.chunks else 0
        return FileReport(document.uri, state, result.chunks_added, result.chunks_removed, characters)
