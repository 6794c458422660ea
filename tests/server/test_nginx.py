"""The nginx example with a real nginx before two real servers."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import ragstone
from served import ROOT, SAMPLES, Served, served

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def configured(folder: Path, port: int, servers: list[Served]) -> Path:
    """The example as it ships, but for addresses, folders and TLS."""
    text = (ROOT / "deploy/nginx/ragstone.conf").read_text()
    upstream = "\n".join(f"    server {s.url.removeprefix('http://')} max_fails=3 fail_timeout=5s;" for s in servers)
    text = re.sub(r"    server 127\.0\.0\.1:8765.*\n.*8766.*", upstream, text)
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};").replace("knowledge.example.org", "localhost")
    text = re.sub(r"    ssl_.*\n", "", text).replace("/var/cache/nginx/ragstone", str(folder / "cache"))
    places = "".join(f"{p}_temp_path {folder}/{p};\n" for p in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
        f"events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\n{places}{text}\n}}\n"
    )
    return main


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Served]]]:
    with proxy(tmp_path_factory.mktemp("nginx")) as running:
        yield running


@contextlib.contextmanager
def proxy(folder: Path) -> Iterator[tuple[str, list[Served]]]:
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    for name in ("one", "two"):
        with ragstone.open(folder / name / "data") as opened:
            opened.add([str(SAMPLES / "historian.rst")])
    with served(folder / "one/data") as first, served(folder / "two/data") as second:
        port = free_port()
        main = configured(folder, port, [first, second])
        checked = subprocess.run(["nginx", "-t", "-c", str(main)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen(["nginx", "-c", str(main)], stderr=subprocess.DEVNULL)
        url = f"http://localhost:{port}"
        for _ in range(100):
            try:
                httpx2.get(url + "/health", trust_env=False)
                break
            except httpx2.HTTPError:
                time.sleep(0.1)
        yield url, [first, second]
        process.terminate()
        process.wait(20)


def count(server: Served) -> float:
    found = re.search(r'http_requests_total\{route="/health",method="GET",status="200"\} (\d+)', server.ask("/metrics").text)
    return float(found[1]) if found else 0.0


def test_requests_are_spread(proxied: tuple[str, list[Served]]) -> None:
    url, servers = proxied
    before = [count(server) for server in servers]
    for _ in range(20):
        answer = httpx2.get(url + "/health", trust_env=False)
        assert answer.status_code == 200
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])  # nginx's own, to be found in both logs
    assert all(count(server) > was for server, was in zip(servers, before, strict=True))


def test_figures_stay_inside(proxied: tuple[str, list[Served]]) -> None:
    url, servers = proxied
    for path in ("/metrics", "/v1/profile"):
        answer = httpx2.get(url + path, headers={"Authorization": f"Bearer {servers[0].key}"}, trust_env=False)
        assert answer.status_code == 404


def test_answers_stream_through(proxied: tuple[str, list[Served]]) -> None:
    url, servers = proxied
    for _ in range(6):  # a key of one server is none of the other's
        with httpx2.stream(
            "POST", url + "/v1/ask", json={"question": "What does the historian store?", "stream": True},
            headers={"Authorization": f"Bearer {servers[0].key}", "Accept": "text/event-stream"}, trust_env=False,
        ) as answer:  # fmt: skip
            if answer.status_code == 401:
                continue
            assert answer.headers["content-type"].startswith("text/event-stream")
            pieces = [piece for piece in answer.iter_raw() if piece]
            break
    text = b"".join(pieces).decode()
    assert len(pieces) > 1
    assert text.index("event: stage") < text.index("event: final")


def test_a_server_that_is_gone_is_left_out(tmp_path: Path) -> None:
    with proxy(tmp_path) as running:
        _left_out(running)


def _left_out(proxied: tuple[str, list[Served]]) -> None:
    url, servers = proxied
    servers[1].process.terminate()
    servers[1].process.wait(40)
    assert {httpx2.get(url + "/health", trust_env=False).status_code for _ in range(10)} == {200}
