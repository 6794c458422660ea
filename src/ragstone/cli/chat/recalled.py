"""Which of what memory recalls is worth telling."""

from __future__ import annotations

from typing import Final

from ...memory_types import MemoryItem, Recall

SHARE: Final = 0.5
SHARE_OF_A_TIME: Final = 0.25
"""Of the best item's score, from which on another one is told as well; where a time is named, it chooses already."""


def names_a_time(recalled: Recall) -> bool:
    return recalled.since is not None or recalled.until is not None


def of_its_time(recalled: Recall) -> list[MemoryItem]:
    """The items that are nearly as good as the best, of the time that the question names."""
    since = float("-inf") if recalled.since is None else recalled.since
    until = float("inf") if recalled.until is None else recalled.until
    hits = [hit for hit in recalled.hits if since <= hit.item.at < until]
    share = SHARE_OF_A_TIME if names_a_time(recalled) else SHARE
    return [hit.item for hit in hits if hit.score >= share * hits[0].score]
