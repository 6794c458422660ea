"""What is amiss, by the same bounds as the rules for Prometheus in deploy/ (a test holds them together)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SLOW_SEARCH_MS: Final = 500.0
LATE_LOOP_MS: Final = 50.0


@dataclass(frozen=True, slots=True)
class Rule:
    """It fires where the figure of the series is above `high` or below `low`."""

    name: str
    figure: str
    severity: str
    text: str
    high: float | None = None
    low: float | None = None


RULES: Final = (
    Rule("RagstoneFailing", "failed_share", "critical", "More than 1 % of requests fail.", high=0.01),
    Rule("RagstoneSlowSearch", "search_p99_ms", "warning", "p99 of searches is above 500 ms.", high=SLOW_SEARCH_MS),
    Rule("RagstoneLateEventLoop", "loop_p99_ms", "warning", "The event loop is late.", high=LATE_LOOP_MS),
    Rule("RagstoneCacheCold", "hit_rate", "info", "Fewer than 5 % of searches come from memory.", low=0.05),
    Rule("RagstoneMemory", "memory_available_share", "critical", "The machine is short of memory.", low=0.10),
    Rule("RagstoneBudgetLow", "budget_left_share", "warning", "Less than 10 % of a budget is left.", low=0.10),
    Rule("RagstoneQueueLong", "jobs_waiting", "warning", "Jobs wait for a worker.", high=100.0),
)


def alerts(figures: Mapping[str, float | None], percentiles: Mapping[str, float]) -> list[dict[str, str]]:
    """[{"name", "severity", "text"}] of the rules that fire on the newest figures."""
    known = {**figures, **percentiles}
    found = []
    for rule in RULES:
        value = known.get(rule.figure)
        if value is None:
            continue
        if (rule.high is not None and value > rule.high) or (rule.low is not None and value < rule.low):
            found.append({"name": rule.name, "severity": rule.severity, "text": rule.text})
    return found
