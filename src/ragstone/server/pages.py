"""The pages of all processes of one server, in one folder, added up."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..observe.instruments import INSTRUMENTS
from ..observe.page import SIZE, Key, Page, owner, parse

FOLDER: Final = "metrics"
ENDED: Final = "ended.json"
"""What processes counted that are gone."""
LOCK: Final = "lock"

Totals = dict[Key, tuple[float, ...]]


class Pages:
    """Each process holds an exclusive lock on its page, so whoever can take it knows that the process is gone. Its
    counters stay in the sums, as a counter that falls looks like a restart; its gauges do not. When no process is
    left, the next one begins anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: int | None = None
        self._own: Path | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def join(self, page: Page) -> None:
        """From now on the page is one of them."""
        with self._locked(fcntl.LOCK_EX):
            self._fold()
            self._own = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}.page"
            page.share(self._own)
            self._held = os.open(self._own, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._held, fcntl.LOCK_EX)

    def leave(self) -> None:
        """The page counts as that of a process that is gone."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def totals(self) -> tuple[Totals, list[int]]:
        """The sums, and the processes that are alive."""
        living = []
        with self._locked(fcntl.LOCK_SH):
            sums = self._ended()
            for path in self._paths():
                figures, process, alive = self._read(path)
                _sum(sums, figures, gauges=alive)
                if alive:
                    living.append(process)
        return sums, living

    def _fold(self) -> None:
        """Adds the pages of processes that are gone to one file, and removes them."""
        sums, alive = self._ended(), False
        gone = []
        for path in self._paths():
            figures, _, lives = self._read(path)
            alive |= lives
            if not lives:
                _sum(sums, figures, gauges=False)
                gone.append(path)
        if not alive:
            sums = {}
        temporary = self._folder / f"{ENDED}.new"
        temporary.write_text(json.dumps([[list(key), list(values)] for key, values in sums.items()]), "utf-8")
        temporary.replace(self._folder / ENDED)
        for path in gone:
            path.unlink(missing_ok=True)

    def _ended(self) -> Totals:
        try:
            stored = json.loads((self._folder / ENDED).read_text("utf-8"))
            return {tuple(key): tuple(values) for key, values in stored}
        except (OSError, ValueError, TypeError):
            return {}  # figures, not data: nobody waits for them

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.page"))

    def _read(self, path: Path) -> tuple[Totals, int, bool]:
        """Figures, process id, and whether it is alive."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}, 0, False
        try:
            if os.fstat(descriptor).st_size != SIZE:
                return {}, 0, False
            with mmap.mmap(descriptor, SIZE, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as memory:
                return parse(memory), owner(memory), path == self._own or not _free(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        descriptor = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


def _free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sum(sums: Totals, figures: Mapping[Key, tuple[float, ...]], *, gauges: bool) -> None:
    for key, values in figures.items():
        instrument = INSTRUMENTS.get(key[0])
        if instrument is None or (instrument.kind == "gauge" and not gauges):
            continue
        held = sums.get(key)
        if held is None or len(held) != len(values):
            sums[key] = values
        else:
            sums[key] = tuple(a + b for a, b in zip(held, values, strict=True))
