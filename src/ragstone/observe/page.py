"""One page of numbers of a process: in memory, or in a mapped file that other processes read while it is written.

    64 bytes   magic, bytes of names in use, process id
    SLOTS × 8  numbers (float64, this machine's byte order)
    the rest   names, only ever appended: SLOT \\t COUNT \\t METRIC \\t LABEL \\t LABEL... \\n

A name is complete before the count of bytes in use covers it, and a number is written as one aligned word, so a reader
needs no lock. Nothing is synced: the figures outlive the process, not the machine.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path
from typing import Final

MAGIC: Final = b"ragstone page 1\n"
HEADER: Final = 64
SLOTS: Final = 16_384
NAMES: Final = 131_072
SIZE: Final = HEADER + 8 * SLOTS + NAMES
_USED: Final = struct.Struct("q")
_OWNER: Final = struct.Struct("q")
_LONGEST_LABEL: Final = 120

Key = tuple[str, ...]
"""Name of a metric and the values of its labels."""


class Page:
    """Thread-safe. Slot 0 has no name: it takes what has no room."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a generator that the garbage collector ends may count in the middle of this
        self._slots: dict[Key, int] = {}
        self._next = 1
        self._used = 0
        self._take(memoryview(bytearray(SIZE)))

    def slot(self, key: Key, count: int) -> int:
        """The first of `count` neighbouring slots that are this key's; 0 where the page is full."""
        words = [word.replace("\t", " ").replace("\n", " ")[:_LONGEST_LABEL] for word in key]
        name = "\t".join((str(count), *words)).encode("utf-8", "replace") + b"\n"
        with self.lock:
            held = self._slots.get(key)
            if held is not None:
                return held
            slot, line = self._next, f"{self._next}\t".encode() + name
            if slot + count > SLOTS or self._used + len(line) > NAMES:
                return 0
            self._slots[key], self._next = slot, slot + count
            start = HEADER + 8 * SLOTS + self._used
            self._used += len(line)
            self._memory[start : start + len(line)] = line
            _USED.pack_into(self._memory, len(MAGIC), self._used)
            return slot

    def add(self, slot: int, amount: float) -> None:
        with self.lock:
            self._values[slot] += amount

    def add_two(self, first: int, second: int, amount: float) -> None:
        """One more in slot `first`, `amount` more in slot `second`."""
        with self.lock:
            self._values[first] += 1.0
            self._values[second] += amount

    def share(self, path: Path) -> None:
        """From now on the page is the file `path`, which must not be there."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.ftruncate(descriptor, SIZE)
            mapped = memoryview(mmap.mmap(descriptor, SIZE))
        finally:
            os.close(descriptor)
        with self.lock:
            mapped[HEADER:] = self._memory[HEADER:]
            self._take(mapped)

    def read(self) -> dict[Key, tuple[float, ...]]:
        with self.lock:
            return parse(self._memory)

    def _take(self, memory: memoryview) -> None:
        memory[: len(MAGIC)] = MAGIC
        _USED.pack_into(memory, len(MAGIC), self._used)
        _OWNER.pack_into(memory, len(MAGIC) + _USED.size, os.getpid())
        self._memory = memory
        self._values = memory[HEADER : HEADER + 8 * SLOTS].cast("d")


def parse(memory: memoryview) -> dict[Key, tuple[float, ...]]:
    """The numbers of a page by metric and labels; nothing of what is no page."""
    if len(memory) != SIZE or bytes(memory[: len(MAGIC)]) != MAGIC:
        return {}
    (used,) = _USED.unpack_from(memory, len(MAGIC))
    names = bytes(memory[HEADER + 8 * SLOTS :][:used]).decode("utf-8", "replace")
    values = memory[HEADER : HEADER + 8 * SLOTS].cast("d")
    found = {}
    for line in names.splitlines():
        slot, count, *key = line.split("\t")
        found[tuple(key)] = tuple(values[int(slot) : int(slot) + int(count)])
    return found


def owner(memory: memoryview) -> int:
    """The process id that the page was made by."""
    return int(_OWNER.unpack_from(memory, len(MAGIC) + _USED.size)[0])
