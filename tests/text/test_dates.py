from __future__ import annotations

import pytest

from ragstone.errors import QueryError
from ragstone.text.dates import parse_date


@pytest.mark.parametrize(("text", "seconds"), [("2026-01-31", 1769817600.0), ("2026-02-01T00:00+01:00", 1769900400.0)])
def test_dates_are_those_of_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert parse_date(text) == seconds


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(QueryError):
        parse_date("soon")
