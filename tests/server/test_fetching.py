"""Documents by address, from a web server of our own; and that nothing else on this machine is reached."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from ragstone.server.fetching import is_public
from server.conftest import Running, serving
from server.test_routes import problem


class Site(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        port = self.server.server_address[1]
        leads = {
            "/moved": "/page", "/loop": "/loop", "/elsewhere": f"http://localhost:{port}/page", "/file": "file:///etc/passwd",
            "/inside": "http://127.0.0.1:1/x",
        }
        if self.path in leads:
            self.send_response(302)
            self.send_header("Location", leads[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            if self.path == "/big":
                for _ in range(200):
                    self.wfile.write(b"x" * 1_000)
            elif self.path == "/slow":
                for _ in range(100):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            else:
                self.wfile.write(b"<html><body><p>The crane lifts nine tons.</p></body></html>")
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def fetching(site: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fetching")
    with serving(folder, fetch=True, fetch_hosts=(f"127.0.0.1:{site}", "127.0.0.1:1"), upload_bytes=100_000, fetch_seconds=1.0) as running:
        yield running


@pytest.mark.parametrize("path", ["/page", "/moved"])
def test_a_document_is_fetched(fetching: Running, site: int, path: str) -> None:
    with fetching.local() as client:
        body = {"url": f"http://127.0.0.1:{site}{path}", "metadata": {"team": "crane"}}
        job = client.post("/v1/collections/web/documents:fetch?wait=30", json=body)
        assert job.status_code == 202, job.text
        assert job.json()["state"] == "done", job.text
        hit = client.post("/v1/search", json={"query": "crane tons", "collections": ["web"]}).json()["hits"][0]
        assert "nine tons" in hit["text"]
        named = client.get("/v1/collections/web/documents", params={"q": path}).json()["items"][0]
        assert (named["uri"], named["media_type"], named["metadata"]) == (body["url"], "text/html", {"team": "crane"})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/loop", 422, "Unreadable"), ("/missing", 422, "Unreadable"), ("/packed", 422, "Unreadable"),
        ("/inside", 422, "Unreadable"), ("/elsewhere", 403, "Forbidden"), ("/file", 400, "InputError"),
        ("/big", 413, "LimitExceeded"), ("/slow", 504, "DeadlineExceeded"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_leaves_nothing(fetching: Running, site: int, path: str, status: int, code: str) -> None:
    with fetching.local() as client:
        jobs = len(client.get("/v1/jobs").json()["items"])
        answer = client.post("/v1/collections/web/documents:fetch", json={"url": f"http://127.0.0.1:{site}{path}"})
        problem(answer, status, code)
        assert len(client.get("/v1/jobs").json()["items"]) == jobs
        assert not list((fetching.data / "uploads").glob("*"))


@pytest.mark.parametrize("url", ["ftp://example.org/x", "http://", "http://user:pass@127.0.0.1/x", "http://[::1", "no"])
def test_what_is_no_address(fetching: Running, url: str) -> None:
    with fetching.local() as client:
        problem(client.post("/v1/collections/web/documents:fetch", json={"url": url}), 400, "InputError")


def test_only_public_addresses_without_a_list(site: int, tmp_path: Path) -> None:
    with serving(tmp_path, fetch=True) as running, running.local() as client:
        before = len(Site.asked)
        for host in (f"127.0.0.1:{site}", "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):  # noqa: S104
            problem(client.post("/v1/collections/web/documents:fetch", json={"url": f"http://{host}/page"}), 403, "Forbidden")
        assert len(Site.asked) == before


def test_off_unless_switched_on(running: Running, site: int) -> None:
    with running.local() as client:
        body = {"url": f"http://127.0.0.1:{site}/page"}
        problem(client.post("/v1/collections/web/documents:fetch", json=body), 403, "Forbidden")


def test_public_addresses() -> None:
    public = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
    private = [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255",  # noqa: S104
        "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "240.0.0.1",
    ]  # fmt: skip
    assert [a for a in public if not is_public(a)] == []
    assert [a for a in private if is_public(a)] == []
