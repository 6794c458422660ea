"""Who may do what: every operation without a key, with wrong ones, and with ids of another tenant. The list of
operations is the OpenAPI document, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx2
import pytest

from compared import made
from ragstone.compare.figures import CRITERIA
from ragstone.server.accounts import SCOPES
from ragstone.server.openapi import document
from ragstone.server.routes.all import OPERATIONS
from server.conftest import Running

PATHS = document(OPERATIONS)["paths"]
CLOSED = [(m.upper(), p, e) for p, ms in PATHS.items() for m, e in ms.items() if "x-scope" in e]
WITH_IDS = [(m, p) for m, p, _ in CLOSED if "{" in p]


def call(client: httpx2.Client, method: str, path: str) -> httpx2.Response:
    """Without a body: what is refused is refused before one is read."""
    return client.request(method, re.sub(r"\{\w+\}", "x", path))


def names(value: tuple[str, str, object]) -> str:
    return f"{value[0]} {value[1]}"


@pytest.mark.parametrize("operation", CLOSED, ids=names)
def test_every_operation_needs_a_key_that_lives(running: Running, operation: tuple[str, str, dict]) -> None:
    method, path, entry = operation
    accounts = running.service.accounts
    expired = running.key("admin", expires=time.time() + 0.05)
    key, revoked = accounts.create_key("gone", ["admin"])
    accounts.revoke(key.id)
    time.sleep(0.06)
    for wrong in ("", "rgs_wrong", expired, revoked):
        with running.client(wrong) as client:
            assert call(client, method, path).status_code == 401, wrong
    lower = SCOPES[: SCOPES.index(entry["x-scope"])]
    if lower:
        with running.client(running.key(lower[-1])) as client:
            assert call(client, method, path).status_code == 403


@pytest.fixture(scope="module")
def ids(running: Running, filled: httpx2.Client) -> Iterator[dict[str, str]]:
    """Of the default tenant, by the name of the path's parameter."""
    job = filled.get("/v1/jobs").json()["items"][0]["id"]
    found = filled.get("/v1/collections/default/documents").json()["items"][0]["id"]
    filled.post("/v1/collections", json={"name": "secret-canary"})
    key = filled.post("/v1/keys", json={"name": "k", "scopes": ["read"]}).json()["id"]
    item = filled.post("/v1/memory", json={"text": "The canary sings."}).json()["item"]["id"]
    filled.post("/v1/collections/default/graph:build?wait=30")
    entity, other = (e["id"] for e in filled.get("/v1/collections/default/graph/entities?limit=2").json()["entities"])
    made(running.data / "comparisons" / "theirs", {"alpha": [0.5]})
    return {
        "document": found, "job": job, "collection": "secret-canary", "key_id": key, "tenant": "default", "page": "1",
        "comparison": "theirs", "item": item, "entity": entity, "other": other,
    }  # fmt: skip


@pytest.mark.parametrize("operation", WITH_IDS, ids=lambda o: " ".join(o))
def test_ids_of_another_tenant_are_not_found(running: Running, ids: dict[str, str], operation: tuple[str, str]) -> None:
    method, path = operation
    tenant = running.service.accounts.create_tenant("foreign").id
    with running.client(running.key("admin", tenant=tenant)) as stranger:
        address = re.sub(r"\{(\w+)\}", lambda m: ids[m[1]], path)
        bodies = {
            ":batch": {"documents": [{"uri": "x", "text": "theirs"}]},
            "ratings": {"answer": "q0/A", "scores": dict.fromkeys(CRITERIA, 3)},
            "/spaces": {"action": "rollback"},
            ":merge": {"a": ids["entity"], "b": ids["other"]},
            ":split": {"entity": ids["entity"], "alias": "canary"},
            ":withdraw": {"a": "canary"},
        }  # fmt: skip
        body = next((body for end, body in bodies.items() if path.endswith(end)), None)
        queries = {
            "/places": {"start": 0, "end": 1},
            "/path": {"start": ids["entity"], "end": ids["other"]},
            "/explanation": {"a": ids["entity"], "b": ids["other"]},
        }
        query = next((query for end, query in queries.items() if path.endswith(end)), None)
        answer = stranger.request(method, address, json=body, params=query)
        if method == "POST" and "/documents" in path:  # it makes a collection of that name in its own data
            assert answer.status_code in (202, 400)
        elif path.startswith("/v1/tenants"):
            assert answer.status_code == 403
        else:
            assert answer.status_code == 404, answer.text
        own = stranger.get("/v1/collections").json()["items"]
        assert all(c["documents"] <= 1 for c in own)


def test_tenants_see_only_their_own(running: Running, filled: httpx2.Client) -> None:
    made = filled.post("/v1/tenants", json={"name": "Other"}).json()["id"]
    key = filled.post("/v1/keys", json={"name": "other", "scopes": ["admin"], "tenant": made}).json()["key"]
    with running.client(key) as other:
        assert other.get("/v1/collections").json()["items"] == []
        assert other.get("/v1/jobs").json()["items"] == []
        assert other.post("/v1/search", json={"query": "battery"}).status_code == 404
        documents = {"documents": [{"uri": "notes/battery", "text": "Their battery is a canary."}]}
        assert other.post("/v1/collections/default/documents:batch?wait=30", json=documents).json()["state"] == "done"
        found = other.post("/v1/search", json={"query": "battery"}).json()["hits"]
        assert [h["text"] for h in found] == ["Their battery is a canary."]
        assert "canary" not in filled.post("/v1/search", json={"query": "battery"}).text
        assert [k["tenant"] for k in other.get("/v1/keys?limit=500").json()["items"]] == [made]
        assert other.get("/v1/tenants").status_code == 403
        assert other.post("/v1/keys", json={"name": "x", "scopes": ["read"], "tenant": "default"}).status_code == 403
    assert filled.delete(f"/v1/tenants/{made}").status_code == 204
    with running.client(key) as other:
        assert other.get("/v1/collections").status_code == 401


def test_a_revoked_key_works_no_longer_than_a_second(running: Running, local: httpx2.Client) -> None:
    made = local.post("/v1/keys", json={"name": "short", "scopes": ["read"]}).json()
    with running.client(made["key"]) as client:
        assert client.get("/v1/version").status_code == 200
        assert local.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert client.get("/v1/version").status_code == 401
    entry = local.get("/v1/audit").json()["items"][0]
    assert (entry["action"], entry["target"]) == ("key.revoke", made["id"])
    listed = next(k for k in local.get("/v1/keys?limit=500").json()["items"] if k["id"] == made["id"])
    assert listed["revoked"]
    assert made["key"] not in str(listed)


def test_quotas(running: Running, filled: httpx2.Client) -> None:
    made = filled.post("/v1/tenants", json={"name": "Small", "quotas": {"documents": 1, "requests_per_minute": 50}})
    tenant = made.json()["id"]
    with running.client(running.key("write", tenant=tenant)) as small:
        one = lambda name: small.post(f"/v1/collections/c/documents?wait=30&uri={name}", content=b"Some words.")  # noqa: E731
        first = one("a.txt")
        assert first.status_code == 202
        assert first.headers["ratelimit-limit"] == "50"
        assert one("b.txt").status_code == 429


def test_keys_and_tenants_are_listed_in_pages(local: httpx2.Client) -> None:
    made = {local.post("/v1/keys", json={"name": f"paged {n}", "scopes": ["read"]}).json()["id"] for n in range(3)}
    for path, wanted in (("/v1/keys", made), ("/v1/tenants", {"default"})):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = local.get(path, params={"limit": 1, "cursor": cursor}).json()
            assert len(page["items"]) <= 1
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
        assert len(seen) == len(set(seen))
        assert wanted <= set(seen)
        for wrong in ("nonsense!", "YQ", "eCBh"):
            assert local.get(path, params={"cursor": wrong}).status_code == 400
