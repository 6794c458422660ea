"""Messages on standard input and output: a line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

MESSAGE_BYTES: Final = 8 << 20
"""Of one line; a longer one is read over and refused."""
BLOCK: Final = 1 << 16


class Lines:
    """Of what comes in blocks."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0

    def of(self, block: bytes) -> Iterator[bytes | None]:
        """Those that end in it, without empty ones; None for one that is too long, of which nothing is kept."""
        *ended, rest = block.split(b"\n")
        for part in ended:
            self._size += len(part)
            line = b"".join([*self._kept, part]) if self._size <= MESSAGE_BYTES else None
            self._kept, self._size = [], 0
            if line is None or line.strip():
                yield line
        self._size += len(rest)
        self._kept = [*self._kept, rest] if self._size <= MESSAGE_BYTES else []


def write(sink: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[sink.write(view) :]
