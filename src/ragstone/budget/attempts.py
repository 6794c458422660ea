"""What is asked of a budget: a call that is to be made, what is reserved for it, how a budget stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..types import Caller, Purpose
from .limits import Budget, renews
from .prices import Price

NOBODY: Final = Caller()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one provider that is about to be made. Bounds are tokens."""

    provider: str
    model: str
    price: Price
    prompt_bound: int
    completion_bound: int
    caller: Caller = NOBODY
    purpose: Purpose = "chat"


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved for an attempt: `bound` pico-dollars, in the budgets of `day` and its month."""

    attempt: Attempt
    owner: str
    slot: int
    bound: int
    day: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget in the day or month `key`. Amounts are pico-dollars; `limit` None: it only counts. `source` of the limit
    is "set" (by `budget set`), "settings" or ""."""

    budget: Budget
    key: str
    limit: int | None
    source: str
    spent: int
    held: int
    lost: int

    @property
    def left(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.spent - self.held - self.lost)

    @property
    def renews(self) -> float:
        return renews(self.key)
