"""Who is asked and how often: a circuit breaker for each provider, and one budget of extra calls for all of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "probing"]
Pass = Literal["call", "probe"]


@dataclass(frozen=True, slots=True)
class BreakerFigures:
    """`failures` in a row open the breaker for `seconds`, lengthened by a random share up to `jitter` so that many
    processes do not come back in the same moment."""

    failures: int = 5
    seconds: float = 60.0
    jitter: float = 0.2


class Breaker:
    """Lets calls through while a provider is well (closed), none while it is not (open), and after the time exactly
    one, over all threads, to find out (probing). What `admit` lets through ends in one `succeeded`, `failed` or
    `abandoned`, with what `admit` gave. `clock` in seconds; that it jumps does no more than shorten or lengthen a wait.
    """

    def __init__(
        self,
        figures: BreakerFigures,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._figures = figures
        self._clock = clock
        self._uniform = uniform
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._failures = 0
        self._opened = 0.0
        self._wait = 0.0
        self._asked = 0.0
        self._rest = 0.0

    @property
    def state(self) -> State:
        return self._state

    @property
    def steady(self) -> bool:
        """Whether the last call went well, or none was made yet."""
        return self._state == "closed" and self._failures == 0

    def admit(self) -> Pass | None:
        """Leave to make one call; None: not now."""
        with self._lock:
            if self._left() > 0:
                return None
            if self._state == "closed":
                return "call"
            if self._state == "probing":
                return None
            self._state = "probing"
            return "probe"

    def wait(self) -> float:
        """Seconds until a call is let through again."""
        with self._lock:
            return max(0.0, self._left())

    def _left(self) -> float:
        now = self._clock()
        # where the clock went back, the wait begins anew instead of growing by the jump
        self._asked, self._opened = min(self._asked, now), min(self._opened, now)
        left = self._asked + self._rest - now
        if self._state == "open":
            left = max(left, self._opened + self._wait - now)
        return left

    def began(self, given: Pass) -> None:
        """The first of an answer is there: a probe is over, and the next failure opens again."""
        with self._lock:
            if given == "probe" and self._state == "probing":
                self._state = "closed"
                self._failures = self._figures.failures - 1

    def succeeded(self, given: Pass) -> None:
        self.began(given)
        with self._lock:
            if self._state == "closed":
                self._failures = 0

    def failed(self, given: Pass, retry_after: float | None = None) -> None:
        """`retry_after`: seconds that the provider asked to be left alone for."""
        with self._lock:
            if retry_after:
                self._asked, self._rest = self._clock(), retry_after
            if self._state == "open":  # a call that began before it opened
                return
            if given == "call" and self._state == "probing":
                return
            self._failures += 1
            if self._state == "probing" or self._failures >= self._figures.failures:
                self._state = "open"
                self._opened = self._clock()
                self._wait = self._figures.seconds * (1.0 + self._uniform(0.0, self._figures.jitter))

    def abandoned(self, given: Pass) -> None:
        """The call ended without telling how the provider is: another may probe."""
        with self._lock:
            if given == "probe" and self._state == "probing":
                self._state = "open"
                self._opened, self._wait = self._clock(), 0.0


class RetryBudget:
    """Extra calls, over all providers: every request earns `share` of one, at most `most` are kept. Where none is left
    a failing provider is passed over from the start, so calls stay at most (1 + share) times the requests, plus `most`
    and the requests that were under way when a provider failed."""

    def __init__(self, share: float = 0.1, most: float = 5.0) -> None:
        self._share = share
        self._most = most
        self._kept = most
        self._lock = threading.Lock()

    def request(self) -> None:
        with self._lock:
            self._kept = min(self._most, self._kept + self._share)

    @property
    def allows(self) -> bool:
        return self._kept >= 1.0

    def spend(self) -> None:
        """One extra call. May go below zero: whether it is made is decided by who calls."""
        with self._lock:
            self._kept -= 1.0

    def refund(self) -> None:
        """An extra call that was not made after all."""
        with self._lock:
            self._kept += 1.0
