"""What patterns miss, found by a language model behind the stream: it reads the same transcript once more at its own
pace, keeps a place of its own, and goes on there in the next run. The stream never waits for it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..errors import BudgetExceeded, DeadlineExceeded, ModelError, RagstoneError, TooManyRequests
from ..protocols import LLM
from .asking import TURN_CHARACTERS, Gleaned, ask
from .learner import BATCH_LINES, Learner
from .lines import Block, Line, Place
from .turns import Turn

BATCH_TURNS: Final = 12
BATCH_CHARACTERS: Final = 5_000
"""Of turns that are asked about at once: about 1,500 tokens."""
PATIENCE: Final = 20.0
"""Seconds for which a batch that is not full waits for more, where the transcript is followed."""
MOST_LATE: Final = 3
"""Answers in a row that did not end in time; with this many the model is too slow, and the run ends."""
LISTENING: Final = 0.25
"""Seconds after which it looks whether the stream has ended."""
REPLY_SECONDS: Final = 20.0
"""For which a request waits for the model after its last turn; what was not read by then is not gleaned."""
MOST_WAITING: Final = 64 << 20
"""Bytes of a pipe that wait for the model; where there are more, the rest is not gleaned."""


@dataclass(frozen=True, slots=True)
class GleanReport:
    """`turns` that the model was shown, its `answers`, how many were `broken` (each asked for once more), and finds
    that were `refused` because they do not stand in the turn. `stopped`: why it ended before the transcript did; the
    next run goes on there."""

    turns: int = 0
    answers: int = 0
    broken: int = 0
    refused: int = 0
    items: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    stopped: str = ""


class GleaningLearner(Learner):
    """A learner that asks a language model instead of looking for words. Its items never touch a sentence that
    patterns found. A sentence has the key that the stream's learner gives it: found by both, it is one item.

    `admit` is called before the model is asked and raises what forbids to write, such as a quota that is used up."""

    PLACE = "glean"

    def __init__(self, name: str, *, llm: LLM, admit: Callable[[], None] = lambda: None, **rest: object) -> None:
        super().__init__(name, **rest)  # type: ignore[arg-type]
        self._llm = llm
        self._admit = admit
        self._waiting: list[tuple[Turn, Place, Place, int]] = []
        self._characters = 0
        self._oldest = 0.0
        self._late = 0
        self.stop = threading.Event()
        self.gleaned = GleanReport()

    def _line(self, line: Line) -> None:
        if self.stop.is_set():
            raise _Stopped
        self._take(line)
        if line.whole:
            self._done = line.end
        full = len(self._waiting) >= BATCH_TURNS or self._characters >= BATCH_CHARACTERS
        if full or (self._since >= BATCH_LINES and not self._waiting):
            self._flush(self._stands(self._done))

    def _idle(self) -> None:
        if self.stop.is_set():
            raise _Stopped
        if self._waiting and time.monotonic() - self._oldest >= PATIENCE:
            self._flush(self._stands(self._done))

    def _turn(self, turn: Turn, start: Place, end: Place, number: int) -> None:
        self._before.append(turn)
        if turn.role not in ("user", "assistant") or not any(map(str.isalpha, turn.text)):
            return
        if not self._waiting:
            self._oldest = time.monotonic()
        self._waiting.append((turn, start, end, number))
        self._characters += min(len(turn.text), TURN_CHARACTERS)

    def _flush(self, place: Place | None) -> None:
        waiting, self._waiting, self._characters = self._waiting, [], 0
        if waiting:
            found = self._asked([turn for turn, *_ in waiting])
            for (turn, start, end, number), items in zip(waiting, found.items, strict=True):
                self._items += [self._item(turn, item, start, end, number) for item in items]
            told, so_far = list(self._items), self.gleaned
            super()._flush(place)
            self.gleaned = replace(
                so_far, turns=so_far.turns + len(waiting), answers=so_far.answers + found.answers,
                broken=so_far.broken + found.broken, refused=so_far.refused + found.refused,
                items=so_far.items + len(told), by_type=so_far.by_type + Counter(item.type for item in told),
            )  # fmt: skip
        else:
            super()._flush(place)

    def _asked(self, turns: list[Turn]) -> Gleaned:
        self._admit()
        try:
            found = ask(self._llm, turns)
        except DeadlineExceeded:
            self._late += 1
            if self._late >= MOST_LATE:
                raise
            return Gleaned(tuple(() for _ in turns), 1, 1)
        self._late = 0
        return found


class _Stopped(Exception):
    pass


class Gleaning:
    """A gleaning learner in a thread of its own."""

    def __init__(self, learner: GleaningLearner) -> None:
        self._learner = learner
        self._thread: threading.Thread | None = None
        self._blocks: queue.SimpleQueue[Block] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._held = 0
        self._lost = False
        self._lock = threading.Lock()
        self._problem = ""
        self._failed: BaseException | None = None

    def read(self, path: Path, *, follow: bool, stop: threading.Event) -> None:
        self._start(lambda: self._learner.learn_file(path, follow=follow, stop=stop))

    def listen(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The same blocks, of which the model hears as well."""
        self.begin(Place())
        try:
            for block in blocks:
                self.hear(block)
                yield block
        finally:
            self.finish()

    def begin(self, place: Place) -> None:
        """A stream that goes on at `place`; `hear` gives its blocks, `finish` ends it."""
        self._start(lambda: self._learner.learn_stream(self._heard(), place))

    def hear(self, block: Block) -> None:
        """It waits for the model in memory, never the other way round."""
        if block and not self._lost:
            with self._lock:
                self._held += len(block)
                self._lost = self._held > MOST_WAITING
            if not self._lost:
                self._blocks.put(block)

    def finish(self) -> None:
        self._ended.set()

    def _heard(self) -> Iterator[Block]:
        while True:
            try:
                block = self._blocks.get(timeout=0.0 if self._ended.is_set() else LISTENING)
            except queue.Empty:
                if self._ended.is_set() and self._blocks.empty():
                    return
                yield None
                continue
            with self._lock:
                self._held -= len(block or b"")
            yield block

    def _start(self, work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            except _Stopped:
                self._problem = "it was stopped"
            except (BudgetExceeded, ModelError, DeadlineExceeded, TooManyRequests) as error:
                self._problem = str(error)
            except RagstoneError as error:
                self._failed = error
            except BaseException as error:
                self._failed = error
                raise

        self._thread = threading.Thread(target=run, name="ragstone-glean", daemon=True)
        self._thread.start()

    def running(self, seconds: float) -> bool:
        """After so many seconds at most."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """After the answer that is under way."""
        self._learner.stop.set()

    @property
    def done(self) -> int:
        """Turns that the model was shown so far."""
        return self._learner.gleaned.turns

    def ended(self, seconds: float) -> GleanReport:
        """The report after so many seconds at most, and the answer that is under way then. Raises as `report`."""
        self.finish()
        if self.running(seconds):
            self.stop()
            self.running(REPLY_SECONDS)
        return self.report()

    def report(self) -> GleanReport:
        """When it has ended. Raises what ended it, but for a model that does not answer or has no budget, and for a
        quota."""
        if self._failed is not None:
            raise self._failed
        lost = "the pipe was faster than the model" if self._lost else ""
        return replace(self._learner.gleaned, stopped=self._problem or lost)


