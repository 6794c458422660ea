"""Working processes that end are followed by others, ever more slowly where they cannot start."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ragstone.server import workers
from ragstone.server.workers import Workers


class Broken:
    """Made in each process; leaves a mark there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> Any:
        (self._folder / f"{time.monotonic()} {os.getpid()}").touch()
        raise SystemExit(3)


def test_what_cannot_start_is_started_ever_more_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "RESTART_SECONDS", 0.2)
    running = Workers(Broken(tmp_path), 1)
    running.start()
    try:
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 4 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        running.stop(10)
    starts = sorted(float(mark.name.split()[0]) for mark in tmp_path.iterdir())
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=False):  # least: how long it takes to start comes on top
        assert pause >= least
    assert len(pauses) >= 3
