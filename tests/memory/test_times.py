"""Words for times in questions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ragstone.memory.times import time_words

NOW = datetime(2026, 11, 21, 13, tzinfo=UTC).timestamp()  # a Saturday


def day(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("question", "since", "until"),
    [
        ("What did we decide last week?", "2026-11-09", "2026-11-16"),
        ("Was war letzte Woche?", "2026-11-09", "2026-11-16"),
        ("was geschah vor zwei Tagen", "2026-11-19", "2026-11-20"),
        ("what happened 3 days ago?", "2026-11-18", "2026-11-19"),
        ("gestern", "2026-11-20", "2026-11-21"),
        ("the day before yesterday", "2026-11-19", "2026-11-20"),
        ("Was geschah im März?", "2026-03-01", "2026-04-01"),
        ("in December", "2025-12-01", "2026-01-01"),
        ("What happened in March 2025?", "2025-03-01", "2025-04-01"),
        ("am 3. Mai 2024", "2024-05-03", "2024-05-04"),
        ("on May 7, 2023", "2023-05-07", "2023-05-08"),
        ("am 5.11.", "2026-11-05", "2026-11-06"),
        ("on 2026-01-31", "2026-01-31", "2026-02-01"),
        ("since yesterday", "2026-11-20", None),
        ("seit März", "2026-03-01", None),
        ("before March", None, "2026-03-01"),
        ("in den letzten drei Tagen", "2026-11-18", None),
        ("What did Anna say on Friday?", "2026-11-20", "2026-11-21"),
        ("letzten Montag", "2026-11-16", "2026-11-17"),
        ("im letzten Monat", "2026-10-01", "2026-11-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("before 2024", None, "2024-01-01"),
        ("letztes Jahr", "2025-01-01", "2026-01-01"),
    ],
)
def test_times(question: str, since: str | None, until: str | None) -> None:
    found = time_words(question, NOW)
    assert found is not None
    assert (day(found.since), day(found.until)) == (since, until)


def test_an_event_is_named_as_the_end_or_the_beginning() -> None:
    found = time_words("what did we do before the release?", NOW)
    assert found is not None
    assert (found.anchor, found.side, found.rest) == ("the release", "before", "what did we do")
    found = time_words("was geschah nach dem Treffen mit Bob", NOW)
    assert found is not None
    assert (found.anchor, found.side) == ("dem Treffen mit Bob", "after")


@pytest.mark.parametrize("question", ["may I ask what is new?", "What did Jon march for?", "Who is April?", "32.13.2024"])
def test_what_is_no_time(question: str) -> None:
    assert time_words(question, NOW) is None
