"""Lines of a transcript with the place where each stands, from a file that grows, is rotated or cut, or from a pipe.

A place holds a chained hash of every line before it. Two places with one hash stand behind the same lines: so it is
known whether a file still begins as it did, and each line has a name that no other line of the stream has.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import NotFound, Unreadable

BLOCK: Final = 1 << 18
LONGEST_LINE: Final = 8 << 20
"""Bytes; a longer line is broken."""
WAITING_BLOCKS: Final = 16
"""Read ahead from a pipe, 4 MiB; whoever writes into it waits then."""
TAIL: Final = 64
"""Bytes that tell whether a file that was cut and grew again is still the one that was read."""
POLL: Final = 0.25
"""Seconds between two looks at a file that does not grow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Behind `lines` lines, `offset` bytes and `chars` code points; `chain` is BLAKE2b-128 over those lines."""

    offset: int = 0
    chars: int = 0
    lines: int = 0
    chain: bytes = b""

    def after(self, line: bytes, chars: int, ended: bool) -> Place:
        """`line` has no line end. A line without one keeps its chain when the end comes."""
        chain = hashlib.blake2b(line, digest_size=16, key=self.chain).digest()
        return Place(self.offset + len(line) + ended, self.chars + chars + ended, self.lines + 1, chain)


@dataclass(frozen=True, slots=True)
class Line:
    """`text` is None for a line that is too long. `whole`: its end was read."""

    text: str | None
    start: Place
    end: Place
    whole: bool = True


Block = bytes | None
"""None: nothing came for a while."""


def read_lines(blocks: Iterator[Block], place: Place) -> Iterator[Line | None]:
    """Lines from `place` on; None where nothing came for a while. A line without an end comes last."""
    held, cut = bytearray(), False
    for block in blocks:
        if block is None:
            yield None
            continue
        first = 0
        while (end := block.find(b"\n", first)) >= 0:
            held += block[first:end]
            first = end + 1
            line = _line(bytes(held), place, ended=True, cut=cut)
            held.clear()
            cut = False
            place = line.end
            yield line
        held += block[first:]
        if len(held) > LONGEST_LINE:  # what was read counts for offset and hash; its words are lost
            place = _line(bytes(held), place, ended=False, cut=True).end
            place = Place(place.offset, place.chars, place.lines - 1, place.chain)
            held.clear()
            cut = True
    if held or cut:
        yield _line(bytes(held), place, ended=False, cut=cut)


def _line(data: bytes, place: Place, *, ended: bool, cut: bool = False) -> Line:
    text = data.decode("utf-8", "replace")
    return Line(None if cut else text.rstrip("\r"), place, place.after(data, len(text), ended), ended)


def file_blocks(
    path: Path, place: Place, *, follow: bool, stop: threading.Event
) -> Iterator[tuple[Place, Iterator[Block]]]:
    """For each file that stood or will stand at `path` from now on: the place to begin at, and its blocks. The first is
    the one that `place` belongs to: where the file was rotated meanwhile, the rest of `path`.1 comes first; where it
    begins otherwise now, it is read from the beginning. Raises NotFound, Unreadable."""
    with _open(path) as file:
        if not stands_in(file, place):
            rotated = path.with_name(path.name + ".1")
            if rotated.is_file():
                with _open(rotated) as older:
                    if stands_in(older, place):
                        yield place, _growing(older, rotated, follow=False, stop=stop)
            place = Place()
        yield place, _growing(file, path, follow=follow, stop=stop, begin=place.offset)
    while follow and not stop.is_set():
        try:
            with path.open("rb") as file:
                yield Place(), _growing(file, path, follow=True, stop=stop, begin=0)
        except FileNotFoundError:  # between the move of the old one and the first line of the new one
            stop.wait(POLL)


def whole_file(path: Path) -> Iterator[Block]:
    """Raises NotFound, Unreadable."""
    with _open(path) as file:
        yield from _growing(file, path, follow=False, stop=threading.Event())


def stands_in(file: BinaryIO, place: Place) -> bool:
    """Whether the file begins with the lines before `place`; leaves it standing there."""
    file.seek(0)
    if place.offset == 0:
        return True
    if os.fstat(file.fileno()).st_size < place.offset:
        return False
    at = Place()

    def prefix() -> Iterator[Block]:
        left = place.offset
        while left and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block

    for line in read_lines(prefix(), at):
        if line is not None:
            at = line.end
    file.seek(place.offset)
    return at.chain == place.chain


def _growing(
    file: BinaryIO, path: Path, *, follow: bool, stop: threading.Event, begin: int | None = None
) -> Iterator[Block]:
    """Ends where the file ends; followed, when `stop` is set or something else stands at `path`: another file, a
    shorter one, or one whose last bytes that were read are others now."""
    if begin is not None:
        file.seek(begin)
    tail, waited, gone = b"", False, False
    while True:
        if waited and not _still_ends(file, tail):
            return
        block = file.read(BLOCK)
        if block:
            tail, waited, gone = (tail + block)[-TAIL:], False, False
            yield block
            continue
        if not follow or stop.is_set() or gone:
            return
        yield None
        stop.wait(POLL)
        waited = True
        gone = _replaced(file, path)  # one more read: what was written before it was moved away


def _replaced(file: BinaryIO, path: Path) -> bool:
    mine = os.fstat(file.fileno())
    try:
        there = path.stat()
    except OSError:
        return False  # not there now: whoever moves it away will make a new one
    return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or there.st_size < file.tell()


def _still_ends(file: BinaryIO, tail: bytes) -> bool:
    """Whether `tail` stands before where the file is read."""
    at = file.tell()
    file.seek(at - len(tail))
    same = file.read(len(tail)) == tail
    file.seek(at)
    return same


def pipe_blocks(read: Callable[[int], bytes], stop: threading.Event, *, quiet: float = 1.0) -> Iterator[Block]:
    """Blocks of a pipe (`read` as of `BufferedReader.read1`), None after each `quiet` seconds without one."""
    waiting: queue.Queue[bytes | Exception] = queue.Queue(WAITING_BLOCKS)

    def pump() -> None:
        try:
            while not stop.is_set():
                block = read(BLOCK)
                waiting.put(block)
                if not block:
                    return
        except (OSError, ValueError) as error:
            waiting.put(error)

    threading.Thread(target=pump, name="ragstone-pipe", daemon=True).start()
    while not stop.is_set():
        try:
            block = waiting.get(timeout=quiet)
        except queue.Empty:
            yield None
            continue
        if isinstance(block, Exception):
            raise Unreadable(f"the stream broke off: {block}.") from block
        if not block:
            return
        yield block


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist.", "Give the transcript's path, or - for a pipe.") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
