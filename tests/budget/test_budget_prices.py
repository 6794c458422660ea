"""What tokens cost, and what a call can cost at most."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.budget.money import DOLLAR
from ragstone.budget.prices import FREE, Price, PriceBook, Rate, flat, parse_prices
from ragstone.budget.tokens import AROUND_MESSAGE, AROUND_PROMPT, prompt_bound, size_of
from ragstone.errors import SettingsError
from ragstone.types import Call, Message, Usage

TIERED = Price((Rate(0, 2, 1, 8, 3), Rate(1_000, 4, 2, 9, 5)), (Rate(0, 2, 1, 8, 3), Rate(1_000, 4, 2, 9, 5)), fee=7)


def test_a_flat_price() -> None:
    price = flat(1.25, 10, 0.125)
    million = 1_000_000
    assert price.cost(Usage(million, million)) == 11 * DOLLAR + DOLLAR // 4
    assert price.cost(Usage(million, 0, cached_tokens=million)) == DOLLAR // 8
    assert price.cost(Usage(100, 0, cached_tokens=10**9)) == price.cost(Usage(100, 0, cached_tokens=100))
    assert not price.free
    assert FREE.free
    assert flat(0, 0).free


def test_large_prompts_have_their_own_rate() -> None:
    assert TIERED.cost(Usage(1_000, 10)) == 7 + 2_000 + 80
    assert TIERED.cost(Usage(1_001, 10)) == 7 + 4_004 + 90
    assert TIERED.bound(1_000, 10) == 7 + 3_000 + 80
    assert TIERED.bound(1_001, 10) == 7 + 5_005 + 90
    assert TIERED.cost(Usage(0, 0)) == 7


@given(st.integers(0, 3_000), st.integers(0, 500), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_bound_is_one(prompt: int, completion: int, used: float, generated: float, cached: float) -> None:
    usage = Usage(int(prompt * used), int(completion * generated), cached_tokens=int(prompt * used * cached))
    for price in (TIERED, flat(1.25, 10), flat(3, 15, 3.75)):
        assert price.cost(usage) <= price.bound(prompt, completion)


def test_packaged_prices_are_found_by_name_and_by_address_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refused)
    book = PriceBook()
    by_name = book.price("openai", "gpt-4o-mini")
    assert by_name is not None
    assert by_name == book.price("ours", "gpt-4o-mini", "https://api.openai.com/v1")
    assert 0 < by_name.cost(Usage(1_000_000, 0)) < by_name.cost(Usage(0, 1_000_000)) < 100 * DOLLAR
    for provider, model in (("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"), ("groq", "llama-3.3-70b-versatile")):
        price = book.price(provider, model)
        assert price is not None, model
        assert price.bound(300_000, 10) >= price.cost(Usage(300_000, 10)) > 0
    gemini = book.price("google", "gemini-2.5-pro")
    assert gemini is not None
    assert len(gemini.rates) > 1, "prompts above 200,000 tokens cost more"
    for nobody in (("openai", "gpt-nobody-knows"), ("nobody", "gpt-4o-mini")):
        assert book.price(*nobody) is None
    assert book.price("ours", "gpt-4o-mini", "http://127.0.0.1:8000/v1") is None


def test_own_prices_go_first() -> None:
    book = PriceBook(parse_prices({"openai/gpt-4o-mini": (1, 2), "house": (0, 0), "x": (1, 2, 0.5)}))
    assert book.price("openai", "gpt-4o-mini") == flat(1, 2)
    assert book.price("any", "house") == FREE
    assert book.price("any", "x") == flat(1, 2, 0.5)
    for wrong in ((1.0,), (1.0, 2.0, 3.0, 4.0), (-1.0, 2.0), ()):
        with pytest.raises(SettingsError, match=r"budget\.prices"):
            parse_prices({"m": wrong})


@given(st.lists(st.text(), max_size=4))
def test_a_prompt_has_at_most_as_many_tokens_as_bytes(texts: list[str]) -> None:
    messages = [Message("user", text) for text in texts]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    assert prompt_bound(messages, Call(10)) == AROUND_PROMPT + len(texts) * AROUND_MESSAGE + size
    assert sum(map(size_of, texts)) == size


def test_a_schema_counts() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert prompt_bound([], Call(10, schema=schema)) > prompt_bound([], Call(10)) + 40
