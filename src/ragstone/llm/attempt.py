"""One call of one provider on its way: held by a leash, its outcome told to the provider's breaker exactly once."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from ..errors import BudgetExceeded, DeadlineExceeded, InputError, ModelUnavailable, RagstoneError
from ..protocols import LLM
from ..types import Call, Delta, Message
from .breaker import Breaker, Pass
from .sockets import LEASH, Leash

Unsent = (BudgetExceeded, InputError)
"""Errors that tell nothing about a provider: it was not asked, or the question was not one for it."""


class Attempt:
    """`first_seconds` (None: no limit) is how long the first text may take, `silence` how long each later piece.

    One thread at a time may use it; `cut` may be called from any. It has to be ended by `close`, which tells the
    breaker what became of it unless that is told already."""

    def __init__(
        self,
        name: str,
        llm: LLM,
        breaker: Breaker,
        given: Pass,
        messages: Sequence[Message],
        call: Call,
        *,
        first_seconds: float | None,
        silence: float,
    ) -> None:
        self.name = name
        self._llm = llm
        self._breaker = breaker
        self._given: Pass = given
        self._silence = silence
        self._patience = first_seconds
        self._started = time.monotonic()
        self._leash = Leash(None if first_seconds is None else self._started + first_seconds)
        # the leash is seen by what runs in this context alone: between two pieces the caller does other things
        self._context = contextvars.copy_context()
        self._context.run(LEASH.set, self._leash)
        self._deltas: Iterator[Delta] | None = None
        self._begin: Callable[[], Iterator[Delta]] = lambda: llm.stream(messages, call)
        self._told = False
        self._lost = False

    def first(self) -> Delta:
        """The first delta with text, or the end. Raises what the provider failed with."""
        while True:
            delta = self._guarded()
            if delta.text or delta.finish:
                self._breaker.began(self._given)
                return self._signed(delta)

    def rest(self) -> Iterator[Delta]:
        """What follows `first`, up to the end; an end without `finish` is an error."""
        while True:
            self._leash.until = time.monotonic() + self._silence
            delta = self._guarded()
            yield self._signed(delta)
            if delta.finish:
                return

    def _guarded(self) -> Delta:
        try:
            return self._context.run(self._next)
        except RagstoneError as error:
            self.failed(error)
            raise

    def _next(self) -> Delta:
        if self._deltas is None:
            self._deltas = iter(self._begin())
        try:
            return next(self._deltas)
        except StopIteration:
            raise ModelUnavailable(f"{self.name} broke off in the middle of the answer.", "Try again.") from None

    def _signed(self, delta: Delta) -> Delta:
        if not delta.finish:
            return delta
        self._tell(self._breaker.succeeded)
        return replace(delta, model=delta.model or f"{self.name}/{self._llm.name}")

    def failed(self, error: RagstoneError) -> None:
        """A deadline of the caller counts against the provider only where it had the time it is allowed."""
        waited = time.monotonic() - self._started
        impatient = isinstance(error, DeadlineExceeded) and waited < (self._patience or self._silence)
        if isinstance(error, Unsent) or impatient or (self._leash.was_cut and not self._lost):
            self._tell(self._breaker.abandoned)
        elif not self._told:
            self._told = True
            self._breaker.failed(self._given, getattr(error, "retry_after", None))

    def cut(self, *, lost: bool) -> None:
        """Ends the exchange under way; the thread that waits for it gets its error. `lost`: another was faster, which
        counts against this one: a provider that always loses is not worth asking."""
        self._lost = lost
        self._leash.cut()

    def close(self) -> None:
        if isinstance(self._deltas, Generator):
            self._context.run(self._deltas.close)
        self._tell(self._breaker.abandoned)

    def _tell(self, outcome: Callable[[Pass], None]) -> None:
        if not self._told:
            self._told = True
            outcome(self._given)
