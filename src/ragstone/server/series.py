"""The last hour in steps, for the charts of the page: rates and percentiles, computed when a step ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..observe.instruments import quantile
from ..observe.page import Key
from .gauges import Sample

STEP: Final = 5.0
"""Seconds between two points."""
POINTS: Final = 720
WINDOW: Final = 12
"""Steps over which a point tells percentiles, rates and shares: a minute."""
PERCENTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

Totals = Mapping[Key, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    totals: Totals
    cpu: float


@dataclass(frozen=True, slots=True)
class _Point:
    at: float
    figures: Mapping[str, float | None]
    latency: Mapping[str, Mapping[str, float]]


class Series:
    """Thread-safe. `latency` names stages: `search`, `answer`, `http`, and those within a search and an answer."""

    def __init__(self, points: int = POINTS) -> None:
        self._points: deque[_Point] = deque(maxlen=points)
        self._moments: deque[_Moment] = deque(maxlen=WINDOW + 1)
        self._lock = threading.Lock()

    def add(self, at: float, totals: Totals, samples: Iterable[Sample]) -> None:
        """What stands at the end of a step; `at` in POSIX seconds."""
        found = list(samples)
        cpu = _total(found, "ragstone_process_cpu_seconds_total")
        with self._lock:
            now = _Moment(at, totals, cpu)
            if self._moments:
                self._points.append(_point(self._moments[0], self._moments[-1], now, found))
            self._moments.append(now)

    def last(self) -> Mapping[str, float | None]:
        """The newest figures; nothing before the second step."""
        with self._lock:
            return self._points[-1].figures if self._points else {}

    def slowest(self) -> dict[str, float]:
        """The newest p99 of searches and of the event loop, where there were any."""
        with self._lock:
            latency = self._points[-1].latency if self._points else {}
        named = {"search_p99_ms": "search", "loop_p99_ms": "event loop"}
        return {name: latency[stage]["p99"] for name, stage in named.items() if stage in latency}

    def as_json(self) -> dict[str, Any]:
        """{"step", "times", NAME: [...], "latency_ms": {stage: {"p50": [...], ...}}}; null where nothing was
        measured."""
        with self._lock:
            points = list(self._points)
        names = list(dict.fromkeys(name for point in points for name in point.figures))
        stages = list(dict.fromkeys(stage for point in points for stage in point.latency))
        return {
            "step": STEP,
            "times": [round(point.at, 1) for point in points],
            **{name: [_rounded(point.figures.get(name)) for point in points] for name in names},
            "latency_ms": {
                stage: {
                    name: [_rounded(point.latency.get(stage, {}).get(name)) for point in points] for name in PERCENTILES
                }
                for stage in stages
            },
        }


def _point(first: _Moment, before: _Moment, now: _Moment, samples: list[Sample]) -> _Point:
    """CPU is that of the last step, what is counted that of the window from `first`."""
    seconds = max(now.at - first.at, 1e-3)

    def grown(name: str, *labels: str) -> float:
        return sum(_grown(first, now, key)[0] for key in now.totals if key[0] == name and _fits(key, labels))

    hits = grown("ragstone_cache_requests_total", "responses", "hit")
    hits += grown("ragstone_cache_requests_total", "results", "hit")
    misses = grown("ragstone_cache_requests_total", "results", "miss")
    answered = grown("ragstone_http_requests_total")
    failed = sum(
        _grown(first, now, key)[0]
        for key in now.totals
        if key[0] == "ragstone_http_requests_total" and key[-1].startswith("5")
    )
    left = [
        s.value for s in samples if s.name == "ragstone_budget_left_dollars" and s.labels["budget"].startswith("all")
    ]
    figures: dict[str, float | None] = {
        "requests_per_second": answered / seconds,
        "failed_share": failed / answered if answered else None,
        "in_flight": sum(values[0] for key, values in now.totals.items() if key[0] == "ragstone_http_in_flight"),
        "hit_rate": hits / (hits + misses) if hits + misses else None,
        "cpu_percent": max(0.0, now.cpu - before.cpu) / max(now.at - before.at, 1e-3) * 100.0,
        "memory_bytes": _total(samples, "ragstone_process_resident_bytes"),
        "memory_available_share": _share(
            samples, "ragstone_machine_memory_available_bytes", "ragstone_machine_memory_bytes"
        ),
        "tokens_per_minute": grown("ragstone_tokens_total") / seconds * 60.0,
        "cost_usd_per_hour": grown("ragstone_cost_dollars_total") / seconds * 3600.0,
        "budget_left_usd": min(left) if left else None,
        "budget_left_share": _share(samples, "ragstone_budget_left_dollars", "ragstone_budget_limit_dollars"),
        "active_keys": _total(samples, "ragstone_active_keys"),
        "jobs_waiting": _labelled(samples, "ragstone_jobs", "state", "queued"),
    }
    latency = {}
    for stage, keys in _stages(now.totals).items():
        buckets = [sum(column) for column in zip(*(_grown(first, now, key)[:-1] for key in keys), strict=True)]
        if sum(buckets):
            latency[stage] = {name: quantile(buckets, share) * 1000.0 for name, share in PERCENTILES.items()}
    return _Point(now.at, figures, latency)


def _stages(totals: Totals) -> dict[str, list[Key]]:
    """Which histograms are shown under which name."""
    found: dict[str, list[Key]] = {}
    whole = {
        "ragstone_search_seconds": "search",
        "ragstone_answer_seconds": "answer",
        "ragstone_http_seconds": "http",
        "ragstone_llm_first_token_seconds": "first token",
        "ragstone_event_loop_lag_seconds": "event loop",
    }
    for key in totals:
        if key[0] in whole:
            found.setdefault(whole[key[0]], []).append(key)
    parts = {"ragstone_search_stage_seconds": "search: ", "ragstone_answer_stage_seconds": "answer: "}
    for key in totals:
        if key[0] in parts:
            found.setdefault(parts[key[0]] + key[1], []).append(key)
    return found


def _grown(first: _Moment, now: _Moment, key: Key) -> tuple[float, ...]:
    values, before = now.totals[key], first.totals.get(key)
    if before is None or len(before) != len(values):
        return values
    return tuple(max(0.0, a - b) for a, b in zip(values, before, strict=True))


def _fits(key: Key, labels: tuple[str, ...]) -> bool:
    return key[1 : 1 + len(labels)] == labels


def _total(samples: Iterable[Sample], name: str) -> float:
    return sum(sample.value for sample in samples if sample.name == name)


def _share(samples: list[Sample], part: str, whole: str) -> float | None:
    """The smallest share among equal labels."""
    wholes = {tuple(s.labels.items()): s.value for s in samples if s.name == whole}
    shares = [
        s.value / wholes[tuple(s.labels.items())]
        for s in samples
        if s.name == part and wholes.get(tuple(s.labels.items()))
    ]
    return min(shares) if shares else None


def _labelled(samples: list[Sample], name: str, label: str, value: str) -> float | None:
    found = [s.value for s in samples if s.name == name and s.labels.get(label) == value]
    return sum(found) if found else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
