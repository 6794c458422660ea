"""Several processes that write to one folder at once, while some are killed and some are frozen for a moment."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from ..errors import RagstoneError
from .checker import check
from .history import History
from .report import Report, Run
from .workload import open_folder
from .zygote import TELL_WHERE, Order, Worker

STEPS: Final = 50
"""Operations of each process in a cycle, fewer where it is killed."""
SHARED: Final = 5
"""Documents that all processes change."""
MOST_SECONDS: Final = 600.0


def multi(run: Run, *, processes: int = 4) -> Report:
    """In a cycle every process does its operations; afterwards everything is compared with the model."""
    data = run.folder / "data"
    journals = [run.folder / f"{slot}.journal" for slot in range(processes)]
    history = History()
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(processes)]

        def cycle(number: int, report: Report) -> None:
            chance = random.Random(f"{run.seed} {number}")
            orders = [
                Order(
                    str(data), str(journal), f"{run.seed} {number} {slot}", STEPS, prefix=f"/{slot}/",
                    shared=[f"/shared/{n}" for n in range(SHARED)],
                )
                for slot, journal in enumerate(journals)
            ]  # fmt: skip
            acknowledged = history.acknowledged

            def ended(process: int) -> None:
                history.read(*journals)
                history.died(process)

            problems = _round(workers, orders, chance, report, ended)
            try:
                with open_folder(data) as kb:
                    problems += check(kb, history, chance)
            except RagstoneError as error:
                problems.append(f"{error.code}: {error}")
            report.add("documents acknowledged", history.acknowledged - acknowledged)
            if problems:
                report.fail(number, f"{processes} processes", problems)

        return run.go("multi", cycle, first=run.only or 0)


def _round(
    workers: list[Worker], orders: list[Order], chance: random.Random, report: Report, ended: Callable[[int], None]
) -> list[str]:
    """Runs all orders at once; a killed process is started again for half of its operations."""
    problems = []
    for worker, order in zip(workers, orders, strict=True):
        worker.start(order)
    deadline = time.monotonic() + MOST_SECONDS
    going = dict(enumerate(workers))
    while going and time.monotonic() < deadline:
        time.sleep(chance.uniform(0.02, 0.15))
        slot = chance.choice(list(going))
        worker, order = going[slot], orders[slot]
        fate = chance.random()
        if worker.wait(0) is None and fate < 0.25:
            worker.signal(signal.SIGKILL)
            report.add("kills")
        elif worker.wait(0) is None and fate < 0.5:
            worker.signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.02, 0.4))
            worker.signal(signal.SIGCONT)
            report.add("freezes")
        status = worker.wait(0.01)
        if status == -signal.SIGKILL and order.steps > 1:
            ended(worker.pid)
            order.steps //= 2
            order.seed += "+"
            worker.start(order)
        elif status is not None:
            ended(worker.pid)
            del going[slot]
    for slot, worker in going.items():
        problems.append(f"process {slot} did not end in {MOST_SECONDS:.0f} seconds")
        worker.signal(TELL_WHERE)
        time.sleep(1)
        worker.signal(signal.SIGKILL)
        worker.wait()
        ended(worker.pid)
    return problems
