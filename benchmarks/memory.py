"""Memory at size: processor and wall time of a recall, of one right after a write, of learning; memory held.

    python benchmarks/memory.py --data FOLDER [--items 100000] [--transcript FILE] [--json FILE]

FOLDER is filled where it holds no memory yet: knowledge and episodes of made-up sentences in four projects, with
vectors mixed of real ones (measure/synthetic.py) in place of embedding each; all else goes the way of `remember`.
Recalls are timed without embedding the question.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.measure.machine import machine
from ragstone.measure.samples import sample_sentences
from ragstone.measure.synthetic import TextMaker, mixtures
from ragstone.memory.memory import Memory
from ragstone.memory_types import MEMORY, NewItem
from ragstone.protocols import Embedder, Role, Vectors
from ragstone.settings import at
from ragstone.types import Space

PROJECTS = ("press", "line two", "warehouse", "office")
TOGETHER = 500
DAY = 86_400.0


class Mixed(Embedder):
    """Vectors of the space of `real` that mean nothing, for as many texts as wanted."""

    def __init__(self, real: Embedder, count: int) -> None:
        self._real = real
        self._rows: Iterator[Any] = itertools.chain.from_iterable(
            mixtures(real.embed(sample_sentences(), "passage"), count)
        )

    @property
    def space(self) -> Space:
        return self._real.space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:  # noqa: ARG002 - of the protocol
        return np.stack(list(itertools.islice(self._rows, len(texts))))

    def count_tokens(self, text: str) -> int:
        return self._real.count_tokens(text)


def fill(kb: KnowledgeBase, items: int) -> None:
    maker, chance = TextMaker(11), random.Random(11)
    mixed = Mixed(kb.embedder(), 3 * items + 10 * TOGETHER)
    around = replace(kb.memory._around, embedder=lambda _: mixed)
    memory = Memory(around)
    begun = time.time() - 400 * DAY
    for first in range(0, items, TOGETHER):
        memory.remember_many(
            [
                NewItem(
                    maker.paragraph(90), "episode" if number % 4 == 0 else "knowledge", "fact",
                    project=chance.choice(PROJECTS), at=begun + number * 300.0,
                )
                for number in range(first, min(first + TOGETHER, items))
            ]
        )  # fmt: skip
        sys.stderr.write(f"\r{first + TOGETHER:,} of {items:,} items")
    sys.stderr.write("\n")


def timed(work: Callable[[int], Any], count: int) -> dict[str, float]:
    """Milliseconds; recalls' own stage of embedding is taken off the wall time, `work` keeps it out of the other."""
    cpu, wall = [], []
    for number in range(count):
        before = time.process_time()
        found = work(number)
        cpu.append(1_000 * (time.process_time() - before))
        wall.append(sum(ms for stage, ms in found.timings.items() if stage not in ("embed", "total")))
    return {f"{name} {share}": sorted(values)[int(part * (count - 1))]
            for name, values in (("cpu", cpu), ("wall", wall))
            for share, part in (("p50", 0.5), ("p95", 0.95))}  # fmt: skip


def recalls(kb: KnowledgeBase, count: int) -> dict[str, Any]:
    maker = TextMaker(13)
    questions = [maker.question(maker.paragraph(120)) for _ in range(2 * count + 60)]
    kb.embedder().embed(questions, "query")  # known from now on: what is timed embeds nothing
    for question in questions[:30]:
        kb.memory.recall(question, project=PROJECTS[0])
        kb.memory.recall(question, all_projects=True)

    def after_a_write(number: int) -> Any:
        kb.memory.remember(f"Note {number} of {time.time()}.", project=PROJECTS[1])
        return kb.memory.recall(questions[30 + number], project=PROJECTS[1])

    one = timed(lambda n: kb.memory.recall(questions[30 + n], project=PROJECTS[1]), count)
    every = timed(lambda n: kb.memory.recall(questions[30 + count + n], all_projects=True), count)
    written = timed(after_a_write, 40)
    return {"one project": one, "all projects": every,
            "after a write": {name: ms for name, ms in written.items() if name.startswith("wall")}}  # fmt: skip


def learned(kb: KnowledgeBase, transcript: Path) -> dict[str, float]:
    """Without a language model; the classifiers are loaded before."""
    kb.intents.classify_many(["is it ready"])
    before, begun = time.process_time(), time.perf_counter()
    report = kb.learner(f"benchmark {begun}", project=PROJECTS[2]).learn_file(transcript)
    return {"turns": report.turns, "items": report.items, "per second": report.turns / (time.perf_counter() - begun),
            "per second of processor time": report.turns / (time.process_time() - before)}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--recalls", type=int, default=200)
    options.add_argument("--transcript", type=Path, help="is learned too; what `ragstone learn` reads")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    settings = at(chosen.data)
    with open_knowledge_base(settings) as kb:
        if not kb.memory.statistics().items:
            fill(kb, chosen.items)
            kb.index(MEMORY).seal()
            kb.index(MEMORY).consolidate()  # as the indexer does while nobody writes
    with open_knowledge_base(settings) as kb:
        report = {
            **machine(), "load": os.getloadavg()[0], "items": kb.memory.statistics().items,
            "recall, ms without embedding": recalls(kb, chosen.recalls),
            "megabytes": psutil.Process().memory_info().rss / 1e6,
        }  # fmt: skip
        if chosen.transcript:
            report["learn"] = learned(kb, chosen.transcript)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
