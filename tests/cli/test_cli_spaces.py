"""Spaces on the command line, with the two packaged models."""

from __future__ import annotations

from pathlib import Path

from command_line import CommandLine
from ragstone.cli.records import printed as records
from schema_check import mismatches


def held(outcome, record):  # type: ignore[no-untyped-def]
    assert outcome.code == 0, outcome.err
    assert mismatches(outcome.json, record) == []
    return outcome.json


def roles(outcome) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return {space["model"]: space["role"] for space in held(outcome, records.SpacesRecord)["spaces"]}


def test_the_way_of_a_new_model(ragstone: CommandLine, documents: Path, tmp_path: Path) -> None:
    e5, minilm = "multilingual-e5-small", "all-minilm-l6-v2"
    assert ragstone("spaces", "list").code == 3
    assert ragstone("add", str(documents), "--embed").code == 0
    assert roles(ragstone("spaces", "list", "--json")) == {e5: "active"}
    assert roles(ragstone("spaces", "add", minilm, "--no-wait", "--json")) == {e5: "active", minilm: "building"}
    refused = ragstone("spaces", "switch", "--json")
    assert (refused.code, refused.error["code"]) == (2, "InputError")
    assert "--partial" in refused.error["hint"]
    added = held(ragstone("spaces", "add", minilm, "--json"), records.SpacesRecord)["spaces"]
    assert [space["waiting"] for space in added] == [0, 0]
    questions = tmp_path / "questions.txt"
    questions.write_text("How often is the boiler descaled?\nWie oft wird der Filter gewechselt?\n")
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\n1\tboiler\t1\n")
    judged = ragstone("spaces", "judge", "--questions", str(questions), "--qrels", str(qrels), "--json")
    assert held(judged, records.JudgeRecord)["modes"]["hybrid"]["judged"]["questions"] == 1
    assert "times as long" in ragstone("spaces", "judge", "--questions", str(questions)).out
    assert ragstone("spaces", "judge").code == 2
    assert ragstone("ask", "How often is the boiler descaled?", "--set", "cache.prewarm=5").code == 0
    assert held(ragstone("spaces", "judge", "--json"), records.JudgeRecord)["questions"] == 1

    assert roles(ragstone("spaces", "switch", "--json")) == {minilm: "active", e5: "kept"}
    found = held(ragstone("search", "boiler", "--json"), records.SearchRecord)
    assert found["spaces"]["default"][0].startswith(minilm)
    backups = str(tmp_path / "backups")
    assert ragstone("backup", backups).code == 0
    assert roles(ragstone("spaces", "rollback", "--json")) == {e5: "active", minilm: "kept"}
    assert roles(ragstone("spaces", "prefer", minilm, "--json")) == {e5: "active", minilm: "preferred"}
    assert len(held(ragstone("search", "boiler", "--json"), records.SearchRecord)["spaces"]["default"]) == 2
    assert roles(ragstone("spaces", "prefer", "--off", "--json")) == {e5: "active", minilm: "building"}
    assert ragstone("spaces", "prefer").code == 2
    assert roles(ragstone("spaces", "drop", minilm, "--json")) == {e5: "active"}
    assert ragstone("spaces", "drop", e5).code == 2
    assert ragstone("spaces", "drop", "unknown").code == 3
    assert ragstone("verify").code == 0

    assert ragstone("restore", backups, "--replace").code == 0
    assert roles(ragstone("spaces", "list", "--json")) == {minilm: "active", e5: "kept"}
    assert ragstone("verify").code == 0
    doctor = ragstone("doctor", "--json").json
    (check,) = [check for check in doctor["checks"] if check["name"] == "spaces"]
    assert check["state"] == "note"
    assert "searched in all-minilm" in check["detail"]
