"""Tells coroutines that some job changed, in whatever process that was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ..protocols import Queue


class Changes:
    """To be made on the loop's thread. Who waits costs no thread."""

    def __init__(self, queue: Queue) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = asyncio.Event()
        self._stop = queue.on_change(self._heard)

    def next(self) -> Callable[[float], Awaitable[None]]:
        """Waits, up to so many seconds, for a change after this call: ask first, then look at the job, then wait."""
        ring = self._ring

        async def wait(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ring.wait()

        return wait

    def close(self) -> None:
        self._stop()

    def _heard(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        ring, self._ring = self._ring, asyncio.Event()
        ring.set()
