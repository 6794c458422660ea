"""Dates as people and programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from ..errors import QueryError

Day = tuple[int | None, int | None, int | None]
"""Year, month and day, None where a text does not say it."""

_MONTHS: Final = {
    name: number
    for number, names in enumerate((
        "January Januar Jänner", "February Februar", "March März", "April", "May Mai", "June Juni", "July Juli",
        "August", "September", "October Oktober", "November", "December Dezember",
    ), 1)
    for name in names.split()
}  # fmt: skip
_DATE: Final = re.compile(
    rf"(?:\b(\d{{1,2}})(?:\.|st|nd|rd|th)? (?:of )?)?\b({'|'.join(_MONTHS)})\b(?: (\d{{1,2}})(?:st|nd|rd|th)?\b)?"
    r"(?:,? ((?:19|20)\d\d)\b)?"
    r"|(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\6(\d\d)(?!\d)"
    r"|(?<![\d.])(\d{1,2})\.(\d{1,2})\.((?:19|20)\d\d)(?!\d)"
    r"|(?<![\d.,-])((?:19|20)\d\d)(?![\d.,-]\d|\d)"
)
_BEGIN: Final = re.compile(rf"[\d{''.join(sorted({name[0] for name in _MONTHS}))}](?:(?<=\d)\d*)?")
"""Where a date can begin. Trying `_DATE` at every character takes three times as long."""


def dates_in(text: str) -> frozenset[Day]:
    """Days, months and years that a German or English text names. "May" or "March" that opens a text, with no day or
    year beside it, is another word."""
    found: set[Day] = set()
    end = 0
    for begin in _BEGIN.finditer(text):
        match = _DATE.match(text, begin.start()) if begin.start() >= end else None
        if match is None:
            continue
        end = match.end()
        before, name, after, year, y, _, m, d, day, month, of, alone = match.groups()
        if name:
            number = before or after
            if number or year or text[: match.start()].strip():
                found.add((_number(year), _MONTHS[name], _number(number)))
        else:
            found.add((int(y or of or alone), _number(m or month), _number(d or day)))
    return frozenset(day for day in found if 1 <= (day[1] or 1) <= 12 and 1 <= (day[2] or 1) <= 31)


def falls(day: Day, asked: Day) -> bool:
    """Whether a day lies in what was asked for, as far as both are known: 8 May 2023 in May, and in 2023."""
    return all(wanted is None or wanted == given for wanted, given in zip(asked, day, strict=True))


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None


def parse_date(text: str) -> float:
    """POSIX seconds of an ISO 8601 date or time; without a zone it is UTC. Raises QueryError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is not a date.", "Write it as 2026-01-31 or 2026-01-31T12:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
