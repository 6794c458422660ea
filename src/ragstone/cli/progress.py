"""Progress of long work on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from .terminal import Terminal, duration, flat, plural

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from ..types import Progress

LINE_EVERY = 2.0
"""Seconds between two lines where stderr is no terminal."""

_LABELS = {
    "discover": "Looking for files",
    "read": "Reading",
    "store": "Storing",
    "embed": "Embedding",
    "index": "Indexing",
    "rebuild": "Rebuilding",
    "verify": "Checking",
    "backup": "Storing",
    "restore": "Restoring",
    "check": "Checking",
    "export": "Exporting",
    "import": "Importing",
    "stress": "Stressing",
    "eval": "Asking",
    "bench": "Measuring",
    "drop": "Removing",
    "compare": "Comparing",
    "learn": "Learning",
    "graph": "Reading for the graph",
    "deepen": "Asking the language model",
}
_UNITS = {"embed": "chunk", "graph": "chunk", "deepen": "chunk", "index": "chunk", "rebuild": "chunk"}
_UNITS |= {"verify": "check", "backup": "page", "restore": "part", "check": "generation", "stress": "cycle"}
_UNITS |= {"eval": "question", "bench": "scenario", "drop": "vector", "compare": "answer", "learn": "turn"}


class ProgressDisplay(AbstractContextManager["ProgressDisplay"]):
    """A ProgressCallback. Failures of single files are told as they happen, since a long run that fails on every
    file should be seen at once: by name, or by number where their names follow on the same terminal (from here if
    the work breaks off). A stage whose count does not grow began anew. May be called from several threads."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._exit = ExitStack()
        self._bars: Bars | None = None
        self._tasks: dict[str, Any] = {}
        self._begun: dict[str, tuple[float, int]] = {}  # by stage: when, and how far it came
        self._failed: list[str] = []
        self._next_line = time.monotonic() + LINE_EVERY

    def __enter__(self) -> ProgressDisplay:
        if self._terminal.err_is_terminal and not self._terminal.quiet:
            self._bars = self._exit.enter_context(_bars(no_color=not self._terminal.color_err))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._exit.close()
        self._bars = None
        if kind is not None and self._names_follow:
            for name in self._failed:
                self._line(f"failed: {name}")

    def __call__(self, step: Progress) -> None:
        if step.state == "failed" and not self._terminal.as_json:
            self._failed.append(step.item)
            if not self._names_follow:
                self._line(f"failed: {step.item}")
        now = time.monotonic()
        started, done = self._begun.get(step.stage, (now, -1))
        anew = step.done <= done
        if anew:
            started, self._next_line = now, now + LINE_EVERY
        self._begun[step.stage] = (started, step.done)
        if self._bars is not None:
            self._draw(self._bars, step, anew=anew)
        elif now >= self._next_line and not self._terminal.quiet and not self._terminal.as_json:
            self._next_line = now + LINE_EVERY
            self._line(_sentence(step, now - started))

    @property
    def _names_follow(self) -> bool:
        return self._terminal.err_is_terminal and self._terminal.out_is_terminal

    def _draw(self, bars: Bars, step: Progress, *, anew: bool) -> None:
        task = self._tasks.get(step.stage)
        if task is None:
            task = self._tasks[step.stage] = bars.add_task(
                _LABELS[step.stage], total=step.total, unit=_UNITS.get(step.stage, "file"), item=""
            )
        if anew:
            bars.reset(task)
        failed = f"{len(self._failed):,} failed" if self._failed else ""
        item = "  ".join(filter(None, (failed, _item(step))))
        bars.update(task, completed=step.done, total=step.total, item=item)

    def _line(self, text: str) -> None:
        if self._bars is not None:
            from rich.text import Text

            self._bars.console.print(Text(flat(text)))
        else:
            print(flat(text), file=sys.stderr)


def _bars(*, no_color: bool) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}s/s" if speed else "")

    class Item(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(task.fields["item"], style="dim", overflow="ellipsis", no_wrap=True)

    return Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        Item(),
        console=Console(file=sys.stderr, color_system=None if no_color else "auto"),
        transient=True,
    )


def _item(step: Progress) -> str:
    if step.stage in ("embed", "graph"):  # its rate, which stands beside it already
        return ""
    name = flat(step.item.rsplit("/", 1)[-1])
    return f"{name} ({step.state})" if name and step.state else name or step.state


def _sentence(step: Progress, elapsed: float) -> str:
    unit = _UNITS.get(step.stage, "file")
    amount = plural(step.done, unit) if step.total is None else f"{step.done:,} of {plural(step.total, unit)}"
    text = f"{_LABELS[step.stage]}: {amount}"
    if elapsed > 0 and step.done:
        rate = step.done / elapsed
        text += f", {rate:,.1f} {unit}s/s"
        if step.total and step.total > step.done:
            text += f", {duration((step.total - step.done) / rate)} left"
    return f"{text} {_item(step)}".rstrip()
