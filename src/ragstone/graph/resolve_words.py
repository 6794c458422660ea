"""Names as they are compared: words, numbers and codes, how much two lists of them share, and abbreviations."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from ..text import compounds
from ..text.analysis import analyzer, fold

_split = lru_cache(maxsize=20_000)(compounds.split)

Rarity = Callable[[str], float]
"""How much a word tells, above 0."""

_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*(?![a-z\d])|[^\W_]+(?:[-./][^\W_]*\d[^\W_]*)*")
_POSSESSIVE: Final = re.compile(r"\s*['’]\s*s\b")
_APOSTROPHE: Final = re.compile(r"(?<=\w)['’](?=\w)")
_NUMBER: Final = re.compile(r"[\d.,]+")
_ZEROS: Final = re.compile(r"\.0+$")
_ROMAN: Final = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}
_OF: Final = frozenset(
    ("der", "des", "dem", "den", "die", "das", "für", "von", "vom", "zu", "zum", "zur", "im", "in", "of", "for", "to")
)
"""What follows them stands before in a compound: `Steuerung der Pumpe`, `Pumpensteuerung`."""
_LINKS: Final = _OF | {"ein", "eine", "und", "the", "a", "an", "and"}
_MOST_COMPARED: Final = 900
"""Pairs of words that are compared letter by letter; longer texts are compared by equal words alone."""
_SPELLED_ALIKE: Final = 0.7
"""Dice coefficient of letter pairs from which on two words may be one, misspelled."""
CODE_LENGTH: Final = 4
_LONGEST_ACRONYM: Final = 8


@lru_cache(maxsize=10_000)
def words(text: str, language: str) -> tuple[str, ...]:
    """The different words of a text in order: stems of `language`, numbers without grouping and empty decimals (`II` is
    2), codes without joiners (`6ES7-315` is `6es7315`)."""
    plain = fold(html.unescape(text)).replace("\\", "").replace("`", "'")
    plain = _APOSTROPHE.sub("", _POSSESSIVE.sub("s", plain))
    return tuple(dict.fromkeys(_word(token, language) for token in _TOKEN.findall(plain)))


def _word(token: str, language: str) -> str:
    if token[0].isdigit() and _NUMBER.fullmatch(token):
        return _ZEROS.sub("", token.replace(",", "")).lstrip("0") or "0"
    if any(map(str.isdigit, token)):
        return re.sub(r"[-./]", "", token)
    if token in _ROMAN:
        return _ROMAN[token]
    return stem(token, language)


@lru_cache(maxsize=50_000)
def stem(word: str, language: str) -> str:
    return analyzer(language).whole(word)


def stem_key(norm: str, language: str) -> str:
    """What terms share that differ in their endings alone."""
    return " ".join(stem(word, language or "de") for word in fold(norm).split())


@lru_cache(maxsize=20_000)
def parts(text: str) -> tuple[str, ...]:
    """Words of a name with German compounds taken apart, in the order of a compound: `Steuerung der Pumpe`, `control
    of the pump` and `Pumpensteuerung` end in what they are."""
    phrases: list[list[str]] = [[]]
    for token in re.findall(r"[^\W\d_]+", text.casefold()):
        if token in _OF:
            if phrases[-1]:
                phrases.append([])
        elif token not in _LINKS:
            phrases[-1] += _split(token) or (token,)
    return tuple(fold(part) for phrase in reversed(phrases) for part in phrase)


def is_number(word: str) -> bool:
    return any(map(str.isdigit, word))


def is_code(word: str) -> bool:
    """Model numbers, order numbers: letters with digits, or five digits and more."""
    if word.isdigit():
        return len(word) > CODE_LENGTH
    return len(word) >= CODE_LENGTH and is_number(word) and any(map(str.isalpha, word))


def grams(name: Sequence[str]) -> Counter[str]:
    """Runs of three letters, over the edges of words."""
    found: Counter[str] = Counter()
    for word in name:
        padded = f" {word} "
        found.update(padded[i : i + 3] for i in range(len(padded) - 2))
    return found


@lru_cache(maxsize=100_000)
def likeness_of_words(a: str, b: str) -> float:
    """1 for equal words, 0.6 to 0.9 for an abbreviation or a misspelling, else 0. Numbers are equal or not."""
    if a == b:
        return 1.0
    short, long = sorted((a, b), key=len)
    if is_number(a) or is_number(b):
        return 0.9 if is_code(a) and is_code(b) and len(short) > CODE_LENGTH and long.startswith(short) else 0.0
    if a[0] != b[0]:
        return 0.0
    if len(short) == 1:
        return 0.6
    if long.startswith(short) and len(short) >= 3:
        return 0.8
    if len(short) < 4:
        return 0.0
    one, other = ({w[i : i + 2] for i in range(len(w) - 1)} for w in (a, b))
    dice = 2 * len(one & other) / (len(one) + len(other))
    return float(dice) if dice >= _SPELLED_ALIKE else 0.0


@dataclass(frozen=True, slots=True)
class Overlap:
    """`shared`: rarity of what both lists have; `one`, `other`: of all that each has; `only_one`, `only_other`: words
    without a partner."""

    shared: float
    one: float
    other: float
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]

    @property
    def contained(self) -> float:
        """Share of the list that says less, in [0, 1]."""
        return min(1.0, self.shared / max(0.1, min(self.one, self.other)))

    @property
    def cosine(self) -> float:
        return min(1.0, self.shared / max(0.1, math.sqrt(self.one * self.other)))


def overlap(a: Sequence[str], b: Sequence[str], rarity: Rarity) -> Overlap:
    """`a` and `b` hold no word twice. Words pair off once, the most alike first; one that the other list writes as two
    is the same."""
    in_a, in_b = dict.fromkeys(a), dict.fromkeys(b)
    one, other = sum(map(rarity, a)), sum(map(rarity, b))
    shared = sum(rarity(word) for word in a if word in in_b)
    left = {word: None for word in a if word not in in_b}
    right = {word: None for word in b if word not in in_a}
    if left and right and len(left) * len(right) <= _MOST_COMPARED:
        for value, x, y in sorted(
            (-value, x, y) for x in left for y in right if (value := likeness_of_words(x, y))
        ):
            if x in left and y in right:
                del left[x], right[y]
                shared -= value * (rarity(x) + rarity(y)) / 2
        gained, more = _joined(left, right, b, in_a, rarity)
        shared, other = shared + gained, other + more
        gained, more = _joined(right, left, a, in_b, rarity)
        shared, one = shared + gained, one + more
    return Overlap(shared, one, other, tuple(left), tuple(right))


def _joined(
    left: dict[str, None], right: dict[str, None], b: Sequence[str], in_a: dict[str, None], rarity: Rarity
) -> tuple[float, float]:
    """Words of `left` that `b` writes as two: what is shared by that, and what is added to the rarity of `b`."""
    pairs = {x + y: (x, y) for x, y in pairwise(b)}
    gained = more = 0.0
    for word in [w for w in left if w in pairs]:
        del left[word]
        gained += rarity(word)
        more += rarity(word)
        for part in pairs[word]:
            right.pop(part, None)
            if part not in in_a:
                more -= rarity(part)
    return gained, more


def acronym(name: str) -> str:
    """The letters, folded, of a name of two to eight letters, two of them capitals; else empty."""
    letters = name.replace(".", "").strip()
    fits = 2 <= len(letters) <= _LONGEST_ACRONYM and letters.isalpha() and sum(map(str.isupper, letters)) >= 2
    return fold(letters) if fits else ""


def abbreviates(short: str, long: str) -> bool:
    """`short` are the initials of `long`, of its words or of their parts (`PLC`, `programmable logic controller`), or
    of its words and of letters from inside them (`SPS`, `speicherprogrammierbare Steuerung`)."""
    letters = acronym(short)
    if not letters or acronym(long):
        return False
    return letters in initials(long) or _spells(letters, [w for w in _names(long) if w not in _LINKS])


def ends(name: str) -> str:
    """First letters of the first and of the last word, which an acronym of the name begins with and has further on.
    Empty for a single word."""
    content = [word for word in _names(name) if word not in _LINKS]
    return content[0][0] + content[-1][0] if len(content) > 1 else ""


def _names(name: str) -> list[str]:
    return [fold(token) for token in re.findall(r"[^\W\d_]+", name)]


def _spells(letters: str, tokens: Sequence[str]) -> bool:
    """Every word gives its first letter, and further ones in order."""
    if len(tokens) < 2 or len(letters) < len(tokens):
        return False
    reached = {0}
    for token in tokens:
        ways: set[int] = set()
        for start in reached:
            if start >= len(letters) or letters[start] != token[0]:
                continue
            place, at = start + 1, 1
            ways.add(place)
            while place < len(letters) and (at := token.find(letters[place], at)) >= 0:
                place, at = place + 1, at + 1
                ways.add(place)
        reached = ways
    return len(letters) in reached


@lru_cache(maxsize=20_000)
def initials(name: str) -> frozenset[str]:
    """Letters that `name` may be abbreviated with: of its words, and of the parts of its compounds; with and without
    function words. Empty where fewer than two come together."""
    tokens = re.findall(r"[^\W\d_]+", name)
    content = [t for t in tokens if t.casefold() not in _LINKS]
    split = [part for t in content for part in _split(t.casefold()) or (t,)]
    ways = [[fold(word)[:1] for word in way] for way in (tokens, content, split)]
    return frozenset("".join(way) for way in ways if len(way) >= 2)
