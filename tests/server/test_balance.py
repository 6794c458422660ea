"""Clients that keep their connections are shared among the processes that answer, also when one of them is new."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from ragstone.server.accepting import FEW, FILE, MUCH, PLACE, Places
from served import Served, served

CLIENTS = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "data", "--workers", "2", "--set", "server.job_workers=0") as server:
        until = time.monotonic() + 60
        while len(shares(server)) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield server


def taking(folder: Path) -> list[int]:
    """The processes that take connections."""
    table = (folder / FILE).read_bytes() if (folder / FILE).exists() else b""
    return [pid for pid, _ in PLACE.iter_unpack(table) if pid]


def shares(server: Served) -> dict[int, int]:
    """Connections of the processes that take any, as the system counts them."""
    port = urlsplit(server.url).port
    return {
        pid: sum(1 for c in psutil.Process(pid).net_connections("tcp") if c.status == "ESTABLISHED" and c.laddr.port == port)
        for pid in taking(server.data)
        if psutil.pid_exists(pid)
    }  # fmt: skip


def ask(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/health")
    assert client.getresponse().read()


def clients(server: Served) -> list[http.client.HTTPConnection]:
    connections = [http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30) for _ in range(CLIENTS)]
    for connection in connections:
        ask(connection)
    return connections


def test_connections_are_shared_evenly(server: Served) -> None:
    held = clients(server)
    until = time.monotonic() + 60
    while True:
        counts = shares(server).values()
        if sum(counts) == CLIENTS and min(counts) >= CLIENTS // 2 - 6:
            break
        assert time.monotonic() < until, counts
        for client in held:
            ask(client)  # a process that was busy at first leaves more to the other, which then closes some
    for client in held:
        client.close()


def test_a_new_process_gets_its_share_of_clients_that_are_there(server: Served) -> None:
    held = clients(server)
    first = max(shares(server))
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + 60
    while True:
        for client in held:
            try:
                ask(client)
            except (http.client.HTTPException, OSError):  # it was the killed process's
                client.close()
        counts = shares(server)
        if len(counts) == 2 and first not in counts and max(counts.values()) <= MUCH * min(counts.values()) + FEW:
            break
        assert time.monotonic() < until, counts
        time.sleep(0.1)
    for client in held:
        client.close()


def test_a_table_says_who_has_fewest(tmp_path: Path) -> None:
    own, other = Places(tmp_path), Places(tmp_path)
    own.join()
    assert own.fewest() is None
    assert not own.too_many(1_000)
    other.join()
    time.sleep(0.05)
    other.tell(10)
    assert own.fewest() == 10
    assert own.too_many(int(MUCH * 10 + FEW) + 1)
    assert not own.too_many(int(MUCH * 10 + FEW))
    other.leave()
    assert own.fewest() is None
    assert taking(tmp_path) == [os.getpid()]
