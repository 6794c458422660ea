"""Processes that learn from one growing transcript and are killed: each thing is remembered as often as it was said."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path
from typing import Final

from ..errors import RagstoneError
from ..faults import LEARNING
from .report import Report, Run
from .transcripts import Transcript, learned, open_memory, remembered
from .zygote import Order, Worker

LONGEST_SECONDS: Final = 0.3
"""A killed process lives up to so long after it was forked."""
MOST_LINES: Final = 160
"""That the transcript grows by in a cycle."""
PIPED: Final = 10
"""Every so many cycles the whole transcript comes again from its beginning, as through a pipe."""
MOST_SECONDS: Final = 300.0
POINTS: Final = (*LEARNING, "writer.begun", "writer.worked", "writer.committed", "put.documents", "put.chunks")


def learning(run: Run) -> Report:
    """Cycles take turns: a kill at a random moment, then one at a named point. After half of them the next process is
    killed as well; after the others the stream is learned to its end and compared with what was said."""
    data, journal = run.folder / "data", run.folder / "journal"
    transcript = Transcript(run.folder / "transcript.jsonl")
    with Worker() as worker:

        def cycle(number: int, report: Report) -> None:
            chance = random.Random(f"{run.seed} {number}")
            point = POINTS[number // 2 % len(POINTS)] if number % 2 else ""
            transcript.grow(chance, chance.randrange(20, MOST_LINES))
            order = Order(
                str(data), str(journal), "", 0, point=point, nth=chance.choice((1, 1, 2, 3)),
                transcript=str(transcript.path), piped=number % PIPED == PIPED - 1,
            )  # fmt: skip
            worker.start(order)
            if not point and worker.wait(chance.uniform(0, LONGEST_SECONDS)) is None:
                worker.signal(signal.SIGKILL)
            status = worker.wait(MOST_SECONDS)
            if status is None:
                worker.signal(signal.SIGKILL)
                worker.wait()
            report.add("kills" if status == -signal.SIGKILL else "ended before the kill")
            if point and status == -signal.SIGKILL:
                report.add(f"killed at {point}")
            problems = [] if status in (0, -signal.SIGKILL) else [f"the process ended with {status}"]
            last = number == (run.cycles - 1 if run.only is None else run.only)
            problems += _checked(data, transcript, whole=last or chance.random() < 0.5)
            if problems:
                report.fail(number, f"killed at {point or 'a random moment'}", problems)
            report.figures |= {"lines": transcript.lines, "things said": transcript.said.total()}

        return run.go("learn", cycle)


def _checked(data: Path, transcript: Transcript, *, whole: bool) -> list[str]:
    """What is wrong with the memory, as the next process finds it; with `whole`, after it learned the rest."""
    try:
        with open_memory(data) as kb:
            if whole:
                transcript.end()
                learned(kb, transcript.path)
            told = Counter(dict(remembered(kb)))
            problems = [f"verify: {problem}" for problem in kb.verify().problems] if whole else []
    except RagstoneError as error:
        return [f"{error.code}: {error}"]
    doubled = told - transcript.said
    problems += [f"remembered {count} times too often: {text}" for text, count in list(doubled.items())[:5]]
    if whole:
        lost = transcript.said - told
        problems += [f"remembered {count} times too seldom: {text}" for text, count in list(lost.items())[:5]]
    return problems
