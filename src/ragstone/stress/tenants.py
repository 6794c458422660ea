"""Many tenants on one server at once: each asks for what is its own, for what is another's, and with ids of others.
Every answer is searched for the words that only other tenants' documents have."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from ..errors import RagstoneError
from .report import Report, Run
from .serving import Served, served

TENANTS: Final = 50
DOCUMENTS: Final = 6
AT_ONCE: Final = 8
TIMEOUT_SECONDS: Final = 120.0
WAIT_SECONDS: Final = 5
"""For an upload: where the machine is busy, it is added later."""
QUESTION: Final = "How is the pump maintained?"


@dataclass(slots=True)
class _Tenant:
    """`canary` stands in each of its documents, names and questions, and nowhere else."""

    canary: str
    http: httpx2.Client
    key: str = ""
    document: str = ""
    chunk: str = ""
    job: str = ""
    documents: int = DOCUMENTS
    """That were added, as the job said."""
    waiting: int = 0
    """Whose job had not ended when somebody last looked: they may be there."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def collection(self) -> str:
        return f"private-{self.canary}"


def tenants(run: Run, *, count: int = TENANTS) -> Report:
    """In a cycle each of `count` tenants makes some thirty requests, several tenants at once, in an order drawn by
    chance. All cycles work on one server."""
    with served(run.folder / "server", {"server.open_tenants": str(max(4, count // 2))}) as server:
        everybody = _made(server, count)
        try:
            return run.go("tenants", lambda number, report: _cycle(run, everybody, number, report))
        finally:
            for tenant in everybody:
                tenant.http.close()


def _made(server: Served, count: int) -> list[_Tenant]:
    found = []
    with _client(server, server.key) as http:
        for _ in range(count):
            canary = f"canary{secrets.token_hex(6)}"
            made = _good(http.post("/v1/tenants", json={"name": f"Tenant {canary}"}))["id"]
            body = {"name": f"key {canary}", "scopes": ["admin"], "tenant": made}
            key = _good(http.post("/v1/keys", json=body))
            found.append(_Tenant(canary, _client(server, key["key"]), key["id"]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(_filled, found))
    return found


def _client(server: Served, key: str) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=TIMEOUT_SECONDS)


def _filled(tenant: _Tenant) -> None:
    texts = [
        {
            "uri": f"{tenant.canary}/{number}",
            "title": f"Manual {number} of {tenant.canary}",
            "text": f"The pump number {number} is maintained every spring. The word of this house is {tenant.canary}.",
            "metadata": {"house": tenant.canary},
        }
        for number in range(DOCUMENTS)
    ]
    sent = tenant.http.post(f"/v1/collections/{tenant.collection}/documents:batch?wait=60", json={"documents": texts})
    job = _good(sent)
    if job["state"] != "done":
        raise RagstoneError(f"the documents of a tenant were not added: {job}")
    tenant.job = job["id"]
    tenant.document = _good(tenant.http.get(f"/v1/collections/{tenant.collection}/documents"))["items"][0]["id"]
    tenant.chunk = _good(tenant.http.get(f"/v1/documents/{tenant.document}/chunks"))["items"][0]["id"]


def _good(answer: httpx2.Response) -> Any:
    if answer.status_code >= 400:
        raise RagstoneError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()


def _cycle(run: Run, everybody: Sequence[_Tenant], number: int, report: Report) -> None:
    canaries = {tenant.canary for tenant in everybody}
    problems: list[str] = []
    told = threading.Lock()

    def visit(tenant: _Tenant) -> None:
        chance = random.Random(f"{run.seed} {number} {tenant.canary}")
        other = chance.choice([one for one in everybody if one is not tenant])
        with tenant.lock:
            steps = [*_own(tenant), *_foreign(tenant, other)]
            chance.shuffle(steps)
            for step in steps:
                answer, wrong = step()
                # what somebody asked for is said back to them: only other canaries than the one they named are a leak
                named = {other.canary} if other.canary in str(answer.request.url) + _sent(answer) else set()
                leaked = [c for c in canaries - {tenant.canary} - named if c in answer.text]
                with told:
                    report.add("requests")
                    report.add("leaks", len(leaked))
                    if leaked or wrong:
                        what = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
                        problems.append(f"{what} {wrong or 'has words of another tenant'}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(visit, everybody))
    if problems:
        report.fail(number, "tenants at once", problems[:20])


def _sent(answer: httpx2.Response) -> str:
    return answer.request.content.decode("utf-8", "replace")


Step = Callable[[], tuple[httpx2.Response, str]]


def _own(tenant: _Tenant) -> list[Step]:
    """What it may see, and how much of it there is."""
    http, mine = tenant.http, tenant.collection

    def look(path: str, wrong: Callable[[Any], str] = lambda _: "") -> Step:
        def step() -> tuple[httpx2.Response, str]:
            answer = http.get(path)
            return answer, wrong(answer.json()) if answer.status_code == 200 else "was refused"

        return step

    def ask(path: str, body: Any, wrong: Callable[[Any], str]) -> Step:
        def step() -> tuple[httpx2.Response, str]:
            answer = http.post(path, json=body)
            return answer, wrong(answer.json()) if answer.status_code == 200 else "was refused"

        return step

    def all_mine(found: Any) -> str:
        hits = found["hits"]
        return "" if hits and all(hit["collection"] == mine for hit in hits) else "found what is not its own"

    def upload() -> tuple[httpx2.Response, str]:
        uri = f"{tenant.canary}/upload-{time.monotonic_ns()}.txt"
        answer = http.post(
            f"/v1/collections/{mine}/documents", params={"uri": uri, "wait": WAIT_SECONDS},
            content=f"A note about the valve of {tenant.canary}.".encode(),
        )  # fmt: skip
        state = answer.json()["state"] if answer.status_code == 202 else "refused"
        if state == "done":
            tenant.documents += 1
        else:
            tenant.waiting += 1
        return answer, "" if state in ("done", "queued", "running") else f"was {state}"

    def counted(found: Any) -> str:
        collections = {c["name"]: c["documents"] for c in found["items"]}
        low, high = tenant.documents, tenant.documents + tenant.waiting
        right = list(collections) == [mine] and low <= collections[mine] <= high
        return "" if right else f"counts {collections}, not {low} to {high}"

    return [
        look("/v1/collections", counted),
        look(f"/v1/collections/{mine}"),
        look(f"/v1/collections/{mine}/documents?limit=500"),
        look(f"/v1/documents/{tenant.document}"),
        look(f"/v1/documents/{tenant.document}/text"),
        look(f"/v1/documents/{tenant.document}/chunks"),
        look("/v1/jobs?limit=200"),
        look(f"/v1/jobs/{tenant.job}"),
        look("/v1/spaces", lambda found: "" if {s["collection"] for s in found["items"]} == {mine} else "has others"),
        look("/v1/status"),
        look("/v1/models"),
        look("/v1/budget"),
        look("/v1/audit"),
        look("/v1/session"),
        look("/v1/keys", lambda found: "" if [k["id"] for k in found["items"]] == [tenant.key] else "has others"),
        ask("/v1/search", {"query": "pump spring", "k": 100}, all_mine),
        ask("/v1/search", {"query": f"{tenant.canary} {secrets.token_hex(4)}", "k": 20}, all_mine),
        ask("/v1/ask", {"question": QUESTION}, lambda _: ""),
        ask("/v1/chat/completions", {"model": "ragstone", "messages": [{"role": "user", "content": QUESTION}]},
            lambda _: ""),
        upload,
    ]  # fmt: skip


def _foreign(tenant: _Tenant, other: _Tenant) -> list[Step]:
    """What it may not even know of."""
    http = tenant.http

    def refused(method: str, path: str, body: Any = None, status: int = 404) -> Step:
        def step() -> tuple[httpx2.Response, str]:
            answer = http.request(method, path, json=body)
            return answer, "" if answer.status_code == status else f"was not refused with {status}"

        return step

    def searched() -> tuple[httpx2.Response, str]:
        answer = http.post("/v1/search", json={"query": other.canary, "k": 100})
        texts = [hit["text"] for hit in answer.json().get("hits", ())]
        return answer, "found another's" if any(other.canary in text for text in texts) else ""

    return [
        searched,
        refused("GET", f"/v1/collections/{other.collection}"),
        refused("GET", f"/v1/collections/{other.collection}/documents"),
        refused("DELETE", f"/v1/collections/{other.collection}"),
        refused("POST", f"/v1/collections/{other.collection}/spaces", {"action": "rollback"}),
        refused("POST", "/v1/search", {"query": "pump", "collections": [other.collection]}),
        refused("POST", "/v1/ask", {"question": QUESTION, "collections": [other.collection]}),
        refused("GET", f"/v1/documents/{other.document}"),
        refused("GET", f"/v1/documents/{other.document}/text"),
        refused("GET", f"/v1/documents/{other.document}/chunks"),
        refused("GET", f"/v1/documents/{other.document}/pages"),
        refused("GET", f"/v1/documents/{other.document}/pages/1/image"),
        refused("DELETE", f"/v1/documents/{other.document}"),
        refused("GET", f"/v1/jobs/{other.job}"),
        refused("GET", f"/v1/jobs/{other.job}/events"),
        refused("POST", f"/v1/jobs/{other.job}/cancel"),
        refused("POST", f"/v1/jobs/{other.job}/retry"),
        refused("DELETE", f"/v1/keys/{other.key}"),
        refused("GET", "/v1/tenants", status=403),
        refused("GET", "/v1/profile", status=403),
        refused("GET", "/v1/metrics/series", status=403),
    ]
