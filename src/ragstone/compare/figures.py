"""From the lines of a journal to figures by model, with intervals by resampling the questions.

A model is asked the same questions as the others, so questions are resampled and not answers: repeats of one question
are no independent evidence. Only rounds of a question that every model has answered (or failed on) count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, median
from typing import Any

import numpy as np

from ..errors import InputError
from ..measure.metrics import percentile
from ..protocols import Scores as Numbers

RESAMPLES = 2_000
SURE = (2.5, 97.5)
"""Percentiles of a 95 % interval."""
TIE = 0.05
"""Qualities on [0, 1] this close count as equal in a head to head."""
RATED_ENOUGH = 5
"""Questions that must be rated for all models before ratings, rather than automatic scores, are the quality."""
CRITERIA = ("fluency", "accuracy", "completeness", "coherence", "instruction following", "citation quality")
AUTOMATIC = ("topics", "support", "language", "citations", "recall")

Run = Mapping[str, Any]
Grid = dict[str, dict[str, float]]
"""Model → question → a number."""


def shared(runs: Iterable[Run], models: Sequence[str]) -> list[Run]:
    """The answers that can be compared; the last one where a line was written twice. Raises InputError for none."""
    answers = {(r["round"], r["question"], r["model"]): r for r in runs if r["kind"] == "answer"}
    kept = [r for (n, q, _), r in answers.items() if all((n, q, model) in answers for model in models)]
    if not kept:
        raise InputError(
            "No question has been answered by every model yet.", "Give the command again that began the comparison."
        )
    return kept


def by_question(answers: Iterable[Run], value: str) -> Grid:
    """The mean over rounds of a score ("scores.topics") or a figure ("seconds"), where there is one."""
    found: dict[str, dict[str, list[float]]] = {}
    section, _, name = value.rpartition(".")
    for run in answers:
        number = (run.get(section) or {}).get(name) if section else run.get(name)
        if number is not None:
            found.setdefault(run["model"], {}).setdefault(run["question"], []).append(float(number))
    return {m: {q: fmean(values) for q, values in rows.items()} for m, rows in found.items()}


def rated(ratings: Iterable[Run], models: Sequence[str]) -> Grid:
    """Mean rating of each answer over criteria and raters, on 1 to 5, of questions that were rated for every model."""
    grid = by_question(
        (
            {"model": r["model"], "question": r["question"], "rating": fmean(r["scores"].values())}
            for r in latest(ratings)
            if r["scores"]
        ),
        "rating",
    )
    common = set.intersection(*(set(grid.get(model, {})) for model in models))
    return {model: {q: grid[model][q] for q in grid[model] if q in common} for model in models if common}


def latest(ratings: Iterable[Run]) -> list[Run]:
    """Each rater's last word on each answer."""
    return list({(r["rater"], r["model"], r["question"]): r for r in ratings}.values())


def resamples(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index rows (RESAMPLES × count), the same at every call, so that a report can be made again."""
    return np.random.default_rng(0).integers(0, count, (RESAMPLES, count))


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean of one number for each question, with its 95 % interval."""
    row = np.asarray(values, np.float64)
    means = row[resamples(len(row))].mean(axis=1)
    low, high = np.percentile(means, SURE)
    return {"mean": float(row.mean()), "low": float(low), "high": float(high)}


def pairs(quality: Grid, models: Sequence[str]) -> list[dict[str, Any]]:
    """Every two models question by question: `rate` is the share of questions that `a` wins, ties counting half."""
    found = []
    for a, b in combinations(models, 2):
        gaps = np.asarray([quality[a][q] - quality[b][q] for q in quality[a]], np.float64)
        won: Numbers = np.where(np.abs(gaps) <= TIE, 0.5, (gaps > 0).astype(np.float64)).astype(np.float32)
        wins, ties = int((won == 1.0).sum()), int((won == 0.5).sum())
        rate = interval([float(x) for x in won])
        found.append({"a": a, "b": b, "wins": wins, "ties": ties, "losses": len(won) - wins - ties, "rate": rate})
    return found


def model_figures(
    name: str, answers: Sequence[Run], loads: Sequence[Run], quality: Mapping[str, float], questions: Sequence[Run]
) -> dict[str, Any]:
    """Everything about one model. Times are seconds, of answers that did not fail."""
    mine = [r for r in answers if r["model"] == name]
    good = [r for r in mine if r["error"] is None]
    held = [*good, *(r for r in loads if r["model"] == name)]
    writing = [r for r in good if r["tokens"] and r["seconds"] > r["first_token_seconds"]]
    entered = [r for r in loads if r["model"] == name and r["error"] is None]
    known = {q["id"]: q for q in questions}
    return {
        "name": name,
        "quality": interval(list(quality.values())),
        "scores": {s: _mean(list(by_question(mine, f"scores.{s}").get(name, {}).values())) for s in AUTOMATIC},
        "by_tier": _grouped(quality, known, "tier"),
        "by_language": _grouped(quality, known, "language"),
        "first_token": _spread([r["first_token_seconds"] for r in good]),
        "seconds": _spread([r["seconds"] for r in good]),
        "tokens_per_second": _middle([(r["tokens"] - 1) / (r["seconds"] - r["first_token_seconds"]) for r in writing]),
        "tokens": _mean([r["tokens"] for r in good]),
        "tokens_estimated": any(r["estimated"] for r in good),
        "cut": sum(r["finish"] == "length" for r in good),
        "load_seconds": _middle([r["load_seconds"] for r in entered]),
        "switch_seconds": _middle([r["unload_seconds"] + r["load_seconds"] for r in entered if r["after"]]),
        "memory_bytes": _most([r["memory_bytes"] for r in held]),
        "gpu_bytes": _most([r["gpu_bytes"] for r in held]),
        "cpu_seconds": _mean([r["cpu_seconds"] for r in good if r["cpu_seconds"] is not None]),
        "answers": len(mine),
        "failures": len(mine) - len(good),
        "errors": sorted({r["error"]["message"] for r in mine if r["error"] is not None})[:3],
        "declined": sum(bool(r["scores"].get("declined")) for r in mine),
        "varied": _varied(good),
    }


def ratings_of(name: str, ratings: Sequence[Run]) -> dict[str, Any] | None:
    """Mean of each criterion on 1 to 5, with the number of rated answers."""
    mine = [r for r in latest(ratings) if r["model"] == name and r["scores"]]
    if not mine:
        return None
    criteria = {c: _mean([r["scores"][c] for r in mine if c in r["scores"]]) for c in CRITERIA}
    return {"answers": len(mine), "raters": len({r["rater"] for r in mine}), "criteria": criteria}


def _grouped(quality: Mapping[str, float], known: Mapping[str, Run], key: str) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for question, value in quality.items():
        groups.setdefault(known[question][key], []).append(value)
    return {group: fmean(values) for group, values in sorted(groups.items())}


def _varied(answers: Sequence[Run]) -> int:
    """Questions to which repeats gave different words."""
    said: dict[str, set[str]] = {}
    for run in answers:
        said.setdefault(run["question"], set()).add(run["text"])
    return sum(len(texts) > 1 for texts in said.values())


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95)} if values else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _most(values: Sequence[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return max(known) if known else None
