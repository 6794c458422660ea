"""Words for times in a question, German and English: "last week", "vor zwei Tagen", "im März", "before the release".

What is understood is a half-open interval in UTC. A bare month or weekday is the last one that began before `now`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

Interval = tuple[datetime | None, datetime | None]

_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "couple": 2, "few": 3, "several": 5, "ein": 1, "eine": 1, "einem": 1, "einer": 1,
    "einen": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9,
    "zehn": 10, "zwölf": 12, "paar": 3, "wenigen": 3, "einigen": 4,
}  # fmt: skip
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner", "february feb februar", "march mar märz maerz", "april apr", "may mai",
            "june jun juni", "july jul juli", "august aug", "september sept sep", "october oct oktober okt",
            "november nov", "december dec dezember dez",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_DAYS: Final = {
    name: number
    for number, names in enumerate(
        (
            "monday montag", "tuesday dienstag", "wednesday mittwoch", "thursday donnerstag", "friday freitag",
            "saturday samstag sonnabend", "sunday sonntag",
        )
    )
    for name in names.split()
}  # fmt: skip
_UNITS: Final = {
    "hour": "hour", "stunde": "hour", "day": "day", "tag": "day", "week": "week", "woche": "week", "month": "month",
    "monat": "month", "year": "year", "jahr": "year", "minute": "minute",
}  # fmt: skip
_NUMBER = r"(?P<n>\d{1,4}|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_UNIT = r"(?P<unit>minute|hour|stunde|day|tag|week|woche|month|monat|year|jahr)(?:s|en|e|n|es)?"
_MONTH = r"(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")"
_WHOLE_MONTHS = sorted((name for name in _MONTHS if len(name) > 3 or name in ("mai", "may")), key=len, reverse=True)
_LONG_MONTH = r"(?P<month>" + "|".join(_WHOLE_MONTHS) + ")"
_DAY = r"(?P<day>" + "|".join(_DAYS) + r")s?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"


@dataclass(frozen=True, slots=True)
class TimeWords:
    """`since` and `until` in POSIX seconds. `relative`: counted from now, so that they say when it was told or
    happened; else a date, which may as well be what is asked about. `anchor`: the event that "before" or "after"
    (`side`) names, which memory has to be asked for. `rest` is the question without the words."""

    since: float | None
    until: float | None
    relative: bool
    rest: str
    anchor: str = ""
    side: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    interval: Callable[[re.Match[str], datetime], Interval]
    relative: bool


def time_words(question: str, now: float) -> TimeWords | None:
    """The first words for a time in the question. None where there are none."""
    moment = datetime.fromtimestamp(now, UTC)
    for rule in _RULES:
        match = rule.pattern.search(question)
        if match is None:
            continue
        try:
            since, until = _sided(match, rule.interval(match, moment))
        except (ValueError, OverflowError):  # the 31st of February, a million years ago
            continue
        rest = " ".join((question[: match.start()] + " " + question[match.end() :]).split())
        return TimeWords(_seconds(since), _seconds(until), rule.relative, rest)
    match = _ANCHOR.search(question)
    if match is not None:
        side = "before" if match["side"].casefold() in ("before", "vor", "bevor") else "after"
        return TimeWords(None, None, True, question[: match.start()].strip(), match["event"].strip(" ?.!"), side)
    return None


def _sided(match: re.Match[str], interval: Interval) -> Interval:
    """"before March" ends where March begins, "since March" ends never."""
    side = (match.groupdict().get("side") or "").casefold().strip()
    since, until = interval
    if side in ("before", "vor", "until", "till", "bis", "bis zum"):
        return None, since if side in ("before", "vor") else until
    if side in ("since", "seit", "seit dem", "from"):
        return since, None
    if side in ("after", "nach", "nach dem"):
        return until, None
    return interval


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _month(year: int, month: int) -> Interval:
    begin = datetime(year, month, 1, tzinfo=UTC)
    return begin, _later(begin, 1)


def _later(begin: datetime, months: int) -> datetime:
    count = begin.year * 12 + begin.month - 1 + months
    return begin.replace(year=count // 12, month=count % 12 + 1)


def _span(unit: str, now: datetime, offset: int) -> Interval:
    """The calendar day, week (from Monday), month or year that lies `offset` away from the present one."""
    today = _midnight(now)
    if unit == "day":
        begin = today + timedelta(days=offset)
        return begin, begin + timedelta(days=1)
    if unit == "week":
        begin = today - timedelta(days=today.weekday()) + timedelta(weeks=offset)
        return begin, begin + timedelta(weeks=1)
    if unit == "month":
        begin = _later(today.replace(day=1), offset)
        return begin, _later(begin, 1)
    if unit == "year":
        return datetime(today.year + offset, 1, 1, tzinfo=UTC), datetime(today.year + offset + 1, 1, 1, tzinfo=UTC)
    step = timedelta(hours=1) if unit == "hour" else timedelta(minutes=1)
    return now + (offset - 1) * step, now + offset * step


def _count(match: re.Match[str]) -> int:
    said = match["n"].casefold()
    return int(said) if said.isdigit() else _NUMBERS[said]


def _unit(match: re.Match[str]) -> str:
    return _UNITS[match["unit"].casefold()]


def _ago(match: re.Match[str], now: datetime) -> Interval:
    """"Two days ago" is that day; "three weeks ago" that week, give or take half of one."""
    unit, count = _unit(match), _count(match)
    if unit == "day":
        return _span("day", now, -count)
    if unit in ("hour", "minute"):
        step = timedelta(hours=1) if unit == "hour" else timedelta(minutes=1)
        return now - (count + 0.5) * step, now - (count - 0.5) * step
    days = {"week": 7, "month": 30.44, "year": 365.25}[unit]
    return now - timedelta(days=days * (count + 0.5)), now - timedelta(days=days * (count - 0.5))


def _past(match: re.Match[str], now: datetime) -> Interval:
    """"In the last three days": up to now."""
    days = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1, "week": 7, "month": 30.44, "year": 365.25}
    return now - timedelta(days=_count(match) * days[_unit(match)]), None


def _weekday(match: re.Match[str], now: datetime) -> Interval:
    """The last one before today; with "next" or "nächsten" not in the past, and left alone."""
    back = (now.weekday() - _DAYS[match["day"].casefold()]) % 7 or 7
    return _span("day", now, -back)


def _named_month(match: re.Match[str], now: datetime) -> Interval:
    month = _MONTHS[match["month"].casefold()]
    groups = match.groupdict()
    if groups.get("year"):
        return _month(int(groups["year"]), month)
    return _month(now.year if month <= now.month else now.year - 1, month)


def _date(match: re.Match[str], now: datetime) -> Interval:
    groups = match.groupdict()
    month = groups["month"]
    number = int(month) if month.isdigit() else _MONTHS[month.casefold()]
    year = int(groups["year"]) if groups.get("year") else now.year
    begin = datetime(year, number, int(groups["dom"]), tzinfo=UTC)
    if not groups.get("year") and begin > now:
        begin = begin.replace(year=year - 1)
    return begin, begin + timedelta(days=1)


def _year(match: re.Match[str], _now: datetime) -> Interval:
    year = int(match["year"])
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)


def _fixed(unit: str, offset: int) -> Callable[[re.Match[str], datetime], Interval]:
    return lambda _match, now: _span(unit, now, offset)


def _rule(pattern: str, interval: Callable[[re.Match[str], datetime], Interval], *, relative: bool = True) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), interval, relative)


_SIDE = (
    r"(?:\b(?P<side>before|after|since|until|till|from|vor|nach dem|nach|seit dem|seit|bis zum|bis)"
    r"\s+(?:dem\s+|the\s+)?)?"
)
_ON = r"(?:\b(?:on|in|at|during|am|im|vom)\s+(?:the\s+)?)?"

_RULES: Final = (
    _rule(r"\b(?:the\s+)?day before yesterday\b|\bvorgestern\b", _fixed("day", -2)),
    _rule(_SIDE + r"\b(?:yesterday|gestern)\b", _fixed("day", -1)),
    _rule(_SIDE + r"\b(?:today|heute)\b", _fixed("day", 0)),
    _rule(rf"\b(?:about\s+|around\s+)?{_NUMBER}\s+(?:of\s+)?{_UNIT}\s+ago\b", _ago),
    _rule(rf"\bvor\s+(?:etwa\s+|rund\s+|ungefähr\s+)?{_NUMBER}\s+{_UNIT}\b", _ago),
    _rule(
        rf"\b(?:(?:in|during|over|within)\s+)?the\s+(?:last|past)\s+{_NUMBER}\s+{_UNIT}\b"
        rf"|\bpast\s+(?P<n2>\d+)\s+days\b",
        lambda m, now: _past(m, now) if m["n"] else (now - timedelta(days=int(m["n2"])), None),
    ),
    _rule(rf"\b(?:in\s+den\s+|während\s+der\s+|der\s+)?(?:letzten|vergangenen)\s+{_NUMBER}\s+{_UNIT}\b", _past),
    _rule(
        _SIDE + r"\b(?:last|previous|letzten?[mrs]?|vorigen?[mrs]?|vergangene[mnrs]?)\s+"
        r"(?P<unit>week|woche|month|monats?|year|jahr(?:es)?)\b",
        lambda m, now: _span(_UNITS[re.sub(r"(?<=monat)s|(?<=jahr)es", "", m["unit"].casefold())], now, -1),
    ),
    _rule(
        _SIDE + r"\b(?:this|diese[mnrs]?)\s+(?P<unit>week|woche|month|monats?|year|jahr(?:es)?)\b",
        lambda m, now: _span(_UNITS[re.sub(r"(?<=monat)s|(?<=jahr)es", "", m["unit"].casefold())], now, 0),
    ),
    _rule(_SIDE + rf"\b(?:last|on|letzten|am|vergangenen|vorigen)\s+{_DAY}\b", _weekday),
    _rule(
        _SIDE + _ON + r"\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<dom>\d\d)\b", _date, relative=False
    ),
    _rule(
        _SIDE + _ON + r"\b(?P<dom>\d{1,2})\.\s?(?P<month>\d{1,2})\.(?P<year>(?:19|20)\d\d)?(?!\d)", _date,
        relative=False,
    ),
    _rule(
        _SIDE + _ON + rf"\b(?P<dom>\d{{1,2}})(?:\.|st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b(?:,?\s+{_YEAR})?",
        _date, relative=False,
    ),
    _rule(
        _SIDE + _ON + rf"\b{_MONTH}\s+(?P<dom>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+{_YEAR})?", _date, relative=False
    ),
    _rule(
        _SIDE + _ON + rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}\b", _named_month, relative=False,
    ),
    _rule(
        rf"\b(?P<side>before|after|since|until|vor|nach|seit|bis)\s+{_LONG_MONTH}\b", _named_month, relative=False
    ),
    _rule(rf"\b(?:in|im|during|last|letzten)\s+{_LONG_MONTH}\b", _named_month, relative=False),
    _rule(rf"\b(?P<side>before|after|since|until|vor|nach|seit|bis)\s+{_YEAR}\b", _year, relative=False),
    _rule(rf"\b(?:in|during|im\s+jahre?)\s+{_YEAR}\b", _year, relative=False),
)  # fmt: skip
_ANCHOR = re.compile(
    r"\b(?P<side>before|after|vor|nach|bevor|nachdem)\s+(?P<event>(?:the|our|my|dem|der|den|unserem|unserer|meinem|"
    r"meiner)\s+\S.{1,80})$",
    re.IGNORECASE,
)
