"""Equal requests that are under way at the same time are one request: the later ones read along."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from ..protocols import LLM
from ..types import Call, Delta, Message

_Key = tuple[tuple[tuple[str, str], ...], str]
PATIENCE = 0.1
"""A request joins one whose deadline is earlier than its own by at most this share of the time it has."""


class SingleFlight:
    """LLM over `inner`, whose answers do not depend on chance. Requests are equal where messages, limit, schema,
    purpose and who pays are. Nobody drives the stream but its readers: who needs more than is there fetches the next
    piece for all, and the stream is closed when the last reader leaves, so one who goes away takes nothing from the
    others. A reader that joins gets the whole answer from its beginning, and the error if it ends in one."""

    def __init__(self, inner: LLM) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._flights: dict[_Key, _Flight] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def context(self) -> int:
        return self._inner.context

    def close(self) -> None:
        self._inner.close()

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        equal = replace(call, deadline=None, conversation="")
        key = tuple((m.role, m.content) for m in messages), repr(equal)
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or not flight.serves(call.deadline):
                flight = self._flights[key] = _Flight(self._inner.stream(messages, call), call.deadline)
            flight.readers += 1
        try:
            yield from flight.read()
        finally:
            with self._lock:
                flight.readers -= 1
                if (flight.readers == 0 or flight.over) and self._flights.get(key) is flight:
                    del self._flights[key]
                last = flight.readers == 0
            if last:
                flight.close()


class _Flight:
    def __init__(self, deltas: Iterator[Delta], deadline: float | None) -> None:
        self._deltas = deltas
        self._deadline = deadline
        self._fetching = threading.Lock()
        self._got: list[Delta] = []
        self._error: BaseException | None = None
        self.over = False
        self.readers = 0

    def serves(self, deadline: float | None) -> bool:
        """Whether a request with this deadline may read along: not one that would wait longer than it may, nor one that
        would be cut off much earlier than it has to be."""
        if self.over:
            return False
        if deadline is None or self._deadline is None:
            return deadline is self._deadline
        return 0 <= deadline - self._deadline <= PATIENCE * (deadline - time.monotonic())

    def read(self) -> Iterator[Delta]:
        at = 0
        while True:
            if at == len(self._got) and not self._fetch(at):
                return
            yield self._got[at]
            at += 1

    def _fetch(self, at: int) -> bool:
        """Whether there is a piece `at`; fetches it unless another reader just did."""
        with self._fetching:
            if at < len(self._got):
                return True
            if self._error is not None:
                raise self._error
            if self.over:
                return False
            try:
                self._got.append(next(self._deltas))
            except StopIteration:
                self.over = True
                return False
            except BaseException as error:
                self._error, self.over = error, True
                raise
            return True

    def close(self) -> None:
        if isinstance(self._deltas, Generator):
            self._deltas.close()
