from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ragstone.llm.breaker import Breaker, BreakerFigures, Pass, RetryBudget

FIGURES = BreakerFigures(failures=3, seconds=60.0, jitter=0.2)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(uniform: Callable[[float, float], float] = lambda low, high: high) -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(FIGURES, clock, uniform)
    for _ in range(3):
        assert breaker.admit() == "call"
        breaker.failed("call")
    return breaker, clock


def test_failures_in_a_row_open_it_and_jitter_lengthens_the_rest() -> None:
    breaker, clock = opened()
    assert breaker.state == "open"
    assert breaker.admit() is None
    clock.now = 71.9
    assert breaker.admit() is None
    clock.now = 72.1
    assert breaker.admit() == "probe"
    assert breaker.admit() is None


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(FIGURES, Clock())
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome("call")
    assert breaker.state == "closed"
    assert not breaker.steady


def test_a_probe_that_begins_lets_others_in_and_one_failure_more_opens_again() -> None:
    breaker, clock = opened()
    clock.now = 100.0
    assert breaker.admit() == "probe"
    breaker.began("probe")
    assert breaker.admit() == "call"
    breaker.failed("probe")
    assert breaker.state == "open"


def test_an_abandoned_probe_leaves_the_next_one_to_another() -> None:
    breaker, clock = opened()
    clock.now = 100.0
    assert breaker.admit() == "probe"
    breaker.abandoned("probe")
    assert breaker.admit() == "probe"
    breaker.succeeded("probe")
    assert breaker.steady


def test_late_news_of_old_calls_decides_nothing_about_a_probe() -> None:
    breaker, clock = opened()
    clock.now = 100.0
    assert breaker.admit() == "probe"
    breaker.failed("call")
    breaker.abandoned("call")
    assert breaker.state == "probing"


def test_one_probe_over_all_threads() -> None:
    for _ in range(50):
        breaker, clock = opened()
        clock.now = 100.0
        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(lambda _: breaker.admit(), range(16)))  # noqa: B023 - used at once
        assert given.count("probe") == 1
        assert given.count(None) == 15


def test_what_a_server_asks_for_counts_from_now_also_when_the_clock_goes_back() -> None:
    clock = Clock()
    clock.now = 1e6
    breaker = Breaker(FIGURES, clock)
    breaker.failed("call", retry_after=30.0)
    assert breaker.wait() == 30.0
    clock.now = 0.0
    assert breaker.wait() == 30.0
    clock.now = 31.0
    assert breaker.admit() == "call"


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order: at most one probe is out, and waiting long enough always lets one in."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(FIGURES, self.clock, lambda low, high: (low + high) / 2)
        self.out: list[Pass] = []

    @rule(seconds=st.floats(-1e4, 1e4))
    def jump(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def admit(self) -> None:
        given = self.breaker.admit()
        if given is not None:
            self.out.append(given)

    @rule(outcome=st.sampled_from(["succeeded", "failed", "abandoned"]), index=st.integers(0, 9))
    def end(self, outcome: str, index: int) -> None:
        if self.out:
            getattr(self.breaker, outcome)(self.out.pop(index % len(self.out)))

    @invariant()
    def one_probe(self) -> None:
        assert self.out.count("probe") <= 1

    @invariant()
    def comes_back(self) -> None:
        assert self.breaker.wait() <= FIGURES.seconds * (1 + FIGURES.jitter)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40)


def test_extra_calls_are_a_share_of_the_requests() -> None:
    budget = RetryBudget(share=0.1, most=5)
    extra = 0
    for _ in range(1000):
        budget.request()
        if budget.allows:
            budget.spend()
            extra += 1
    assert 100 <= extra <= 105
