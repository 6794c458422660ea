"""A server of several processes, as it is shipped: who embeds, who counts, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ragstone.server.accounts import Accounts
from ragstone.storage.migrations import queries
from ragstone.stress.report import Run
from ragstone.stress.serve import serve
from ragstone.stress.server_process import ServerProcess

LIMIT = 20
SETTINGS = f"""
[server]
workers = 2
job_workers = 1
requests_per_minute = {LIMIT}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    (tmp_path / "config.toml").write_text(SETTINGS)
    with ServerProcess(tmp_path / "data", tmp_path / "config.toml") as server:
        yield server


def working(data: Path) -> set[int]:
    """Processes that do jobs: they have a file that says so."""
    return {int(path.name.split("-")[1]) for path in (data / "jobs").glob("*.lease")}


def waiting(data: Path) -> int:
    with sqlite3.connect(f"file:{data}/ragstone.db?mode=ro", uri=True) as connection:
        return int(connection.execute(queries()["count_every_waiting"]).fetchone()[0])


def test_one_process_embeds_and_all_count_together(server: ServerProcess, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with server.client() as client:
        sent = client.post(
            server.url("/v1/collections/default/documents:batch?wait=30"),
            json={"documents": [{"uri": f"/{n}", "text": f"The pump number {n} stands in hall {n}."} for n in range(40)]},
        )
        assert sent.json()["state"] == "done"
    until = time.monotonic() + 60
    while waiting(data):
        assert time.monotonic() < until
        time.sleep(0.05)
    (embedding,) = {struct.unpack("<dq", (data / "embedder.lock").read_bytes())[1]}
    assert embedding in working(data)
    # vectors that a killed worker left are made by the next one, which opens the data for that alone
    with sqlite3.connect(data / "ragstone.db") as connection:
        connection.execute("INSERT INTO waiting SELECT collection_id, space_id, id FROM queues, chunks LIMIT 10")
        connection.execute("DELETE FROM embeddings")
    connection.close()
    assert waiting(data) == 10
    os.kill(embedding, signal.SIGKILL)
    while waiting(data):
        assert time.monotonic() < until
        time.sleep(0.05)
    (again,) = {struct.unpack("<dq", (data / "embedder.lock").read_bytes())[1]}
    assert again != embedding

    accounts = Accounts(data)
    _, key = accounts.create_key("counted", ["read"])
    accounts.close()
    time.sleep(0.5)  # until every process has heard of it
    minute = time.time() // 60
    answers = [
        httpx2.get(server.url("/v1/version"), headers={"Authorization": f"Bearer {key}"}).status_code
        for _ in range(3 * LIMIT)  # a connection each: any process may take it
    ]
    assert set(answers) == {200, 429}
    assert answers.count(200) == LIMIT or time.time() // 60 != minute


@pytest.mark.slow
def test_a_server_killed_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """`ragstone stress serve` is the long run of it."""
    report = serve(Run(tmp_path, seed=5), uploads=12, kills=1)
    assert not report.failures
    assert report.figures["servers killed"] == 1
    assert report.figures["uploads acknowledged"] == 12
