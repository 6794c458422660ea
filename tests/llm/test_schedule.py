"""The order of calls: questions first, grouped by model where memory holds one, nothing starves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from ragstone.errors import DeadlineExceeded, ModelUnavailable
from ragstone.llm import schedule
from ragstone.llm.schedule import Scheduled, Scheduler
from ragstone.types import Call, Delta, Message, ModelStatus

ASK = [Message("user", "?")]


@dataclass
class Steps:
    """A model that holds each call until the test lets it end, so that the order is the test's and not the clock's."""

    name: str
    size: int = 10
    lanes: int = 1
    context: int = 100
    loaded: bool = False
    in_use: bool = False
    load_seconds: float = 0.0
    events: list[str] = field(default_factory=list)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        assert self.loaded, "called before it was loaded"
        self.events.append(call.conversation)
        self.gate.acquire()
        yield Delta(finish="stop")

    def load(self, messages: Sequence[Message] = ()) -> float:
        if self.loaded:
            return 0.0
        time.sleep(self.load_seconds)
        self.events.append(f"load {self.name}")
        self.loaded = True
        return 1.0

    def unload(self) -> bool:
        if self.in_use:
            return False
        self.events.append(f"unload {self.name}")
        self.loaded = False
        return True

    def end(self, conversation: str) -> None:
        self.events.append(f"end {conversation}")

    def status(self) -> ModelStatus:
        return ModelStatus(self.name, "gguf", self.loaded, self.size, load_seconds=self.load_seconds or None)

    def close(self) -> None:
        return


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def calls(scheduler: Scheduler) -> Iterator[Callable[..., None]]:
    """Starts calls in threads, each waiting in the queue before the next one is started."""
    threads: list[threading.Thread] = []

    def start(llm: Steps, name: str, purpose: str = "chat") -> None:
        call = Call(1, purpose=purpose, conversation=name)  # type: ignore[arg-type]
        before = len(scheduler._waiting) + len(llm.events)
        threads.append(threading.Thread(target=lambda: list(Scheduled(llm, scheduler).stream(ASK, call))))
        threads[-1].start()
        until(lambda: len(scheduler._waiting) + len(llm.events) > before)

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_questions_go_before_work_that_came_earlier() -> None:
    llm, scheduler = Steps("a"), Scheduler()
    with calls(scheduler) as start:
        start(llm, "first", "extraction")
        until(lambda: "first" in llm.events)
        start(llm, "work", "extraction")
        start(llm, "question")
        llm.gate.release(3)
    assert llm.events == ["load a", "first", "question", "work"]


def test_work_leaves_a_lane_free() -> None:
    llm, scheduler = Steps("a", lanes=2), Scheduler()
    with calls(scheduler) as start:
        start(llm, "one", "extraction")
        until(lambda: "one" in llm.events)
        start(llm, "two", "classification")
        start(llm, "question")
        until(lambda: "question" in llm.events)
        assert "two" not in llm.events
        llm.gate.release(3)


def test_calls_are_grouped_by_model_where_memory_holds_one() -> None:
    events: list[str] = []
    a, b = Steps("a", events=events), Steps("b", events=events, load_seconds=5.0)
    b.load_seconds = 5.0
    scheduler = Scheduler(memory=15)
    scheduler.switch_seconds(b)  # known from before: what a switch to b costs
    b.load_seconds = 0.0
    with calls(scheduler) as start:
        start(a, "a1")
        until(lambda: "a1" in events)
        start(b, "b1")
        start(a, "a2")
        start(b, "b2")
        a.gate.release(2)
        b.gate.release(2)
    assert events == ["load a", "a1", "a2", "unload a", "load b", "b1", "b2"]


def test_who_waited_as_long_as_the_switch_costs_gets_it() -> None:
    events: list[str] = []
    a, b = Steps("a", events=events), Steps("b", events=events)
    scheduler = Scheduler(memory=15)
    with calls(scheduler) as start:
        start(a, "a1")
        until(lambda: "a1" in events)
        start(b, "b1")  # what it costs is not known yet: nothing to save by waiting
        start(a, "a2")
        a.gate.release(2)
        b.gate.release(1)
    assert events == ["load a", "a1", "unload a", "load b", "b1", "unload b", "load a", "a2"]


def test_a_question_for_another_model_goes_before_work_for_this_one() -> None:
    events: list[str] = []
    a, b = Steps("a", events=events), Steps("b", events=events, load_seconds=100.0)
    scheduler = Scheduler(memory=15)
    scheduler.switch_seconds(b)
    b.load_seconds = 0.0
    with calls(scheduler) as start:
        start(a, "a1", "extraction")
        until(lambda: "a1" in events)
        start(a, "a2", "extraction")
        start(b, "b1")
        a.gate.release(2)
        b.gate.release(1)
    assert events.index("b1") < events.index("a2")


def test_work_that_waited_long_counts_as_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "AGING_SECONDS", 0.0)
    llm, scheduler = Steps("a"), Scheduler()
    with calls(scheduler) as start:
        start(llm, "first")
        until(lambda: "first" in llm.events)
        start(llm, "work", "extraction")
        start(llm, "question")
        llm.gate.release(3)
    assert llm.events[1:] == ["first", "work", "question"]


def test_both_stay_where_memory_holds_both() -> None:
    events: list[str] = []
    a, b = Steps("a", events=events), Steps("b", events=events)
    scheduler = Scheduler(memory=20)
    with calls(scheduler) as start:
        start(a, "a1")
        start(b, "b1")
        until(lambda: {"a1", "b1"} <= set(events))
        a.gate.release()
        b.gate.release()
    assert not [e for e in events if e.startswith("unload")]


def test_a_deadline_ends_the_waiting() -> None:
    llm, scheduler = Steps("a"), Scheduler()
    with calls(scheduler) as start:
        start(llm, "first")
        until(lambda: "first" in llm.events)
        with pytest.raises(DeadlineExceeded):
            list(Scheduled(llm, scheduler).stream(ASK, Call(1, time.monotonic() + 0.1)))
        llm.gate.release()
    assert scheduler._waiting == []


def test_a_model_that_another_process_uses_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "UNLOAD_SECONDS", 0.1)
    a, b = Steps("a", loaded=True, in_use=True), Steps("b")
    scheduler = Scheduler(memory=15)
    scheduler.switch_seconds(a)
    with pytest.raises(ModelUnavailable, match="another process"):
        list(Scheduled(b, scheduler).stream(ASK, Call(1)))
    a.in_use = False
    b.gate.release()
    assert list(Scheduled(b, scheduler).stream(ASK, Call(1)))
    assert not a.loaded


def test_a_model_that_does_not_load_blocks_nobody() -> None:
    class Broken(Steps):
        def load(self, messages: Sequence[Message] = ()) -> float:
            raise ModelUnavailable("no")

    a, b = Broken("a"), Steps("b")
    scheduler = Scheduler()
    with pytest.raises(ModelUnavailable):
        list(Scheduled(a, scheduler).stream(ASK, Call(1)))
    b.gate.release()
    assert list(Scheduled(b, scheduler).stream(ASK, Call(1)))


def test_asking_for_the_window_loads_in_a_turn() -> None:
    events: list[str] = []
    a, b = Steps("a", events=events), Steps("b", events=events)
    scheduler = Scheduler(memory=15)
    assert Scheduled(a, scheduler).context == 100
    other = Scheduled(b, scheduler)
    assert (other.context, other.context) == (100, 100)
    assert events == ["load a", "unload a", "load b"]


def test_loading_ahead_takes_its_turn_and_tells_the_seconds() -> None:
    llm, scheduler = Steps("a"), Scheduler()
    made = Scheduled(llm, scheduler)
    assert made.load() > 0
    assert made.load() == 0.0
    assert scheduler.switch_seconds(llm) > 0
