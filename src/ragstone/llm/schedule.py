"""In which order calls reach the models of this machine, whose memory may not hold them all.

Questions go before work in the background. Calls for a model that is loaded go before calls of the same rank for one
that is not, for as long as the switch would cost: then both waiting and switching are at most twice what the best
order would have cost (the rule of renting skis). A call in the background that has waited `AGING_SECONDS` counts as a
question, so nothing starves. What a switch costs is what loading took the last times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import ModelUnavailable
from ..protocols import LocalLLM
from ..types import Call, Delta, Message, ModelStatus
from .transport import late

AGING_SECONDS = 30.0
WEIGHT = 0.5
"""Of the last load in the estimate of the next."""
UNLOAD_SECONDS = 60.0
"""How long another process may still use a model whose memory is needed."""
POLL_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class _Model:
    """What the scheduler knows of one model. `bytes` is what it takes while loaded."""

    llm: LocalLLM
    bytes: int
    loaded: bool
    running: int = 0
    background: int = 0
    switch_seconds: float = 0.0
    last_seconds: float = 0.0
    loads: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    model: _Model
    background: bool
    since: float = field(default_factory=time.monotonic)

    def order(self, now: float) -> tuple[bool, float]:
        """Smaller goes first."""
        return self.background and now - self.since < AGING_SECONDS, self.since


class Scheduler:
    """One for all models that share this machine's memory, of which they may take `memory` bytes (0: no bound, then
    none is ever unloaded). Safe from several threads."""

    def __init__(self, memory: int = 0) -> None:
        self._memory = memory
        self._changed = threading.Condition()
        self._models: dict[int, _Model] = {}
        self._waiting: list[_Waiting] = []
        self._switching = False

    @contextmanager
    def turn(self, llm: LocalLLM, call: Call) -> Iterator[None]:
        """Inside, the model may be called: it is loaded, and it is this call's turn. Raises ModelError,
        DeadlineExceeded."""
        background = call.purpose != "chat"
        model = self._wait(llm, background, call.deadline)
        try:
            yield
        finally:
            with self._changed:
                model.running -= 1
                model.background -= background
                self._changed.notify_all()

    def load(self, llm: LocalLLM, messages: Sequence[Message] = ()) -> float:
        """Loads a model ahead, as its own turn, and computes the beginning of prompts; returns the seconds."""
        with self._changed:
            model = self._known(llm)
            before = model.loads
        with self.turn(llm, Call(1)):
            again = llm.load(messages)  # it may have ended by itself since
        with self._changed:
            return model.last_seconds if model.loads > before else again

    def unload(self, llm: LocalLLM) -> bool:
        """At once, whatever waits; False where a call or another process uses it."""
        with self._changed:
            model = self._known(llm)
            if model.running or self._switching or not llm.unload():
                return False
            model.loaded = False
            return True

    def switch_seconds(self, llm: LocalLLM) -> float:
        """What loading it costs, as measured; 0.0 before the first time."""
        with self._changed:
            return self._known(llm).switch_seconds

    def _known(self, llm: LocalLLM) -> _Model:
        model = self._models.get(id(llm))
        if model is None:
            now = llm.status()
            model = _Model(llm, max(now.ram + now.vram, now.size), now.loaded)
            model.switch_seconds = now.load_seconds or 0.0
            self._models[id(llm)] = model
        return model

    def _wait(self, llm: LocalLLM, background: bool, deadline: float | None) -> _Model:
        with self._changed:
            ticket = _Waiting(self._known(llm), background)
            self._waiting.append(ticket)
            try:
                while self._next() is not ticket:
                    if deadline is not None and time.monotonic() >= deadline:
                        raise late(llm.name)
                    self._changed.wait(POLL_SECONDS)  # ranks change with time alone
                model = ticket.model
                switch = not model.loaded
                self._switching = switch
                model.running += 1
                model.background += background
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        if switch:
            try:
                self._switch(model, deadline)
            except BaseException:
                with self._changed:
                    model.running -= 1
                    model.background -= background
                raise
            finally:
                with self._changed:
                    self._switching = False
                    self._changed.notify_all()
        return model

    def _next(self) -> _Waiting | None:
        """Whose turn it is now; None where it is nobody's yet. With the lock."""
        if self._switching:
            return None
        now = time.monotonic()
        drained: set[_Model] = set()
        for ticket in sorted(self._waiting, key=lambda t: t.order(now)):
            if ticket.model.loaded:
                if ticket.model not in drained and self._has_lane(ticket):
                    return ticket
                continue
            leaving = self._victims(ticket.model)
            rank = ticket.order(now)[0]
            if leaving and any(self._stays(other, ticket, rank, leaving, now) for other in self._waiting):
                continue
            if not any(model.running for model in leaving):
                return ticket
            drained.update(leaving)  # what they do now is finished, nothing new begins
        return None

    def _stays(self, other: _Waiting, ticket: _Waiting, rank: bool, leaving: list[_Model], now: float) -> bool:
        """Whether `other` still goes before the switch that `ticket` needs."""
        return (
            other.model in leaving
            and other.order(now)[0] <= rank
            and now - ticket.since < ticket.model.switch_seconds
        )

    @staticmethod
    def _has_lane(ticket: _Waiting) -> bool:
        """Work in the background leaves one lane to questions where there are several."""
        model, lanes = ticket.model, ticket.model.llm.lanes
        return model.running < lanes and not (ticket.background and model.background >= max(1, lanes - 1))

    def _victims(self, model: _Model) -> list[_Model]:
        """What has to go for it: those that do least first."""
        if not self._memory:
            return []
        loaded = sorted((m for m in self._models.values() if m.loaded), key=lambda m: m.running)
        free = self._memory - sum(m.bytes for m in loaded)
        victims = []
        for other in loaded:
            if free >= model.bytes:
                break
            victims.append(other)
            free += other.bytes
        return victims

    def _switch(self, model: _Model, deadline: float | None) -> None:
        """Without the lock: nobody else switches meanwhile."""
        with self._changed:
            victims = self._victims(model)
        started = time.monotonic()
        for victim in victims:
            _unload(victim.llm, deadline)
            with self._changed:
                victim.loaded = False
        model.llm.load()
        seconds = time.monotonic() - started
        now = model.llm.status()
        with self._changed:
            model.loaded = True
            model.loads += 1
            model.last_seconds = seconds
            model.bytes = max(now.ram + now.vram, now.size)
            known = model.switch_seconds
            model.switch_seconds = seconds if not known else WEIGHT * seconds + (1 - WEIGHT) * known


class Scheduled:
    """LLM that waits for its turn. Loading counts as part of the first call."""

    def __init__(self, llm: LocalLLM, scheduler: Scheduler) -> None:
        self._llm = llm
        self._scheduler = scheduler
        self._window = 0

    @property
    def name(self) -> str:
        return self._llm.name

    @property
    def context(self) -> int:
        """Of the loaded model: asking the first time takes a turn, so that it is not loaded beside the others."""
        if not self._window:
            with self._scheduler.turn(self._llm, Call(1)):
                self._window = self._llm.context
        return self._window

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        with self._scheduler.turn(self._llm, call):
            yield from self._llm.stream(messages, call)

    def load(self, messages: Sequence[Message] = ()) -> float:
        """Seconds that loading took; 0.0 where it was loaded."""
        return self._scheduler.load(self._llm, messages)

    def unload(self) -> bool:
        return self._scheduler.unload(self._llm)

    def end(self, conversation: str) -> None:
        self._llm.end(conversation)

    @property
    def lanes(self) -> int:
        return self._llm.lanes

    def status(self) -> ModelStatus:
        return self._llm.status()

    def close(self) -> None:
        self._llm.close()


def _unload(llm: LocalLLM, deadline: float | None) -> None:
    patience = time.monotonic() + UNLOAD_SECONDS
    while not llm.unload():
        if deadline is not None and time.monotonic() >= deadline:
            raise late(llm.name)
        if time.monotonic() >= patience:
            raise ModelUnavailable(
                f"{llm.name} is used by another process, and there is no memory for a second model.",
                "Try again later, or raise models.memory.",
            )
        time.sleep(POLL_SECONDS)
