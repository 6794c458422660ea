"""What tools of a process on standard input and output reach: the data folder that its command names. Nothing here
needs the MCP package, whose import takes as long as opening the data."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..bridge import FOREVER, Bridge
from ..errors import RagstoneError
from ..records import answer_record
from ..types import AnswerEvent, Mode
from .reach import Fault, LaneName

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

T = TypeVar("T")

CALL_SECONDS: Final = 60.0
"""What a call other than ask may take."""

log = logging.getLogger(__name__)


class LocalReach:
    """One knowledge base, which opens with `begin` or the first call. `open_data` runs again where it failed."""

    def __init__(self, open_data: Callable[[], KnowledgeBase], *, writable: bool, answer_seconds: float) -> None:
        self._open_data = open_data
        self._writable = writable
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._held: KnowledgeBase | None = None
        cores = os.cpu_count() or 1
        self._bridge = Bridge(
            searches=2 * cores, answers=4, works=max(4, cores), waiting=64, patience=FOREVER, computed=False
        )

    def begin(self) -> None:
        """Opens the data, where they can be opened; from any thread."""
        with contextlib.suppress(RagstoneError):  # the first call tells
            self._data()

    @property
    def writable(self) -> bool:
        return self._writable

    async def run(self, lane: LaneName, work: Callable[[KnowledgeBase], T]) -> T:
        threads = self._bridge.search if lane == "search" else self._bridge.work
        return await threads.run(lambda: work(self._data()), time.monotonic() + CALL_SECONDS)

    async def ask(
        self, question: str, collections: Sequence[str] | None, mode: Mode
    ) -> AsyncGenerator[AnswerEvent | Mapping[str, Any], None]:
        deadline = time.monotonic() + self._answer_seconds

        def stream() -> Iterator[AnswerEvent]:
            yield from self._data().ask_stream(
                question, collections=collections, deadline=deadline, mode=mode
            )

        async with aclosing(self._bridge.answer.stream(stream, deadline)) as events:
            async for event in events:
                yield event if event.answer is None else answer_record(event.answer)

    def may_add(self, kb: KnowledgeBase, collection: str) -> None:  # noqa: ARG002 - it is made as it is added to
        self.room(kb)

    def room(self, kb: KnowledgeBase) -> None:
        """The person's own data have no quota."""
        kb.store.require_room()

    def record(self, action: str, target: str) -> None:
        """There is no audit log of one's own data."""

    def fault(self, error: Exception) -> Fault:
        if isinstance(error, RagstoneError):
            return {
                "code": error.code, "detail": error.message, "hint": error.hint, "retryable": error.retryable
            }  # fmt: skip
        log.error("defect", exc_info=error)
        return {
            "code": "Defect", "detail": f"the server failed unexpectedly ({type(error).__name__}).",
            "hint": "This is a defect; its standard error has the details.", "retryable": False,
        }  # fmt: skip

    def _data(self) -> KnowledgeBase:
        with self._lock:
            if self._held is None:
                self._held = self._open_data()
            return self._held

    def close(self) -> None:
        self._bridge.close()
        if self._held is not None:
            self._held.close()
