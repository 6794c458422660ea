"""`ragstone learn`, `intent`, `trajectory` and `eval intent` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import CommandLine
from ragstone.learn_records import IntentRecord, LearnRecord, TrajectoryRecord
from schema_check import mismatches

TURNS = (
    {"role": "user", "content": "The export throws an error when the list is empty."},
    {"role": "assistant", "content": "Checking for an empty list first fixed it."},
    {"role": "user", "content": "Gut. Wir haben beschlossen, leere Listen zu erlauben."},
)


def test_learn_intent_trajectory(ragstone: CommandLine, tmp_path: Path) -> None:
    at = ("--data", str(tmp_path / "data"))
    file = tmp_path / "session.jsonl"
    file.write_text("".join(json.dumps(turn) + "\n" for turn in TURNS) + "{broken\n")
    first = ragstone("learn", str(file), *at, "--json")
    assert first.code == 0, first.stderr
    assert not mismatches(first.json, LearnRecord)
    assert first.json["by_type"] == {"problem": 1, "solution": 1, "decision": 1}
    assert (first.json["broken"], first.json["problems"][0]["line"]) == (1, 4)
    again = ragstone("learn", str(file), *at)
    assert "0 items" in again.err
    assert "leere Listen" in ragstone("recall", "Was haben wir beschlossen?", *at).out
    told = ragstone("intent", "Der Build bricht schon wieder ab.", *at, "--json")
    assert not mismatches(told.json, IntentRecord)
    assert told.json["name"] == "report_problem"
    course = ragstone("trajectory", str(file), *at, "--json")
    assert not mismatches(course.json, TrajectoryRecord)
    assert course.json["course"] == "on track"
    assert ragstone("learn", str(tmp_path / "nothing"), *at).code == 3
    assert ragstone("learn", "-", "--follow", *at).code == 2


def test_eval_intent(ragstone: CommandLine, tmp_path: Path) -> None:
    words = {"lamp": ("lamp", "light", "bulb"), "food": ("pizza", "pasta", "soup")}
    rows = [{"text": f"{verb} the {w}", "intent": i} for i, ws in words.items() for w in ws for verb in ("bring", "get")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "oos.jsonl").write_text('{"text": "Seven is a prime number.", "intent": "oos"}\n')
    done = ragstone("eval", "intent", str(tmp_path), "--examples", "3", "--draws", "2", "--json")
    assert done.code == 0, done.stderr
    assert (done.json["intents"], done.json["judged"], done.json["out_of_scope"]) == (2, 6, 1)
    assert done.json["accuracy"]["mean"] >= 0.5
    assert ragstone("eval", "intent", str(tmp_path), "--examples", "9").code == 2
    (tmp_path / "train.jsonl").write_text("{")
    assert ragstone("eval", "intent", str(tmp_path)).code == 4
