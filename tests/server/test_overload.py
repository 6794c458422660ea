"""More work than there is room for, and who does what beside the answers."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path

import httpx2

from ragstone.assemble import Role, open_knowledge_base
from ragstone.bridge import KNOWN, Lane
from ragstone.errors import Overloaded
from ragstone.knowledge_base import KnowledgeBase
from ragstone.server import workers
from ragstone.server.tenants import Tenants
from ragstone.server.vectors import WaitingVectors
from ragstone.settings import at
from ragstone.testing import HashEmbedder
from server.conftest import Running, serving

AT_ONCE = 40


async def _together(lane: Lane, count: int) -> list[object]:
    until = time.monotonic() + 60
    work = [lane.run(lambda: time.sleep(0.01), until) for _ in range(count)]
    return await asyncio.gather(*work, return_exceptions=True)


def test_who_would_wait_too_long_is_refused_and_nobody_once_the_line_is_short_again() -> None:
    async def scenario() -> None:
        lane = Lane("search", 2, 10_000, patience=0.05)
        try:
            assert await _together(lane, KNOWN) == [None] * KNOWN, "what work takes is not known yet"
            found = await _together(lane, AT_ONCE)
            refused = [one for one in found if isinstance(one, Overloaded)]
            assert refused
            assert found[:2] == [None, None], "two threads were free"
            assert len(refused) + found.count(None) == AT_ONCE
            assert await _together(lane, 2) == [None, None]
            assert lane.busy == 0
        finally:
            lane.close()

    asyncio.run(scenario())


def test_server_timing_names_the_stages(filled: httpx2.Client) -> None:
    def stages(answer: httpx2.Response) -> set[str]:
        parts = [part.split(";dur=") for part in answer.headers["server-timing"].split(", ")]
        assert all(float(ms) >= 0 for _, ms in parts)
        return {name for name, _ in parts}

    asked = {"query": "seals of the pump"}
    assert {"all", "wait", "lexical", "dense", "fetch"} <= stages(filled.post("/v1/search", json=asked))
    assert stages(filled.post("/v1/search", json=asked)) == {"all", "cache"}
    assert {"all", "search"} <= stages(filled.post("/v1/ask", json={"question": "How long does the battery last?"}))


def test_the_event_loop_s_lag_is_what_it_stood_still(tmp_path: Path) -> None:
    with serving(tmp_path) as running, running.local() as local:  # a process counts for the server that came last
        _stands_still(running, local)


def _stands_still(running: Running, local: httpx2.Client) -> None:
    def late() -> float:
        buckets = re.findall(r'event_loop_lag_seconds_bucket\{le="(.+?)"\} (\S+)', local.get("/metrics").text)
        counts = {bound: float(count) for bound, count in buckets}
        return counts["+Inf"] - counts["0.4"]

    before = late()
    loop = running.service.changes._loop
    loop.call_soon_threadsafe(time.sleep, 0.7)  # longer than a step and the bound together
    until = time.monotonic() + 30
    while late() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert late() > before


def _opened(folder: Path, role: Role) -> KnowledgeBase:
    return open_knowledge_base(at(folder), embedder=HashEmbedder(), role=role)


def test_processes_that_answer_leave_vectors_to_a_worker(tmp_path: Path) -> None:
    folders = {"default": tmp_path, "other": tmp_path / "tenants" / "other"}
    stop = threading.Event()
    tenants = Tenants(lambda folder: _opened(folder, "upkeep"), tmp_path, 4)
    working = threading.Thread(target=workers._upkeep, args=(tenants, stop))
    vectors = WaitingVectors(tmp_path, tenants)
    answering = {name: _opened(folder, "answers") for name, folder in folders.items()}
    try:
        for kb in answering.values():
            kb.add_texts([("a", "", "The pump needs oil.", {})])
            assert kb._running.embedding is None
            assert kb.collection("default").waiting == 1
        working.start()
        vectors.start()
        until = time.monotonic() + 60
        while any(kb.collection("default").waiting for kb in answering.values()) and time.monotonic() < until:
            time.sleep(0.02)
        assert [kb.collection("default").waiting for kb in answering.values()] == [0, 0]
        answering["default"].add_texts([("b", "", "The valve is closed.", {})])  # the worker looks by itself
        while answering["default"].collection("default").waiting and time.monotonic() < until:
            time.sleep(0.02)
        assert answering["default"].collection("default").waiting == 0
    finally:
        vectors.stop()
        stop.set()
        working.join(60)
        tenants.close()
        for kb in answering.values():
            kb.close()
