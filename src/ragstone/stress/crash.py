"""Processes that are killed at random moments and at every point of the write path, over one growing folder."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Final

from ..errors import RagstoneError
from ..faults import POINTS
from .checker import check
from .history import History
from .report import Report, Run
from .workload import open_folder
from .zygote import TELL_WHERE, Order, Worker

LONGEST_SECONDS: Final = 0.4
"""A killed process lives up to so long after it was forked."""
STEPS: Final = 400
"""More than fit into that time."""
FRESH: Final = 10
"""Every so many cycles a process is killed over a folder that is new."""
MOST_SECONDS: Final = 300.0
_FIRST_OF_A_FOLDER: Final = ("schema.applied", "schema.current")


def crash(run: Run) -> Report:
    """Cycles take turns: a kill at a random moment, then one at a named point, the points one after the other."""
    names = list(POINTS)
    with Worker() as worker:
        folders = {False: _Folder(run.folder / "data"), True: _Folder(run.folder / "fresh")}

        def cycle(number: int, report: Report) -> None:
            chance = random.Random(f"{run.seed} {number}")
            point = names[number // 2 % len(names)] if number % 2 else ""
            fresh = point in _FIRST_OF_A_FOLDER or number % FRESH == FRESH - 1
            folder = folders[fresh]
            if fresh:
                folder.clear()
            nth = 1 if point in _FIRST_OF_A_FOLDER else chance.choice((1, 1, 1, 2, 3, 5))
            steps = 1 if point else STEPS
            order = Order(str(folder.data), str(folder.journal), f"{run.seed} {number}", steps, point=point, nth=nth)
            what = f"killed at {point}" if point else "killed at a random moment"
            worker.start(order)
            if not point and worker.wait(chance.uniform(0, LONGEST_SECONDS)) is None:
                worker.signal(signal.SIGKILL)
            status = worker.wait(MOST_SECONDS)
            if status is None:
                worker.signal(TELL_WHERE)
                time.sleep(1)
                worker.signal(signal.SIGKILL)
                worker.wait()
            report.add("kills" if status == -signal.SIGKILL else "ended before the kill")
            if point and status == -signal.SIGKILL:
                report.add(f"killed at {point}")
            problems = folder.check(worker.pid, chance)
            if status is None:
                problems.append(f"the process did not end in {MOST_SECONDS:.0f} seconds")
            if problems:
                report.fail(number, what, problems)
            report.figures["documents acknowledged"] = sum(f.acknowledged for f in folders.values())

        return run.go("crash", cycle, first=run.only or 0)


class _Folder:
    """A data folder, its journal, and what is known of them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.journal = data.with_name(f"{data.name}.journal")
        self._history = History()
        self._earlier = 0

    @property
    def acknowledged(self) -> int:
        return self._earlier + self._history.acknowledged

    def clear(self) -> None:
        self._earlier = self.acknowledged
        shutil.rmtree(self.data, ignore_errors=True)
        self.journal.unlink(missing_ok=True)
        self._history = History()

    def check(self, process: int, chance: random.Random) -> list[str]:
        """Opens the folder as the next process would."""
        self._history.read(self.journal)
        self._history.died(process)
        try:
            with open_folder(self.data) as kb:
                return check(kb, self._history, chance)
        except RagstoneError as error:
            return [*self._history.problems, f"{error.code}: {error}"]
