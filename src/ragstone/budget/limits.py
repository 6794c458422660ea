"""Which budgets there are, and when they renew.

A budget is everybody's, a team's, a person's or a key's, for a day or for a month. Days and months are those of UTC.
In settings and commands it is written "month", "team sales month", "person * day"; `*` stands for each name that has
no budget of its own.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from ..errors import InputError
from ..types import Caller

Scope = Literal["all", "team", "person", "key"]
Period = Literal["day", "month"]
PERIODS: Final[tuple[Period, ...]] = get_args(Period)
EACH: Final = "*"
MOST_AHEAD: Final = 31
"""Days. A ledger whose latest day is further ahead of the clock than that was written with a wrong clock."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`name` is "" exactly for scope "all"; EACH stands for every name that has no budget of its own."""

    scope: Scope
    name: str
    period: Period

    def __str__(self) -> str:
        return self.period if self.scope == "all" else f"{self.scope} {self.name} {self.period}"


def parse(text: str) -> Budget:
    """Raises InputError."""
    words = text.split()
    if words and words[-1] in PERIODS:
        period = words[-1]
        if len(words) == 1 or words[:-1] == ["all"]:
            return Budget("all", "", period)
        if len(words) > 2 and words[0] in ("team", "person", "key"):
            return Budget(cast(Scope, words[0]), " ".join(words[1:-1]), period)
    raise InputError(
        f"{text!r} is not a budget.",
        "Write day or month, after team NAME, person NAME or key NAME where it is not everybody's: `team sales month`.",
    )


def accounts(caller: Caller) -> list[tuple[Scope, str]]:
    """Whose budgets a call counts against: everybody's, and those of each name that it has."""
    named: list[tuple[Scope, str]] = [("team", caller.team), ("person", caller.person), ("key", caller.key)]
    return [("all", ""), *((scope, name) for scope, name in named if name)]


def limit_of(limits: Mapping[Budget, int | None], scope: Scope, name: str, period: Period) -> int | None:
    """Pico-dollars; None: there is none. A name's own budget goes before that of EACH."""
    own = Budget(scope, name, period)
    return limits[own] if own in limits else limits.get(Budget(scope, EACH, period))


def day_of(moment: float) -> str:
    """2026-11-21"""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def current_day(moment: float, latest: str) -> str:
    """The day that counts at `moment` in a ledger whose latest day so far is `latest`. A clock that was set back
    leads back into no day that is over; one that once was far ahead does not hold the budgets for ever."""
    today = day_of(moment)
    return latest if today < latest <= day_of(moment + MOST_AHEAD * 86_400) else today


def key_of(day: str, period: Period) -> str:
    """The day, or its month, as the ledger names it: 2026-11-21 or 2026-11."""
    return day if period == "day" else day[:7]


def renews(key: str) -> float:
    """When the day or month that follows begins, in POSIX seconds."""
    year, month, *day = map(int, key.split("-"))
    if day:
        return datetime(year, month, day[0], tzinfo=UTC).timestamp() + 86_400
    days = calendar.monthrange(year, month)[1]
    return datetime(year, month, days, tzinfo=UTC).timestamp() + 86_400
