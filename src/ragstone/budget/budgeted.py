"""A language model whose every call is reserved in the ledger before it is sent, and settled after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ..errors import DeadlineExceeded, InputError, ModelError, PriceUnknown, RagstoneError
from ..observe.instruments import COST
from ..protocols import LLM
from ..types import Call, Caller, Delta, Message, Usage
from .attempts import NOBODY, Attempt, Hold
from .ledger import Ledger
from .money import in_dollars
from .prices import FREE, Price
from .tokens import estimate, prompt_bound, size_of


class Budgeted:
    """`llm`, paid from `ledger` (None: there is nowhere to count, and no limit). `price` is asked for each call; None:
    nobody knows it. Calls without a caller are `caller`'s. `count` gives the exact tokens of a prompt where that can
    be known; default: an upper bound.

    Reserved is the price of the whole prompt and of `max_tokens`, or BudgetExceeded tells which budget is short.
    Charged is what the provider reports. Where it reports nothing (a stream that was cut or closed, a deadline, usage
    that the adapter only estimated), it may have generated up to the limit: what was reserved is charged. An error
    that tells that the provider did no work charges nothing. Calls that are free are counted without a reservation.
    """

    def __init__(
        self,
        llm: LLM,
        ledger: Callable[[], Ledger | None],
        *,
        provider: str,
        price: Callable[[], Price | None],
        model: str = "",
        caller: Caller = NOBODY,
        count: Callable[[Sequence[Message], Call], int] = prompt_bound,
    ) -> None:
        self._llm = llm
        self._ledger = ledger
        self._provider = provider
        self._price = price
        self._model = model
        self._caller = caller
        self._count = count

    @property
    def name(self) -> str:
        return self._llm.name

    @property
    def context(self) -> int:
        return self._llm.context

    def close(self) -> None:
        """Closes the model; the ledger is its owner's."""
        self._llm.close()

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        """Raises BudgetExceeded, PriceUnknown, StoreError where the call cannot be recorded, and what the model
        raises."""
        if call.deadline is not None and time.monotonic() >= call.deadline:
            raise DeadlineExceeded("The deadline had passed before the model was asked.", "Allow more time.")
        ledger = self._ledger()
        if ledger is None:
            yield from self._llm.stream(messages, call)
            return
        attempt = self._attempt(ledger, messages, call)
        free = attempt.price.free
        hold = None if free else ledger.reserve(attempt)
        seen = _Seen(ledger, attempt, hold)
        try:
            if hold is not None:
                ledger.sent(hold)
            for delta in self._llm.stream(messages, call):
                seen.bytes += size_of(delta.text)
                if delta.usage is not None:
                    seen.end(delta.usage, certain=not delta.usage.estimated)
                yield delta
        except RagstoneError as error:
            seen.failed(error)
            raise
        finally:
            seen.end(Usage(estimate(attempt.prompt_bound), estimate(seen.bytes), estimated=True), certain=False)

    def _attempt(self, ledger: Ledger, messages: Sequence[Message], call: Call) -> Attempt:
        model = self._model or self._llm.name
        caller = call.caller if call.caller != NOBODY else self._caller
        price = self._price()
        if price is None:
            if ledger.limited(caller):
                raise PriceUnknown(
                    f"Nobody knows what {self._provider}/{model} costs, and a budget limits this call.",
                    f'Write its price into the settings, [budget.prices] "{self._provider}/{model}" = '
                    "[prompt, completion] in dollars a million tokens; [0, 0] where it is free.",
                )
            price = FREE
        bound = 0 if price.free else self._count(messages, call)
        return Attempt(self._provider, model, price, bound, call.max_tokens, caller, call.purpose)


class _Seen:
    """One attempt until it is settled, which happens once."""

    def __init__(self, ledger: Ledger, attempt: Attempt, hold: Hold | None) -> None:
        self._ledger = ledger
        self._attempt = attempt
        self._hold = hold
        self._settled = False
        self.bytes = 0

    def end(self, usage: Usage, *, certain: bool) -> None:
        if self._settled:
            return
        self._settled = True
        if self._hold is None:
            self._ledger.count(self._attempt, usage)
        else:
            cost = self._ledger.settle(self._hold, usage, certain=certain)
            COST.add(in_dollars(cost), self._attempt.provider)

    def failed(self, error: RagstoneError) -> None:
        """Gives everything back where the provider did no work."""
        nothing = isinstance(error, InputError) or (isinstance(error, ModelError) and error.cost_nothing)
        if self._settled or not nothing or self.bytes:
            return
        self._settled = True
        if self._hold is not None:
            self._ledger.release(self._hold)
