"""What a token costs: prices that come with the package genai-prices, and those of your own before them.

Nothing is fetched: the prices are as new as the package that is installed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from ..errors import SettingsError
from ..types import Usage
from .money import DOLLAR

MILLION: Final = 1_000_000
VALID_SECONDS: Final = 1_800
"""For how long a price is taken as current; providers change theirs at full and half hours."""
LOOK_AHEAD: Final = timedelta(days=1)
"""A reserved call is over by then; the dearest price until then bounds it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Pico-dollars for one token, where the prompt has more than `above` tokens. `dearest` is the most that one token
    of a prompt may cost, were it written to a cache."""

    above: int
    prompt: int
    cached: int
    completion: int
    dearest: int


@dataclass(frozen=True, slots=True)
class Price:
    """`rates` of now and `ceiling` of the next day, by rising `above`; `fee` is for a call, whatever it holds."""

    rates: tuple[Rate, ...]
    ceiling: tuple[Rate, ...]
    fee: int = 0

    @property
    def free(self) -> bool:
        return not self.fee and not any(r.dearest or r.completion for r in self.ceiling)

    def bound(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Pico-dollars that a call with at most so many tokens cannot exceed, at the dearest price it may meet."""
        met = [r for r in self.ceiling if r.above < prompt_tokens] or self.ceiling[:1]
        return (
            self.fee + prompt_tokens * max(r.dearest for r in met) + completion_tokens * max(r.completion for r in met)
        )

    def cost(self, usage: Usage) -> int:
        """Pico-dollars that a call has cost."""
        rate = [r for r in self.rates if r.above < usage.prompt_tokens or r is self.rates[0]][-1]
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        fresh = usage.prompt_tokens - cached
        return self.fee + fresh * rate.prompt + cached * rate.cached + usage.completion_tokens * rate.completion


def flat(prompt: float | Decimal, completion: float | Decimal, cached: float | Decimal | None = None) -> Price:
    """A price that is always the same, in dollars a million tokens."""
    rate = Rate(
        0,
        _token(prompt),
        _token(prompt if cached is None else cached),
        _token(completion),
        max(_token(prompt), _token(cached or 0)),
    )
    return Price((rate,), (rate,))


FREE: Final = Price((Rate(0, 0, 0, 0, 0),), (Rate(0, 0, 0, 0, 0),))
"""Of what runs on machines of your own."""


def parse_prices(table: Mapping[str, Sequence[float]]) -> dict[str, Price]:
    """"provider/model" or "model" → [prompt, completion] or [prompt, completion, cached], in dollars a million tokens.
    Raises SettingsError."""
    prices = {}
    for name, numbers in table.items():
        if len(numbers) not in (2, 3) or min(numbers) < 0:
            raise SettingsError(
                f"budget.prices: {name} has {list(numbers)}.",
                "Write dollars a million tokens: [prompt, completion] or [prompt, completion, cached prompt].",
            )
        prices[name] = flat(*numbers)
    return prices


class PriceBook:
    """Prices by provider and model. `own` go before those of the package: "provider/model", then "model"."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})
        self._known: dict[tuple[str, str, str], tuple[float, Price | None]] = {}
        self._lock = threading.Lock()

    def own(self, provider: str, model: str) -> Price | None:
        return self._own.get(f"{provider}/{model}") or self._own.get(model)

    def price(self, provider: str, model: str, url: str = "") -> Price | None:
        """None where it is not known. `url` is the address of the provider; without one, `provider` is taken for the
        name that the package has for it."""
        if (own := self.own(provider, model)) is not None:
            return own
        key = (provider, model, url)
        now = time.time()
        with self._lock:
            until, price = self._known.get(key, (0.0, None))
            if now >= until or until > now + VALID_SECONDS:
                price = _packaged(provider, model, url, datetime.fromtimestamp(now, UTC))
                self._known[key] = ((now // VALID_SECONDS + 1) * VALID_SECONDS, price)
            return price


def _packaged(provider: str, model: str, url: str, now: datetime) -> Price | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    where: dict[str, str] = {"provider_api_url": url} if url else {"provider_id": provider}

    def at(moment: datetime) -> Any:
        tokens = Tokens(input_tokens=1, output_tokens=1)
        return calc_price(tokens, model, genai_request_timestamp=moment, **where).model_price  # type: ignore[call-overload]

    try:
        current = at(now)
    except LookupError:
        return None
    half_hours = int(LOOK_AHEAD / timedelta(seconds=VALID_SECONDS))
    later = [at(now + k * timedelta(seconds=VALID_SECONDS)) for k in range(1, half_hours + 1)]
    if current.input_mtok is None or current.output_mtok is None:
        return None  # not a model of text
    every = [current, *later]
    return Price(_rates([current]), _rates(every), max(_fee(p) for p in every))


def _rates(prices: Sequence[Any]) -> tuple[Rate, ...]:
    """The dearest of `prices`, for each size of a prompt at which one of them changes."""
    kinds = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
    sizes = {0} | {t.start for p in prices for kind in kinds for t in getattr(getattr(p, kind), "tiers", ())}

    def dearest(kind: str, above: int) -> int:
        amounts = (_amount(getattr(p, kind), above) for p in prices)
        return max((_token(amount) for amount in amounts if amount is not None), default=0)

    rates = []
    for above in sorted(sizes):
        prompt, completion, cached, *written = (dearest(kind, above) for kind in kinds)
        cached = cached or prompt
        rates.append(Rate(above, prompt, cached, completion, max(prompt, cached, *written)))
    return tuple(rates)


def _amount(price: Any, above: int) -> Decimal | None:
    """Dollars a million tokens, for prompts of more than `above` tokens."""
    if price is None or isinstance(price, Decimal):
        return price
    amount: Decimal = price.base
    for tier in price.tiers:
        if tier.start <= above:
            amount = tier.price
    return amount


def _fee(price: Any) -> int:
    """The package tells it for a thousand calls."""
    amount = _amount(price.requests_kcount, 0) or Decimal(0)
    return int((amount * DOLLAR / 1_000).to_integral_value(ROUND_CEILING))


def _token(dollars: float | Decimal) -> int:
    """Pico-dollars a token, rounded up, from dollars a million tokens."""
    return int((Decimal(str(dollars)) * DOLLAR / MILLION).to_integral_value(ROUND_CEILING))
