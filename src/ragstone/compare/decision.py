"""Which model to use: points by criterion, their weighted total, and a recommendation that says when it is none.

Each criterion is a number in [0, 1] on a scale of its own, not relative to the other models, so that a further model
changes nobody's points:

quality       as measured, or (mean rating - 1) / 4 where people have rated enough
speed         median seconds to the whole answer: 1 at one second, 0 at a minute, evenly by ratio between
switch        seconds to unload another model and load this one, on the same scale
memory        most memory of machine and GPU: 1 up to 0.25 GB, 0 from 64 GB, evenly by ratio; 1 where it is elsewhere
maintenance   by what has to be looked after (MAINTENANCE), a judgement that `--maintenance` overrides
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import SURE, Grid, resamples

CRITERIA = ("quality", "speed", "switch", "memory", "maintenance")
MAINTENANCE = {"extractive": 1.0, "gguf": 0.75, "service": 0.5, "remote": 0.25}
"""Nothing; a file; a service of one's own; an account elsewhere, with prices and a network."""
MAINTENANCE_WORDS = {
    "extractive": "no model to keep",
    "gguf": "one file, run by Ragstone",
    "service": "a service to keep running",
    "remote": "an account, a price and a network",
}
ENOUGH_QUESTIONS = 10
"""Below, no difference is called decided."""
GOOD_ENOUGH = 0.6
"""Quality below which a model should not answer unwatched."""
_SECONDS = (1.0, 60.0)
_BYTES = (0.25e9, 64e9)


def decide(
    models: Sequence[Mapping[str, Any]],
    quality: Grid,
    seconds: Grid,
    weights: Mapping[str, float],
    kinds: Mapping[str, str],
    upkeep: Mapping[str, float],
) -> dict[str, Any]:
    """Points, totals out of 100 with 95 % intervals over the questions, and how often each model came first."""
    whole = sum(weights[c] for c in CRITERIA)
    share = {c: weights[c] / whole if whole else 1.0 / len(CRITERIA) for c in CRITERIA}
    points = {m["name"]: _points(m, kinds[m["name"]], upkeep) for m in models}
    asked = list(next(iter(quality.values())))
    rows = resamples(len(asked))
    drawn: dict[str, Any] = {}
    for name, row in points.items():
        fixed = sum(share[c] * row[c] for c in ("switch", "memory", "maintenance"))
        good = np.asarray([quality[name][q] for q in asked])[rows].mean(axis=1)
        times = np.asarray([seconds.get(name, {}).get(q, math.nan) for q in asked])[rows]
        fast = np.asarray([_falling(t, *_SECONDS) for t in _medians(times)])
        drawn[name] = 100.0 * (fixed + share["quality"] * good + share["speed"] * fast)
    together = np.stack([drawn[name] for name in points])
    first = together.argmax(axis=0)
    totals = {
        name: {
            "total": 100.0 * sum(share[c] * row[c] for c in CRITERIA),
            "low": float(np.percentile(drawn[name], SURE[0])),
            "high": float(np.percentile(drawn[name], SURE[1])),
            "first": float((first == i).mean()),
        }
        for i, (name, row) in enumerate(points.items())
    }
    order = sorted(totals, key=lambda name: -totals[name]["total"])
    return {
        "weights": {c: 100.0 * share[c] for c in CRITERIA},
        "points": points,
        "totals": totals,
        "order": order,
        "lead": _lead(drawn[order[0]] - drawn[order[1]], totals, order) if len(order) > 1 else None,
    }


def _points(model: Mapping[str, Any], kind: str, upkeep: Mapping[str, float]) -> dict[str, float]:
    held = (model["memory_bytes"] or 0) + (model["gpu_bytes"] or 0)
    median = model["seconds"]["p50"] if model["seconds"] is not None else math.nan
    switch = model["switch_seconds"] if model["switch_seconds"] is not None else model["load_seconds"]
    return {
        "quality": model["quality"]["mean"],
        "speed": _falling(median, *_SECONDS),
        "switch": _falling(math.nan if switch is None else switch, *_SECONDS),
        "memory": _falling(held, *_BYTES),
        "maintenance": upkeep.get(model["name"], MAINTENANCE[kind]),
    }


def _falling(value: float, best: float, worst: float) -> float:
    """1 up to `best`, 0 from `worst`, even by ratio between; 0 for what was never measured."""
    if math.isnan(value):
        return 0.0
    return 1.0 - min(1.0, max(0.0, math.log(max(value, best) / best) / math.log(worst / best)))


def _medians(times: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """The median of each row without its gaps; NaN where there is nothing."""
    return [float(np.median(row[~np.isnan(row)])) if not np.isnan(row).all() else math.nan for row in times]


def _lead(
    gaps: np.ndarray[Any, np.dtype[np.float64]], totals: Mapping[str, Mapping[str, float]], order: Sequence[str]
) -> dict[str, float]:
    low, high = np.percentile(gaps, SURE)
    return {
        "points": totals[order[0]]["total"] - totals[order[1]]["total"],
        "low": float(low),
        "high": float(high),
    }


def recommend(
    decision: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    *,
    asked: int,
    people: bool,
    complete: bool,
    among: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The text of the report's first lines. `asked`: questions that were compared; `people`: quality is rated;
    `among`: the decision among the models that write, where extractive answers came first."""
    by_name = {m["name"]: m for m in models}
    order, lead = decision["order"], decision["lead"]
    best = by_name[order[0]]
    decided, _ = _decided(decision, asked)
    text = [_verdict(decision, decided, asked), _reasons(best)]
    if lead is not None:
        text += _head_to_head(order, pairs)
        leader = max(models, key=lambda m: m["quality"]["mean"])["name"]
        if leader != order[0]:
            text.append(f"By quality alone {leader} would come first.")
    text += _languages(models)
    if among is not None:
        leader = by_name[among["order"][0]]
        text.append(f"Among those that write: {_verdict(among, *_decided(among, asked))}{_warning(leader)}")
    if warning := _warning(best):
        text.append(warning.strip())
    for model in models:
        if model["failures"]:
            text.append(f"{model['name']} failed on {model['failures']} of {model['answers']} answers, which count 0.")
    if not people:
        text.append(
            "Quality is automatic (words, numbers, cited spans): no person has rated enough of these answers. Rate "
            "them with `ragstone compare rate` before the choice matters."
        )
    if not complete:
        text.append("The comparison was interrupted; only what every model has answered counts.")
    return {"decided": decided, "best": order[0], "text": text}


def _decided(decision: Mapping[str, Any], asked: int) -> tuple[bool, int]:
    lead = decision["lead"]
    return lead is not None and lead["low"] > 0.0 and asked >= ENOUGH_QUESTIONS, asked


def _verdict(decision: Mapping[str, Any], decided: bool, asked: int) -> str:
    order, totals, lead = decision["order"], decision["totals"], decision["lead"]
    if lead is None:
        return f"Only {order[0]} was measured: {totals[order[0]]['total']:.0f} of 100 points, and nothing to compare."
    gap = f"{lead['points']:.0f} points ahead of {order[1]} (95 % interval {lead['low']:.0f} to {lead['high']:.0f})"
    if decided:
        return f"Use {order[0]}: {totals[order[0]]['total']:.0f} of 100 points, {gap}, over {asked} questions."
    if asked < ENOUGH_QUESTIONS:
        why = f"{asked} questions are too few to call it; ask at least {ENOUGH_QUESTIONS}."
    else:
        spread = (lead["high"] - lead["low"]) / 2.0
        more = math.ceil(asked * (spread / lead["points"]) ** 2) if lead["points"] > 0.1 else 0
        need = f"about {more} questions of this kind would" if asked < more <= 1000 else "more of these would hardly"
        why = f"{asked} questions do not separate them; {need} decide it, and ratings by people may."
    return f"The data do not decide between {order[0]} and {order[1]}: {order[0]} is {gap}. {why}"


def _warning(model: Mapping[str, Any]) -> str:
    quality = model["quality"]["mean"]
    if quality >= GOOD_ENOUGH:
        return ""
    return f" {model['name']} should not answer unwatched: its quality of {quality:.2f} is below {GOOD_ENOUGH}."


def _reasons(best: Mapping[str, Any]) -> str:
    quality = best["quality"]
    held = (best["memory_bytes"] or 0) + (best["gpu_bytes"] or 0)
    parts = [f"quality {quality['mean']:.2f} ({quality['low']:.2f} to {quality['high']:.2f})"]
    if best["seconds"] is not None:
        parts.append(f"half of its answers within {_seconds(best['seconds']['p50'])}")
    parts.append(f"{held / 1e9:.1f} GB of memory" if held else "no memory of its own on this machine")
    return f"{best['name']}: {', '.join(parts)}."


def _head_to_head(order: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    best = order[0]
    said = []
    for pair in pairs:
        if best not in (pair["a"], pair["b"]):
            continue
        mine = pair["a"] == best
        won, lost = (pair["wins"], pair["losses"]) if mine else (pair["losses"], pair["wins"])
        said.append(f"{won} won, {lost} lost, {pair['ties']} even against {pair['b'] if mine else pair['a']}")
    return [f"Question by question {best} has {'; '.join(said)}."] if said else []


def _languages(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where another model is best in one language."""
    languages = sorted({language for m in models for language in m["by_language"]})
    best = {la: max(models, key=lambda m: m["by_language"].get(la, -1.0))["name"] for la in languages}
    if len(set(best.values())) < 2:
        return []
    return ["Best quality by language: " + ", ".join(f"{la}: {name}" for la, name in best.items()) + "."]


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
