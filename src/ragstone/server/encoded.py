"""Answers of searches as they were sent, so that the next one who asks the same gets the bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

KEPT_BYTES: Final = 32 << 20
"""In one process."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`tag` names the state that it was made in; empty: not to be kept. `packed`: with gzip, where it was asked for."""

    collections: tuple[str, ...] | None
    tag: str
    etag: str
    plain: bytes
    packed: bytes


class Encoded:
    """Answers as they were sent, by tenant and request; only the loop's thread uses it."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._held: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()
        self._bytes = 0
        self._most = most

    def get(self, key: tuple[str, bytes]) -> Kept | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: tuple[str, bytes], kept: Kept) -> None:
        old = self._held.pop(key, None)
        if old is not None:
            self._bytes -= _size(key, old)
        self._held[key] = kept
        self._bytes += _size(key, kept)
        while self._bytes > self._most:
            gone, value = self._held.popitem(last=False)
            self._bytes -= _size(gone, value)


def _size(key: tuple[str, bytes], kept: Kept) -> int:
    return len(key[1]) + len(kept.plain) + len(kept.packed) + 500
