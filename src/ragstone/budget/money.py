"""Money as whole pico-dollars (10⁻¹² US dollars), so that sums are exact: the price of one token is a whole number of
them for every price that is told in dollars a million tokens with up to six places. 64 bits hold 9 million dollars."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

from ..errors import InputError

DOLLAR: Final = 10**12
MOST_DOLLARS: Final = 1_000_000
"""Of one budget, so that sums over budgets stay within 64 bits."""


def pico(dollars: Decimal | float | str) -> int:
    """Rounded up. Raises InputError for what is no amount of 0 to MOST_DOLLARS."""
    try:
        amount = Decimal(str(dollars).strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 <= amount <= MOST_DOLLARS:
        raise InputError(
            f"{dollars} is not an amount of money.", f"Write US dollars from 0 to {MOST_DOLLARS:,}, such as 12.50."
        )
    return int((amount * DOLLAR).to_integral_value(ROUND_CEILING))


def in_dollars(amount: int) -> float:
    """For JSON; exact to 15 digits."""
    return amount / DOLLAR


def shown(amount: int) -> str:
    """For people: $12.34; below a dollar with as many places as tell something ($0.0042)."""
    dollars = abs(amount) / DOLLAR
    places = 2 if dollars >= 1 or amount == 0 else 4 if dollars >= 0.001 else 6
    return f"{'-' if amount < 0 else ''}${dollars:,.{places}f}"
