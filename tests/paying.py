"""A model that bills, and what it takes to pay it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ragstone.budget.attempts import Attempt
from ragstone.budget.prices import flat
from ragstone.types import Call, Caller, Delta, Message, Usage

NOON = 1_790_000_000.0  # 2026-09-21 14:13 UTC
DAY = 86_400.0
CENT = 10**10
ASK = [Message("user", "Wie hoch?")]


NOBODY = Caller()
REPORTED = Usage(10, 5)


def attempt(amount: int, caller: Caller = NOBODY, model: str = "m") -> Attempt:
    """One that can cost `amount` pico-dollars: as many tokens of one each."""
    return Attempt("p", model, flat(Decimal("0.000001"), 0), amount, 0, caller)


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Biller:
    """Gives `words`, then `usage`; raises `error` before the word number `fails`."""

    usage: Usage | None = REPORTED
    words: tuple[str, ...] = ("Sehr", " hoch")
    error: Exception | None = None
    fails: int = 0
    name: str = "m"
    context: int = 4096
    calls: int = 0
    closed: list[bool] = field(default_factory=list)

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        self.calls += 1
        for number, word in enumerate(self.words):
            if self.error is not None and number == self.fails:
                raise self.error
            yield Delta(word)
        if self.error is not None:
            raise self.error
        yield Delta(finish="stop", usage=self.usage)

    def close(self) -> None:
        self.closed.append(True)
