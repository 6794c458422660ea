"""Limits hold for all processes of a server together."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from ragstone.errors import TooManyRequests
from ragstone.server import rates
from ragstone.server.rates import Rates


def ask(folder: Path, times: int, told: Any) -> None:
    counted = Rates(folder)
    allowed = 0
    for _ in range(times):
        try:
            counted.take("requests", "somebody", 100)
            allowed += 1
        except TooManyRequests:
            pass
    told.put(allowed)
    counted.close()


def test_two_processes_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [context.Process(target=ask, args=(tmp_path, 90, told)) for _ in range(3)]
    for process in processes:
        process.start()
    allowed = [told.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    # where the minute ended meanwhile, a part of the old one's count had slid out
    assert 100 <= sum(allowed) <= 200
    counted = Rates(tmp_path)
    assert counted.full("requests", "somebody", 100) or sum(allowed) > 100
    assert not counted.full("requests", "another", 100)
    assert not counted.full("failures", "somebody", 100)
    counted.close()


def test_the_window_slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 6_000_000.0
    monkeypatch.setattr(rates.time, "time", lambda: now)
    counted = Rates(tmp_path)
    left = [dict(counted.take("requests", "a", 10))[b"ratelimit-remaining"] for _ in range(10)]
    assert left == [str(number).encode() for number in range(9, -1, -1)]
    with pytest.raises(TooManyRequests) as refused:
        counted.take("requests", "a", 10)
    assert refused.value.retry_after == 60
    now += 60 + 30  # half of the last minute's ten still count
    for _ in range(5):
        counted.take("requests", "a", 10)
    with pytest.raises(TooManyRequests):
        counted.take("requests", "a", 10)
    now += 120
    assert not counted.full("requests", "a", 10)
    counted.close()


def test_a_full_table_forgets_who_asked_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SLOTS", 16)
    now = 6_000_000.0
    monkeypatch.setattr(rates.time, "time", lambda: now)
    counted = Rates(tmp_path)
    for number in range(64):
        now += 60
        counted.take("requests", f"{number}", 1)
    assert counted.full("requests", "63", 1)
    assert not counted.full("requests", "0", 1)
    counted.close()
