"""How fast a model runs with nothing around it: what the embedding worker is measured against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .onnx import OnnxEmbedder, inputs, open_session


@dataclass(frozen=True, slots=True)
class BareRate:
    """`parallel` runs at once, each with `threads` threads and `batch` texts. The rate by CPU seconds of this process
    is the one to compare on a machine that does other work."""

    parallel: int
    threads: int
    batch: int
    texts_per_second: float
    tokens_per_second: float
    texts_per_cpu_second: float


def bare_rates(
    embedder: OnnxEmbedder, texts: Sequence[str], cores: int, *, batches: Sequence[int] = (1, 8)
) -> list[BareRate]:
    """The model's own throughput over `texts` as passages, best first: tokenised and sorted by length beforehand, the
    session alone, with one run per core and with one run on all cores, at each batch size. The median text of a batch
    gives its length (others are cut or padded to it), so the work is the same whatever the batch."""
    rows = sorted(embedder.windows(texts, "passage"), key=len)
    tokens = sum(map(len, rows))
    rates = []
    for parallel, threads in dict.fromkeys([(cores, 1), (1, cores)]):
        session = open_session(embedder.model.file, "cpu", threads)
        names = [i.name for i in session.get_inputs()]
        for batch in batches:
            groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
            feeds = []
            for group in groups[::-1]:
                middle = len(group[len(group) // 2])
                known = inputs([(row * (middle // len(row) + 1))[:middle] for row in group])
                feeds.append({name: known[name] for name in names})
            session.run(None, feeds[-1])  # the first run sets the session up
            started, used = time.perf_counter(), time.process_time()
            with ThreadPoolExecutor(parallel) as pool:
                for _ in pool.map(lambda feed, s=session: s.run(None, feed), feeds):
                    pass
            seconds, used = time.perf_counter() - started, time.process_time() - used
            rate, cpu_rate = len(texts) / seconds, len(texts) / max(used, 1e-6)
            rates.append(BareRate(parallel, threads, batch, rate, tokens / seconds, cpu_rate))
    return sorted(rates, key=lambda rate: -rate.texts_per_second)
