"""Power cuts: what was not synced is lost, in part, or out of order; then the folder is opened as after a start."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import RagstoneError
from .checker import check
from .disk import Disk, Fault
from .history import History, Journal
from .report import Report, Run
from .workload import Workload, open_folder, small_limits

EPOCH: Final = 25
"""Cuts over one folder; then a new one. A cycle is repeated from the first of its folder."""
MOST_OPERATIONS: Final = 500
"""Of the disk, before the cut."""
STEPS: Final = 300


def power(run: Run) -> Report:
    data, journal = run.folder / "data", run.folder / "data.journal"
    history = History()

    def cycle(number: int, report: Report) -> None:
        nonlocal history
        if number % EPOCH == 0:
            shutil.rmtree(data, ignore_errors=True)
            journal.unlink(missing_ok=True)
            history = History()
        chance = random.Random(f"{run.seed} {number}")
        moment = round(MOST_OPERATIONS ** chance.random())
        acknowledged = history.acknowledged
        disk, problems = _until_cut(data, journal, chance, moment)
        what = f"power cut at operation {moment} of the disk" if disk.dead else "no cut: the work was too short"
        what += f", {disk.restore(chance)}" if disk.dead else ""
        history.read(journal)
        try:
            with open_folder(data) as kb:
                problems += check(kb, history, chance)
        except RagstoneError as error:
            problems.append(f"{error.code}: {error}")
        if problems:
            report.fail(number, what, problems)
        report.add("power cuts", disk.dead)
        report.add("operations of the disk", disk.operations)
        report.add("documents acknowledged", history.acknowledged - acknowledged)

    return run.go("power", cycle, first=(run.only or 0) // EPOCH * EPOCH)


def _until_cut(data: Path, journal: Path, chance: random.Random, moment: int) -> tuple[Disk, list[str]]:
    """Works until the power is gone; errors before that are problems."""

    def plan(operation: int, _kind: str, _name: str) -> Fault | None:
        return "cut" if operation == moment else None

    disk = Disk(data, plan)
    problems: list[str] = []
    keeper = Journal(journal)
    try:
        with disk.mounted(), small_limits():
            kb = open_folder(data)
            try:
                work = Workload(kb, keeper, chance)
                for _ in range(STEPS):
                    work.step()
                    if disk.dead:
                        break
            finally:
                with suppress(RagstoneError):
                    kb.close()
    except RagstoneError as error:
        if not disk.dead:
            problems.append(f"before the cut: {error.code}: {error}")
    finally:
        keeper.close()
    return disk, problems
