"""Conversations of one process: what was said, by tenant, key and the name that the asker gave."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..answer.conversation import Conversation
from ..errors import Conflict

KEPT: Final = 256
"""Above, the one that was silent longest is forgotten; its next question begins anew."""


class Conversations:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str, str], Conversation] = OrderedDict()
        self._busy: set[tuple[str, str, str]] = set()

    @contextmanager
    def use(self, tenant: str, key: str, name: str) -> Iterator[Conversation]:
        """For one question at a time. Raises Conflict while another one is being answered."""
        place = (tenant, key, name)
        with self._lock:
            if place in self._busy:
                raise Conflict("the last question of this conversation is still being answered.", "Wait for its end.")
            self._busy.add(place)
            held = self._held.setdefault(place, Conversation())
            self._held.move_to_end(place)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
        try:
            yield held
        finally:
            with self._lock:
                self._busy.discard(place)
