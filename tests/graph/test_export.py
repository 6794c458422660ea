"""The graph as a file that other programs read."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragstone
from ragstone import KnowledgeBase
from ragstone.graph.export import Counted, exported
from ragstone.graph_records import GraphEdgeRecord, GraphEntityRecord
from schema_check import mismatches

TEXT = "The timer T5 restarts the pump P3. The pump P3 feeds the tank <B&C>. \x0c The tank <B&C> has the sensor S9."
NAMESPACE = "{http://graphml.graphdrawing.org/xmlns}"


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with ragstone.open(tmp_path_factory.mktemp("graph") / "data", overrides={"embedding.background": False}) as kb:
        kb.add_texts([("plant/timers", "Timers", TEXT, {}), ("plant/pumps", "Pumps", "The pump P3 stands in hall 7.", {})])
        kb.graph.build()
        yield kb


@pytest.mark.parametrize("evidence", [False, True])
def test_json_holds_every_entity_and_edge_once(kb: KnowledgeBase, evidence: bool) -> None:
    counted = Counted()
    whole = json.loads("".join(exported(kb.graph, kb.store, "default", "json", evidence=evidence, counted=counted)))
    (status,) = kb.graph.status("default")
    assert (len(whole["entities"]), len(whole["edges"])) == (status.entities, status.edges)
    assert (counted.entities, counted.edges) == (status.entities, status.edges)
    assert not [m for e in whole["entities"] for m in mismatches(e, GraphEntityRecord)]
    assert not [m for e in whole["edges"] for m in mismatches(e, GraphEdgeRecord)]
    assert len({frozenset((e["head"], e["tail"])) for e in whole["edges"]}) == status.edges
    texts = {uri: kb.store.document_text(kb.document(uri).id) for uri in ("plant/timers", "plant/pumps")}
    shown = [one for edge in whole["edges"] for one in edge["evidence"]]
    assert bool(shown) is evidence
    assert all(texts[one["uri"]][one["start"] : one["end"]] == one["text"] for one in shown)


def test_graphml_is_read_by_others(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = tmp_path / "graph.graphml"
    path.write_text("".join(exported(kb.graph, kb.store, "default", "graphml", evidence=True)), encoding="utf-8")
    (status,) = kb.graph.status("default")
    root = ET.parse(path).getroot()  # noqa: S314 - this program wrote it
    keys = {key.get("id"): key for key in root.iter(f"{NAMESPACE}key")}
    nodes = {node.get("id") for node in root.iter(f"{NAMESPACE}node")}
    edges = list(root.iter(f"{NAMESPACE}edge"))
    assert (len(nodes), len(edges)) == (status.entities, status.edges)
    assert all({edge.get("source"), edge.get("target")} <= nodes for edge in edges)
    assert {data.get("key") for data in root.iter(f"{NAMESPACE}data")} <= set(keys)
    names = [data.text for data in root.iter(f"{NAMESPACE}data") if data.get("key") == "node-name"]
    assert any("P3" in (name or "") for name in names)


def test_networkx_reads_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx", reason="another reader of GraphML")
    path = tmp_path / "graph.graphml"
    path.write_text("".join(exported(kb.graph, kb.store, "default", "graphml")), encoding="utf-8")
    (status,) = kb.graph.status("default")
    read = networkx.read_graphml(path)
    assert (read.number_of_nodes(), read.number_of_edges()) == (status.entities, status.edges)
    assert all(data["weight"] > 0 for _, _, data in read.edges(data=True))
