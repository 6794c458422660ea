"""Memory and learning over HTTP, on a real socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx2
import pytest

from server.conftest import Running
from server.test_routes import problem


@pytest.fixture
def client(running: Running) -> Iterator[httpx2.Client]:
    """With a tenant of its own, so that nothing is there."""
    tenant = running.service.accounts.create_tenant("memory").id
    with running.client(running.key("write", tenant=tenant)) as opened:
        yield opened


def said(number: int) -> bytes:
    """A line with one decision that no other line has."""
    words = f"We decided to use {'abcdefghij'[number % 10] * 3}{number} for part {number * 7919}."
    return json.dumps({"role": "user", "content": words}).encode() + b"\n"


def held(client: httpx2.Client, **query: object) -> dict[str, int]:
    items = client.get("/v1/memory/timeline", params={"limit": 100, **query}).raise_for_status().json()["items"]
    return {item["text"]: item["told"] for item in items}


def test_remember_recall_forget(client: httpx2.Client) -> None:
    told = client.post("/v1/memory", json={"text": "We keep the logs for 30 days.", "type": "decision"}).json()
    assert told["outcome"] == "added"
    id = told["item"]["id"]
    found = client.post("/v1/memory:recall", json={"question": "How long do we keep the logs?"}).json()
    assert [hit["item"]["id"] for hit in found["hits"]] == [id]
    assert client.get(f"/v1/memory/items/{id}").json()["type"] == "decision"
    assert client.get("/v1/memory/statistics").json()["by_type"]["decision"] == 1
    assert client.delete(f"/v1/memory/items/{id}").status_code == 204
    problem(client.delete(f"/v1/memory/items/{id}"), 404, "NotFound")
    problem(client.get(f"/v1/memory/items/{id}"), 404, "NotFound")
    assert client.post("/v1/memory:recall", json={"question": "the logs?"}).json()["hits"] == []


def test_history_of_a_key(client: httpx2.Client) -> None:
    for value in ("three", "five"):
        fact = {"kind": "fact", "key": "retry limit", "value": value, "project": "press"}
        told = client.post("/v1/memory", json=fact).json()
    assert told["outcome"] == "replaced"
    of = lambda project: client.get("/v1/memory/history", params={"key": "Retry limit", "project": project}).json()  # noqa: E731
    assert [item["value"] for item in of("press")["items"]] == ["five", "three"]
    assert of("")["items"] == []
    problem(client.post("/v1/memory", json={"kind": "fact", "key": "x"}), 400, "InputError")


def test_what_is_sent_twice_under_one_key_is_remembered_once(client: httpx2.Client) -> None:
    body = {"text": "The pump leaks.", "type": "problem"}
    outcomes = [client.post("/v1/memory", json=body, headers={"Idempotency-Key": "k1"}).json()["outcome"] for _ in range(2)]
    assert outcomes == ["added", "unchanged"]
    many = {"items": [{"text": "The belt is new."}, {"text": "The motor hums.", "idempotency_key": "own"}]}
    for wanted in ("added", "unchanged"):
        answer = client.post("/v1/memory:batch", json=many, headers={"Idempotency-Key": "k1"}).json()
        assert [one["outcome"] for one in answer["items"]] == [wanted, wanted]
    assert set(held(client).values()) == {1}
    assert len(held(client)) == 3


def test_of_a_batch_with_a_mistake_nothing_is_remembered(client: httpx2.Client) -> None:
    wrong = {"items": [{"text": "The belt is new."}, {"text": "…"}]}
    problem(client.post("/v1/memory:batch", json=wrong), 400, "InputError")
    assert held(client) == {}


def test_a_request_names_its_project_and_moves_no_other(client: httpx2.Client) -> None:
    client.post("/v1/memory", json={"text": "The press needs oil.", "project": "press"})
    client.post("/v1/memory", json={"text": "The office closes at six."})
    assert client.post("/v1/memory/projects", json={"name": "press"}).status_code == 201
    client.post("/v1/memory/projects:switch", json={"name": "press"}).raise_for_status()
    assert list(held(client)) == ["The office closes at six."]
    assert list(held(client, project="press")) == ["The press needs oil."]
    asked = {"question": "What about oil?", "k": 5}
    count = lambda **more: len(client.post("/v1/memory:recall", json={**asked, **more}).json()["hits"])  # noqa: E731
    assert (count(project="press"), count(all_projects=True)) == (1, 2)
    client.post("/v1/memory/projects:archive", json={"name": "press"}).raise_for_status()
    assert count(all_projects=True) == 1
    assert [p["name"] for p in client.get("/v1/memory/projects").json()["projects"]] == [""]
    problem(client.post("/v1/memory/projects:archive", json={"name": "nothing"}), 404, "NotFound")


def test_forgetting_many_needs_to_be_told_which(client: httpx2.Client) -> None:
    for project in ("", "press"):
        client.post("/v1/memory", json={"text": "The pump leaks.", "project": project})
    for body in ({}, {"all_projects": True}, {"all_projects": True, "project": ""}):
        problem(client.post("/v1/memory:forget", json=body), 400, "InputError")
    assert client.post("/v1/memory:forget", json={"project": "press"}).json()["forgotten"] == 1
    assert len(held(client, all_projects=True)) == 1


def test_tenants_do_not_share_memories(running: Running, client: httpx2.Client) -> None:
    told = client.post("/v1/memory", json={"text": "The canary sings.", "project": "birds"}).json()["item"]["id"]
    stranger = running.service.accounts.create_tenant("strangers").id
    with running.client(running.key("write", tenant=stranger)) as other:
        assert held(other, all_projects=True) == {}
        problem(other.get(f"/v1/memory/items/{told}"), 404, "NotFound")
        problem(other.delete(f"/v1/memory/items/{told}"), 404, "NotFound")
        assert other.post("/v1/memory:forget", json={"project": "birds"}).json()["forgotten"] == 0
        assert other.get("/v1/memory/statistics").json()["items"] == 0
    assert len(held(client, project="birds")) == 1


def test_items_count_against_the_quota(running: Running, local: httpx2.Client) -> None:
    tenant = local.post("/v1/tenants", json={"name": "Small", "quotas": {"documents": 1}}).json()["id"]
    with running.client(running.key("write", tenant=tenant)) as small:
        assert small.post("/v1/memory", json={"text": "The pump leaks."}).status_code == 200
        problem(small.post("/v1/memory", json={"text": "The belt is new."}), 429, "TooManyRequests")
        problem(small.post("/v1/learn?stream=s", content=said(1)), 429, "TooManyRequests")


def test_a_transcript_is_learned_as_it_grows(client: httpx2.Client) -> None:
    seen = []

    def growing() -> Iterator[bytes]:
        yield said(1) + said(2)[:20]
        until = time.monotonic() + 20
        while not seen and time.monotonic() < until:  # while the request is still being sent
            seen.extend(httpx2.get(client.base_url.join("/v1/memory/timeline"), headers=client.headers).json()["items"])
            time.sleep(0.05)
        yield said(2)[20:] + b"{broken\n"
        yield said(3)

    answer = client.post("/v1/learn?stream=s&intents=false", content=growing()).json()
    assert len(seen) == 1
    assert (answer["lines"], answer["items"], answer["broken"], answer["outcomes"]) == (4, 3, 1, {"added": 3})
    sent = len(said(1) + said(2) + b"{broken\n" + said(3))
    assert answer["place"] == {"bytes": sent, "lines": 4}
    assert client.get("/v1/learn?stream=s").json() == {"stream": "s", "place": answer["place"]}


def test_a_stream_goes_on_where_it_stands(client: httpx2.Client) -> None:
    first = client.post("/v1/learn?stream=s&intents=false", content=said(1) + said(2)[:15]).json()
    assert first["place"] == {"bytes": len(said(1)), "lines": 1}
    problem(client.post(f"/v1/learn?stream=s&offset={len(said(1)) + 15}", content=said(2)[15:]), 409, "Conflict")
    rest = client.post(f"/v1/learn?stream=s&offset={len(said(1))}&intents=false", content=said(2) + said(3)).json()
    assert (rest["resumed"], rest["outcomes"]) == (1, {"added": 2})
    again = client.post("/v1/learn?stream=s&intents=false", content=said(1) + said(2) + said(3)).json()
    assert again["outcomes"] == {"unchanged": 3}
    assert sorted(held(client).values()) == [1, 1, 1]
    other = client.post("/v1/learn?stream=other&intents=false", content=said(1)).json()
    assert other["outcomes"] == {"merged": 1}


def test_of_a_stream_that_breaks_off_whole_lines_are_learned(running: Running, client: httpx2.Client) -> None:
    body = said(1) + said(2) + said(3)[:30]
    head = (
        f"POST /v1/learn?stream=s&intents=false HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n"
        f"Authorization: {client.headers['authorization']}\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(0.3)
    until = time.monotonic() + 20
    while client.get("/v1/learn?stream=s").json()["place"]["lines"] < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert client.get("/v1/learn?stream=s").json()["place"] == {"bytes": len(said(1) + said(2)), "lines": 2}
    assert len(held(client)) == 2
    done = client.post(f"/v1/learn?stream=s&intents=false&offset={len(said(1) + said(2))}", content=said(3)).json()
    assert done["outcomes"] == {"added": 1}


def test_many_open_streams_leave_the_server_to_others(running: Running) -> None:
    """More of them than there are threads."""
    tenant = running.service.accounts.create_tenant("streams").id
    head = (
        f"Host: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {running.key('write', tenant=tenant)}\r\n"
        "Content-Length: 100000\r\n\r\n"
    )
    connections = []
    try:
        for number in range(12):
            connection = socket.create_connection(("127.0.0.1", running.port))
            connection.sendall(f"POST /v1/learn?stream=s{number}&intents=false HTTP/1.1\r\n{head}".encode() + said(number))
            connections.append(connection)
        with running.client(running.key("write", tenant=tenant)) as client:
            until = time.monotonic() + 20
            while len(held(client)) < 12 and time.monotonic() < until:
                time.sleep(0.05)
            assert set(held(client).values()) == {1}
            assert len(held(client)) == 12
            assert client.post("/v1/memory", json={"text": "The pump leaks."}).status_code == 200
    finally:
        for connection in connections:
            connection.close()


def test_intent_and_trajectory(client: httpx2.Client) -> None:
    found = client.post("/v1/intent", json={"texts": ["Run the tests again.", "Der Build bricht ab."]}).json()["items"]
    assert [len(one["alternatives"]) for one in found] == [3, 3]
    failing = {"text": "pytest: 2 failed", "role": "tool", "failed": True}
    told = client.post("/v1/trajectory", json={"turns": [{"text": "Run the tests."}, *[failing] * 3]}).json()
    assert (told["course"], told["evidence"][0]["turns"], told["turns"]) == ("looping", [1, 2, 3], 4)
    problem(client.post("/v1/trajectory", json={"turns": [{"text": "x", "role": "robot"}]}), 400, "InputError")
