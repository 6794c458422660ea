"""Figures, decision and report: failures count, the undecided is called so, what models write is only text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from compared import LIMITS, Scripted, cases_of, contestant, made, plan_of
from ragstone.compare import journal
from ragstone.compare.figures import interval, pairs
from ragstone.compare.report import build, load_report, write
from ragstone.compare.run import measure
from ragstone.errors import DamagedFile, InputError, NotFound
from ragstone.knowledge_base import KnowledgeBase

WEIGHTS = {"quality": 40.0, "speed": 20.0, "switch": 20.0, "memory": 10.0, "maintenance": 10.0}


def test_a_clear_lead_is_decided(tmp_path: Path) -> None:
    report = build(made(tmp_path, {"good": [0.9] * 12, "bad": [0.1] * 12}), weights=WEIGHTS)
    advice = report["recommendation"]
    assert (advice["decided"], advice["best"]) == (True, "good")
    assert advice["text"][0].startswith("Use good")
    assert report["pairs"][0]["rate"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert report["decision"]["totals"]["good"]["first"] == 1.0
    assert sum(report["decision"]["weights"].values()) == pytest.approx(100)


def test_the_data_do_not_decide_between_equals(tmp_path: Path) -> None:
    qualities = {"a": [0.9, 0.1] * 6, "b": [0.1, 0.9] * 5 + [0.9, 0.2]}
    advice = build(made(tmp_path, qualities), weights=WEIGHTS)["recommendation"]
    assert not advice["decided"]
    assert advice["text"][0].startswith("The data do not decide")


def test_few_questions_decide_nothing(tmp_path: Path) -> None:
    advice = build(made(tmp_path, {"a": [0.9] * 4, "b": [0.1] * 4}), weights=WEIGHTS)["recommendation"]
    assert not advice["decided"]
    assert "too few" in advice["text"][0]


def test_a_single_model_is_not_recommended(tmp_path: Path) -> None:
    advice = build(made(tmp_path, {"a": [0.5] * 12}), weights=WEIGHTS)["recommendation"]
    assert not advice["decided"]
    assert any("unwatched" in line for line in advice["text"])


def test_only_what_every_model_answered_counts(tmp_path: Path) -> None:
    folder = made(tmp_path, {"a": [0.9] * 12, "b": [0.1] * 12})
    path = folder / journal.RUNS
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    report = build(folder, weights=WEIGHTS)
    assert not report["complete"]
    assert (report["answers"], len(report["questions"])) == (18, 9)


def test_nothing_to_compare_yet(tmp_path: Path) -> None:
    folder = made(tmp_path, {"a": [0.9]})
    (folder / journal.RUNS).write_text("")
    with pytest.raises(InputError, match="every model yet"):
        build(folder, weights=WEIGHTS)
    with pytest.raises(NotFound):
        build(tmp_path / "none", weights=WEIGHTS)
    with pytest.raises(InputError, match="No model is called"):
        build(made(tmp_path / "m", {"a": [0.9]}), weights=WEIGHTS, upkeep={"z": 1.0})


def test_before_and_after(tmp_path: Path) -> None:
    old = build(made(tmp_path / "old", {"a": [0.1] * 12}, seconds=9.0), weights=WEIGHTS)
    write(tmp_path / "old", old)
    new = build(
        made(tmp_path / "new", {"a": [0.9] * 12}), weights=WEIGHTS, before=load_report(tmp_path / "old/report.json")
    )
    rows = {r["figure"]: (r["before"], r["after"], r["verdict"]) for r in new["before"]}
    assert rows["quality"] == (pytest.approx(0.1), pytest.approx(0.9), "better")
    assert rows["whole answer, median"] == (9.0, 2.0, "better")
    assert rows["load"][2] == "same"
    write(tmp_path / "new", new)
    assert "Before and after" in (tmp_path / "new/report.md").read_text()
    (tmp_path / "x.json").write_text('{"models": [{}]}')
    with pytest.raises(DamagedFile):
        load_report(tmp_path / "x.json")


def test_ratings_of_people_become_the_quality(tmp_path: Path) -> None:
    folder = made(tmp_path, {"a": [0.9] * 12, "b": [0.1] * 12})
    log = journal.Journal(folder / journal.RATINGS)
    for i in range(6):
        for model, score in (("a", 1), ("b", 5)):
            scores = dict.fromkeys(("fluency", "accuracy"), score)
            log.append({"rater": "r", "question": f"q{i}", "model": model, "scores": scores, "time": 0})
    report = build(folder, weights=WEIGHTS)
    assert report["rated"]
    assert [m["quality"]["mean"] for m in report["models"]] == [0.0, 1.0]
    assert report["models"][1]["ratings"]["criteria"]["fluency"] == 5.0
    write(folder, report)
    assert "Ratings" in (folder / "report.md").read_text()


def test_the_page_needs_nothing_else_and_shows_answers_as_text(kb: KnowledgeBase, tmp_path: Path) -> None:
    cases, evil = cases_of(kb), "<script>alert(1)</script> | <img src=http://x.example/> every 4,000 hours."
    folder = tmp_path / "out"
    journal.begin(folder, plan_of(cases, ["evil & <b>", "extractive"]))
    both = [contestant("evil & <b>", Scripted(evil)), contestant("extractive", None)]
    measure(folder, both, cases, kb.embedder(), LIMITS)
    written = write(folder, build(folder, weights=WEIGHTS))
    assert [p.name for p in written] == ["report.html", "report.md", "report.json"]
    html = written[0].read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", re.sub(r"&lt;.*?&gt;", "", html))
    for svg in re.findall(r"<svg.*?</svg>", html, re.S):
        fromstring(svg)
    assert html.count("<svg") == 6
    json.loads(written[2].read_text())


def test_intervals_are_the_same_every_time_and_hold_the_mean() -> None:
    one, two = interval([0.0, 1.0, 1.0, 0.0]), interval([0.0, 1.0, 1.0, 0.0])
    assert one == two
    assert one["low"] <= one["mean"] == 0.5 <= one["high"]


def test_close_qualities_are_even() -> None:
    quality: dict[str, Any] = {"a": {"x": 0.50, "y": 1.0}, "b": {"x": 0.53, "y": 0.0}}
    (pair,) = pairs(quality, ["a", "b"])
    assert (pair["wins"], pair["ties"], pair["losses"], pair["rate"]["mean"]) == (1, 1, 0, 0.75)
