"""Every kind of fault in every state of the breaker, through a proxy on real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Lock

import pytest

from fault_proxy import FaultProxy, breaking
from hosted_servers import AnthropicHandler, GeminiHandler
from model_servers import WORDS, OpenAIHandler, Script, serving
from ragstone.errors import DeadlineExceeded, ModelError, ModelUnavailable, RagstoneError
from ragstone.llm.anthropic import AnthropicChat
from ragstone.llm.breaker import BreakerFigures
from ragstone.llm.chain import Chain, Entry, Policy
from ragstone.llm.gemini import GeminiChat
from ragstone.llm.openai import OpenAIChat
from ragstone.protocols import LLM
from ragstone.types import Call, Delta, Message

TEXT = "".join(WORDS)
BROKEN = ["refused", "reset", "stall", "drip", "limit", "failing", "cut", "garbage", "garbage-body", "huge", "dns", "tls"]
REQUESTS = 100
AFTER = 100.0  # seconds of the breakers' clock after which each of them may be tried again


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.01)
    return condition()


class Counted:
    """An LLM that counts how often it is asked."""

    def __init__(self, inner: LLM) -> None:
        self.inner = inner
        self.calls = 0
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def context(self) -> int:
        return self.inner.context

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        with self._lock:
            self.calls += 1
        yield from self.inner.stream(messages, call)

    def close(self) -> None:
        self.inner.close()


class House:
    """A provider behind the proxy, a healthy one after it, and the clock of the breakers."""

    def __init__(self, stack: ExitStack, fault: str, **policy: float) -> None:
        self.now = 1000.0
        self.proxy: FaultProxy = stack.enter_context(breaking(stack.enter_context(serving(OpenAIHandler, Script()))))
        healthy = stack.enter_context(serving(OpenAIHandler, Script()))
        self.proxy.at = 300
        address = {"dns": "http://nobody.invalid/v1", "tls": f"{self.proxy.url.replace('http:', 'https:')}/v1"}
        if fault == "tls":
            self.proxy.fault = "garbage"
        elif fault != "dns":
            self.proxy.fault = fault  # type: ignore[assignment]
        self.first = Counted(OpenAIChat(address.get(fault, f"{self.proxy.url}/v1"), "first"))
        self.second = Counted(OpenAIChat(f"{healthy}/v1", "second"))
        self.chain = Chain(
            [Entry("first", self.first), Entry("second", self.second)],
            Policy(breaker=BreakerFigures(5, 60.0), first_token=0.3, **policy),  # type: ignore[arg-type]
            clock=lambda: self.now,
        )
        stack.callback(self.chain.close)

    def ask(self, seconds: float = 10.0, number: int = 0) -> str:
        """Who answered; the deadline is part of the call, so an answer is one in time."""
        ask = [Message("user", f"Wie hoch? {number}")]
        deltas = list(self.chain.stream(ask, Call(50, time.monotonic() + seconds)))
        assert "".join(d.text for d in deltas) == TEXT
        return deltas[-1].model

    def state(self) -> str:
        return self.chain.states()["first"]


@pytest.mark.parametrize("hedge", [0.0, 0.1])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_provider_costs_little_and_never_the_answer(fault: str, hedge: float) -> None:
    with ExitStack() as stack:
        house = House(stack, fault, hedge=hedge)
        # closed, then opening
        assert {house.ask() for _ in range(REQUESTS)} == {"second/second"}
        assert until(lambda: house.state() == "open")
        assert house.first.calls == 5
        assert house.first.calls + house.second.calls <= 1.1 * REQUESTS
        # open: not asked at all, also where the clock goes back
        house.now -= 3600
        assert house.ask() == "second/second"
        assert house.first.calls == 5
        # time for a probe: exactly one of many at once
        house.now += AFTER
        barrier = Barrier(8)

        def at_once(number: int) -> str:
            barrier.wait()
            return house.ask(4.0, number)

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(at_once, range(8))) == {"second/second"}
        assert house.first.calls == 6
        assert until(lambda: house.state() == "open")  # who loses a race tells so from its own thread
        assert house.ask() == "second/second"
        assert house.first.calls == 6
        if fault in ("dns", "tls"):
            return
        # mended: one probe, and it is back
        house.proxy.fault = "none"
        house.now += AFTER
        assert house.ask() == "first/first"
        assert house.state() == "closed"


def test_the_clock_may_jump_ahead() -> None:
    with ExitStack() as stack:
        house = House(stack, "failing")
        for _ in range(10):
            assert house.ask() == "second/second"
            house.now += 1e6
        assert house.first.calls == 10  # each was a probe or one of the first five
        assert house.first.calls + house.second.calls == 20


def test_a_provider_that_fails_now_and_then_is_not_asked_beyond_the_share() -> None:
    with ExitStack() as stack:
        house = House(stack, "none")
        for number in range(600):
            house.proxy.fault = "reset" if number % 2 else "none"
            house.ask()
        assert house.first.calls + house.second.calls <= 1.1 * 600 + 5
        assert house.first.calls > 10


def test_retry_after_is_honoured_before_the_breaker_opens() -> None:
    with ExitStack() as stack:
        house = House(stack, "limit")
        house.proxy.retry_after = 7
        assert [house.ask() for _ in range(3)] == ["second/second"] * 3
        assert house.first.calls == 1
        house.proxy.fault = "none"
        house.now += 6.9
        assert house.ask() == "second/second"
        house.now += 0.2
        assert house.ask() == "first/first"


def test_both_dead_is_told_with_what_each_said() -> None:
    with ExitStack() as stack:
        house = House(stack, "failing")
        house.second.inner = OpenAIChat("http://nobody.invalid/v1", "second")
        with pytest.raises(ModelUnavailable, match=r"first: .*502.*second: .*does not answer"):
            house.ask()
        for _ in range(50):
            with pytest.raises(ModelUnavailable):
                house.ask()
        assert house.first.calls + house.second.calls <= 1.1 * 51


@pytest.mark.parametrize("fault", ["stall", "drip", "stall-late", "huge"])
def test_alone_it_ends_in_a_typed_error_at_the_deadline(fault: str) -> None:
    with ExitStack() as stack:
        house = House(stack, fault)
        chain = Chain([Entry("first", house.first)])
        with pytest.raises((DeadlineExceeded, ModelError)) as caught:
            list(chain.stream([Message("user", "?")], Call(50, time.monotonic() + 0.4)))
        assert caught.value.hint


DIALECTS = {"openai": OpenAIHandler, "anthropic": AnthropicHandler, "gemini": GeminiHandler}


def made(dialect: str, url: str) -> LLM:
    if dialect == "openai":
        return OpenAIChat(f"{url}/v1", "first")
    return AnthropicChat("first", base_url=url) if dialect == "anthropic" else GeminiChat("first", base_url=url)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", ["cut", "reset-late"])
def test_a_cut_stream_never_ends_silently(dialect: str, fault: str) -> None:
    """At every seventh byte: nothing shown yet, and the next provider answers; something shown, and it is an error; the
    whole answer is never mistaken."""
    with ExitStack() as stack:
        url = stack.enter_context(serving(DIALECTS[dialect], Script(words=("Die ", "Höhe ", "ist."))))
        proxy = stack.enter_context(breaking(url))
        healthy = stack.enter_context(serving(OpenAIHandler, Script()))
        proxy.fault = fault  # type: ignore[assignment]
        seen = set()
        for at in range(1, 2400, 7):
            proxy.at = at
            first = stack.enter_context(ExitStack())
            llm = made(dialect, proxy.url)
            first.callback(llm.close)
            chain = Chain([Entry("first", llm), Entry("second", OpenAIChat(f"{healthy}/v1", "second"))])
            shown, ended = "", ""
            try:
                for delta in chain.stream([Message("user", "?")], Call(50, time.monotonic() + 10)):
                    shown += delta.text
                    ended = delta.model
            except RagstoneError:
                assert not ended
                ended = "error"
            first.close()
            seen.add(ended)
            if ended == "error":
                assert shown
                assert "Die Höhe ist.".startswith(shown)
                continue
            assert shown == {"first/first": "Die Höhe ist.", "second/second": TEXT}[ended]
        assert seen == {"error", "first/first", "second/second"}
