"""How likely two forms name the same thing, from their names, with the reasons.

Nothing but the two forms is looked at: what else is in the graph changes no decision on them. Evidence is in log-odds,
as in `measure/record_matching.py`: similarity 0.93 is evidence of 13 to 1. A name suffices where the words are the same
but for their endings, or are written together; initials and misspellings do not, unless the text itself gives the one
as another name of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from ..text.analysis import fold
from .resolve_words import abbreviates, is_number, parts, stem, words

SAME_WORDS: Final = 4.5
WRITTEN_TOGETHER: Final = 4.0
SAME_PARTS: Final = 3.2
GIVEN_ALIAS: Final = 6.0
INITIALS: Final = 1.6
MISSPELLED: Final = 1.6
ANOTHER_NAME: Final = -6.0
OTHER_NUMBERS: Final = -8.0

_MISSPELLED_LENGTH: Final = 6
_SHORT: Final = 5


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which something is named. `key` is the caller's and names it for ever; `aliases`: other names that a
    text itself gives, as "speicherprogrammierbare Steuerung (SPS)" does."""

    key: str
    name: str
    language: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """`odds`: natural logarithm of how many times likelier this is for one thing than for two; `about`: what agrees or
    differs."""

    what: str
    odds: float
    about: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    similarity: float
    reasons: tuple[Reason, ...]


def similarity(odds: float) -> float:
    return 0.5 + 0.5 * math.tanh(odds / 2)


_OTHER: Final = Reason("another name", ANOTHER_NAME)


@lru_cache(maxsize=20_000)
def canonical(name: str, language: str) -> tuple[str, ...]:
    """What names share that differ in endings and compounding alone: numbers, and the stems of their parts."""
    stems: list[str] = []
    for word in words(name, language or "de"):
        stems += [word] if is_number(word) else []
    stems += [stem(part, language or "de") for part in parts(name)]
    return tuple(stems)


@lru_cache(maxsize=20_000)
def joined(name: str) -> str:
    """Letters and digits without anything between."""
    return "".join(filter(str.isalnum, fold(name)))


def numbers(form: Form) -> tuple[int, ...]:
    """What forms share that names alone can make one, each as 64 bits: letters, words, letters as one word, parts.
    Forms that share none are not the same, so nothing else is compared. The same in every process."""
    language, letters = form.language or "de", joined(form.name)
    # what holds a digit has no endings
    together = letters if letters.isascii() and not letters.isalpha() else stem(letters, language)
    found = [("letters", letters), ("words", " ".join(words(form.name, language))), ("together", together)]
    found.append(("parts", " ".join(canonical(form.name, form.language))))
    found += [("letters", joined(alias)) for alias in form.aliases]
    return tuple(dict.fromkeys(hashed(f"{what} {text}") for what, text in found if text))


def hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def compare_names(a: Form, b: Form) -> Reason:
    """The strongest reason that the names give."""
    language = a.language or b.language
    one, other = words(a.name, language or "de"), words(b.name, language or "de")
    digits = frozenset(filter(is_number, one)), frozenset(filter(is_number, other))
    alias = _alias(a, b) or _alias(b, a)
    if alias:
        return Reason("given as another name", GIVEN_ALIAS, alias)
    if digits[0] != digits[1] and joined(a.name) != joined(b.name):
        return Reason("other numbers", OTHER_NUMBERS, " ".join(sorted(digits[0] ^ digits[1])))
    if _capitals(a.name) != _capitals(b.name) and (one == other or joined(a.name) == joined(b.name)):
        return Reason("the same letters, but one an abbreviation", INITIALS)
    if joined(a.name) and joined(a.name) == joined(b.name):
        return Reason("the same name", SAME_WORDS)
    if one == other and one:
        return Reason("the same words but for endings", SAME_WORDS, " ".join(one))
    if joined(a.name) and stem(joined(a.name), language or "de") == stem(joined(b.name), language or "de"):
        return Reason("the same written together", WRITTEN_TOGETHER)
    if canonical(a.name, language) and canonical(a.name, language) == canonical(b.name, language):
        return Reason("the same parts", SAME_PARTS, " ".join(canonical(a.name, language)))
    if abbreviates(a.name, b.name) or abbreviates(b.name, a.name):
        return Reason("initials", INITIALS)
    if misspelled(joined(a.name), joined(b.name)):
        return Reason("one letter apart", MISSPELLED)
    return _OTHER


def _capitals(name: str) -> bool:
    """`IT` and `it`, `BAND` and `Band` may be two names: short ones in capitals are mostly abbreviations."""
    return name.isupper() and len(name) <= _SHORT


def _alias(a: Form, b: Form) -> str:
    return next((alias for alias in a.aliases if joined(alias) == joined(b.name)), "")


def misspelled(a: str, b: str) -> bool:
    """One letter left out, put in, changed or exchanged with its neighbour, in names of six letters and more whose
    first letter agrees and which have no digits."""
    short, long = sorted((a, b), key=len)
    if len(short) < _MISSPELLED_LENGTH or len(long) - len(short) > 1 or a[0] != b[0]:
        return False
    i = 0
    while i < len(short) and short[i] == long[i]:
        i += 1
    if len(short) < len(long):
        alike = short[i:] == long[i + 1 :]
    else:
        alike = short[i + 1 :] == long[i + 1 :] or (
            short[i : i + 2] == long[i : i + 2][::-1] and short[i + 2 :] == long[i + 2 :]
        )
    return alike and not is_number(a + b)


def compare(a: Form, b: Form) -> Likeness:
    named = compare_names(a, b)
    return Likeness(similarity(named.odds), (named,))
