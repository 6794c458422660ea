"""The chain: who may be asked, what is said when nobody answers, hedging, single flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from model_servers import WORDS, OpenAIHandler, Script, serving
from ragstone.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    KeyRefused,
    ModelUnavailable,
    PriceUnknown,
    PromptTooLong,
    RagstoneError,
)
from ragstone.llm.chain import Chain, Conditions, Entry, Policy
from ragstone.llm.openai import OpenAIChat
from ragstone.llm.single_flight import SingleFlight
from ragstone.testing import EchoLLM
from ragstone.types import Call, Delta, Message

ASK = [Message("user", "How high is the tower at the river, and who has built it?")]
FRAGE = [Message("user", "Wie hoch ist der Turm am Fluss, und wer hat ihn gebaut?")]


@dataclass
class Refusing:
    """Says no, before or after some text."""

    error: RagstoneError
    after: str = ""
    name: str = "refusing"
    context: int = 4096
    calls: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        self.calls += 1
        if self.after:
            yield Delta(self.after)
        raise self.error

    def close(self) -> None:
        self.closed.set()


def who(chain: Chain, messages: Sequence[Message] = ASK, call: Call | None = None) -> str:
    return list(chain.stream(messages, call or Call(50)))[-1].model


def test_purposes_have_orders_of_their_own() -> None:
    entries = [Entry(name, EchoLLM()) for name in ("a", "b", "c")]
    chain = Chain(entries, orders={"chat": ("c", "a"), "extraction": ("b",), "classification": ()})
    assert who(chain) == "c/echo"
    assert who(chain, call=Call(50, purpose="extraction")) == "b/echo"
    assert who(chain, call=Call(50, purpose="classification")) == "a/echo"
    assert chain.name == "gateway(c, a)"


def test_conditions_choose() -> None:
    small = Entry("small", EchoLLM(), Conditions(context=100))
    german = Entry("german", EchoLLM(), Conditions(languages=("de",)))
    dear = Entry("dear", EchoLLM(), Conditions(max_cost=0.5), lambda prompt, written: float(written) / 100)
    here = Entry("here", EchoLLM(), Conditions(local=True))
    assert who(Chain([small, here])) == "small/echo"
    assert who(Chain([small, here]), call=Call(99)) == "here/echo"
    assert who(Chain([german, here])) == "here/echo"
    assert who(Chain([german, here]), FRAGE) == "german/echo"
    assert who(Chain([dear, here])) == "dear/echo"
    assert who(Chain([dear, here]), call=Call(51)) == "here/echo"
    assert who(Chain([dear, here], Policy(local_only=True))) == "here/echo"


def test_the_window_is_one_that_every_entry_has() -> None:
    entries = [Entry("a", EchoLLM(), Conditions(context=9000)), Entry("b", EchoLLM(), Conditions(context=5000))]
    assert Chain(entries).context == 5000
    assert Chain(entries, orders={"chat": ("a",)}).context == 9000


def test_nobody_is_asked_what_does_not_fit() -> None:
    chain = Chain([Entry("a", EchoLLM(), Conditions(context=60)), Entry("b", EchoLLM(), Conditions(context=70))])
    with pytest.raises(PromptTooLong, match=r"a: .*window of 60.*b: .*window of 70") as caught:
        who(chain)
    assert caught.value.hint


def test_no_price_no_cap() -> None:
    with pytest.raises(PriceUnknown, match="max_cost"):
        who(Chain([Entry("a", EchoLLM(), Conditions(max_cost=1.0))]))


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([BudgetExceeded("spent", "wait", renews=9.0), BudgetExceeded("spent", "wait", renews=5.0)], BudgetExceeded),
        ([KeyRefused("key", "set it"), KeyRefused("key", "set it")], KeyRefused),
        ([KeyRefused("key", "set it"), BudgetExceeded("spent", "wait")], ModelUnavailable),
        ([ModelUnavailable("down", "later", retry_after=8.0), KeyRefused("key", "set it")], ModelUnavailable),
        ([PromptTooLong("long", "cut it"), PromptTooLong("long", "cut it")], PromptTooLong),
    ],
)
def test_the_end_is_typed_and_names_what_each_said(errors: list[RagstoneError], kind: type[RagstoneError]) -> None:
    entries = [Entry(f"p{n}", Refusing(error)) for n, error in enumerate(errors)]
    with pytest.raises(kind) as caught:
        who(Chain(entries))
    assert type(caught.value) is kind
    assert all(f"p{n}: {error.message}" in caught.value.message for n, error in enumerate(errors))
    assert errors[0].hint in caught.value.hint
    if isinstance(caught.value, BudgetExceeded):
        assert caught.value.renews == 5.0
    if isinstance(errors[0], ModelUnavailable):
        assert caught.value.retry_after == 8.0  # type: ignore[attr-defined]


def test_who_was_not_asked_does_not_fail() -> None:
    broke = Refusing(BudgetExceeded("spent"))
    chain = Chain([Entry("a", broke), Entry("b", EchoLLM())])
    assert {who(chain) for _ in range(50)} == {"b/echo"}
    assert chain.states()["a"] == "closed"
    assert broke.calls == 50


def test_what_was_shown_is_not_taken_back() -> None:
    chain = Chain([Entry("a", Refusing(ModelUnavailable("gone", "later"), "Hal")), Entry("b", EchoLLM())])
    shown = []
    with pytest.raises(ModelUnavailable, match="gone"):
        shown.extend(chain.stream(ASK, Call(50)))
    assert shown == [Delta("Hal")]
    assert chain.states()["a"] == "closed"


def test_alone_it_is_asked_once_more_after_a_pause() -> None:
    pauses: list[float] = []
    refusing = Refusing(ModelUnavailable("gone", "later"))
    chain = Chain([Entry("a", refusing)], sleep=pauses.append)
    with pytest.raises(ModelUnavailable):
        who(chain)
    assert refusing.calls == 2
    assert len(pauses) == 1
    with pytest.raises(KeyRefused):
        who(Chain([Entry("a", Refusing(KeyRefused("no", "set it")))], sleep=pauses.append))
    assert len(pauses) == 1


def test_no_storm_when_all_are_ill() -> None:
    entries = [Entry(name, Refusing(ModelUnavailable("gone", "later"))) for name in ("a", "b")]
    chain = Chain(entries, sleep=lambda seconds: None)
    for _ in range(1000):
        with pytest.raises(ModelUnavailable):
            who(chain)
    assert sum(e.llm.calls for e in entries) <= 10  # type: ignore[attr-defined]


def test_an_abandoned_stream_stops_the_provider() -> None:
    script = Script(words=("so ",) * 2000, pause=0.005)
    with serving(OpenAIHandler, script) as url:
        chain = Chain([Entry("a", OpenAIChat(f"{url}/v1", "m"))])
        deltas = chain.stream(ASK, Call(5000))
        next(iter(deltas))
        deltas.close()  # type: ignore[attr-defined]
        assert script.stopped.wait(10)
        assert chain.states() == {"a": "closed"}


def test_a_hedge_that_wins_stops_the_slow_one_and_is_not_asked_for_when_the_first_is_quick() -> None:
    slow = Script(words=("so ",) * 200, pause=0.6)
    quick = Script()
    with serving(OpenAIHandler, slow) as one, serving(OpenAIHandler, quick) as two:
        entries = [Entry("slow", OpenAIChat(f"{one}/v1", "m")), Entry("quick", OpenAIChat(f"{two}/v1", "m"))]
        chain = Chain(entries, Policy(hedge=0.05, first_token=0))
        assert who(chain) == "quick/m"
        assert slow.stopped.wait(10), "the loser goes on"
        chain = Chain(list(reversed(entries)), Policy(hedge=5.0))
        assert who(chain) == "quick/m"
    assert len(slow.requests) == 1
    assert len(quick.requests) == 2


def test_a_hedged_call_ends_at_its_deadline() -> None:
    slow = Script(pause=30.0)
    with serving(OpenAIHandler, slow) as url:
        entries = [Entry(name, OpenAIChat(f"{url}/v1", "m")) for name in ("a", "b")]
        with pytest.raises(DeadlineExceeded):
            who(Chain(entries, Policy(hedge=0.05)), call=Call(50, time.monotonic() + 0.3))


def test_half_of_the_deadline_is_left_for_the_next() -> None:
    with serving(OpenAIHandler, Script(pause=30.0)) as one, serving(OpenAIHandler, Script()) as two:
        entries = [Entry("a", OpenAIChat(f"{one}/v1", "m")), Entry("b", OpenAIChat(f"{two}/v1", "m"))]
        assert who(Chain(entries, Policy(first_token=60)), call=Call(50, time.monotonic() + 3.0)) == "b/m"


def test_a_long_pause_in_a_stream_is_an_error() -> None:
    with serving(OpenAIHandler, Script(pause=0.7)) as url:
        chain = Chain([Entry("a", OpenAIChat(f"{url}/v1", "m"))], Policy(silence=0.3))
        shown: list[Delta] = []
        with pytest.raises(ModelUnavailable):
            shown.extend(chain.stream(ASK, Call(50)))


def test_equal_questions_at_once_are_one_call() -> None:
    script = Script(pause=0.05)
    with serving(OpenAIHandler, script) as url:
        llm = SingleFlight(OpenAIChat(f"{url}/v1", "m"))
        barrier = threading.Barrier(8)

        def ask(number: int) -> str:
            barrier.wait()
            call = Call(50, time.monotonic() + 60)
            return "".join(d.text for d in llm.stream(ASK if number % 2 else FRAGE, call))

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(8))) == {"".join(WORDS)}
        # a deadline a little earlier than that of the call under way makes a call of its own
        assert 2 <= len(script.requests) <= 8
        before = len(script.requests)
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda _: [d.text for d in llm.stream(ASK, Call(50))], range(8)))
        assert texts == [[*WORDS, ""]] * 8
        assert len(script.requests) == before + 1
        assert llm._flights == {}


def test_who_leaves_takes_nothing_from_the_others_and_the_last_one_stops_it() -> None:
    script = Script(words=("so ",) * 40, pause=0.01)
    with serving(OpenAIHandler, script) as url:
        llm = SingleFlight(OpenAIChat(f"{url}/v1", "m"))
        first, second = llm.stream(ASK, Call(50)), llm.stream(ASK, Call(50))
        assert next(iter(first)) == next(iter(second)) == Delta("so ")
        first.close()  # type: ignore[attr-defined]
        assert len(list(second)) == 40
        assert len(script.requests) == 1
        script.words = ("so ",) * 4000
        third = llm.stream(ASK, Call(5000))
        next(iter(third))
        third.close()  # type: ignore[attr-defined]
        assert script.stopped.wait(10)


def test_an_error_of_a_shared_call_is_everybodys_and_then_forgotten() -> None:
    refusing = Refusing(ModelUnavailable("gone", "later"), "Hal")
    llm = SingleFlight(refusing)
    readers = [llm.stream(ASK, Call(50)) for _ in range(3)]
    for reader in readers:
        next(iter(reader))
    for reader in readers:
        with pytest.raises(ModelUnavailable):
            next(iter(reader))
    assert refusing.calls == 1
    with pytest.raises(ModelUnavailable):
        list(llm.stream(ASK, Call(50)))
    assert refusing.calls == 2
