"""Full and failing disks: every operation of the disk fails once, for a moment or until a person frees space."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Final

from ..errors import DiskFull, RagstoneError, StoreError
from ..knowledge_base import KnowledgeBase
from .checker import check
from .disk import FAULTS, POSSIBLE, Disk, Fault
from .history import History, Journal
from .report import Report, Run
from .workload import Workload, open_folder, small_limits

WARM_STEPS: Final = 25
"""Operations before the faults, over the folder that every cycle begins with."""
STEPS: Final = 12
"""Operations of a cycle, all the same but for the fault."""
AFTER_STEPS: Final = 4
ALL: Final = 1 << 60
"""As many cycles as there are."""


@dataclass(slots=True)
class _Plan:
    """From the operation `first` on the disk fails; for one operation only, or until it is mended."""

    fault: Fault
    first: int
    lasting: bool
    mended: bool = False
    happened: bool = False
    met: list[str] = field(default_factory=list)
    """Kinds of the operations before the disk was mended."""

    def __call__(self, operation: int, kind: str, _name: str) -> Fault | None:
        if not self.mended:
            self.met.append(kind)
        if self.mended or (operation != self.first and not (self.lasting and operation > self.first)):
            return None
        self.happened = True
        return self.fault


def faulty_disk(run: Run) -> Report:
    """A cycle for each operation of the disk that the work takes, each fault, and both
    lengths. `run.cycles` is the most of them; fewer are spread evenly."""
    base = run.folder / "base"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    journal = Journal(base / "journal")
    with open_folder(base / "data") as kb, small_limits():
        work = Workload(kb, journal, random.Random(f"{run.seed} base"))
        for _ in range(WARM_STEPS):
            work.step()
        work.everything()
    journal.close()
    trial = _Plan("full", 0, lasting=False)
    _cycle(run, base, trial, Report("disk", run.seed), 0)
    cycles = [
        (first, fault, lasting)
        for (first, kind), fault, lasting in product(enumerate(trial.met, 1), FAULTS, (False, True))
        if kind in POSSIBLE[fault]
    ]
    count = min(run.cycles, len(cycles))

    def cycle(number: int, report: Report) -> None:
        """A cycle's name is its place among all, however many are chosen."""
        place = number * len(cycles) // count if run.only is None else min(number, len(cycles) - 1)
        first, fault, lasting = cycles[place]
        _cycle(run, base, _Plan(fault, first, lasting), report, place)

    return replace(run, cycles=count).go("disk", cycle, first=run.only or 0)


def _cycle(run: Run, base: Path, plan: _Plan, report: Report, number: int) -> None:
    folder = run.folder / "cycle"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    history = History()
    journal = Journal(folder / "journal")
    chance = random.Random(f"{run.seed} work")
    problems: list[str] = []
    disk = Disk(folder / "data", plan)
    try:
        with disk.mounted(), small_limits():
            kb = _opened(folder / "data", plan, problems)
            try:
                _work(kb, Workload(kb, journal, chance), plan, problems)
                history.read(folder / "journal")
                problems += [f"before closing: {p}" for p in check(kb, history, chance)]
            finally:
                kb.close()
        with open_folder(folder / "data") as kb:
            problems += [f"opened again: {p}" for p in check(kb, history, chance)]
    except RagstoneError as error:
        problems.append(f"after the disk was mended: {error.code}: {error}")
    finally:
        journal.close()
    report.add("faults", plan.happened)
    report.add("documents acknowledged", history.acknowledged)
    if problems:
        length = "until mended" if plan.lasting else "once"
        report.fail(number, f"{FAULTS[plan.fault]} at operation {plan.first} of the disk, {length}", problems)


def _opened(data: Path, plan: _Plan, problems: list[str]) -> KnowledgeBase:
    try:
        return open_folder(data)
    except RagstoneError as error:
        _judge(error, plan, problems)
        plan.mended = True
        return open_folder(data)


def _work(kb: KnowledgeBase, work: Workload, plan: _Plan, problems: list[str]) -> None:
    """While the disk fails operations may fail, with the right error, and reading goes on; then none may."""
    failed = 0
    for _ in range(STEPS):
        try:
            work.step()
        except RagstoneError as error:
            failed += 1
            _judge(error, plan, problems)
            with suppress(RagstoneError):
                work.look()
            plan.mended = plan.mended or failed == 2
    plan.mended = True
    for _ in range(AFTER_STEPS):
        work.step()
    kb.embed_pending()


def _judge(error: RagstoneError, plan: _Plan, problems: list[str]) -> None:
    expected = DiskFull if plan.fault in ("full", "short") else StoreError
    if plan.mended:
        problems.append(f"although the disk was mended: {error.code}: {error}")
    elif not isinstance(error, expected):
        problems.append(f"{FAULTS[plan.fault]}, but the error is {error.code}: {error}")
