"""What a stress test gives: how much it did, and each failure with what repeats it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..types import Progress, ProgressCallback

MOST_FAILURES: Final = 20
"""Failures after which a test ends: what follows from the same defect tells nothing new."""


@dataclass(frozen=True, slots=True)
class Failure:
    seed: int
    cycle: int
    what: str
    """The fault that was made in this cycle."""
    problems: tuple[str, ...]


@dataclass(slots=True)
class Report:
    test: str
    seed: int
    cycles: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, name: str, amount: float = 1) -> None:
        self.figures[name] = self.figures.get(name, 0) + amount

    def fail(self, cycle: int, what: str, problems: list[str]) -> None:
        self.failures.append(Failure(self.seed, cycle, what, tuple(problems)))


@dataclass(frozen=True, slots=True)
class Run:
    """How a test is run: `cycles` of them, or `only` one; each draws its chances from `seed` and its own number.
    `folder` is where it works; the data of a failed cycle stays there."""

    folder: Path
    seed: int = 1
    cycles: int = 1
    only: int | None = None
    progress: ProgressCallback | None = None

    def go(self, test: str, cycle: Callable[[int, Report], None], first: int = 0) -> Report:
        """Calls `cycle` for each number up to the last; from `first` on where only one is wanted."""
        report = Report(test, self.seed)
        started = time.monotonic()
        numbers = range(self.cycles) if self.only is None else range(first, self.only + 1)
        for number in numbers:
            failed = len(report.failures)
            try:
                cycle(number, report)
            except Exception as error:  # noqa: BLE001 – all of them are failures of the cycle
                # Also what has no type of ours: without its cycle it could not be repeated.
                place = "".join(traceback.format_exception(error, limit=-6))
                report.fail(number, f"{type(error).__name__} left the cycle", [place])
            report.cycles += 1
            if self.progress:
                failure = report.failures[-1] if len(report.failures) > failed else None
                item = f"cycle {number}: {failure.what}: {'; '.join(failure.problems)}" if failure else ""
                state = "failed" if failure else ""
                self.progress(Progress("stress", report.cycles, len(numbers), item, state))
            if len(report.failures) >= MOST_FAILURES:
                break
        report.seconds = time.monotonic() - started
        return report
