"""Too much at once, too little time, and requests that are wrong or break off: the right status, a clear problem
document, and nothing half done."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
import zstandard

from ragstone.stress.serving import served
from server.conftest import Running, serving
from server.test_routes import problem


@contextmanager
def busy(lane: object, jobs: int) -> Iterator[None]:
    """So many threads of the lane do nothing but wait until the context ends."""
    over = threading.Event()
    for _ in range(jobs):
        lane._submit(lambda: over.wait(30))
    try:
        yield
    finally:
        over.set()


def test_one_request_too_many_is_refused_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, threads=1, answers=1, waiting=1) as running, running.local() as client:
        documents = {"documents": [{"uri": "a", "text": "The battery lasts eleven hours."}]}
        client.post("/v1/collections/c/documents:batch?wait=30", json=documents)
        asked = {"/v1/search": {"query": "battery"}, "/v1/ask": {"question": "battery?"}}
        for path, lane in (("/v1/search", running.service.bridge.search), ("/v1/ask", running.service.bridge.answer)):
            with busy(lane, 2):
                refused = client.post(path, json=asked[path])
                problem(refused, 503, "Overloaded")
                assert int(refused.headers["retry-after"]) >= 1
            until = time.monotonic() + 10
            while lane.busy and time.monotonic() < until:
                time.sleep(0.01)
            assert client.post(path, json=asked[path]).status_code == 200


def test_a_deadline_by_header_ends_what_waits(tmp_path: Path) -> None:
    with serving(tmp_path, threads=1, waiting=5) as running, running.local() as client:
        documents = {"documents": [{"uri": "a", "text": "The battery lasts eleven hours."}]}
        client.post("/v1/collections/c/documents:batch?wait=30", json=documents)
        with busy(running.service.bridge.search, 1):
            late = client.post("/v1/search", json={"query": "battery"}, headers={"X-Deadline-Ms": "150"})
            problem(late, 504, "DeadlineExceeded")
        for wrong in ("0", "-1", "1.5", "soon", "3600001", ""):
            answer = client.post("/v1/search", json={"query": "battery"}, headers={"X-Deadline-Ms": wrong})
            problem(answer, 400, "InputError")
        assert client.post("/v1/search", json={"query": "battery"}, headers={"X-Deadline-Ms": "20000"}).status_code == 200


def test_more_than_the_rate_is_a_problem_that_says_when(tmp_path: Path) -> None:
    with serving(tmp_path, requests_per_minute=2) as running, running.local() as client:
        answers = [client.get("/v1/version") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        problem(answers[-1], 429, "TooManyRequests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def raw(running: Running, data: bytes) -> tuple[int, dict]:
    """What is answered to bytes as they are, until the server closes."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("data", [b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /v1/jobs?x=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_what_is_no_request(running: Running, data: bytes) -> None:
    status, body = raw(running, data)
    assert (status, body["status"], body["code"]) == (400, 400, "InputError")


def counted(client: httpx2.Client, running: Running) -> tuple[int, int]:
    jobs = client.get("/v1/jobs?limit=200").json()["items"]
    return len(jobs), len(list((running.data / "uploads").glob("*"))) if (running.data / "uploads").exists() else 0


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=files; filename=a.txt\r\n\r\nhalf", 400, "InputError"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=note\r\n\r\nno file\r\n--x--\r\n", 400, "InputError"),
        ("multipart/form-data", b"--x--", 400, "InputError"),
        ("multipart/form-data; boundary=x", b"no form at all", 400, "InputError"),
        ("text/plain", b"a file without a name", 400, "InputError"),
    ],
)  # fmt: skip
def test_a_wrong_upload_leaves_nothing(running: Running, local: httpx2.Client, kind: str, body: bytes, status: int, code: str) -> None:
    before = counted(local, running)
    answer = local.post("/v1/collections/wrong/documents", content=body, headers={"content-type": kind})
    problem(answer, status, code)
    assert counted(local, running) == before


def test_wrong_types_and_unknown_fields(local: httpx2.Client) -> None:
    for path, body in {
        "/v1/collections": {"name": 5}, "/v1/keys": {"name": "x", "scopes": ["root"]}, "/v1/tenants": {"name": "x", "more": 1},
        "/v1/feedback": {"rating": 2, "question": "x"}, "/v1/collections/default/spaces": {"action": "burn"},
    }.items():  # fmt: skip
        said = problem(local.post(path, json=body), 400, "InputError")
        assert "$." in said["detail"] or "unknown field" in said["detail"]
        problem(local.post(path, content=b"x=1", headers={"content-type": "application/x-www-form-urlencoded"}), 415, "UnsupportedBody")
    for query in ("limit=0", "limit=many", "limit=5&limit=6", "state=null", "colour=red", "limit=%zz"):
        problem(local.get(f"/v1/jobs?{query}"), 400, "InputError")


def test_packing_is_negotiated(filled: httpx2.Client) -> None:
    plain = filled.get("/v1/openapi.json", headers={"Accept-Encoding": "identity"})
    for wish, got in {
        "zstd": "zstd", "gzip, zstd": "zstd", "gzip;q=1, zstd;q=0.5": "gzip", "zstd;q=0, gzip": "gzip", "br": None, "gzip;q=0": None, "*": "zstd",
    }.items():  # fmt: skip
        with filled.stream("GET", "/v1/openapi.json", headers={"Accept-Encoding": wish}) as answer:
            assert answer.headers.get("content-encoding") == got, wish
            assert answer.headers["vary"] == "Accept-Encoding"
            body = b"".join(answer.iter_raw())
        if got == "zstd":
            assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == plain.content
    asked = {"query": "battery pump boat hours", "k": 50}
    plain = filled.post("/v1/search", json=asked, headers={"Accept-Encoding": "identity"})
    with filled.stream("POST", "/v1/search", json=asked, headers={"Accept-Encoding": "zstd"}) as answer:
        body = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "zstd"
        assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == plain.content


def test_conditional_reading(filled: httpx2.Client) -> None:
    for path in ("/v1/collections", "/v1/collections/default", "/v1/collections/default/documents?limit=2", "/v1/spaces"):
        first = filled.get(path)
        etag = first.headers["etag"]
        for given in (etag, f'"x", {etag}', "*", etag.removeprefix("W/")):
            again = filled.get(path, headers={"If-None-Match": given})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), (path, given)
        assert filled.get(path, headers={"If-None-Match": '"x"'}).content == first.content


@contextmanager
def workers(folder: Path) -> Iterator[tuple[httpx2.Client, str, int]]:
    """Two processes on one port: a client that opens a connection for each request, its address, and their parent."""
    settings = {"server.workers": "2", "server.job_workers": "1"}
    with served(folder, settings) as server:
        headers = {"Authorization": f"Bearer {server.key}", "Connection": "close"}
        with httpx2.Client(base_url=server.url, headers=headers, timeout=60, limits=httpx2.Limits(max_keepalive_connections=0)) as client:
            wait(lambda: ready(client))
            yield client, server.url, server.process


def ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx2.RequestError:
        return False


def wait(until: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def answering(process: int, port: int) -> set[int]:
    """Processes below this one that hold the port."""
    found = set()
    for child in psutil.Process(process).children(recursive=True):
        try:
            if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in child.net_connections()):
                found.add(child.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_several_processes_are_replaced_without_a_refusal_and_forget_a_key_at_once(tmp_path: Path) -> None:
    with workers(tmp_path) as (client, url, process):
        made = client.post("/v1/keys", json={"name": "short", "scopes": ["read"]}).json()
        headers = {"Authorization": f"Bearer {made['key']}", "Connection": "close"}

        def with_key() -> int:
            return httpx2.get(f"{url}/v1/version", headers=headers, timeout=30).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: with_key(), range(20))) == {200}
            assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
            time.sleep(1.0)
            assert set(pool.map(lambda _: with_key(), range(40))) == {401}

        port = httpx2.URL(url).port
        before = answering(process, port)
        assert len(before) >= 2
        statuses: list[int | str] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    statuses.append(client.get("/v1/version").status_code)
                except httpx2.RequestError as error:
                    statuses.append(type(error).__name__)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            os.kill(process, signal.SIGHUP)
            wait(lambda: len(answering(process, port) - before) >= 2, 200)
            time.sleep(0.5)
        finally:
            over.set()
            asking.join()
        assert set(statuses) == {200}, {s: statuses.count(s) for s in set(statuses)}

