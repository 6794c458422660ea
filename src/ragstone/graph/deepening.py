"""A language model reads what the rules have read: a second layer of extractions, made when somebody asks for it. What
an answer gave is durable before the next question, so a process that ends at any moment has lost one answer at most.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ..errors import Conflict, DeadlineExceeded
from ..graph_types import TOGETHER, DeepenReport
from ..protocols import LLM, Extracted, Store, Unread
from ..types import Progress, ProgressCallback
from .building import Turn
from .codec import encode
from .deepening_asking import ANSWER_SECONDS, PROMPT_VERSION, Asked, Ended, ask, extraction, fitting
from .layers import MODEL

SLAB: Final = 64
"""Chunks asked from the store at once."""
MOST_LATE: Final = 3
"""Answers in a row that did not end in time; with this many the model is too slow, and the run ends."""
NO_USE: Final = "the model's answers were no use"


class Stop(Protocol):
    """An event, or whatever else can say that the work is to end."""

    def is_set(self) -> bool: ...


class Deepening:
    """Any thread may call it; one at a time works. `batch`: passages of a call at most; `rounds`: how often the model
    is asked again what it missed."""

    def __init__(self, store: Store, llm: LLM, turn: Turn, *, batch: int, rounds: int) -> None:
        self._store = store
        self._llm = llm
        self._take = turn
        self._batch = batch
        self._rounds = rounds
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Of what is asked, and of whom. How many rounds is left out: more of them would make all be paid again."""
        return f"llm-{PROMPT_VERSION} {self._llm.name}"

    def run(
        self,
        collection: str,
        *,
        progress: ProgressCallback | None = None,
        stop: Stop | None = None,
        limit: int | None = None,
        again: bool = False,
    ) -> DeepenReport:
        """Asks about chunks that this model has not read, newest first, at most `limit`, until none is left or `stop`
        is set. `again`: about those too that its answers were no use for. Raises ModelError, BudgetExceeded,
        DeadlineExceeded, StoreError, NotFound; Conflict where somebody else is at it in this folder. What was done
        until then stays."""
        if not self._lock.acquire(blocking=False):
            raise _taken()
        try:
            with self._take() as lost:
                if lost is None:
                    raise _taken()
                if again:
                    self._store.graph.forget_failed(collection, MODEL)
                return _Run(
                    self, self._store, self._llm, collection, progress,
                    lambda: lost.is_set() or (stop is not None and stop.is_set()),
                ).work(self._batch, self._rounds, limit)  # fmt: skip
        finally:
            self._lock.release()


class _Run:
    def __init__(
        self, deepening: Deepening, store: Store, llm: LLM, collection: str, progress: ProgressCallback | None,
        ended: Callable[[], bool],
    ) -> None:
        self._store = store
        self._llm = llm
        self._collection = collection
        self._progress = progress
        self._ended = ended
        self._version = deepening.version
        self._counts: Counter[str] = Counter()
        self._late = 0
        self._began = time.monotonic()
        self._total = 0

    def work(self, batch: int, rounds: int, limit: int | None) -> DeepenReport:
        waiting = self._store.graph.count_waiting(self._collection, MODEL, self._version)
        self._total = waiting if limit is None else min(limit, waiting)
        asked = 0
        try:
            while not self._ended() and (limit is None or asked < limit):
                slab = self._store.graph.waiting(self._collection, MODEL, self._version, SLAB)
                passages = list({unread.content_hash: unread for unread in slab}.values())
                if not passages:
                    break
                if limit is not None:
                    passages = passages[: limit - asked]
                asked += len(passages)
                while passages and not self._ended():
                    count = fitting(self._llm.context, passages, batch)
                    self._settle(passages[:count], rounds)
                    del passages[:count]
        except Ended:
            pass
        return DeepenReport(
            self._collection, self._llm.name, **self._counts,
            waiting=self._store.graph.count_waiting(self._collection, MODEL, self._version),
            seconds=round(time.monotonic() - self._began, 3),
        )  # fmt: skip

    def _settle(self, passages: Sequence[Unread], rounds: int) -> None:
        """All at once, then each one alone whose answer was no use. Nothing is asked about more than twice."""
        self._tell()
        first = self._asked(passages, rounds)
        left = self._put(passages, first)
        for passage in left:
            if self._ended():
                raise Ended
            once_more = self._asked([passage], rounds)
            if self._put([passage], once_more):
                self._counts["failed"] += 1
                self._store_found({passage.content_hash: Extracted(b"", NO_USE)})

    def _asked(self, passages: Sequence[Unread], rounds: int) -> Asked:
        asked = ask(self._llm, passages, rounds, self._ended)
        self._counts["answers"] += asked.answers
        self._counts["broken"] += asked.broken
        self._late = self._late + 1 if asked.late else 0
        if self._late >= MOST_LATE:
            raise DeadlineExceeded(
                f"{self._llm.name} did not answer in {ANSWER_SECONDS:.0f} s, {MOST_LATE} times in a row.",
                "Use a faster model, or a smaller graph.batch.",
            )
        return asked

    def _put(self, passages: Sequence[Unread], asked: Asked) -> list[Unread]:
        """Stores what was found; returns the passages of which there is nothing to store."""
        found: dict[bytes, Extracted] = {}
        for passage, pointed in zip(passages, asked.found, strict=True):
            if pointed is not None:
                found[passage.content_hash] = Extracted(encode(extraction(pointed, self._version), passage.language))
                self._counts["refused"] += pointed.refused
                self._counts["mentions"] += len(pointed.mentions)
                self._counts["relations"] += len(pointed.relations)
                self._counts["labelled"] += sum(one.label != TOGETHER for one in pointed.relations)
        self._store_found(found)
        return [passage for passage in passages if passage.content_hash not in found]

    def _store_found(self, found: dict[bytes, Extracted]) -> None:
        if found:
            self._store.graph.put(MODEL, self._version, found)
            self._counts["read"] += len(found)
            self._tell()

    def _tell(self) -> None:
        if self._progress is None:
            return
        done = self._counts["read"]
        each = (time.monotonic() - self._began) / max(done, 1)
        left = max(0, self._total - done)
        state = f"{each:.1f} s each, {left * each:.0f} s left" if done else ""
        self._progress(Progress("deepen", done, max(self._total, done), self._collection, state=state))


def _taken() -> Conflict:
    return Conflict(
        "somebody else asks a language model for this graph already.",
        "`ragstone graph status` tells how far it is.",
    )
