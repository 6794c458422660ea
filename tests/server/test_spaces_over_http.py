"""Spaces are changed by jobs."""

from __future__ import annotations

from pathlib import Path

import httpx2

from ragstone.testing import HashEmbedder
from server.conftest import serving
from server.test_routes import problem


def change(client: httpx2.Client, **body: object) -> dict:
    answer = client.post("/v1/collections/default/spaces?wait=30", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def roles(client: httpx2.Client) -> dict[str, str]:
    return {item["role"]: item["space"] for item in client.get("/v1/spaces").json()["items"]}


def test_judge_switch_go_back_prefer_and_drop(tmp_path: Path) -> None:
    with serving(tmp_path) as running, running.local() as client:
        documents = [{"uri": f"n/{i}", "text": f"Note {i} is about pump {i} and valve {i + 1}."} for i in range(8)]
        client.post("/v1/collections/default/documents:batch?wait=30", json={"documents": documents})
        with running.service.tenants.use("default") as kb:
            kb.add_space(HashEmbedder(dimension=48))
        before = roles(client)
        assert set(before) == {"active", "building"}
        judged = change(client, action="judge", questions=["pump 3", "valve 5"])
        assert judged["state"] == "done", judged
        assert (judged["result"]["old"], judged["result"]["new"]) == (before["active"], before["building"])
        assert judged["result"]["questions"] == 2
        assert change(client, action="switch")["state"] == "done"
        assert roles(client) == {"active": before["building"], "kept": before["active"]}
        assert change(client, action="rollback")["state"] == "done"
        assert roles(client)["active"] == before["active"]
        assert change(client, action="prefer", space=before["building"])["state"] == "done"
        assert roles(client)["preferred"] == before["building"]
        assert change(client, action="prefer")["state"] == "done"
        dropped = change(client, action="drop", space=before["building"])
        assert [s["space"] for s in dropped["result"]["spaces"]] == [before["active"]]
        assert [e["action"] for e in client.get("/v1/audit?limit=1").json()["items"]] == ["space.drop"]


def test_what_cannot_be_done(filled: httpx2.Client) -> None:
    failed = change(filled, action="rollback")
    assert (failed["state"], failed["failures"][-1]["code"]) == ("failed", "InputError")
    failed = change(filled, action="add", model="no-such-model")
    assert failed["state"] == "failed"
    problem(filled.post("/v1/collections/default/spaces", json={"action": "add"}), 400, "InputError")
    problem(filled.post("/v1/collections/default/spaces", json={"action": "drop"}), 400, "InputError")
    problem(filled.post("/v1/collections/nowhere/spaces", json={"action": "rollback"}), 404, "NotFound")
