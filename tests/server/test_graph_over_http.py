"""The knowledge graph over HTTP: what is told fits the store, decisions hold, and an export is whole."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from model_servers import serving
from passage_reader import Reading, calls, script
from ragstone.graph_records import GraphCommunitiesRecord, GraphDeepenDetail, GraphEntitiesRecord, GraphStatusDetail
from ragstone.server.routes.graph import EdgeDetail, EvidenceList, Neighbourhood, PathItem
from ragstone.server.routes.graph_map import GraphMap
from schema_check import mismatches
from served import served
from server.conftest import Running
from server.test_routes import problem

TEXT = (
    "Der Baustein FB_Timer7 startet die Pumpe P77. Die Pumpe P77 füllt den Behälter B78. "
    "Der Behälter B78 braucht das Ventil V79."
)
GRAPH = "/v1/collections/plant/graph"


@pytest.fixture(scope="module")
def plant(running: Running) -> Iterator[httpx2.Client]:
    with running.local() as client:
        documents = [{"uri": "plant/timers", "title": "Timers", "text": TEXT}]
        client.post("/v1/collections/plant/documents:batch?wait=30", json={"documents": documents})
        built = client.post(f"{GRAPH}:build?wait=30")
        assert (built.status_code, built.json()["state"]) == (202, "done"), built.text
        assert not mismatches(built.json()["result"], GraphStatusDetail)
        yield client


def told(client: httpx2.Client, rest: str, kind: object, **query: object) -> dict:
    answer = client.get(GRAPH + rest, params=query)
    assert answer.status_code == 200, answer.text
    assert not mismatches(answer.json(), kind)
    return answer.json()


def id_of(client: httpx2.Client, name: str) -> str:
    return told(client, "/entities", GraphEntitiesRecord, q=name)["entities"][0]["id"]


def test_an_entity_its_edges_and_the_passages_behind_them(plant: httpx2.Client) -> None:
    status = told(plant, "", GraphStatusDetail)
    assert status["waiting"] == 0 < status["entities"]
    timer = id_of(plant, "FB_Timer7")
    near = told(plant, f"/entities/{timer}", Neighbourhood)
    edge = next(e for e in near["edges"] if e["label"] == "startet")
    shown = told(plant, f"/entities/{edge['head']}/edges/{edge['tail']}", EdgeDetail)
    assert [e["id"] for e in shown["entities"]] == [edge["head"], edge["tail"]]
    turned = told(plant, f"/entities/{edge['tail']}/edges/{edge['head']}", EdgeDetail)
    assert turned == shown
    first = shown["evidence"][0]
    assert first["forward"]
    span = plant.get(f"/v1/documents/{first['document_id']}/text", params={"start": first["start"], "end": first["end"]})
    assert span.json()["text"] == first["text"]
    assert "startet" in first["text"]
    mentions = told(plant, f"/entities/{timer}/mentions", EvidenceList)["items"]
    assert "FB_Timer7" in mentions[0]["text"]
    labelled = told(plant, f"/entities/{timer}", Neighbourhood, labelled=True)
    assert labelled["edges"]
    assert all(e["label"] for e in labelled["edges"])
    assert told(plant, f"/entities/{timer}", Neighbourhood, limit=1)["truncated"] is (len(near["neighbours"]) > 1)


def test_a_path_and_a_map_and_communities(plant: httpx2.Client) -> None:
    start, end = id_of(plant, "FB_Timer7"), id_of(plant, "V79")
    way = told(plant, "/path", PathItem, start=start, end=end)
    assert [way["entities"][0]["id"], way["entities"][-1]["id"]] == [start, end]
    assert len(way["edges"]) == len(way["entities"]) - 1
    assert all(edge["evidence"] for edge in way["edges"])
    shown = told(plant, "/map", GraphMap, limit=1000)
    status = told(plant, "", GraphStatusDetail)
    assert (len(shown["entities"]), len(shown["labels"])) == (status["entities"], status["edges"])
    assert len(set(zip(shown["x"], shown["y"], strict=True))) == status["entities"]
    sizes = [shown["community"].count(number) for number in range(len(shown["communities"]))]
    assert sizes == [one["size"] for one in shown["communities"]]
    assert shown["hidden"] == 0
    assert told(plant, "/map", GraphMap, limit=600)["labels"] is None or status["entities"] <= 500
    small = told(plant, "/map", GraphMap, limit=2)
    assert small["truncated"]
    assert max([*small["heads"], *small["tails"]], default=0) < 2
    told(plant, "/communities", GraphCommunitiesRecord)
    assert told(plant, "/entities", GraphEntitiesRecord, limit=2)["entities"] == small["entities"]


def test_decisions_hold_until_they_are_withdrawn(plant: httpx2.Client) -> None:
    a, b = id_of(plant, "P77"), id_of(plant, "B78")
    merged = plant.post(f"{GRAPH}:merge", json={"a": a, "b": b})
    assert not mismatches(merged.json(), GraphEntitiesRecord)
    assert id_of(plant, "P77") == id_of(plant, "B78")
    (made,) = merged.json()["entities"]
    parts = plant.post(f"{GRAPH}:split", json={"entity": made["id"], "alias": "B78"})
    if parts.status_code == 200:
        assert len(parts.json()["entities"]) == 2
    assert plant.get(f"{GRAPH}/decisions").json()["decisions"][0]["by"]
    left = plant.post(f"{GRAPH}:withdraw", json={"a": a})
    assert left.json()["decisions"] == []
    assert id_of(plant, "P77") == a
    explained = plant.get(f"{GRAPH}/explanation", params={"a": "P77", "b": "B78"})
    assert explained.json()["same"] is False
    audit = [e["action"] for e in plant.get("/v1/audit?limit=5").json()["items"]]
    assert {"graph.merge", "graph.withdraw"} <= set(audit)
    problem(plant.post(f"{GRAPH}:withdraw", json={"a": a}), 404, "NotFound")


def test_an_export_is_whole(plant: httpx2.Client) -> None:
    status = told(plant, "", GraphStatusDetail)
    whole = plant.get(f"{GRAPH}/export", params={"format": "json", "evidence": True})
    assert whole.headers["content-type"] == "application/json"
    read = json.loads(whole.content)
    assert (len(read["entities"]), len(read["edges"])) == (status["entities"], status["edges"])
    graphml = plant.get(f"{GRAPH}/export")
    root = ET.fromstring(graphml.content)  # noqa: S314 - this server wrote it
    assert len(list(root.iter("{http://graphml.graphdrawing.org/xmlns}node"))) == status["entities"]
    problem(plant.get("/v1/collections/nowhere/graph/export"), 404, "NotFound")
    problem(plant.get(f"{GRAPH}/export", params={"format": "dot"}), 400, "InputError")


def test_what_is_unchanged_is_not_sent_again(plant: httpx2.Client) -> None:
    first = plant.get(f"{GRAPH}/map")
    again = plant.get(f"{GRAPH}/map", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_not_there(plant: httpx2.Client, running: Running) -> None:
    there = id_of(plant, "V79")
    problem(plant.get(f"{GRAPH}/entities/none"), 404, "NotFound")
    problem(plant.get(f"{GRAPH}/entities/{there}/edges/none"), 404, "NotFound")
    problem(plant.get(f"{GRAPH}/path", params={"start": there, "end": "none"}), 404, "NotFound")
    problem(plant.get("/v1/collections/nowhere/graph"), 404, "NotFound")
    problem(plant.post("/v1/collections/nowhere/graph:build"), 404, "NotFound")
    with running.client(running.key("read")) as reader:
        assert reader.get(GRAPH).status_code == 200
        assert reader.post(f"{GRAPH}:merge", json={"a": there, "b": there}).status_code == 403


def test_a_language_model_reads_as_a_job_that_can_be_cancelled(tmp_path: Path) -> None:
    asked = script(pause=0.04)
    chosen = ["graph.batch=1", "graph.model=openai:m"]
    with serving(Reading, asked) as url:
        chosen.append(f"answer.base_url={url}/v1")
        with served(tmp_path / "data", *(part for one in chosen for part in ("--set", one))) as server:
            texts = [(f"doc:{n}", "", f"In the plant, valve {n} throttles tank {n + 500} at night.") for n in range(60)]
            server.put(texts)
            place = "/v1/collections/default/graph"
            done = server.ask(f"{place}:deepen?wait=30&limit=2", "POST").json()
            assert done["state"] == "done", done
            assert not mismatches(done["result"], GraphDeepenDetail)
            assert (done["result"]["read"], len(calls(asked))) == (2, 2)
            job = server.ask(f"{place}:deepen", "POST").json()["id"]
            while len(calls(asked)) < 5:
                assert server.ask(f"/v1/jobs/{job}").json()["state"] in ("queued", "running")
            assert server.ask(f"/v1/jobs/{job}/cancel", "POST").status_code == 200
            ended = server.ask(f"/v1/jobs/{job}?wait=30").json()
            while ended["state"] not in ("cancelled", "done", "failed"):
                ended = server.ask(f"/v1/jobs/{job}?wait=30").json()
            assert ended["state"] == "cancelled"
            assert 2 < server.ask(place).json()["deepened"] < 60


def test_without_a_language_model_the_job_says_so(plant: httpx2.Client) -> None:
    job = plant.post(f"{GRAPH}:deepen?wait=30").json()
    assert (job["state"], job["failures"][-1]["code"]) == ("failed", "SettingsError"), job
