"""How likely two forms name the same thing, from their names, contexts and neighbours, with the reasons.

Nothing but the two forms is looked at: what else is in the graph changes no decision on them, so a new form makes
no old pair be compared again. Evidence adds up in log-odds, as in `resolve_records`: similarity 0.93 is evidence of 13
to 1. A name alone suffices where the words are the same but for their endings, or are written together; initials and
misspellings need a context that agrees; a context that is about something else outweighs equal names (homonyms).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ..text.analysis import fold
from ..text.stopwords import stop_words
from .resolve_words import abbreviates, acronym, is_number, parts, stem, words

SAME_WORDS: Final = 4.5
WRITTEN_TOGETHER: Final = 4.0
SAME_PARTS: Final = 3.2
GIVEN_ALIAS: Final = 6.0
INITIALS: Final = 1.6
MISSPELLED: Final = 1.6
ANOTHER_NAME: Final = -6.0
OTHER_NUMBERS: Final = -8.0

CONTEXT: Final = 4.0
"""Times the share of words that the smaller context has in common with the other, up to CONTEXT_MOST."""
CONTEXT_MOST: Final = 2.0
NEIGHBOUR: Final = 0.8
"""For each neighbour in common, up to NEIGHBOURS_MOST."""
NEIGHBOURS_MOST: Final = 2.4
OTHER_CONTEXT: Final = -1.0
"""Contexts of three words and more that share none, where no sentence model tells how far apart they are."""
MEANING: Final = 16.0
"""Times how far the centred cosine of such contexts lies above MEANING_NEUTRAL, within MEANING_RANGE."""
MEANING_NEUTRAL: Final = 0.34
MEANING_RANGE: Final = (-4.5, 1.2)
_ENOUGH: Final = 3
_MISSPELLED_LENGTH: Final = 6
_SHORT: Final = 5


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which something is named, in one use. `key` is the caller's and names it for ever; homonyms that are
    to be told apart come as several forms. `context`: words around its mentions; `neighbours`: keys or names of what
    it stands together with; `aliases`: other names that a text itself gives, as "speicherprogrammierbare Steuerung
    (SPS)" does."""

    key: str
    name: str
    kind: str = "term"
    language: str = ""
    context: str = ""
    neighbours: frozenset[str] = frozenset()
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


_OTHER: Final = Likeness(similarity(ANOTHER_NAME), (Reason("another name", ANOTHER_NAME),))
"""Of most pairs that are compared, and remembered for all of them once."""


@lru_cache(maxsize=50_000)
def canonical(name: str, language: str) -> tuple[str, ...]:
    """What names share that differ in endings and compounding alone: numbers, and the stems of their parts."""
    stems: list[str] = []
    for word in words(name, language or "de"):
        stems += [word] if is_number(word) else []
    stems += [stem(part, language or "de") for part in parts(name)]
    return tuple(stems)


@lru_cache(maxsize=50_000)
def joined(name: str) -> str:
    """Letters and digits without anything between."""
    return "".join(filter(str.isalnum, fold(name)))


@lru_cache(maxsize=10_000)
def context_words(text: str, language: str) -> frozenset[str]:
    stops = stop_words(language or "de") | stop_words("en")
    return frozenset(word for word in words(text, language or "de") if len(word) > 2 and word not in stops)


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
    if joined(a.name) == joined(b.name):
        return Reason("the same name", SAME_WORDS)
    if one == other and one:
        return Reason("the same words but for endings", SAME_WORDS, " ".join(one))
    if stem(joined(a.name), language or "de") == stem(joined(b.name), language or "de"):
        return Reason("the same written together", WRITTEN_TOGETHER)
    if canonical(a.name, language) and canonical(a.name, language) == canonical(b.name, language):
        return Reason("the same parts", SAME_PARTS, " ".join(canonical(a.name, language)))
    if abbreviates(a.name, b.name) or abbreviates(b.name, a.name):
        return Reason("initials", INITIALS)
    if misspelled(joined(a.name), joined(b.name)):
        return Reason("one letter apart", MISSPELLED)
    return _OTHER.reasons[0]


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a form what tells in a microsecond that most pairs are different. Numbers are hashes within this process."""

    language: str
    letters: str
    short: str
    aliases: bool
    words: int
    digits: int
    together: int
    canonical: int


def outline(form: Form, language: str) -> Outline:
    """`language`: of the pair that is compared."""
    name = form.name
    named, letters = words(name, language or "de"), joined(name)
    # what holds a digit has no endings
    together = letters if letters.isascii() and not letters.isalpha() else stem(letters, language or "de")
    return Outline(
        language, letters, acronym(name), bool(form.aliases), hash(named) if named else 0,
        hash(frozenset(filter(is_number, named))), hash(together),
        hash(canonical(name, language) or ("",)),
    )  # fmt: skip


def may_agree(a: Outline, b: Outline) -> bool:
    """False only where `compare_names` gives a reason against. Both outlines are of one language."""
    if a.letters == b.letters or a.aliases or b.aliases:
        return True
    if a.digits != b.digits:
        return False
    return (
        a.words == b.words
        or a.canonical == b.canonical
        or a.together == b.together
        or bool(a.short) != bool(b.short)
        or misspelled(a.letters, b.letters)
    )


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


def disjoint(a: Form, b: Form) -> bool:
    """Both have a context, and nothing in common: only a sentence model can tell whether they are about the same."""
    one, other = (context_words(form.context, form.language) for form in (a, b))
    own = words(a.name, a.language or "de") + words(b.name, b.language or "de")
    return (
        min(len(one), len(other)) >= _ENOUGH
        and one.isdisjoint(other - frozenset(own))
        and a.neighbours.isdisjoint(b.neighbours)
    )


def asks_meaning(a: Form, b: Form) -> bool:
    """Whether `compare` will ask for a cosine."""
    return 0 <= compare_names(a, b).odds < GIVEN_ALIAS and disjoint(a, b)


def compare(a: Form, b: Form, cosine: Callable[[Form, Form], float] | None = None) -> Likeness:
    """`cosine`: of the centred vectors of two contexts; asked only where the contexts share nothing and it can change
    the outcome."""
    named = compare_names(a, b)
    if named is _OTHER.reasons[0]:
        return _OTHER
    if named.odds < 0:
        return Likeness(similarity(named.odds), (named,))
    reasons = [named]
    if named.odds != GIVEN_ALIAS:
        reasons += _context(a, b, cosine)
    return Likeness(similarity(sum(reason.odds for reason in reasons)), tuple(reasons))


def _context(a: Form, b: Form, cosine: Callable[[Form, Form], float] | None) -> list[Reason]:
    own = frozenset(words(a.name, a.language or "de") + words(b.name, b.language or "de"))
    one, other = (context_words(form.context, form.language) - own for form in (a, b))
    both = sorted(one & other)
    near = sorted(a.neighbours & b.neighbours)
    reasons = []
    if both:
        odds = min(CONTEXT_MOST, CONTEXT * len(both) / min(len(one), len(other)))
        reasons.append(Reason("context in common", odds, " ".join(both[:5])))
    if near:
        reasons.append(Reason("neighbours in common", min(NEIGHBOURS_MOST, NEIGHBOUR * len(near)), ", ".join(near[:5])))
    if not reasons and disjoint(a, b):
        if cosine is None:
            reasons.append(Reason("nothing in common around them", OTHER_CONTEXT))
        else:
            value = cosine(a, b)
            odds = max(MEANING_RANGE[0], min(MEANING_RANGE[1], MEANING * (value - MEANING_NEUTRAL)))
            reasons.append(Reason("what the contexts are about", odds, f"cosine {value:.2f}"))
    return reasons
