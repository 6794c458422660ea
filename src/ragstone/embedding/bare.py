"""How fast a model runs with nothing around it: what the embedding worker is measured against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .onnx import OnnxEmbedder, inputs
from .session import CPU, Device, open_session

DEVICE_BATCHES = (1, 16, 64, 192)


@dataclass(frozen=True, slots=True)
class BareSetting:
    """`parallel` runs at once, each with `threads` threads and `batch` texts."""

    parallel: int
    threads: int
    batch: int


@dataclass(frozen=True, slots=True)
class BareRun:
    """Seconds on the clock, and of the processors for this process: those compare better on a machine that does other
    work."""

    seconds: float
    cpu_seconds: float
    tokens: int


def bare_run(embedder: OnnxEmbedder, texts: Sequence[str], setting: BareSetting) -> BareRun:
    """`texts` as passages through the session alone, tokenised and sorted by length beforehand. The median text of a
    batch gives its length (others are cut or padded to it), so the work is the same whatever the batch."""
    rows = sorted(embedder.windows(texts, "passage"), key=len)
    session = open_session(embedder.model.file, embedder.device, setting.threads)
    names = [i.name for i in session.get_inputs()]
    feeds: list[dict[str, Any]] = []
    for group in [rows[i : i + setting.batch] for i in range(0, len(rows), setting.batch)][::-1]:
        middle = len(group[len(group) // 2])
        known = inputs([(row * (middle // len(row) + 1))[:middle] for row in group])
        feeds.append({name: known[name] for name in names})
    with ThreadPoolExecutor(setting.parallel) as pool:

        def through(feeds: list[dict[str, Any]]) -> None:
            for _ in pool.map(lambda feed: session.run(None, feed), feeds):
                pass

        through(feeds[: 2 * setting.parallel])  # the first runs set the session up
        started, used = time.perf_counter(), time.process_time()
        through(feeds)
        return BareRun(time.perf_counter() - started, time.process_time() - used, sum(map(len, rows)))


def settings(cores: int, batches: Sequence[int] = (1, 8), device: Device = CPU) -> list[BareSetting]:
    """One run per core and one run on all cores, at each batch size; on a GPU one run at a time, in large batches."""
    if not device.is_cpu:
        return [BareSetting(1, 1, batch) for batch in DEVICE_BATCHES]
    return [BareSetting(p, t, b) for p, t in dict.fromkeys([(cores, 1), (1, cores)]) for b in batches]
