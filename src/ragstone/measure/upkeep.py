"""Scenarios of `ragstone bench` about the index files: making a large one, and what is left after a killed process."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..index.vectors import FlatVectorIndex
from ..knowledge_base import KnowledgeBase
from .fill import fill
from .metrics import percentile
from .synthetic import TextMaker
from .timing import child, spread, timed

OpenKnowledgeBase = Callable[[Path], KnowledgeBase]
RECOVERED_CHUNKS = 100_000
_RUNS = 5


def seal(open_at: OpenKnowledgeBase, chunks: int) -> dict[str, Any]:
    """All vectors into one new file, as sealing does when it merges: CPU of the thread that writes it, and searches
    by known vectors in another one meanwhile, against the same before. What is searched is the index that the
    knowledge base made; the new file is not published."""
    maker = TextMaker(31)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place, open_at(Path(place, "data")) as kb:
        texts = fill(kb, chunks, maker)
        index = kb.index("default").vectors(kb.collection("default").space)
        if not isinstance(index, FlatVectorIndex):
            raise InputError("there is no vector to seal.", "Give --chunks a larger number.")
        asked = kb.embedder().embed([maker.question(texts[i % len(texts)]) for i in range(64)], "query")
        questions = (row[None] for row in itertools.cycle(asked))
        before = [timed(lambda: index.search(next(questions), 10)) for _ in range(200)]
        cpu: list[float] = []

        def write() -> None:
            started = time.thread_time()
            index.merge(Path(place, "sealed.seg"))
            cpu.append(time.thread_time() - started)

        writer = threading.Thread(target=write)
        started = time.perf_counter()
        writer.start()
        meanwhile: list[float] = []
        while writer.is_alive():
            meanwhile.append(timed(lambda: index.search(next(questions), 10)))
            time.sleep(0.005)
        writer.join()
        seconds = time.perf_counter() - started
        if not cpu:
            raise InputError("the file could not be written.", "Free some space.")
        size = Path(place, "sealed.seg").stat().st_size
    return {
        "vectors": chunks, "seconds": seconds, "cpu_seconds": cpu[0], "megabytes": size / 1e6,
        "idle_search_ms": spread(before), "searches_meanwhile": len(meanwhile), "busy_search_ms": spread(meanwhile),
    }  # fmt: skip


def recovery(chunks: int = RECOVERED_CHUNKS) -> dict[str, Any]:
    """A process fills a folder, goes on writing, and is killed (SIGKILL) in the middle of a write, with rows that no
    index file holds; then the first hybrid search of new processes, each on what the one before left. They only
    read, so that none writes the files that the next would find."""
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        data = Path(place, "data")
        acknowledged = _killed(data, chunks)
        runs = [child(_FIRST_SEARCH, str(data), str(acknowledged)) for _ in range(_RUNS)]
    figures = {name: percentile([run[name] for run in runs], 0.5) for name in runs[0] if name != "lost"}
    return {
        "chunks": acknowledged,
        "unsealed": acknowledged - chunks,
        "lost": max(run["lost"] for run in runs),
        **figures,
        "worst_answer_s": max(run["answer_s"] for run in runs),
    }


def _killed(data: Path, chunks: int) -> int:
    """Chunks that were acknowledged when the process was killed."""
    # its errors are what this process would print
    with subprocess.Popen([sys.executable, "-c", _WRITE_ON, str(data), str(chunks)], stdout=subprocess.PIPE) as writer:
        lines = iter(writer.stdout or ())
        acknowledged = int(next(lines, b"0"))
        time.sleep(float(np.random.default_rng(37).uniform(0.05, 0.2)))  # into the next write
        writer.kill()
        acknowledged = max([acknowledged, *(int(line) for line in lines if line.endswith(b"\n"))])
    if not acknowledged:
        raise InputError("the process that was to be killed ended by itself.")
    return acknowledged


_WRITE_ON = """
import sys
from pathlib import Path
import ragstone
from ragstone.measure.fill import fill, pour
from ragstone.measure.synthetic import TextMaker
chunks = int(sys.argv[2])
with ragstone.open(Path(sys.argv[1]), overrides={"embedding.background": False}) as kb:
    fill(kb, chunks, TextMaker(41))
    for added in pour(kb, 10 * chunks, TextMaker(43), name="more"):
        chunks += len(added)
        print(chunks, flush=True)
"""

_FIRST_SEARCH = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
import ragstone
laps = [time.perf_counter() - started]
def lap():
    laps.append(time.perf_counter() - started - sum(laps))
with ragstone.open(Path(sys.argv[1]), read_only=True, overrides={"embedding.background": False}) as kb:
    lap()
    index = kb.index("default")
    lap()
    kb.embedder().embed(["a first question"], "query")
    lap()
    hits = kb.search("a first question", cache=False).hits
    lap()
    found = len(index.lexical.ids()) if hits else 0
names = ("import_s", "open_s", "index_s", "model_s", "search_s")
figures = dict(zip(names, laps), answer_s=sum(laps), answer_without_model_s=sum(laps) - laps[3])
figures["answer_cpu_s"] = time.process_time()
print(json.dumps({**figures, "lost": max(0, int(sys.argv[2]) - found)}))
"""
