"""What calls have cost, from the ledger's record by day, caller, model and purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .ledger import Ledger

By = Literal["day", "month", "model", "provider", "person", "team", "key", "purpose"]

# What a group is, as SQL; the names of columns come from here alone.
_GROUPS: Final[Mapping[By, str]] = {
    "day": "day",
    "month": "substr(day, 1, 7)",
    "model": "provider || '/' || model",
    "provider": "provider",
    "person": "person",
    "team": "team",
    "key": "key",
    "purpose": "purpose",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """`cost` and `uncertain`, the part of it that was charged at its bound, are pico-dollars."""

    group: str
    calls: int
    refused: int
    prompt: int
    cached: int
    completion: int
    cost: int
    uncertain: int


def history(ledger: Ledger, by: By, since: str, only: Mapping[Literal["team", "person", "key"], str]) -> list[Spent]:
    """From the day `since` on; days and months in their order, others by falling cost."""
    group = _GROUPS[by]
    conditions = " AND ".join(["day >= ?", *(f"{column} = ?" for column in only)])
    order = "1" if by in ("day", "month") else "sum(cost) DESC, sum(calls) DESC, 1"
    rows = ledger.rows(
        f"SELECT {group}, sum(calls), sum(refused), sum(prompt), sum(cached), sum(completion), sum(cost), "  # noqa: S608
        f"sum(uncertain) FROM usage WHERE {conditions} GROUP BY 1 ORDER BY {order}",
        since,
        *only.values(),
    )
    return [Spent(*row) for row in rows]


def check(ledger: Ledger) -> list[str]:
    """Where the balances are not the sums of what was recorded and of what is reserved; [] where all agrees."""
    problems = []
    for scope, column in (("all", "''"), ("team", "team"), ("person", "person"), ("key", "key")):
        for length, period in ((10, "day"), (7, "month")):
            recorded = f"SELECT {column} AS name, substr(day, 1, {length}) AS period, sum(cost) AS spent, 0 AS held"
            reserved = f"SELECT {column}, substr(day, 1, {length}), 0, sum(bound) FROM holds GROUP BY 1, 2"  # noqa: S608
            rows = ledger.rows(
                f"WITH sums AS ({recorded} FROM usage GROUP BY 1, 2 UNION ALL {reserved}), "  # noqa: S608
                "told AS (SELECT name, period, sum(spent) AS spent, sum(held) AS held FROM sums GROUP BY 1, 2) "
                "SELECT name, period, told.spent, told.held, balances.spent, balances.held "
                "FROM told LEFT JOIN balances USING (name, period) "
                "WHERE (balances.scope = ? OR balances.scope IS NULL) AND (? = 'all' OR name <> '') "
                "AND (told.spent <> ifnull(balances.spent, 0) OR told.held <> ifnull(balances.held, 0))",
                scope,
                scope,
            )
            for name, key, spent, held, kept, kept_held in rows:
                problems.append(
                    f"{scope} {name} {period} {key}: the balance is {kept} and {kept_held} held, the record {spent} "
                    f"and {held}"
                )
    return problems
