from __future__ import annotations

import pytest

from ragstone.errors import QueryError
from ragstone.text.dates import dates_in, falls, parse_date


@pytest.mark.parametrize(("text", "seconds"), [("2026-01-31", 1769817600.0), ("2026-02-01T00:00+01:00", 1769900400.0)])
def test_dates_are_those_of_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert parse_date(text) == seconds


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(QueryError):
        parse_date("soon")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1:56 pm on 8 May, 2023", {(2023, 5, 8)}),
        ("March 7th at 6", {(None, 3, 7)}),
        ("Was geschah am 8. Mai 2023 und im Jänner?", {(2023, 5, 8), (None, 1, None)}),
        ("20260105_1100, 2026-01-06 and 7.1.2026", {(2026, 1, 5), (2026, 1, 6), (2026, 1, 7)}),
        ("the summer of 2021.", {(2021, None, None)}),
        ("May I come in May?", {(None, 5, None)}),
        ("May I? 12.13.2023, part 2026-01-5, version 2.2023.1, 12020 and 1999-2000", set()),
    ],
)
def test_days_that_a_text_names(text: str, days: set[tuple[int | None, int | None, int | None]]) -> None:
    assert dates_in(text) == days


def test_a_day_falls_into_what_is_known_of_it() -> None:
    day = (2023, 5, 8)
    assert falls(day, (None, 5, None))
    assert falls(day, (2023, None, None))
    assert not falls(day, (2022, 5, None))
    assert not falls((None, 5, None), day)
