"""The tables of a report, as text: Markdown and the page show the same."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .decision import CRITERIA, MAINTENANCE_WORDS
from .figures import CRITERIA as RUBRIC

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is text, the others are figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(report: Report) -> list[Table]:
    return [
        t for t in (_models(report), _quality(report), _ratings(report), _decision(report), _pairs(report)) if t.rows
    ]


def _models(report: Report) -> Table:
    lines: tuple[tuple[str, Callable[[Report], str]], ...] = (
        ("first token, median", lambda m: seconds(_in(m["first_token"], "p50"))),
        ("first token, 95 %", lambda m: seconds(_in(m["first_token"], "p95"))),
        ("whole answer, median", lambda m: seconds(_in(m["seconds"], "p50"))),
        ("whole answer, 95 %", lambda m: seconds(_in(m["seconds"], "p95"))),
        ("tokens per second", lambda m: number(m["tokens_per_second"], 1) + ("*" if m["tokens_estimated"] else "")),
        ("tokens per answer", lambda m: number(m["tokens"], 0)),
        ("cut off at the limit", lambda m: f"{m['cut']} of {m['answers']}"),
        ("load to first token", lambda m: seconds(m["load_seconds"])),
        ("switch to it", lambda m: seconds(m["switch_seconds"])),
        ("memory of its process", lambda m: size(m["memory_bytes"])),
        ("GPU memory", lambda m: size(m["gpu_bytes"])),
        ("CPU seconds per answer", lambda m: number(m["cpu_seconds"], 1)),
        ("failures", lambda m: f"{m['failures']} of {m['answers']}"),
        ("questions with varying answers", lambda m: f"{m['varied']}"),
    )
    models = report["models"]
    rows = tuple((words, *(figure(m) for m in models)) for words, figure in lines)
    if not any(m["gpu_bytes"] for m in models):
        rows = tuple(row for row in rows if row[0] != "GPU memory")
    starred = " * estimated: the server reports no tokens." if any(m["tokens_estimated"] for m in models) else ""
    note = f"Loading and switching are medians over rounds; – is not measured, or nothing of its own.{starred}"
    return Table("Speed and resources", ("", *(m["name"] for m in models)), rows, note)


def _quality(report: Report) -> Table:
    models = report["models"]
    rows = [("quality", *(_interval(m["quality"]) for m in models))]
    words = {
        "topics": "expected topics said",
        "support": "sentences supported",
        "language": "language right",
        "citations": "citations right",
        "recall": "gold passages cited",
    }
    rows += [(word, *(number(m["scores"][key], 2) for m in models)) for key, word in words.items()]
    for key, word in (("by_tier", "tier"), ("by_language", "language")):
        groups = sorted({g for m in models for g in m[key]})
        rows += [(f"quality, {word} {g}", *(number(m[key].get(g), 2) for m in models)) for g in groups]
    rows.append(("said “no answer”", *(f"{m['declined']} of {m['answers']}" for m in models)))
    source = "Quality is the mean of people's ratings" if report["rated"] else "Quality is automatic"
    note = f"{source}; in brackets its 95 % interval over the questions. All from 0 to 1."
    return Table("Quality", ("", *(m["name"] for m in models)), tuple(rows), note)


def _ratings(report: Report) -> Table:
    models = report["models"]
    if not any(m["ratings"] for m in models):
        return Table("", (), ())
    rows = [(c, *(number(m["ratings"]["criteria"][c], 1) if m["ratings"] else "–" for m in models)) for c in RUBRIC]
    rows.append(("rated answers", *(str(m["ratings"]["answers"] if m["ratings"] else 0) for m in models)))
    note = "People's ratings from 1 to 5, given without knowing whose answer it is."
    return Table("Ratings", ("", *(m["name"] for m in models)), tuple(rows), note)


def _decision(report: Report) -> Table:
    decision, order = report["decision"], report["decision"]["order"]
    kinds = {m["name"]: m["kind"] for m in report["models"]}
    rows = [
        (f"{c} ({decision['weights'][c]:.0f})", *(number(decision["points"][name][c], 2) for name in order))
        for c in CRITERIA
    ]
    rows.append(("total of 100", *(_interval(decision["totals"][name], "total", 0) for name in order)))
    rows.append(("came first", *(f"{decision['totals'][name]['first']:.0%}" for name in order)))
    keep = "; ".join(f"{name}: {MAINTENANCE_WORDS[kinds[name]]}" for name in order)
    note = (
        "Points from 0 to 1, weights in brackets. Speed and switching: 1 at one second, 0 at a minute; memory: 1 up to "
        f"0.25 GB, 0 from 64 GB. Maintenance is a judgement by kind ({keep}). “Came first”: of 2,000 resamplings "
        "of the questions."
    )
    return Table("Decision matrix", ("criterion (weight)", *order), tuple(rows), note)


def _pairs(report: Report) -> Table:
    rows = tuple(
        (f"{p['a']} against {p['b']}", str(p["wins"]), str(p["ties"]), str(p["losses"]), _interval(p["rate"], digits=2))
        for p in report["pairs"]
    )
    note = "Questions won, even (within 0.05) and lost; win rate with even ones counted half, and its 95 % interval."
    return Table("Head to head", ("", "won", "even", "lost", "win rate"), rows, note)


def changes(report: Report) -> Table | None:
    """Before and after, from the two reports."""
    if report["before"] is None:
        return None
    rows = tuple(
        (
            f"{r['model']}: {r['figure']}",
            _with_unit(r["before"], r["unit"]),
            _with_unit(r["after"], r["unit"]),
            "–" if r["change"] is None else f"{r['change']:+.0%}",
            r["verdict"],
        )
        for r in report["before"]
    )
    old = report["before_origin"]
    differing = [k for k in report["setup"] if k != "models" and (old["setup"] or {}).get(k) != report["setup"][k]]
    if (old["machine"] or {}).get("processor") != report["machine"]["processor"]:
        differing.append("machine")
    warning = f" These differ between the two: {', '.join(differing)}." if differing else ""
    note = (
        f"Before: commit {old['commit'] or 'unknown'}, {date(old['time'])}; after: commit "
        f"{report['commit'] or 'unknown'}, {date(report['time'])}. Same: within 10 %, quality within the other's "
        f"interval.{warning}"
    )
    return Table("Before and after", ("", "before", "after", "change", ""), rows, note)


def setup(report: Report) -> list[tuple[str, str]]:
    """How it was measured."""
    machine, plan = report["machine"], report["setup"]
    return [
        ("asked", f"{len(report['questions'])} questions from {', '.join(map(str, report['sets']))}"),
        *((f"model {name}", what) for name, what in plan["models"].items()),
        ("rounds", f"{plan['repeats']}, each model loaded anew in each, in shuffled order (seed {plan['seed']})"),
        ("answers", f"{report['answers']}" + ("" if report["complete"] else " (interrupted)")),
        ("limits", f"{plan['max_tokens']} tokens an answer, {plan['passages']} passages, the same for all"),
        (
            "machine",
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}",
        ),
        (
            "software",
            f"Ragstone {report['version']}, commit {report['commit'] or 'unknown'}, Python {machine['python']}",
        ),
        ("begun", date(report["time"])),
    ]


def date(when: float | None) -> str:
    if when is None:
        return "unknown"
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def size(value: float | None) -> str:
    return f"{value / 1e6:,.0f} MB" if value else "–"


def _with_unit(value: float, unit: str) -> str:
    return {"s": seconds, "B": size}.get(unit, lambda v: number(v, 2))(value)


def _interval(value: Mapping[str, float], key: str = "mean", digits: int = 2) -> str:
    return f"{value[key]:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def _in(value: Mapping[str, float] | None, key: str) -> float | None:
    return None if value is None else value[key]
