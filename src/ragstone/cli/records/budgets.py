"""The JSON of budgets."""

from __future__ import annotations

from typing import Annotated, TypedDict


class StandingRecord(TypedDict):
    budget: Annotated[str, "as in settings and in `budget set`: `month`, `team sales day`"]
    scope: Annotated[str, "all, team, person or key"]
    name: Annotated[str, "of the team, person or key; `*`: each that has none of its own; empty for all"]
    period: Annotated[str, "day or month"]
    of: Annotated[str, "the day or month that runs, in UTC: 2026-11-21 or 2026-11"]
    limit: Annotated[float | None, "US dollars; null: it only counts"]
    source: Annotated[str, "where the limit is from: settings, set (`budget set`), or empty"]
    spent: Annotated[float, "US dollars"]
    held: Annotated[float, "reserved for calls that run"]
    lost: Annotated[float, "counted as used because a power cut took the record of it"]
    left: Annotated[float | None, "US dollars; null: no limit"]
    renews: Annotated[float, "POSIX seconds"]


class BudgetRecord(TypedDict):
    """`budget show`, and `budget set` after it wrote."""

    schema_version: int
    budgets: list[StandingRecord]


class SpentRecord(TypedDict):
    group: Annotated[str, "day, month, model …, by `--by`; empty: nobody's"]
    calls: int
    refused: Annotated[int, "calls that a budget refused"]
    prompt_tokens: int
    cached_tokens: Annotated[int, "of the prompt tokens"]
    completion_tokens: int
    cost: Annotated[float, "US dollars"]
    uncertain: Annotated[float, "of the cost: charged at its bound, because nobody knows what was used"]


class BudgetHistoryRecord(TypedDict):
    """`budget history`."""

    schema_version: int
    by: str
    since: Annotated[str, "first day, UTC"]
    groups: list[SpentRecord]
