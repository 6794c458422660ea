"""What every search begins with: a question that can be searched for, and a clock."""

from __future__ import annotations

import time

from ..errors import QueryError

MAX_QUERY_BYTES = 8192
"""safety.md, defaults that ship."""
MAX_K = 1000


class Clock:
    """Milliseconds by stage; a stage that is lapped twice is added up."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = self.timings.get(stage, 0.0) + (now - self._last) * 1000.0
        self._last = now


def check_query(query: str, k: int) -> None:
    """Raises QueryError."""
    if not any(map(str.isalnum, query)):
        raise QueryError("there is no word in the question.", "Write at least one.")
    if len(query.encode("utf-8", "surrogatepass")) > MAX_QUERY_BYTES:
        raise QueryError(f"the question is longer than {MAX_QUERY_BYTES} bytes.", "Shorten it.")
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}.", f"It must be between 1 and {MAX_K}.")


def is_identifier(query: str) -> bool:
    """One word with a digit, an underscore or capitals inside: FB_Timer1, 6ES7-315, getUserName."""
    word = query.strip()
    if not word or any(c.isspace() for c in word):
        return False
    return any(c.isdigit() or c == "_" for c in word) or (word[1:] != word[1:].lower() and not word.isupper())
