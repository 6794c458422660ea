"""The tools of the knowledge graph over `ragstone mcp`, and the modes of a search that use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ragstone
from mcp_wire import Wire

TEXT = (
    "Der Baustein FB_Timer7 startet die Pumpe P77. Die Pumpe P77 füllt den Behälter B78.\n\n"
    "Der Behälter B78 braucht das Ventil V79.\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph") / "data"
    with ragstone.open(folder) as kb:
        kb.add_texts([("timers.txt", "", TEXT, {})])
        kb.embed_pending()
        kb.graph.build()
    return folder


@pytest.fixture(scope="module")
def wire(data: Path) -> Iterator[Wire]:
    made = Wire(data)
    made.hello()
    yield made
    assert made.close() == 0


def content(result: Any) -> Any:
    assert not result.get("isError"), result
    return result["structuredContent"]


def test_entities_their_neighbours_and_the_way_between(wire: Wire) -> None:
    found = content(wire.tool("graph_find", name="timer"))["entities"]
    assert found[0]["name"].endswith("FB_Timer7")
    around = content(wire.tool("graph_neighbours", entity="FB_Timer7", labelled=True))
    assert any(c["label"] == "startet" and "P77" in c["tail"] for c in around["connections"])
    place = around["passages"][0]
    assert place["uri"] == "timers.txt"
    assert "FB_Timer7" in TEXT[place["start"] : place["end"]]
    way = wire.tool("graph_path", start=found[0]["id"], end="V79")
    steps = content(way)["steps"]
    assert content(way)["found"]
    assert "V79" in f"{steps[-1]['head']} {steps[-1]['tail']}"
    assert all(step["passages"] for step in steps)
    assert "timers.txt" in way["content"][0]["text"]


def test_what_is_not_named_is_told_with_tools(wire: Wire) -> None:
    fault = wire.tool("graph_neighbours", entity="FB_Timer")["structuredContent"]["error"]
    assert fault["code"] == "NotFound"
    assert "ragstone graph" not in f"{fault['detail']} {fault['hint']}"
    assert content(wire.tool("graph_find", name="xylophone quartz"))["entities"] == []


def test_only_who_may_write_merges(data: Path, wire: Wire) -> None:
    merged = content(wire.tool("graph_merge", a="P77", b="V79"))["entities"][0]
    assert len(merged["aliases"]) >= 1
    parts = content(wire.tool("graph_split", entity=merged["id"], alias="V79"))["entities"]
    assert len(parts) == 2
    reader = Wire(data, "--read-only")
    reader.hello()
    names = {tool["name"] for tool in reader.ask("tools/list")["result"]["tools"]}
    assert {"graph_find", "graph_neighbours", "graph_path"} <= names
    assert not {"graph_merge", "graph_split"} & names
    assert content(reader.tool("graph_find", name="P77"))["entities"]
    assert reader.close() == 0


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense", "mixed", "graph", "global"])
def test_every_mode_finds_it(wire: Wire, mode: str) -> None:
    hits = content(wire.tool("search", query="Was startet FB_Timer7?", mode=mode))["passages"]
    assert [hit["uri"] for hit in hits[:1]] == ["timers.txt"]
