"""The JSON of `stress`."""

from __future__ import annotations

from typing import Annotated, TypedDict


class StressFailureRecord(TypedDict):
    seed: int
    cycle: Annotated[int, "`--seed` and `--only-cycle` repeat it"]
    what: Annotated[str, "the fault that was made"]
    problems: Annotated[list[str], "what did not hold afterwards"]


class StressRecord(TypedDict):
    """`stress`. Exit code 1 where a cycle failed."""

    schema_version: int
    test: Annotated[str, "crash, power, disk, flip, multi, churn, budget, jobs, api, tenants or mcp"]
    seed: int
    cycles: Annotated[int, "that ran"]
    seconds: float
    figures: Annotated[dict[str, float], "what happened, by name"]
    failures: list[StressFailureRecord]
    folder: Annotated[str | None, "the data, where it was kept"]


class LoadRecord(TypedDict):
    """`stress load`. Exit code 1 where an answer was an error."""

    schema_version: int
    rate: Annotated[float, "requests due in a second"]
    seconds: Annotated[float, "until the last answer"]
    mix: Annotated[list[float], "weights of search, ask and upload"]
    clients: Annotated[int, "connected from the beginning; 0: connections as they were needed"]
    fresh: bool
    machine_load: Annotated[list[float], "of the machine that sends, mean of a minute: at the beginning and the end"]
    statuses: Annotated[dict[str, int], "answers by status; `none`: no answer"]
    figures: Annotated[dict[str, dict[str, float]], "by kind of request; latencies in milliseconds since it was due"]
    by_second: Annotated[list[dict[str, float]], "the same of the requests that were due in each second"]
