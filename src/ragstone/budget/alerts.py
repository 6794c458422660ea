"""What people are told of their budgets: in the log, and at an address of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Literal

from .limits import Budget
from .money import in_dollars, shown

log = logging.getLogger(__name__)

WEBHOOK_SECONDS: Final = 5.0
MOST_AT_ONCE: Final = 8
"""Calls of the webhook under way; what comes beyond is only logged."""


@dataclass(frozen=True, slots=True)
class Alert:
    """`kind` "share": more than `percent` of the budget is spent. `kind` "exceeded": a call of `model` cost more than
    was reserved for it; then `budget` is the one of everybody for the month. Amounts are pico-dollars."""

    kind: Literal["share", "exceeded"]
    budget: Budget
    period: str
    spent: int
    limit: int | None
    percent: int = 0
    model: str = ""

    def __str__(self) -> str:
        if self.kind == "exceeded":
            return (
                f"A call of {self.model} cost {shown(self.spent)}, more than the {shown(self.limit or 0)} that were "
                "reserved; from now on more is reserved for this model."
            )
        return (
            f"{self.percent} % of the budget `{self.budget}` are spent in {self.period}: {shown(self.spent)} of "
            f"{shown(self.limit or 0)}."
        )


def tell(alerts: list[Alert], on_alert: Callable[[Alert], None] | None) -> None:
    for alert in alerts:
        log.warning("%s", alert)
        if on_alert is not None:
            on_alert(alert)


class Webhook:
    """Posts each alert as JSON, in the background: no call waits for it, and a failure is logged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads: list[threading.Thread] = []

    def __call__(self, alert: Alert) -> None:
        self._threads = [t for t in self._threads if t.is_alive()]
        if len(self._threads) >= MOST_AT_ONCE:
            log.warning("The budget's webhook is too slow; an alert was not sent.")
            return
        thread = threading.Thread(target=self._post, args=(alert,), name="budget-webhook", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Waits for what is under way."""
        for thread in self._threads:
            thread.join(WEBHOOK_SECONDS)

    def _post(self, alert: Alert) -> None:
        import httpx2

        body = {
            **asdict(alert),
            "budget": str(alert.budget),
            "spent": in_dollars(alert.spent),
            "limit": None if alert.limit is None else in_dollars(alert.limit),
            "text": str(alert),
        }
        try:
            with httpx2.Client(trust_env=False, follow_redirects=False, timeout=WEBHOOK_SECONDS) as http:
                http.post(self._url, json=body).raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            log.warning("The budget's webhook failed: %s.", type(error).__name__)
