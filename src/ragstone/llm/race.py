"""Hedging: a second provider is asked when the first is slow to begin; whoever begins first answers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from ..errors import RagstoneError
from ..types import Delta
from .attempt import Attempt

_Outcome = tuple[Attempt, Delta | BaseException]


def race(
    following: Callable[[], Attempt | None],
    hedge: float,
    deadline: float | None,
    allowed: Callable[[], bool],
    lost: Callable[[Attempt, RagstoneError], None],
) -> tuple[Attempt | None, Delta | None]:
    """The first attempt that begins, with its first delta; (None, None) when all failed; each of those is
    given to `lost`, which closes it.

    `following` starts the next attempt that may be made. Each runs in a thread of its own until its first text. The
    second begins after `hedge` seconds where `allowed`, every other one when a running one has failed. Who loses is cut
    and closed by its own thread, so what it had reserved is settled.
    """
    results: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
    running: list[Attempt] = []
    hedged = won = False

    def start() -> None:
        attempt = following()
        if attempt is not None:
            running.append(attempt)
            thread = threading.Thread(target=_run, args=(attempt, results), daemon=True, name="ragstone-attempt")
            thread.start()

    start()
    try:
        while running:
            limit = None if deadline is None else deadline - time.monotonic()
            wait = limit if hedged else hedge if limit is None else min(hedge, limit)
            try:
                attempt, outcome = results.get(timeout=wait if wait is None else max(0.0, wait))
            except queue.Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    return None, None
                hedged = True
                if allowed():
                    start()
                continue
            running.remove(attempt)
            if isinstance(outcome, Delta):
                won = True
                return attempt, outcome
            if not isinstance(outcome, RagstoneError):
                attempt.close()
                raise outcome
            lost(attempt, outcome)
            if not running:
                start()
        return None, None
    finally:
        for loser in running:
            loser.cut(lost=won)
        if running:
            reaper = threading.Thread(target=_close, args=(len(running), results), daemon=True, name="ragstone-losers")
            reaper.start()


def _run(attempt: Attempt, results: queue.SimpleQueue[_Outcome]) -> None:
    try:
        outcome: Delta | BaseException = attempt.first()
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
        outcome = error
    results.put((attempt, outcome))


def _close(count: int, results: queue.SimpleQueue[_Outcome]) -> None:
    for _ in range(count):
        attempt, _ = results.get()
        attempt.close()
