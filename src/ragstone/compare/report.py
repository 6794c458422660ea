"""The report of a comparison: one value, written as JSON, Markdown and a page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DamagedFile, InputError, NotFound
from . import figures, journal
from .decision import decide, recommend

_FIGURES = (
    ("quality", "quality", "", True),
    ("topics", "scores.topics", "", True),
    ("first token, median", "first_token.p50", "s", False),
    ("whole answer, median", "seconds.p50", "s", False),
    ("whole answer, 95 %", "seconds.p95", "s", False),
    ("tokens per second", "tokens_per_second", "", True),
    ("load", "load_seconds", "s", False),
    ("switch", "switch_seconds", "s", False),
    ("CPU per answer", "cpu_seconds", "s", False),
    ("memory", "memory_bytes", "B", False),
    ("GPU memory", "gpu_bytes", "B", False),
)
"""What is set side by side with an older report: words, place, unit, whether more is better."""
EXTRACTIVE = "extractive"
MOVED = 0.10
"""Relative change of a time or size below which it is called the same: these machines do other things too."""


def build(
    folder: Path,
    *,
    weights: Mapping[str, float],
    upkeep: Mapping[str, float] | None = None,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that is known of the comparison in `folder`. Raises NotFound, DamagedFile, InputError."""
    plan = journal.read_plan(folder)
    names = list(plan["same"]["models"])
    if unknown := set(upkeep or {}) - set(names):
        raise InputError(f"No model is called {sorted(unknown)[0]}.", f"There are: {', '.join(names)}.")
    runs = journal.Journal(folder / journal.RUNS).read()
    ratings = journal.Journal(folder / journal.RATINGS).read()
    answers = figures.shared(runs, names)
    loads = [r for r in runs if r["kind"] == "load"]
    scored = figures.by_question(answers, "scores.quality")
    said = figures.rated(ratings, names)
    people = bool(said) and len(said[names[0]]) >= figures.RATED_ENOUGH
    quality = {m: {q: (v - 1.0) / 4.0 for q, v in row.items()} for m, row in said.items()} if people else scored
    asked = [q for q in plan["questions"] if q["id"] in scored[names[0]]]
    models = []
    for name in names:
        found = figures.model_figures(name, answers, loads, quality[name], asked)
        kind, window = plan["kinds"][name], plan["windows"][name]
        models.append({**found, "kind": kind, "window": window, "ratings": figures.ratings_of(name, ratings)})
    heads = figures.pairs(quality, names)
    seconds = figures.by_question(answers, "seconds")
    decision = decide(models, quality, seconds, weights, plan["kinds"], upkeep or {})
    writing = [m for m in models if m["kind"] != EXTRACTIVE]
    among = None
    if plan["kinds"][decision["order"][0]] == EXTRACTIVE and len(writing) > 1:
        theirs = {m["name"]: quality[m["name"]] for m in writing}
        among = decide(writing, theirs, seconds, weights, plan["kinds"], upkeep or {})
    expected = len(names) * plan["same"]["repeats"] * len(plan["questions"])
    complete = len(answers) == expected
    return {
        **{key: plan[key] for key in ("version", "commit", "time", "machine", "sets")},
        "setup": plan["same"],
        "complete": complete,
        "answers": len(answers),
        "rated": people,
        "questions": [_question(q, answers, names) for q in asked],
        "models": models,
        "pairs": heads,
        "decision": decision,
        "recommendation": recommend(
            decision, models, heads, asked=len(quality[names[0]]), people=people, complete=complete, among=among
        ),
        "before": None if before is None else _before(before, models),
        "before_origin": None if before is None else {k: before.get(k) for k in ("commit", "time", "machine", "setup")},
    }


def _question(
    question: Mapping[str, Any], answers: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    mine = [r for r in answers if r["question"] == question["id"]]
    by_model = {}
    for name in names:
        runs = sorted((r for r in mine if r["model"] == name), key=lambda r: int(r["round"]))
        first = runs[0]
        by_model[name] = {
            "quality": sum(r["scores"]["quality"] for r in runs) / len(runs),
            "seconds": [r.get("seconds") for r in runs],
            "first_token_seconds": [r.get("first_token_seconds") for r in runs],
            **{key: first.get(key) for key in ("shown", "scores", "citations", "finish", "error")},
        }
    return {**question, "models": by_model}


def _before(old: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every figure that both reports have of a model of the same name."""
    earlier = {m["name"]: m for m in old["models"]}
    rows = []
    for model in models:
        for words, place, unit, more in _FIGURES if model["name"] in earlier else ():
            was, now = _at(earlier[model["name"]], place), _at(model, place)
            if was is None or now is None:
                continue
            row = {"model": model["name"], "figure": words, "unit": unit, "before": was, "after": now}
            rows.append(
                {
                    **row,
                    "change": (now - was) / was if was else None,
                    "verdict": _moved(was, now, more, place, old, model),
                }
            )
    return rows


def _at(model: Mapping[str, Any], place: str) -> float | None:
    value: Any = model
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, int | float) else None


def _moved(was: float, now: float, more: bool, place: str, old: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """better, worse or same. Quality has moved where neither mean lies in the other's interval."""
    if place == "quality":
        then, here = next(m for m in old["models"] if m["name"] == model["name"])["quality"], model["quality"]
        if then["low"] <= now <= then["high"] or here["low"] <= was <= here["high"]:
            return "same"
    elif abs(now - was) <= MOVED * max(abs(was), 1e-9):
        return "same"
    return "better" if (now > was) == more else "worse"


def load_report(path: Path) -> dict[str, Any]:
    """An older report.json. Raises NotFound, DamagedFile."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        for model in report["models"]:
            _ = model["name"], model["quality"]["mean"], model["quality"]["low"], model["quality"]["high"]
    except FileNotFoundError:
        raise NotFound(f"There is no report {path}.", "Name the report.json of a comparison.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{path} is not the report of a comparison.", "Name a report.json of `compare`.") from error
    return dict(report)


def write(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """report.html, report.md and report.json, each replaced in one step."""
    from .markdown import markdown
    from .page import page

    texts = {
        "report.html": page(report),
        "report.md": markdown(report),
        "report.json": json.dumps(report, ensure_ascii=False, indent=1) + "\n",
    }
    written = []
    for name, text in texts.items():
        path = folder / name
        try:
            temporary = path.with_suffix(path.suffix + ".new")
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
            temporary.replace(path)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}.", "Free space, or mend its permissions."
            ) from error
        written.append(path)
    return written
