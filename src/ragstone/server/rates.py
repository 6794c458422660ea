"""How often somebody may ask: windows of a minute that slide, counted by all processes of a server together.

The counts stand in DATA/server.rates, which every process maps into memory: a table of slots, each for one kind and one
asker. A window's count is that of the minute that runs, and the part of the last minute's that the window still covers.
A lock is held for microseconds; a process that stands still while it holds it keeps nobody waiting for longer than
WAIT_SECONDS, and then a request may be missed in the count.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import StoreReadOnly, TooManyRequests

Headers = list[tuple[bytes, bytes]]
NONE: Final[Headers] = []
FILE: Final = "server.rates"
MINUTE: Final = 60.0
SLOT: Final = struct.Struct("<16sQII")
"""Who (BLAKE2b-128), the minute that runs (since 1970), requests in it, requests in the minute before."""
SLOTS: Final = 1 << 16
PROBES: Final = 8
"""Places for one asker. Where all are taken, the one that asked longest ago is forgotten."""
WAIT_SECONDS: Final = 0.002


class Rates:
    """Safe from several threads. Raises StoreReadOnly where the file cannot be made."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._file).st_size != SLOTS * SLOT.size:
                os.ftruncate(self._file, SLOTS * SLOT.size)  # a hole: takes no room before it is written
            self._table = mmap.mmap(self._file, SLOTS * SLOT.size)
        except OSError as error:
            raise StoreReadOnly(f"{folder / FILE} cannot be used: {error}.", "Check the data folder.") from error
        self._lock = threading.Lock()

    def take(self, kind: str, who: str, per_minute: int) -> Headers:
        """Counts one request and gives the headers that tell what is left. Raises TooManyRequests."""
        if not per_minute:
            return NONE
        key, now = _key(kind, who), time.time()
        with self._locked():
            place, current, before = self._find(key, now)
            used = current + before * _covered(now)
            allowed = used + 1 <= per_minute
            if allowed:
                current += 1
                SLOT.pack_into(self._table, place, key, int(now // MINUTE), current, before)
        seconds = max(1, math.ceil(MINUTE - now % MINUTE))
        if not allowed:
            raise TooManyRequests(
                f"more than {per_minute} requests in a minute.", "Wait, or ask for a higher limit.", retry_after=seconds
            )
        return [
            (b"ratelimit-limit", str(per_minute).encode()),
            (b"ratelimit-remaining", str(max(0, math.floor(per_minute - used - 1))).encode()),
            (b"ratelimit-reset", str(seconds).encode()),
        ]

    def full(self, kind: str, who: str, per_minute: int) -> bool:
        """Whether one more would be refused; counts nothing."""
        if not per_minute:
            return False
        now = time.time()
        with self._locked():
            _, current, before = self._find(_key(kind, who), now)
        return current + before * _covered(now) + 1 > per_minute

    def close(self) -> None:
        self._table.close()
        os.close(self._file)

    def _find(self, key: bytes, now: float) -> tuple[int, int, int]:
        """Where the slot is, and its counts in this minute and the one before."""
        minute = int(now // MINUTE)
        first = int.from_bytes(key[:4], "little")
        oldest, free = 1 << 63, 0
        for probe in range(PROBES):
            place = (first + probe) % SLOTS * SLOT.size
            held, at, current, before = SLOT.unpack_from(self._table, place)
            if held == key:
                if at == minute:
                    return place, current, before
                return place, 0, current if at == minute - 1 else 0
            if at < oldest:
                oldest, free = at, place
        return free, 0, 0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            held = self._try()
            try:
                yield
            finally:
                if held:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        until = 0.0
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                until = until or time.monotonic() + WAIT_SECONDS
                if time.monotonic() > until:
                    return False
                time.sleep(0)


def _key(kind: str, who: str) -> bytes:
    return hashlib.blake2b(f"{kind}\0{who}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _covered(now: float) -> float:
    """Share of the last minute that lies within a minute from now."""
    return 1.0 - now % MINUTE / MINUTE
