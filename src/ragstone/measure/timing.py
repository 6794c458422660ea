"""How long calls and processes take."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from .metrics import percentile


def spread(values: list[float]) -> dict[str, float]:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95)}


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000.0


def process(arguments: list[str]) -> float:
    """Seconds of a whole `ragstone` process. Raises InputError with its message where it fails."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "ragstone", *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise InputError(f"`ragstone {arguments[0]}` failed: {done.stderr.strip()}")
    return seconds


def child(script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints as JSON, run in a process of its own. Raises InputError where it fails."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"the measured process failed: {done.stderr.strip()}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
