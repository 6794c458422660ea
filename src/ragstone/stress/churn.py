"""Long work in one process: nothing that it holds may grow for ever."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

import psutil

from ..knowledge_base import KnowledgeBase
from ..storage.connect import DATABASE, SEGMENTS
from .checker import check
from .history import History, Journal
from .report import Report, Run
from .workload import Workload, open_folder

STEPS: Final = 20
"""Operations in a cycle."""
CHECKED: Final = 10
"""Cycles between two checks of everything."""
WAL_BYTES: Final = 64 << 20
MEMORY_BYTES: Final = 48 << 20
"""Growth after the first third, with the caches of allocator and analysis."""
FEW: Final = 4
"""Descriptors or threads that may come and go: pooled connections, files that a search has mapped."""
FILES: Final = 200
"""Index files: those that nothing refers to are left alone for a minute."""


def churn(run: Run) -> Report:
    """Collections come and go, documents come and go; memory, descriptors, threads, the log and the number of files
    after each cycle, and at the end how they moved since the first third."""
    data, path = run.folder / "data", run.folder / "journal"
    shutil.rmtree(data, ignore_errors=True)
    path.unlink(missing_ok=True)
    journal = Journal(path)
    history = History()
    process = psutil.Process()
    seen: dict[str, list[int]] = {"memory": [], "descriptors": [], "threads": [], "log": [], "files": []}
    with open_folder(data) as kb:
        work = Workload(kb, journal, random.Random(f"{run.seed} work"), population=60)

        def cycle(number: int, report: Report) -> None:
            for _ in range(STEPS):
                work.step()
            _collection_of_its_own(kb, number)
            history.read(path)
            problems = check(kb, history, random.Random(number)) if number % CHECKED == CHECKED - 1 else []
            seen["memory"].append(process.memory_info().rss)
            seen["descriptors"].append(process.num_fds())
            seen["threads"].append(process.num_threads())
            seen["log"].append(_size(data / f"{DATABASE}-wal"))
            seen["files"].append(sum(1 for _ in (data / SEGMENTS).iterdir()))
            if seen["log"][-1] > WAL_BYTES:
                problems.append(f"the write-ahead log has {seen['log'][-1]:,} bytes")
            if problems:
                report.fail(number, "work without a fault", problems)

        report = run.go("churn", cycle)
    journal.close()
    _judge(seen, report)
    report.figures["documents acknowledged"] = history.acknowledged
    return report


def _collection_of_its_own(kb: KnowledgeBase, number: int) -> None:
    name = f"passing {number}"
    kb.add_texts([("/passing", "Passing", f"Text of collection {number}.", {"version": 0})], collection=name)
    kb.embed_pending(collection=name)
    kb.search("text of collection", collections=[name])
    kb.drop_collection(name)


def _judge(seen: dict[str, list[int]], report: Report) -> None:
    """The worst of the last third against the worst of the second."""
    third = len(seen["memory"]) // 3
    problems = []
    for name, values in seen.items():
        report.figures[f"{name}, most"] = max(values)
    if third >= CHECKED:
        for name, allowed in (("memory", MEMORY_BYTES), ("descriptors", FEW), ("threads", FEW), ("files", FILES)):
            values = seen[name]
            grown = max(values[2 * third :]) - max(values[third : 2 * third])
            report.figures[f"{name}, growth in the last third"] = grown
            if grown > allowed:
                problems.append(f"{name} grew by {grown:,} in the last third of the cycles")
    if problems:
        report.fail(report.cycles - 1, "work without a fault", problems)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
