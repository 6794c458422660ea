"""Automatic numbers of Word paragraphs: "2.3", "a)", "•"."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"))
_ROMAN_SMALL = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")


@dataclass(slots=True)
class _Level:
    format: str = "decimal"
    text: str = ""
    first: int = 1


@dataclass(slots=True)
class _Number:
    abstract: str = ""
    starts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """numbering.xml, and the counters while the document is read from top to bottom."""

    def __init__(self) -> None:
        self._abstract: dict[str, dict[int, _Level]] = {}
        self._numbers: dict[str, _Number] = {}
        self._counters: dict[str, dict[int, int]] = {}
        self._levels: dict[int, _Level] | None = None
        self._level: _Level | None = None
        self._number: _Number | None = None
        self._override = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("w:val", "")
        if name == "w:abstractNum":
            self._levels = self._abstract.setdefault(attributes.get("w:abstractNumId", ""), {})
        elif name == "w:num":
            self._number = self._numbers.setdefault(attributes.get("w:numId", ""), _Number())
        elif name == "w:lvl" and self._levels is not None:
            self._level = self._levels.setdefault(_integer(attributes.get("w:ilvl", "")), _Level())
        elif name == "w:lvlOverride":
            self._override = _integer(attributes.get("w:ilvl", ""))
        elif name == "w:abstractNumId" and self._number is not None:
            self._number.abstract = value
        elif name == "w:startOverride" and self._number is not None:
            self._number.starts[self._override] = _integer(value)
        elif self._level is not None:
            if name == "w:numFmt":
                self._level.format = value
            elif name == "w:lvlText":
                self._level.text = value
            elif name == "w:start":
                self._level.first = _integer(value)

    def end(self, name: str) -> None:
        if name == "w:lvl":
            self._level = None
        elif name == "w:abstractNum":
            self._levels = None
        elif name == "w:num":
            self._number = None

    def data(self, text: str) -> None:
        pass

    def next(self, number_id: str, level: int) -> str:
        """What stands before the next paragraph of this list, with a space; "• " where the list is not known."""
        number = self._numbers.get(number_id)
        levels = self._abstract.get(number.abstract) if number else None
        this = levels.get(level) if levels else None
        if number is None or levels is None or this is None:
            return "• "
        if this.format == "bullet":
            return "• "
        if this.format == "none" or not this.text:
            return ""
        # lists that share an abstract numbering go on counting, unless they start anew
        counters = self._counters.setdefault(number_id if number.starts else "a" + number.abstract, {})
        counters[level] = counters.get(level, number.starts.get(level, this.first) - 1) + 1
        for deeper in [k for k in counters if k > level]:
            del counters[deeper]

        def place(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            of = levels.get(at, _Level())
            return _written(counters.get(at, number.starts.get(at, of.first)), of.format)

        return _PLACE.sub(place, this.text).strip() + " "


def _integer(value: str) -> int:
    return int(value) if value.isdigit() and len(value) < 9 else 0


def _written(count: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and count > 0:
        letter = chr(ord("a") + (count - 1) % 26) * min(9, 1 + (count - 1) // 26)
        return letter if form == "lowerLetter" else letter.upper()
    if form in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        rest, result = count, ""
        for value, sign in _ROMAN:
            result += sign * (rest // value)
            rest %= value
        result += _ROMAN_SMALL[rest]
        return result if form == "lowerRoman" else result.upper()
    return str(count)
