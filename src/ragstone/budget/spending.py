"""The settings' side of the budget: opens the ledger when the first call needs it, and puts models behind it."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import InputError, SettingsError, StoreReadOnly
from ..protocols import LLM
from ..types import Call, Caller, Message
from .alerts import Webhook
from .attempts import NOBODY
from .budgeted import Budgeted
from .file import DATABASE
from .ledger import Ledger
from .limits import Budget, parse
from .money import pico
from .prices import FREE, Price, PriceBook, parse_prices
from .tokens import prompt_bound

log = logging.getLogger(__name__)


class Spending:
    """One for each data folder that is open. `limits` are dollars by budget, `prices` dollars a million tokens, both
    as written in the settings. Raises SettingsError."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: Mapping[str, float],
        prices: Mapping[str, Sequence[float]],
        alerts: Sequence[int] = (50, 80, 90),
        webhook: str = "",
        caller: Caller = NOBODY,
    ) -> None:
        self.limits = parse_limits(limits)
        self.prices = PriceBook(parse_prices(prices))
        self._folder = folder
        self._alerts = alerts
        self._webhook = Webhook(webhook) if webhook else None
        self._caller = caller
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._uncounted = False

    def ledger(self) -> Ledger | None:
        """None where nothing limits calls and the folder cannot be written, so that there is nowhere to count them.
        Raises StoreError and its kinds where a ledger or a limit is there, and it cannot be written."""
        with self._lock:
            if self._ledger is None and not self._uncounted:
                try:
                    self._ledger = Ledger(self._folder, self.limits, alerts=self._alerts, on_alert=self._webhook)
                except StoreReadOnly:
                    if self.limits or (self._folder / DATABASE).exists():
                        raise
                    log.warning("Calls of models are not counted: %s cannot be written.", self._folder)
                    self._uncounted = True
            return self._ledger

    def required(self) -> Ledger:
        """For who works on the ledger itself. Raises StoreError and its kinds."""
        return self.ledger() or Ledger(self._folder, self.limits)

    def budgeted(
        self,
        llm: LLM,
        *,
        provider: str,
        model: str = "",
        url: str | None = None,
        price: Price | None = None,
        count: Callable[[Sequence[Message], Call], int] = prompt_bound,
    ) -> LLM:
        """`llm`, paid from the ledger. `url` is where it is asked. None, or an address of this machine or of a private
        network: it runs on a machine of your own and is free, unless `price` or the settings say otherwise."""

        def known() -> Price | None:
            return self.price(provider, model=model or llm.name, url=url, price=price)

        return Budgeted(
            llm, self.ledger, provider=provider, price=known, model=model, caller=self._caller, count=count
        )

    def price(self, provider: str, *, model: str, url: str | None = None, price: Price | None = None) -> Price | None:
        """As `budgeted` prices a call; None where nobody knows."""
        if (own := self.prices.own(provider, model)) is not None:
            return own
        if price is not None:
            return price
        return FREE if url is None or own_machine(url) else self.prices.price(provider, model, url)

    def close(self) -> None:
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None
        if self._webhook is not None:
            self._webhook.close()


def parse_limits(table: Mapping[str, float]) -> dict[Budget, int]:
    """Raises SettingsError."""
    try:
        return {parse(text): pico(amount) for text, amount in table.items()}
    except InputError as error:
        raise SettingsError(f"budget.limits: {error.message}", error.hint) from error


def own_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private
