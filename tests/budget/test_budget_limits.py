"""Amounts, names and periods of budgets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.budget.limits import Budget, accounts, current_day, day_of, key_of, limit_of, parse, renews
from ragstone.budget.money import DOLLAR, in_dollars, pico, shown
from ragstone.budget.spending import own_machine, parse_limits
from ragstone.errors import InputError, SettingsError
from ragstone.types import Caller


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("month", Budget("all", "", "month")),
        ("all day", Budget("all", "", "day")),
        ("team sales month", Budget("team", "sales", "month")),
        ("person Anna von Berg day", Budget("person", "Anna von Berg", "day")),
        ("key * day", Budget("key", "*", "day")),
    ],
)
def test_a_budget_is_what_it_says(text: str, budget: Budget) -> None:
    assert parse(text) == budget
    assert parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "year", "team month", "sales month", "team sales", "person day", "month day"])
def test_what_is_no_budget_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert "month" in caught.value.hint


def test_amounts_are_exact() -> None:
    assert pico("0.10") + pico("0.20") == pico("0.30")
    assert pico(12.5) == 12 * DOLLAR + DOLLAR // 2
    assert pico("$7") == 7 * DOLLAR
    assert in_dollars(pico("19.99")) == 19.99
    assert [shown(pico(a)) for a in ("0", "1234.5", "0.0425", "0.000003")] == ["$0.00", "$1,234.50", "$0.0425", "$0.000003"]


@pytest.mark.parametrize("wrong", ["abc", "-1", "nan", "inf", "1e9", ""])
def test_what_is_no_amount_is_refused(wrong: str) -> None:
    with pytest.raises(InputError):
        pico(wrong)


def test_a_wrong_limit_in_the_settings_says_so() -> None:
    assert parse_limits({"month": 2}) == {Budget("all", "", "month"): 2 * DOLLAR}
    with pytest.raises(SettingsError, match="limits"):
        parse_limits({"fortnight": 2})
    with pytest.raises(SettingsError, match="limits"):
        parse_limits({"month": -2})


def test_a_name_of_its_own_goes_before_each() -> None:
    limits = {Budget("team", "*", "day"): 5, Budget("team", "sales", "day"): 9, Budget("team", "free", "day"): None}
    assert [limit_of(limits, "team", name, "day") for name in ("sales", "law", "free")] == [9, 5, None]
    assert limit_of(limits, "team", "sales", "month") is None
    assert accounts(Caller("k", "", "t")) == [("all", ""), ("team", "t"), ("key", "k")]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_budgets_renew_when_their_period_ends(moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC).timestamp()
    for period in ("day", "month"):
        key = key_of(day_of(now), period)  # type: ignore[arg-type]
        assert renews(key) > now
        assert key_of(day_of(renews(key) - 1), period) == key  # type: ignore[arg-type]
        assert key_of(day_of(renews(key)), period) != key  # type: ignore[arg-type]


def test_a_clock_that_is_set_back_leads_into_no_day_that_is_over() -> None:
    noon = 1_790_000_000.0
    assert current_day(noon, "") == "2026-09-21"
    assert current_day(noon - 86_400, "2026-09-21") == "2026-09-21"
    assert current_day(noon, "2026-09-20") == "2026-09-21"
    assert current_day(noon, "2031-01-01") == "2026-09-21", "a clock that once was years ahead"


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080/v1", True), ("http://localhost/v1", True), ("http://192.168.1.7:11434", True),
        ("https://api.openai.com/v1", False), ("http://8.8.8.8/v1", False), ("", False),
    ],
)  # fmt: skip
def test_which_machines_are_ones_own(url: str, own: bool) -> None:
    assert own_machine(url) is own
