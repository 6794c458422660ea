"""How often somebody may ask: windows of a minute that slide, counted in each process."""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ..errors import TooManyRequests

Headers = list[tuple[bytes, bytes]]
NONE: Final[Headers] = []


class Rates:
    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._items: dict[int, RateLimitItemPerMinute] = {}

    def take(self, kind: str, who: str, per_minute: int) -> Headers:
        """Counts one request and gives the headers that tell what is left. Raises TooManyRequests."""
        if not per_minute:
            return NONE
        item = self._item(per_minute)
        allowed = self._limiter.hit(item, kind, who)
        resets, remaining = self._limiter.get_window_stats(item, kind, who)
        seconds = max(1, math.ceil(resets - time.time()))
        if not allowed:
            raise TooManyRequests(
                f"more than {per_minute} requests in a minute.", "Wait, or ask for a higher limit.", retry_after=seconds
            )
        return [
            (b"ratelimit-limit", str(per_minute).encode()),
            (b"ratelimit-remaining", str(max(0, remaining)).encode()),
            (b"ratelimit-reset", str(seconds).encode()),
        ]

    def full(self, kind: str, who: str, per_minute: int) -> bool:
        """Whether one more would be refused; counts nothing."""
        return bool(per_minute) and not self._limiter.test(self._item(per_minute), kind, who)

    def _item(self, per_minute: int) -> RateLimitItemPerMinute:
        return self._items.setdefault(per_minute, RateLimitItemPerMinute(per_minute))
