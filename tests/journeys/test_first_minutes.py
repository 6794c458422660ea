"""What a person does in the first minutes, with the real model: demo, ask, edit, ask again, doctor, evaluate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_line import CommandLine
from ragstone.cli.records import printed as records
from schema_check import mismatches

ROOT = Path(__file__).resolve().parents[2]


def test_demo_answers_in_both_languages_with_exact_citations(ragstone: CommandLine) -> None:
    outcome = ragstone("demo", "--json")
    assert outcome.code == 0
    assert mismatches(outcome.json, records.DemoRecord) == []
    german, english = outcome.json["answers"]
    assert (german["language"], english["language"]) == ("de", "en")
    assert "4.000 Betriebsstunden" in german["answer"]
    assert "9.5 bar" in english["answer"]
    for answer in (german, english):
        numbers = {c["number"] for c in answer["citations"]}
        for sentence in answer["sentences"]:
            assert sentence["supported"]
            assert set(sentence["citations"]) <= numbers


def test_demo_in_words(ragstone: CommandLine) -> None:
    outcome = ragstone("demo")
    assert outcome.code == 0
    assert "[1]" in outcome.out
    assert "wartungsplan-pumpwerk.md" in outcome.out
    assert "compressor-manual.pdf" in outcome.out


def test_add_ask_edit_ask(ragstone: CommandLine, documents: Path) -> None:
    added = ragstone("add", str(documents), "--json").json
    assert added["embedded"] > 0
    question = "Wie oft wird der Luftfilter gewechselt?"
    first = ragstone("ask", question, "--json")
    assert mismatches(first.json, records.AnswerRecord) == []
    assert first.json["answered"]
    assert "sechs Monate" in first.json["answer"]
    for citation in first.json["citations"]:
        span = ragstone("show", citation["uri"], "--span", f"{citation['start']}:{citation['end']}", "--json").json
        assert span["text"] == citation["text"]
    file = documents / "filter.md"
    file.write_text(file.read_text(encoding="utf-8").replace("sechs", "neun"), encoding="utf-8")
    synced = ragstone("sync", "--json").json
    assert synced["counts"]["updated"] == 1
    second = ragstone("ask", question, "--json").json
    assert "neun Monate" in second["answer"]
    assert "sechs" not in second["answer"]
    hybrid = ragstone("search", "At what pressure does the valve open?", "--json").json
    assert hybrid["hits"][0]["parts"]["dense"] is not None
    assert ragstone("verify").code == 0


def test_no_evidence_says_so(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents))
    answer = ragstone("ask", "Wer gewann 1954 die Fußball-Weltmeisterschaft?", "--json").json
    assert answer["answered"] is False
    assert answer["citations"] == []


def test_doctor_is_content(ragstone: CommandLine) -> None:
    outcome = ragstone("doctor", "--json")
    assert mismatches(outcome.json, records.DoctorRecord) == []
    failed = [c for c in outcome.json["checks"] if c["state"] == "failed"]
    assert failed == []
    assert outcome.code == 0
    assert {"python", "apsw", "model", "data folder"} <= {c["name"] for c in outcome.json["checks"]}


def test_evaluation_of_a_small_set(ragstone: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    texts = {"d1": "Cats purr when they are content.", "d2": "Dogs bark at strangers.", "d3": "Der Hund bellt laut."}
    queries = {"q1": "why do cats purr", "q2": "barking dogs", "q3": "unjudged"}
    for name, items in (("corpus", texts), ("queries", queries)):
        lines = [json.dumps({"id": key, "title": "", "text": text}) for key, text in items.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    outcome = ragstone("eval", str(folder), "--run", str(tmp_path / "run.txt"), "--json")
    assert outcome.code == 0, outcome.err
    assert mismatches(outcome.json, records.EvaluationRecord) == []
    assert outcome.json["queries"] == 2
    assert outcome.json["modes"]["hybrid"]["ndcg@10"] == pytest.approx(1.0)
    assert set(outcome.json["modes"]) == {"hybrid", "lexical", "dense"}
    assert (tmp_path / "run.txt").read_text().startswith("q1 Q0 d1 1 ")
    modes = ragstone("eval", str(folder), "--graph", "--json").json["modes"]
    assert {mode: figures["passages_ndcg@10"] for mode, figures in modes.items()}["mixed"] == pytest.approx(1.0)
    qa = tmp_path / "qa.jsonl"
    rows = [{"id": "1", "question": "How often is the boiler descaled?", "answers": ["every March"]}]
    qa.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "boiler.txt").write_text("The boiler is descaled every March. Its valve opens at 3.2 bar.\n")
    ragstone("add", str(tmp_path / "boiler.txt"))
    answers = ragstone("eval", "answers", str(qa), "--json")
    assert mismatches(answers.json, records.AnswersRecord) == []
    assert answers.json["grounded"] == 1.0


@contextmanager
def command(*arguments: str, data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, ended with the block. A shell that runs the tests in the background makes its children
    ignore interrupts, and they would hand that on."""
    with subprocess.Popen(
        [sys.executable, "-m", "ragstone", *arguments, "--data", str(data)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_watch_follows_until_it_is_stopped(documents: Path, tmp_path: Path, sent: signal.Signals) -> None:
    with command("watch", str(documents), "--json", data=tmp_path / "data") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["counts"] == {"added": 2}
        (documents / "later.txt").write_text("The cellar key hangs in the hall.\n")
        second = json.loads(process.stdout.readline())
        assert [Path(f["uri"]).name for f in second["files"]] == ["later.txt"]
        assert mismatches(second, records.IngestRecord) == []
        (documents / ".hidden").write_text("Nothing to tell.\n")
        time.sleep(2.5)
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupted_add_keeps_what_it_stored(tmp_path: Path) -> None:
    source = tmp_path / "many"
    source.mkdir()
    for number in range(3000):
        text = f"# Note {number}\n\nThe value of item {number} is {number * 7}.\n" * 20
        (source / f"{number:04}.md").write_text(text)
    with command("add", str(source), "--no-embed", data=tmp_path / "data") as process:
        while process.poll() is None and not (tmp_path / "data" / "ragstone.db").exists():
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    if process.returncode == 130:
        assert err.strip().splitlines()[-1].startswith("error: Interrupted. ")
    assert "Traceback" not in err
    with command("verify", "--json", data=tmp_path / "data") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["clean"] is True
