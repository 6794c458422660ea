"""Figures, log and profile of a real server in two processes on one socket."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragstone
from ragstone.observe.instruments import INSTRUMENTS
from ragstone.server.alerts import RULES, alerts
from ragstone.server.gauges import FIGURES
from served import ROOT, SAMPLES, Served, served

SECRET = "Zwiebelturmgeheimnis"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("watched") / "data"
    with ragstone.open(data) as opened:
        opened.add([str(SAMPLES / "operations-handbook.md"), str(SAMPLES / "historian.rst")])
        opened.embed_pending()
    with served(data, "--workers", "2") as running:
        for i in range(20):
            assert running.search(f"pump pressure {i % 4}").status_code == 200
        assert running.ask("/v1/ask", "POST", json={"question": "How is the compressor stopped?"}).status_code == 200
        assert running.ask(f"/no/such/{SECRET}?q={SECRET}").status_code == 404
        assert running.ask("/v1/jobs/unknown").status_code == 404
        yield running


def figures(server: Served) -> dict[str, float]:
    lines = server.ask("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def test_processes_are_added_up(server: Served) -> None:
    found = figures(server)
    searched = [found.get(f'ragstone_search_seconds_count{{cached="{c}"}}', 0.0) for c in ("yes", "no")]
    assert sum(searched) >= 21  # an answer searches too
    assert found['ragstone_search_stage_seconds_count{stage="lexical"}'] == searched[1]
    assert found['ragstone_http_requests_total{route="/v1/search",method="POST",status="200"}'] >= 20
    assert found['ragstone_http_requests_total{route="other",method="GET",status="404"}'] == 1
    assert found['ragstone_http_requests_total{route="/v1/jobs/{job}",method="GET",status="404"}'] == 1
    assert found['ragstone_answer_seconds_count{kind="extractive"}'] == 1
    assert found["ragstone_processes"] >= 2
    assert found['ragstone_collection_documents{collection="default"}'] == 2
    assert {found[f'ragstone_up{{source="{s}"}}'] for s in ("data", "budget", "jobs", "keys", "lanes")} == {1}
    assert found["ragstone_http_in_flight"] == 1  # who asks
    assert found["ragstone_event_loop_lag_seconds_count"] > 0
    assert found['ragstone_jobs{state="queued"}'] == 0


def test_what_is_exposed_is_declared_and_well_formed(server: Served) -> None:
    text = server.ask("/metrics").text
    assert set(re.findall(r"^# TYPE (\S+)", text, flags=re.M)) <= INSTRUMENTS.keys() | FIGURES.keys()
    assert SECRET not in text
    for line in text.splitlines():
        assert re.fullmatch(r'#.*|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+', line), line
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout


def test_series_for_the_page(server: Served) -> None:
    until = time.monotonic() + 60
    found: dict = {"times": []}
    while len(found["times"]) < 2 and time.monotonic() < until:
        server.search(f"valve {time.monotonic_ns()}")
        found = server.ask("/v1/metrics/series").json()
    for name in ("requests_per_second", "hit_rate", "cpu_percent", "memory_bytes", "tokens_per_minute"):
        assert len(found[name]) == len(found["times"])
    assert found["memory_bytes"][-1] > 1e6
    search = found["latency_ms"]["search"]
    assert 0 < search["p50"][-1] <= search["p95"][-1] <= search["p99"][-1]
    assert isinstance(found["alerts"], list)


def test_the_log_tells_requests_without_what_was_asked(server: Served) -> None:
    answered = server.search(SECRET, headers={"X-Request-Id": "my-request-1"})
    assert answered.headers["x-request-id"] == "my-request-1"
    assert re.fullmatch(r"[0-9a-f]{16}", server.ask("/health").headers["x-request-id"])
    assert re.fullmatch(r"[0-9a-f]{16}", server.ask("/health", headers={"X-Request-Id": "a b"}).headers["x-request-id"])
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (mine,) = [line for line in lines if line.get("request") == "my-request-1" and "route" in line]
    assert (mine["route"], mine["status"], mine["method"]) == ("/v1/search", 200, "POST")
    assert mine["milliseconds"] > 0
    assert SECRET not in server.log.read_text()


def test_figures_and_profile_are_for_administrators(server: Served) -> None:
    for path in ("/v1/metrics/series", "/v1/profile?seconds=0.1"):
        assert server.ask(path, headers={"Authorization": "Bearer rgs_wrong"}).status_code == 401


def test_profile_of_a_working_server(server: Served, tmp_path: Path) -> None:
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            server.search(f"profile {time.monotonic_ns()}")

    busy = [threading.Thread(target=load) for _ in range(3)]
    for thread in busy:
        thread.start()
    picture = tmp_path / "profile.svg"
    command = [sys.executable, "-m", "ragstone", "profile", "--seconds", "2", "--url", server.url, "-o", str(picture)]
    command += ["--data", str(server.data), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    done.set()
    for thread in busy:
        thread.join()
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["samples"] > 0
    svg = picture.read_text()
    assert "ragstone/search/retriever:Retriever" in svg
    assert "<script" not in svg


def test_every_figure_of_rules_and_dashboard_is_there(server: Served) -> None:
    """Of those that have been counted in this run, or are declared and need a model, a budget or a cache first."""
    declared = {f"{n}{e}" for n, i in INSTRUMENTS.items() for e in (("_bucket", "_sum", "_count") if i.kind == "histogram" else ("",))}
    declared |= FIGURES.keys()
    rules = (ROOT / "deploy/prometheus/ragstone.rules.yml").read_text()
    dashboard = (ROOT / "deploy/grafana/ragstone.json").read_text()
    named = set(re.findall(r"\bragstone_[a-z_]+", rules + dashboard))
    assert named
    assert named <= declared
    exposed = set(re.findall(r"^(ragstone_[a-z_]+)", server.ask("/metrics").text, flags=re.M))
    later = ("ragstone_llm_", "ragstone_tokens", "ragstone_cost", "ragstone_budget", "ragstone_documents_total")
    assert {name for name in named - exposed if not name.startswith(later)} == set()


def test_rules_are_valid_and_the_page_has_the_same() -> None:
    yaml = pytest.importorskip("yaml")
    file = ROOT / "deploy/prometheus/ragstone.rules.yml"
    rules = {rule["alert"]: rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]}
    for rule in RULES:
        bound = rule.high if rule.high is not None else rule.low
        assert bound is not None
        written = float(rules[rule.name]["expr"].split()[-1]) * (1000.0 if rule.figure.endswith("_ms") else 1.0)
        assert written == pytest.approx(bound)
        assert rules[rule.name]["labels"]["severity"] == rule.severity
    for rule in rules.values():
        assert rule["annotations"]["action"]
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_alerts_of_the_page() -> None:
    well = {"failed_share": 0.0, "hit_rate": 0.5, "memory_available_share": 0.5, "jobs_waiting": 0.0}
    assert alerts(well, {"search_p99_ms": 20.0}) == []
    found = alerts({**well, "failed_share": 0.2, "memory_available_share": 0.01}, {"search_p99_ms": 900.0})
    assert {alert["name"] for alert in found} == {"RagstoneFailing", "RagstoneMemory", "RagstoneSlowSearch"}


def test_the_dashboard_is_what_its_script_makes() -> None:
    done = subprocess.run([sys.executable, "tools/make_dashboard.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
