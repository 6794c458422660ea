"""Figures, log and profile of a real server in two processes on one socket."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from watched import SAMPLES, Server, serving

import ragstone
from ragstone.observe.instruments import INSTRUMENTS
from ragstone.server.gauges import FIGURES

SECRET = "Zwiebelturmgeheimnis"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("watched") / "data"
    with ragstone.open(data) as opened:
        opened.add([str(SAMPLES / "operations-handbook.md"), str(SAMPLES / "historian.rst")])
        opened.embed_pending()
    with serving(data, processes=2) as running:
        for i in range(20):
            assert running.get(f"/v1/search?q=pump+pressure+{i % 4}").status_code == 200
        assert running.get("/v1/ask?q=How+is+the+compressor+stopped").status_code == 200
        assert running.get("/v1/documents/7").status_code == 200
        assert running.get(f"/no/such/{SECRET}?q={SECRET}").status_code == 404
        assert running.get("/broken").status_code == 500
        yield running


def figures(server: Server) -> dict[str, float]:
    text = server.get("/metrics").text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_processes_are_added_up(server: Server) -> None:
    found = figures(server)
    searched = [found.get(f'ragstone_search_seconds_count{{cached="{c}"}}', 0.0) for c in ("yes", "no")]
    assert sum(searched) == 21  # an answer searches too
    assert found['ragstone_http_requests_total{route="/v1/search",method="GET",status="200"}'] == 20
    assert found['ragstone_http_requests_total{route="/v1/documents/{id}",method="GET",status="200"}'] == 1
    assert found['ragstone_http_requests_total{route="other",method="GET",status="404"}'] == 1
    assert found['ragstone_http_requests_total{route="/broken",method="GET",status="500"}'] == 1
    assert found['ragstone_search_stage_seconds_count{stage="lexical"}'] == searched[1]
    assert found['ragstone_answer_seconds_count{kind="extractive"}'] == 1
    assert found["ragstone_processes"] == 2
    assert found['ragstone_collection_documents{collection="default"}'] == 2
    assert found['ragstone_up{source="data"}'] == 1
    assert found["ragstone_http_in_flight"] == 1  # who asks
    assert found["ragstone_event_loop_lag_seconds_count"] > 0
    pids = set(re.findall(r'pid="(\d+)"', "".join(found)))
    assert pids == {str(process.pid) for process in server.processes}


def test_what_is_exposed_is_declared_and_well_formed(server: Server) -> None:
    text = server.get("/metrics").text
    named = set(re.findall(r"^# TYPE (\S+)", text, flags=re.M))
    assert named <= INSTRUMENTS.keys() | FIGURES.keys()
    assert SECRET not in text
    for line in text.splitlines():
        assert re.fullmatch(r'#.*|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+', line), line
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout


def test_series_for_the_page(server: Server) -> None:
    first = server.get("/v1/metrics/series").json()
    for i in range(6):
        server.get(f"/v1/search?q=valve+{i}")
    for _ in range(4):  # one for each process at least
        found = server.get("/v1/metrics/series").json()
    assert len(found["times"]) >= 2 or len(first["times"]) >= 1
    for name in ("requests_per_second", "hit_rate", "cpu_percent", "memory_bytes", "tokens_per_minute"):
        assert len(found[name]) == len(found["times"])
    assert found["memory_bytes"][-1] > 1e6
    search = found["latency_ms"]["search"]
    assert 0 < search["p50"][-1] <= search["p95"][-1] <= search["p99"][-1]
    assert isinstance(found["alerts"], list)


def test_the_log_tells_requests_without_what_was_asked(server: Server) -> None:
    answered = server.get(f"/v1/search?q={SECRET}", headers={"X-Request-Id": "my-request-1"})
    assert answered.headers["x-request-id"] == "my-request-1"
    assert re.fullmatch(r"[0-9a-f]{16}", server.get("/v1/documents/1").headers["x-request-id"])
    assert "bad" not in server.get("/v1/documents/1", headers={"X-Request-Id": "bad id"}).headers["x-request-id"]
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (mine,) = [line for line in lines if line.get("request") == "my-request-1"]
    assert (mine["route"], mine["status"], mine["method"]) == ("/v1/search", 200, "GET")
    assert mine["milliseconds"] > 0
    assert SECRET not in server.log.read_text()


def test_counters_of_a_killed_process_stay(tmp_path: Path) -> None:
    with ragstone.open(tmp_path / "data") as opened:
        opened.add([str(SAMPLES / "historian.rst")])
    with serving(tmp_path / "data", processes=2) as running:
        for i in range(12):
            running.get(f"/v1/documents/{i}")
        key = 'ragstone_http_requests_total{route="/v1/documents/{id}",method="GET",status="200"}'
        assert figures(running)[key] == 12
        running.processes[0].send_signal(signal.SIGKILL)
        running.processes[0].wait()
        found = figures(running)
        assert found[key] == 12
        assert found["ragstone_processes"] == 1
    with serving(tmp_path / "data") as again:  # nobody was left: begun anew
        assert key not in figures(again)


def test_profile_of_a_working_server(server: Server, tmp_path: Path) -> None:
    from threading import Thread

    def load() -> None:
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            server.get(f"/v1/search?q=profile+{time.monotonic_ns()}")

    workers = [Thread(target=load) for _ in range(3)]
    for worker in workers:
        worker.start()
    text = server.get("/v1/profile?seconds=1.5").text
    for worker in workers:
        worker.join()
    assert "ragstone/search/retriever:Retriever.search" in text
    assert "/v1/profile" not in text
