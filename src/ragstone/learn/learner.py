"""A stream of lines becomes items of memory: each remembered once, also when the process is killed at any moment.

Items are written first, the place in the stream after them. A kill between the two has the lines since the last place
read again; the items of those lines have the same idempotency keys and change nothing. The key of an item is made of
the hash of all lines before its turn and its words, so that a sentence is one item whoever finds it: words, likeness to
examples, or a language model, which may call it something else each time.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final, Protocol

import msgspec

from ..errors import Conflict, DamagedFile
from ..faults import reach
from ..memory_types import NewItem, Remembered, SourceSpan
from ..types import Progress, ProgressCallback
from .extraction import LONGEST, Extracted, extract, untold
from .judging import doubted, told
from .lines import Line, Place, file_blocks, read_lines
from .turns import MOST_TEXT, Turn, is_json, plain_start, read_line

BATCH_ITEMS: Final = 32
BATCH_LINES: Final = 500
"""After so many items or lines a batch is written; also as soon as nothing comes for a moment."""
BEFORE: Final = 4
"""Turns before one that its items are read with."""
BROKEN_KEPT: Final = 20

Remember = Callable[[Sequence[NewItem]], Sequence[Remembered]]


class State(Protocol):
    """Small named values that last; of the store."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What became of a stream in this run. `items` counts what was told to memory, `outcomes` what it did with them
    ("added", "merged", "replaced", "unchanged": told before). `broken`: lines that could not be read; `problems` are
    the first of them, as (line, reason). `resumed`: lines that an earlier run had read."""

    lines: int = 0
    turns: int = 0
    items: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    problems: tuple[tuple[int, str], ...] = ()
    resumed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Stood:
    """What is kept of a file between two runs. A turn is read with the turns `before` it, also after a kill."""

    place: Place
    before: tuple[Turn, ...]


@dataclass(slots=True)
class _Pending:
    """A turn of plain text that may go on."""

    turn: Turn
    start: Place
    end: Place


class Learner:
    """Learns one stream. `name` is what its items' sources and its place are known by: a file's path, or a name that
    whoever writes into a pipe keeps. For one thread."""

    PLACE: ClassVar = "learn"
    """Under which its place is kept."""

    def __init__(
        self,
        name: str,
        *,
        remember: Remember,
        state: State,
        project: str | None = None,
        elsewhere: str | None = None,
        intents: Callable[[Sequence[str]], Sequence[str]] | None = None,
        judge: Callable[[Sequence[str]], Sequence[Mapping[str, float]]] | None = None,
        progress: ProgressCallback | None = None,
        heard: Callable[[Turn], None] | None = None,
    ) -> None:
        """`project` None: the folder that the transcript names, else `elsewhere`; None again: the current one.
        `intents`: what texts want, one name each ("" for none). `judge`: how likely sentences state
        each type (`Judge`); without it, words alone decide. `heard` gets every turn."""
        self._name = name
        self._remember = remember
        self._state = state
        self._project = project
        self._elsewhere = elsewhere
        self._intents = intents
        self._judge = judge
        self._progress = progress
        self._heard = heard
        self._key = f"{self.PLACE}:{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
        self._before: deque[Turn] = deque(maxlen=BEFORE)
        self._items: list[NewItem] = []
        self._unsure: list[tuple[Turn, Extracted, Place, Place, int]] = []
        self._pending: _Pending | None = None
        self._since = 0
        self._lasting = False
        self._report = LearnReport()
        self._done: Place | None = None
        self._ended = False
        self._pushed: deque[bytes] = deque()
        self._lines: Iterator[Line | None] = iter(())

    def learn_file(self, path: Path, *, follow: bool = False, stop: threading.Event | None = None) -> LearnReport:
        """Reads on where an earlier run stopped. With `follow`, until `stop` is set, over rotations. Raises NotFound,
        Unreadable, StoreError."""
        stop = stop or threading.Event()
        place, before = self._kept()
        self._lasting = True
        for number, (begin, blocks) in enumerate(file_blocks(path, place, follow=follow, stop=stop)):
            if number == 0 and begin == place:
                self._report = replace(self._report, resumed=place.lines)
                self._before.extend(before)
            else:  # another file, or one that begins otherwise now
                self._before.clear()
            self._learn(read_lines(blocks, begin))
        return self._report

    def learn_stream(self, blocks: Iterator[bytes | None], place: Place | None = None) -> LearnReport:
        """A stream that begins at its beginning, or at `place`: what an earlier run remembered of it is not remembered
        again."""
        self._learn(read_lines(blocks, place or Place()))
        return self._report

    def begin(self, offset: int) -> None:
        """A stream that is pushed. `offset`: bytes of it that come before what will be pushed: 0, or where it stands.
        Raises Conflict where it stands elsewhere."""
        place, before = self._kept()
        if offset not in (0, place.offset):
            raise Conflict(
                f"the stream stands at byte {place.offset}, not {offset}.", "Send what comes after it, or all from 0."
            )
        if offset:
            self._report = replace(self._report, resumed=place.lines)
            self._before.extend(before)
        self._lasting = True
        self._lines = read_lines(self._given(), place if offset else Place())

    def stands(self) -> Place:
        """Where the stream stands: what is before it was learned, and lasts."""
        return self._kept()[0]

    def push(self, block: bytes) -> None:
        """The next bytes; b"": nothing came for a while, so what is there is written. For use after `begin`; what it
        raises ends the stream."""
        if block:
            self._pushed.append(block)
        started = time.monotonic()
        for line in self._lines:
            if line is None:
                break
            self._line(line)
        if not block:
            self._idle()
        self._took(started)

    def end(self, *, cut: bool = False) -> LearnReport:
        """After the last bytes. `cut`: the stream broke off, so half a line is no line, and is sent again."""
        started = time.monotonic()
        if cut:
            self._flush(self._stands(self._done))
        else:
            self._ended = True
            for line in self._lines:
                if line is not None:
                    self._line(line)
            self._end_pending()
            self._flush(self._done)
        self._took(started)
        return self._report

    def _given(self) -> Iterator[bytes | None]:
        while self._pushed or not self._ended:
            yield self._pushed.popleft() if self._pushed else None

    def _kept(self) -> tuple[Place, tuple[Turn, ...]]:
        """Where the last run stopped, and the turns before that."""
        kept = self._state.get_state(self._key)
        if kept is None:
            return Place(), ()
        stood = msgspec.json.decode(kept, type=_Stood)
        return stood.place, stood.before

    def _learn(self, lines: Iterator[Line | None]) -> None:
        started = time.monotonic()
        self._done = self._pending = None
        for line in lines:
            if line is None:
                self._idle()
            else:
                self._line(line)
        self._end_pending()
        self._flush(self._done)
        self._took(started)

    def _line(self, line: Line) -> None:
        self._take(line)
        if line.whole:
            self._done = line.end
        if len(self._items) >= BATCH_ITEMS or self._since >= BATCH_LINES:
            self._flush(self._stands(self._done))

    def _idle(self) -> None:
        self._flush(self._stands(self._done))

    def _took(self, started: float) -> None:
        self._report = replace(self._report, seconds=self._report.seconds + time.monotonic() - started)

    def _stands(self, done: Place | None) -> Place | None:
        """Where to read on after a kill: before a turn that may go on."""
        return self._pending.start if self._pending is not None else done

    def _take(self, line: Line) -> None:
        self._since += 1
        self._report = replace(self._report, lines=self._report.lines + 1)
        if line.text is None:
            self._broken(line, "longer than 8 MiB.")
        elif not line.text.strip():
            return
        elif is_json(line.text) and (line.text.lstrip()[0] == "{" or plain_start(line.text) is None):
            self._end_pending()
            try:
                turns = read_line(line.text)
            except DamagedFile as error:
                if line.whole:  # else it is still being written, and read again
                    self._broken(line, error.message)
                return
            for number, turn in enumerate(turns):
                self._turn(turn, line.start, line.end, number)
        elif (begun := plain_start(line.text)) is not None:
            self._end_pending()
            self._pending = _Pending(begun, line.start, line.end)
        elif self._pending is not None:
            held = self._pending
            if len(held.turn.text) < MOST_TEXT:
                held.turn = replace(held.turn, text=f"{held.turn.text}\n{line.text}")
            held.end = line.end
        else:
            self._broken(line, "neither JSON nor a turn that begins with its speaker.")

    def _end_pending(self) -> None:
        if self._pending is not None:
            held = self._pending
            self._pending = None
            self._turn(held.turn, held.start, held.end, 0)

    def _turn(self, turn: Turn, start: Place, end: Place, number: int) -> None:
        self._report = replace(self._report, turns=self._report.turns + 1)
        if self._heard is not None:
            self._heard(turn)
        found = extract(turn, self._before)
        self._items += [self._item(turn, one, start, end, number) for one in found]
        if self._judge is not None:
            for first, last in untold(turn, found):
                words = Extracted("fact", turn.text[first:last].strip("*_ "), 0.0, first, last)
                self._unsure.append((turn, words, start, end, number))
        self._before.append(turn)

    def _item(self, turn: Turn, found: Extracted, start: Place, end: Place, number: int) -> NewItem:
        item = NewItem(
            text=found.text,
            type=found.type,
            project=self._project if self._project is not None else turn.project or self._elsewhere,
            at=turn.at,
            who=turn.who[:200],
            confidence=found.confidence,
            sources=(SourceSpan("", self._name, start.chars, end.chars),),
            context=found.context,
        )
        return replace(item, idempotency_key=self._named(start, number, item))

    def _named(self, start: Place, number: int, item: NewItem) -> str:
        named = hashlib.blake2b(key=start.chain, digest_size=16)
        named.update(f"{self._name}\0{number}\0{item.text}".encode("utf-8", "surrogatepass"))
        return f"learn:{named.hexdigest()}"

    def _flush(self, place: Place | None) -> None:
        """Items first, then the place behind them."""
        if self._judge is not None and (self._items or self._unsure):
            self._weighed(self._judge)
        if self._items:
            items = self._items
            if self._intents is not None:
                names = self._intents([item.text for item in items])
                items = [replace(item, intent=name) for item, name in zip(items, names, strict=True)]
            remembered = self._remember(items)
            report = self._report
            report.by_type.update(item.type for item in items)
            report.outcomes.update(one.outcome for one in remembered)
            self._report = replace(report, items=report.items + len(items))
            self._items = []
            reach("learn.remembered")
        if place is not None and self._since and self._lasting:
            before = tuple(replace(turn, text=turn.text[-LONGEST:]) for turn in self._before)
            self._state.set_state(self._key, msgspec.json.encode(_Stood(place, before)).decode())
            reach("learn.placed")
        if self._since and self._progress is not None:
            self._progress(Progress("learn", self._report.turns, None, f"{self._report.items} items"))
        self._since = 0

    def _weighed(self, judge: Callable[[Sequence[str]], Sequence[Mapping[str, float]]]) -> None:
        """Leaves out what words found and examples call nothing, and takes in what examples alone are sure of."""
        items, unsure, self._unsure = self._items, self._unsure, []
        likely = judge([*(item.text for item in items), *(found.text for _, found, *_ in unsure)])
        self._items = [item for item, by in zip(items, likely, strict=False) if not doubted(by)]
        for (turn, found, start, end, number), by in zip(unsure, likely[len(items) :], strict=True):
            type = told(by, turn.role)
            if type is not None:
                found = replace(found, type=type[0], confidence=type[1])
                self._items.append(self._item(turn, found, start, end, number))

    def _broken(self, line: Line, reason: str) -> None:
        report = self._report
        problems = report.problems
        if len(problems) < BROKEN_KEPT:
            problems = (*problems, (line.end.lines, reason))
        self._report = replace(report, broken=report.broken + 1, problems=problems)


def turns_of(blocks: Iterator[bytes | None]) -> list[Turn]:
    """Every turn of a transcript; lines that cannot be read are left out."""
    heard: list[Turn] = []
    Learner("", remember=lambda _: (), state=_Nowhere(), heard=heard.append).learn_stream(blocks)
    return heard


class _Nowhere:
    """Keeps no state."""

    def get_state(self, key: str) -> str | None:  # noqa: ARG002
        return None

    def set_state(self, key: str, value: str) -> None:
        pass
