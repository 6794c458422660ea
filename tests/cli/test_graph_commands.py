"""`ragstone graph` as a person uses it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from command_line import CommandLine
from model_servers import serving
from passage_reader import Reading, calls, script
from ragstone import graph_records as records
from schema_check import mismatches

TEXT = (
    "Der Baustein FB_Timer7 startet die Pumpe P77. Die Pumpe P77 füllt den Behälter B78.\n\n"
    "Der Behälter B78 braucht das Ventil V79.\n"
)


@pytest.fixture
def graph(ragstone: CommandLine, tmp_path: Path) -> CommandLine:
    """`ragstone graph …` over one document, all of it read."""
    (tmp_path / "timers.txt").write_text(TEXT, encoding="utf-8")
    assert ragstone("add", str(tmp_path / "timers.txt"), "--no-embed", "--quiet").code == 0
    built = ragstone("graph", "build", "--json")
    assert built.code == 0, built.err
    assert not mismatches(built.json, records.GraphStatusRecord)
    assert built.json["collections"][0]["waiting"] == 0
    return lambda *arguments: ragstone("graph", *arguments)


def test_look(graph: CommandLine) -> None:
    status = graph("status", "--json").json["collections"][0]
    assert status["entities"] > 3
    assert graph("find", "timer", "--json").json["entities"][0]["name"].endswith("FB_Timer7")
    shown = graph("show", "FB_Timer7")
    assert "—startet→" in shown.out
    assert "timers.txt: “Der Baustein FB_Timer7 startet" in shown.out
    assert not mismatches(graph("show", "FB_Timer7", "--json").json, records.GraphShowRecord)
    assert not mismatches(graph("communities", "--json").json, records.GraphCommunitiesRecord)
    assert not mismatches(graph("explain", "P77", "B78", "--json").json, records.GraphExplanationRecord)


def test_a_path_is_told_step_by_step(graph: CommandLine) -> None:
    way = graph("path", "FB_Timer7", "V79")
    assert way.code == 0, way.err
    lines = way.out.splitlines()
    assert lines[0].startswith("FB_Timer7 ")
    assert "(timers.txt)" in lines[0]
    assert lines[1].strip().startswith("“")
    read = graph("path", "FB_Timer7", "V79", "--json").json
    assert not mismatches(read, records.GraphPathRecord)
    assert len(read["entities"]) == len(read["edges"]) + 1
    assert graph("path", "FB_Timer7", "V79", "--longest", "1").code in (0, 3)


def test_a_name_that_is_not_there_is_told_with_what_is_near(graph: CommandLine) -> None:
    missed = graph("show", "FB_Timer", "--json")
    assert (missed.code, missed.error["code"]) == (3, "NotFound")
    assert "FB_Timer7" in missed.error["hint"]
    assert graph("show", "FB_Timer7", "--kind", "nonsense", "--json").error["code"] == "InputError"


def test_decisions(graph: CommandLine) -> None:
    merged = graph("merge", "P77", "B78", "--json")
    assert not mismatches(merged.json, records.GraphEntitiesRecord)
    (made,) = merged.json["entities"]
    assert any("B78" in form for form in (made["name"], *made["aliases"]))
    listed = graph("decisions", "--json").json
    assert not mismatches(listed, records.GraphDecisionsRecord)
    assert [one["kind"] for one in listed["decisions"]] == ["merge"]
    assert graph("explain", made["id"], listed["decisions"][0]["b"]).code == 0
    assert graph("withdraw", listed["decisions"][0]["a"]).code == 0
    assert graph("decisions", "--json").json["decisions"] == []
    assert graph("withdraw", "P77", "--json").error["code"] == "NotFound"


def test_export(graph: CommandLine, tmp_path: Path) -> None:
    target = tmp_path / "graph.graphml"
    done = graph("export", str(target), "--evidence", "--json")
    assert not mismatches(done.json, records.GraphExportRecord)
    nodes = list(ET.parse(target).getroot().iter("{http://graphml.graphdrawing.org/xmlns}node"))  # noqa: S314
    assert len(nodes) == done.json["entities"]
    assert graph("export", str(target)).code == 2
    assert graph("export", str(target), "--force").code == 0
    piped = graph("export", "-", "--format", "json")
    assert len(json.loads(piped.out)["entities"]) == len(nodes)
    assert graph("export", str(tmp_path / "graph.dot"), "--json").error["code"] == "InputError"
    assert not list(tmp_path.glob("*.part"))


def test_a_language_model_reads_too(ragstone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "plant.txt").write_text("In the plant, valve 7 throttles tank 9 at night.", encoding="utf-8")
    assert ragstone("add", str(tmp_path / "plant.txt"), "--no-embed", "--quiet").code == 0
    missing = ragstone("graph", "deepen", "--json")
    assert (missing.code, missing.error["code"]) == (2, "SettingsError")
    assert "graph.model" in missing.error["hint"]
    asked = script()
    with serving(Reading, asked) as url:
        chosen = ("--set", "graph.model=openai:m", "--set", f"answer.base_url={url}/v1")
        done = ragstone("graph", "deepen", *chosen)
        assert done.code == 0, done.err
        assert "default: 1 passage read by m, " in done.out
        assert "1 name or words not in the text" in done.err
        again = ragstone("graph", "deepen", "--json", *chosen)
        assert not mismatches(again.json, records.GraphDeepenRecord)
        assert again.json["collections"][0]["read"] == 0
    assert len(calls(asked)) == 1
    assert ragstone("graph", "status", "--json").json["collections"][0]["deepened"] == 1
    assert "—throttles→" in ragstone("graph", "show", "valve 7").out
