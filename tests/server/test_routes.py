"""Every operation as a client sees it, over a real socket."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from pathlib import Path

import httpx2
import pytest

from server.conftest import Running, serving


def problem(answer: httpx2.Response, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["id"] == answer.headers["x-request-id"]
    return body


def events(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_health_ready_version(running: Running, local: httpx2.Client) -> None:
    with running.client() as anybody:
        assert anybody.get("/health").json() == {"status": "alive"}
        assert anybody.get("/ready").json() == {"status": "ready"}
        problem(anybody.get("/v1/version"), 401, "NotSignedIn")
    assert local.get("/v1/version").json()["api"] == "v1"
    assert local.head("/v1/version").status_code == 200


def test_the_page_is_served_with_its_policy(running: Running) -> None:
    with running.client() as client:
        page = client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert page.headers["cache-control"] == "no-cache"
        assert client.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
        [script] = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)
        assert "immutable" in client.get(script).headers["cache-control"]
        problem(client.get("/assets/none.js"), 404, "NotFound")


def test_search_ends_in_an_etag_that_changes_with_the_documents(filled: httpx2.Client) -> None:
    asked = {"query": "battery hours", "k": 2}
    first = filled.post("/v1/search", json=asked)
    hit = first.json()["hits"][0]
    assert hit["uri"] == "notes/battery"
    same = filled.post("/v1/search", json=asked)
    assert same.content == first.content
    etag = {"If-None-Match": first.headers["etag"]}
    again = filled.post("/v1/search", json=asked, headers=etag)
    assert (again.status_code, again.content) == (304, b"")
    more = {"documents": [{"uri": "notes/lamp", "text": "The lamp has a battery for nine hours."}]}
    assert filled.post("/v1/collections/default/documents:batch?wait=30", json=more).json()["state"] == "done"
    later = filled.post("/v1/search", json=asked, headers=etag)
    assert later.status_code == 200
    assert "notes/lamp" in [h["uri"] for h in later.json()["hits"]]
    lamp = next(h["document_id"] for h in later.json()["hits"] if h["uri"] == "notes/lamp")
    assert filled.delete(f"/v1/documents/{lamp}").status_code == 204
    problem(filled.get(f"/v1/documents/{lamp}"), 404, "NotFound")
    assert "notes/lamp" not in filled.post("/v1/search", json=asked).text


def test_many_questions_in_one_search(filled: httpx2.Client) -> None:
    found = filled.post("/v1/search", json={"queries": ["boat sail", "pump motor"], "k": 1}).json()["results"]
    assert [r["hits"][0]["uri"] for r in found] == ["notes/boat", "notes/pump"]


@pytest.mark.parametrize("body", [{}, {"query": "a", "queries": ["b"]}, {"query": 5}, {"query": "x", "kk": 1}, {"query": "x", "k": 101}, {"query": "?!"}])
def test_wrong_searches_are_refused(filled: httpx2.Client, body: dict) -> None:
    assert filled.post("/v1/search", json=body).status_code == 400


def test_malformed_bodies(filled: httpx2.Client) -> None:
    for raw in (b"", b"{", b"\xff", b"[" * 100_000):
        problem(filled.post("/v1/ask", content=raw), 400, "InputError")
        problem(filled.post("/v1/search", content=raw), 400, "InputError")
    problem(filled.post("/v1/ask", content=b"{}", headers={"content-type": "text/plain"}), 415, "UnsupportedBody")


def test_ask_gives_an_answer_whose_citations_lead_to_documents(filled: httpx2.Client) -> None:
    answer = filled.post("/v1/ask", json={"question": "How long does the battery last?"}).json()
    assert "eleven hours" in answer["answer"]
    citation = answer["citations"][0]
    text = filled.get(f"/v1/documents/{citation['document_id']}/text", params={"start": citation["start"], "end": citation["end"]})
    assert text.json()["text"] == citation["text"]
    rated = filled.post("/v1/feedback", json={"answer_id": answer["id"], "rating": 1})
    assert rated.status_code == 204
    problem(filled.post("/v1/feedback", json={"rating": 1}), 400, "InputError")


def test_a_streamed_answer_is_stages_tokens_citations_and_the_whole(filled: httpx2.Client) -> None:
    asked = {"question": "How long does the battery last?", "stream": True}
    with filled.stream("POST", "/v1/ask", json=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.read().decode())
    names = [name for name, _ in told]
    assert names[0] == "stage"
    assert names[-1] == "final"
    assert "token" in names
    assert [body for name, body in told if name == "citation"] == told[-1][1]["citations"] != []
    assert names.index("citation") < names.index("token")
    whole = {"question": "How long does the battery last?", "collections": ["nowhere"]}
    problem(filled.post("/v1/ask", json=whole), 404, "NotFound")


def test_a_conversation_is_named_by_the_client(filled: httpx2.Client) -> None:
    asked = {"question": "How long does the battery last?", "conversation": "one"}
    assert filled.post("/v1/ask", json=asked).json()["answered"]


def test_documents_come_in_pages(filled: httpx2.Client) -> None:
    seen, cursor = [], ""
    while True:
        page = filled.get("/v1/collections/default/documents", params={"limit": 2, "cursor": cursor}).json()
        seen += [d["uri"] for d in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert {"notes/battery", "notes/boat", "notes/pump"} <= set(seen)
    found = filled.get("/v1/collections/default/documents", params={"q": "BOAT"}).json()["items"]
    assert [d["uri"] for d in found] == ["notes/boat"]
    shown = filled.get(f"/v1/documents/{found[0]['id']}")
    assert filled.get(f"/v1/documents/{found[0]['id']}", headers={"If-None-Match": shown.headers["etag"]}).status_code == 304
    chunks = filled.get(f"/v1/documents/{found[0]['id']}/chunks").json()
    assert "".join(c["text"] for c in chunks["items"]) == filled.get(f"/v1/documents/{found[0]['id']}/text").json()["text"]
    problem(filled.get("/v1/collections/default/documents", params={"cursor": "~"}), 400, "InputError")
    problem(filled.get("/v1/collections/nowhere/documents"), 404, "NotFound")


def test_files_are_uploaded_as_a_form_or_as_they_are(filled: httpx2.Client) -> None:
    form = filled.post(
        "/v1/collections/forms/documents?wait=30",
        files=[("files", ("a.txt", b"The anchor weighs ninety kilos.", "text/plain")), ("files", ("b.md", b"# Rope\n\nThe rope is long.", "text/markdown"))],
        data={"metadata": json.dumps({"team": "harbour"})},
    )
    assert form.status_code == 202, form.text
    assert form.json()["state"] == "done", form.text
    assert form.headers["location"] == f"/v1/jobs/{form.json()['id']}"
    raw = filled.post(
        "/v1/collections/forms/documents", params={"uri": "c.txt", "wait": 30}, content=b"The mast is tall.", headers={"content-type": "text/plain"}
    )
    assert raw.json()["state"] == "done", raw.text
    items = filled.get("/v1/collections/forms/documents").json()["items"]
    assert sorted(d["uri"] for d in items) == ["a.txt", "b.md", "c.txt"]
    assert next(d for d in items if d["uri"] == "a.txt")["metadata"] == {"team": "harbour"}
    assert filled.delete("/v1/collections/forms").status_code == 204
    problem(filled.get("/v1/collections/forms"), 404, "NotFound")


def test_a_request_that_is_repeated_makes_one_job(filled: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "once"}
    send = lambda text: filled.post("/v1/collections/once/documents?uri=x.txt", content=text, headers=headers)  # noqa: E731
    first = send(b"one").json()["id"]
    assert send(b"one").json()["id"] == first
    problem(send(b"two"), 409, "Conflict")


def test_jobs_are_listed_shown_and_followed(filled: httpx2.Client) -> None:
    job = filled.post("/v1/collections/jobs/documents?uri=j.txt", content=b"A job text.").json()
    with filled.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        told = events(stream.read().decode())
    assert told[-1][1]["state"] == "done"
    assert filled.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    assert job["id"] in [j["id"] for j in filled.get("/v1/jobs").json()["items"]]
    problem(filled.post(f"/v1/jobs/{job['id']}/retry"), 409, "Conflict")
    problem(filled.get("/v1/jobs/nothing"), 404, "NotFound")


def test_what_is_too_large_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, upload_bytes=1_000, json_bytes=1_024) as running, running.local() as client:
        problem(client.post("/v1/search", content=b"x" * 2_000), 413, "TooLarge")
        for content in (b"x" * 2_000, iter([b"x" * 600] * 3)):
            answer = client.post("/v1/collections/c/documents?uri=x", content=content)
            assert answer.status_code == 413, answer.text
        form = client.post("/v1/collections/c/documents", files={"files": ("x.txt", b"x" * 2_000)})
        assert form.status_code == 413, form.text
        assert not list((tmp_path / "uploads").glob("*"))
        assert client.get("/v1/jobs").json()["items"] == []


def test_an_upload_that_is_cut_off_leaves_nothing(running: Running, local: httpx2.Client) -> None:
    token = (running.data / "server.token").read_text().strip()
    before = len(local.get("/v1/jobs?limit=200").json()["items"])
    with socket.create_connection(("127.0.0.1", running.port)) as raw:
        raw.sendall(
            f"POST /v1/collections/cut/documents?uri=cut.txt HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            "Content-Length: 1000\r\n\r\nonly this".encode()
        )
        time.sleep(0.3)
    time.sleep(0.3)
    assert not [p for p in (running.data / "uploads").glob("*") if p.read_bytes() == b"only this"]
    assert len(local.get("/v1/jobs?limit=200").json()["items"]) == before


def test_too_many_requests(tmp_path: Path) -> None:
    with serving(tmp_path, requests_per_minute=5, failures_per_minute=3) as running:
        with running.local() as client:
            answers = [client.get("/v1/version") for _ in range(7)]
            assert [a.status_code for a in answers] == [200] * 5 + [429] * 2
            assert answers[0].headers["ratelimit-remaining"] == "4"
            assert int(answers[-1].headers["retry-after"]) >= 1
        with running.client("rgs_wrong") as stranger:
            assert [stranger.get("/v1/version").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_a_deadline_that_passes_is_an_error(filled: httpx2.Client) -> None:
    problem(filled.get("/v1/version", headers={"X-Deadline-Ms": "soon"}), 400, "InputError")
    answer = filled.post("/v1/ask", json={"question": "battery?"}, headers={"X-Deadline-Ms": "60000"})
    assert answer.status_code == 200


def test_compression(filled: httpx2.Client) -> None:
    raw = filled.get("/v1/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in raw.headers
    packed = filled.get("/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == raw.json()


def test_other_names_and_pages_are_refused(running: Running, local: httpx2.Client) -> None:
    problem(local.get("/v1/version", headers={"Host": "evil.example"}), 421, "WrongHost")
    problem(local.get("/health", headers={"Host": "evil.example"}), 421, "WrongHost")
    problem(local.get("/v1/version", headers={"Origin": "http://evil.example"}), 403, "Forbidden")
    assert local.get("/v1/version", headers={"Origin": running.url}).status_code == 200


def test_unknown_addresses_and_methods(local: httpx2.Client) -> None:
    problem(local.get("/v1/nothing"), 404, "NotFound")
    answer = local.put("/v1/search", json={})
    problem(answer, 405, "MethodNotAllowed")
    assert answer.headers["allow"] == "POST"


def test_spaces_budget_status(filled: httpx2.Client) -> None:
    assert filled.get("/v1/spaces").json()["items"][0]["role"] == "active"
    assert filled.get("/v1/budget").json() == {"items": []}
    status = filled.get("/v1/status").json()
    assert status["state"] == "writable"
    assert "folder" not in status


def test_a_client_that_goes_stops_its_answer(filled: httpx2.Client, running: Running) -> None:
    for _ in range(5):
        with filled.stream("POST", "/v1/ask", json={"question": "battery?", "stream": True}) as answer:
            next(answer.iter_raw())
    until = time.monotonic() + 5
    while running.service.bridge.answer.busy and time.monotonic() < until:
        time.sleep(0.05)
    assert running.service.bridge.answer.busy == 0


def test_sessions_of_the_page(running: Running, local: httpx2.Client) -> None:
    opened = local.post("/v1/session")
    assert opened.status_code == 201
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert "SameSite=Strict" in opened.headers["set-cookie"]
    cookie = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
    with running.client() as page:
        assert page.get("/v1/session", headers=cookie).json()["csrf"] == opened.json()["csrf"]
        problem(page.post("/v1/search", json={"query": "boat"}, headers=cookie), 403, "Forbidden")
        signed = {**cookie, "X-CSRF-Token": opened.json()["csrf"]}
        assert page.get("/v1/version", headers=signed).status_code == 200
        assert page.post("/v1/feedback", json={"question": "x", "rating": 0}, headers=signed).status_code == 204
        for wrong in ("a.b", "..", "x", cookie["Cookie"].partition("=")[2][:-1] + "0x"):
            problem(page.get("/v1/session", headers={"Cookie": f"ragstone_session={wrong}"}), 401, "NotSignedIn")


def test_many_at_once(filled: httpx2.Client, running: Running) -> None:
    statuses = []

    def ask() -> None:
        with running.local() as client:
            statuses.extend(client.post("/v1/search", json={"query": f"battery {i}", "k": 3}).status_code for i in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 160
