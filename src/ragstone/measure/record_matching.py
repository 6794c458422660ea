"""Which records of two sources (or of one) are the same thing, without examples: how alike their fields are, weighed by
how rare what they share is among the records, and whether each is the other's best match.

Kinds of fields are told from their values: numbers, dates and long numbers such as telephone numbers are compared as
such, a missing value says nothing. The first field of text is the name.

`similarity` is s = o / (1 + o), where o is how many times likelier the evidence is for records that are the same than
for others that a blocking puts side by side. So 0.93, the default of a merge, is evidence of 13 to 1. The weights
are one fixed set, rounded; figures, also with weights learned without the set that is judged, stand in
docs/decisions/0030.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..graph.resolve_words import grams, is_code, overlap, words
from ..protocols import Embedder, Vectors
from ..text.centre import Centre

THRESHOLD: Final = 0.93

FieldKind = Literal["text", "number", "date", "digits"]

CANDIDATES: Final = 8
"""Records of the other source that a record is compared with to tell its best match."""
_COMMON: Final = 20
"""A word that more than one in so many records has (and more than `_COMMON_LEAST`) finds no candidates."""
_COMMON_LEAST: Final = 50
_MOSTLY: Final = 0.8
_EMBEDDED_WORDS: Final = 32
_WINDOW: Final = 0.3
"""A lead in likeness above this counts as this."""
_MISSING: Final = 0.5
"""Likeness of fields that speaks neither for nor against."""

_AMOUNT: Final = re.compile(r"[^\d\w]*[$€£]?\s*(\d[\d,]*(?:\.\d+)?)\s*(?:%|usd|eur|[$€£])?", re.IGNORECASE)
_MINUTES: Final = re.compile(r"(\d+):(\d\d)")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[-. ]+([A-Za-zä]{3})[a-zä]*[-., ]+(\d{2,4})")
_MONTH_FIRST: Final = re.compile(r"([A-Za-zä]{3})[a-zä]*\.? +(\d{1,2}) *, *(\d{4})")
_ISO: Final = re.compile(r"\d\d(\d\d)-(\d\d)-(\d\d)")
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (("jan",), ("feb",), ("mar", "mär"), ("apr",), ("may", "mai"), ("jun",), ("jul",), ("aug",), ("sep",),
         ("oct", "okt"), ("nov",), ("dec", "dez")), 1
    )
    for name in names
}


@dataclass(frozen=True, slots=True)
class Record:
    """`source`: where it comes from; a source names a thing once, so records of one source are no candidates for each
    other where there are two."""

    id: str
    fields: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the evidence, in log-odds; each figure lies in [0, 1] but for `values` [-1, 0] and `lead` [-0.3, 0.3]."""

    name: float = 2.5
    spelling: float = 3.2
    everything: float = 1.7
    other: float = 0.75
    code: float = 1.7
    values: float = 1.4
    meaning: float = 1.6
    lead: float = 4.0
    mutual: float = 1.5
    bias: float = -5.8


EVIDENCE: Final = ("name", "spelling", "everything", "other", "code", "values", "meaning", "lead", "mutual")


@dataclass(frozen=True, slots=True)
class _Prepared:
    fields: dict[str, tuple[str, ...]]
    name: tuple[str, ...]
    everything: tuple[str, ...]
    codes: frozenset[str]
    spelling: dict[str, float]


class RecordMatcher:
    """Made from all records, whose words tell how rare each is. Memory: about 5 kB a record."""

    def __init__(
        self, records: Sequence[Record], embedder: Embedder | None = None, *, language: str = "en",
        weights: Weights | None = None,
    ) -> None:
        """Without `embedder` meaning says nothing. Raises ModelError."""
        self._records = {record.id: record for record in records}
        self._weights = weights or Weights()
        self._language = language
        self.kinds = field_kinds(records)
        self._texts = [name for name, kind in self.kinds.items() if kind == "text"]
        self._two = len({record.source for record in records}) > 1
        self._rarity: dict[str, float] = {}
        self._prepared = self._prepare(records)
        self._vectors = _vectors(records, embedder)
        self._places = {record.id: place for place, record in enumerate(records)}
        self._likeness: dict[tuple[str, str], float] = {}
        self._best = self._find_best()

    def similarity(self, a: str, b: str) -> float:
        """Of the records with these ids, in [0, 1]. Raises KeyError."""
        evidence = self.evidence(a, b)
        weights = self._weights
        odds = weights.bias + sum(getattr(weights, name) * evidence[name] for name in EVIDENCE)
        return 0.5 + 0.5 * math.tanh(odds / 2)

    def evidence(self, a: str, b: str) -> dict[str, float]:
        """What `similarity` is made of, by the names of `Weights`. Raises KeyError."""
        one, other = self._prepared[a], self._prepared[b]
        everything = overlap(one.everything, other.everything, self._rare)
        same = {*one.codes} - {*everything.only_one}, {*other.codes} - {*everything.only_other}
        likeness = self._like(a, b)
        against = [self._lead(a, b), self._lead(b, a)]
        return {
            "name": overlap(one.name, other.name, self._rare).contained,
            "spelling": _dot(one.spelling, other.spelling),
            "everything": everything.contained,
            "other": self._other(one, other),
            "code": float(all(same)),
            "values": self._values(a, b),
            "meaning": self._meaning(a, b),
            "lead": max(-_WINDOW, min(_WINDOW, likeness - max(against))),
            "mutual": float(likeness >= max(against)),
        }

    def _rare(self, word: str) -> float:
        return self._rarity[word]

    def _prepare(self, records: Sequence[Record]) -> dict[str, _Prepared]:
        named: dict[str, tuple[dict[str, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]] = {}
        containing: Counter[str] = Counter()
        holding: Counter[str] = Counter()
        for record in records:
            fields = {name: words(record.fields.get(name) or "", self._language) for name in self._texts}
            name = fields[self._texts[0]] if self._texts else ()
            everything = tuple(dict.fromkeys(word for field in fields.values() for word in field))
            named[record.id] = fields, name, everything
            containing.update(everything)
            holding.update(grams(name).keys())
        count = len(records)
        self._rarity = {word: math.log(1 + count / (n + 0.5)) for word, n in containing.items()}
        prepared = {}
        for id_, (fields, name, everything) in named.items():
            raw = {gram: (1 + math.log(n)) * math.log(1 + count / holding[gram]) for gram, n in grams(name).items()}
            length = math.sqrt(sum(value * value for value in raw.values())) or 1.0
            spelling = {gram: value / length for gram, value in raw.items()}
            prepared[id_] = _Prepared(fields, name, everything, frozenset(filter(is_code, everything)), spelling)
        return prepared

    def _find_best(self) -> dict[str, list[tuple[float, str]]]:
        """For each record its most alike candidates: at most `CANDIDATES` are looked at, found by rare words, so the
        work grows with the number of records and not with its square."""
        having: dict[str, list[str]] = defaultdict(list)
        for id_, prepared in self._prepared.items():
            for word in prepared.everything:
                having[word].append(id_)
        most = max(_COMMON_LEAST, len(self._records) // _COMMON)
        best = {}
        for id_, prepared in self._prepared.items():
            source = self._records[id_].source
            shared: Counter[str] = Counter()
            for word in prepared.everything:
                if len(having[word]) <= most:
                    weight = self._rarity[word] ** 2
                    for found in having[word]:
                        if found != id_ and not (self._two and self._records[found].source == source):
                            shared[found] += weight  # type: ignore[assignment]  # a Counter adds floats as well
            nearest = sorted(shared, key=lambda found: (-shared[found], found))[:CANDIDATES]
            best[id_] = sorted(((self._like(id_, found), found) for found in nearest), reverse=True)[:2]
        return best

    def _like(self, a: str, b: str) -> float:
        """In about [0, 1]; only for telling which candidate is the best."""
        key = (a, b) if a < b else (b, a)
        known = self._likeness.get(key)
        if known is None:
            one, other = self._prepared[key[0]], self._prepared[key[1]]
            known = self._likeness[key] = (
                overlap(one.name, other.name, self._rare).cosine
                + overlap(one.everything, other.everything, self._rare).cosine
                + _dot(one.spelling, other.spelling)
                + self._meaning(a, b)
            ) / 4
        return known

    def _lead(self, a: str, b: str) -> float:
        """Likeness of the best candidate of `a` other than `b`."""
        return max((value for value, found in self._best[a] if found != b), default=0.0)

    def _other(self, one: _Prepared, other: _Prepared) -> float:
        both = [(one.fields[name], other.fields[name]) for name in self._texts[1:]]
        found = [overlap(x, y, self._rare).cosine for x, y in both if x and y]
        return sum(found) / len(found) - _MISSING if found else 0.0

    def _values(self, a: str, b: str) -> float:
        """The worst disagreement among numbers, dates and digits, -1 to 0."""
        one, other = self._records[a].fields, self._records[b].fields
        worst = 0.0
        for name, kind in self.kinds.items():
            if kind != "text":
                worst = min(worst, compare_values(one.get(name) or "", other.get(name) or "", kind))
        return worst

    def _meaning(self, a: str, b: str) -> float:
        if self._vectors is None:
            return 0.0
        return float(self._vectors[self._places[a]] @ self._vectors[self._places[b]])


def field_kinds(records: Sequence[Record]) -> dict[str, FieldKind]:
    """By what four in five of the values are, fields in the order in which they first stand."""
    values: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, value in record.fields.items():
            values[name] += [value] if value and value.strip() else []
    return {name: _kind(found) for name, found in values.items()}


def _kind(values: Sequence[str]) -> FieldKind:
    if not values:
        return "text"
    tests = (("digits", _digits), ("number", amount), ("date", date))
    for kind, parse in tests:
        if sum(parse(value) is not None for value in values) > _MOSTLY * len(values):
            return kind  # type: ignore[return-value]
    return "text"


def compare_values(a: str, b: str, kind: FieldKind) -> float:
    """1 for equal values, -1 for others, between them for numbers that are near and dates of one year; 0 where
    one is missing or is not of the kind."""
    if kind == "digits":
        one, other = _digits(a), _digits(b)
        return 0.0 if one is None or other is None else 1.0 if one == other else -1.0
    if kind == "date":
        day, another = date(a), date(b)
        if day is None or another is None:
            return 0.0
        return 1.0 if day == another else 0.3 if day[0] == another[0] else -1.0
    x, y = amount(a), amount(b)
    if x is None or y is None:
        return 0.0
    apart = abs(x - y) / max(abs(x), abs(y), 1e-9)
    return next((value for most, value in _NEAR if apart < most), -1.0)


_NEAR: Final = ((0.001, 1.0), (0.03, 0.6), (0.15, 0.2), (0.3, -0.2))


def _digits(value: str) -> str | None:
    found = re.sub(r"\D", "", value)
    return found if len(found) >= 7 and not any(map(str.isalpha, value)) else None


def amount(value: str) -> float | None:
    """`$ 1,299.00`, `8.10 %`, `1994`; minutes and seconds as seconds."""
    if found := _AMOUNT.fullmatch(value.strip()):
        return float(found[1].replace(",", ""))
    if found := _MINUTES.fullmatch(value.strip()):
        return 60.0 * int(found[1]) + int(found[2])
    return None


def date(value: str) -> tuple[int, int, int] | None:
    """(year of the century, month, day) of `18-May-15`, `18. Mai 2015`, `May 18, 2015`, `2015-05-18`."""
    text = value.strip()
    if found := _ISO.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = found[1], found[2], found[3]
    elif found := _MONTH_FIRST.fullmatch(text):
        month, day, year = found[1], found[2], found[3]
    else:
        return None
    number = _MONTHS.get(month.lower())
    return None if number is None else (int(year) % 100, number, int(day))


def _dot(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    return sum(value * long[key] for key, value in short.items() if key in long)


def _vectors(records: Sequence[Record], embedder: Embedder | None) -> Vectors | None:
    """Without what all texts of the model have in common."""
    if embedder is None or not records:
        return None
    texts = [" ".join(" ".join(filter(None, r.fields.values())).split()[:_EMBEDDED_WORDS]) for r in records]
    return Centre(embedder).away(embedder.embed(texts, "passage"))
