"""The figures of a server: of all its processes together, now and over the last hour."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..errors import RagstoneError
from ..observe.instruments import LOOP_LAG, PAGE
from . import gauges
from .alerts import alerts
from .exposition import exposition
from .gauges import Sample, Source
from .pages import Pages
from .series import STEP, Series

LAG_STEP: Final = 0.1
"""Seconds between two looks at how late the event loop is."""

log = logging.getLogger(__name__)


class Metrics:
    """One for each server process. `folder` is shared by the processes of one server; `sources` give what is looked
    up (gauges.py), by name. Every method but `running` may be called from any thread, and reads files: not from the
    event loop."""

    def __init__(self, folder: Path, sources: Mapping[str, Source]) -> None:
        self._pages = Pages(folder)
        self._sources = dict(sources)
        self._series = Series()
        self._pages.join(PAGE)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the server of this process runs: measures its event loop and keeps the series."""
        tasks = [asyncio.create_task(_measure_lag()), asyncio.create_task(self._follow())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def render(self) -> str:
        """For Prometheus."""
        totals, samples = self._look()
        return exposition(totals, samples)

    def series(self) -> dict[str, Any]:
        """The last hour (series.py), and what is amiss now (alerts.py)."""
        return {**self._series.as_json(), "alerts": alerts(self._series.last(), self._series.slowest())}

    def step(self, at: float | None = None) -> None:
        """Adds a point to the series; `running` does it every STEP seconds."""
        totals, samples = self._look()
        self._series.add(time.time() if at is None else at, totals, samples)

    def close(self) -> None:
        self._pages.leave()

    def _look(self) -> tuple[dict[tuple[str, ...], tuple[float, ...]], list[Sample]]:
        totals, living = self._pages.totals()
        sources: dict[str, Source] = {"processes": partial(gauges.processes, living), **self._sources}
        return totals, [sample for name, source in sources.items() for sample in _asked(name, source)]

    async def _follow(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.step)
            except (OSError, ValueError) as error:
                log.warning("figures could not be read: %s", error)
            await asyncio.sleep(STEP)


def _asked(name: str, source: Source) -> Iterator[Sample]:
    """A source that fails costs its own samples, and says so."""
    try:
        found = list(source())
    except (RagstoneError, OSError) as error:
        log.warning("figures of %s are missing: %s", name, error)
        yield Sample("ragstone_up", 0, {"source": name})
        return
    yield Sample("ragstone_up", 1, {"source": name})
    yield from found


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_STEP
        await asyncio.sleep(LAG_STEP)
        LOOP_LAG.observe(max(0.0, loop.time() - due))
