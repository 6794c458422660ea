"""How far two texts say the same.

The cosine of a sentence model alone does not tell: with the packaged model unrelated sentences have .80, translations
of one question .87 to .96, and "opens at 3 bar" and "opens at 5 bar" .99. So the cosine is taken between vectors from
which the mean of unrelated sentences was subtracted, joined with common words, spelling, order and length by a logistic
function, and a repetition must agree in what it says literally: numbers, denial, opposites, names, question words.

The function was fitted on half of a stream of questions of XQuAD in two languages, reworded messages of BANKING77 and
sentences of our own, in three orders, and shifted, for each of the two cases by itself, so that there most is merged at
0.95 while 97.8 % of it repeats (docs/decisions/0025-memory.md; `ragstone eval merging` draws the curve over all of it
and over the other half).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .literal import Heard, Literal, heard, literal, names_differ, opposed, overlap
from .spelling import aligned, common, turned

THRESHOLD: Final = 0.95
"""Similarity from which on a text repeats another."""
CONTRARY: Final = 0.45
"""Similarity, but for what they say literally, from which on two texts speak of the same subject."""

USUAL: Final = 0.15
"""Logarithm of how many times the letters of an English text its German translation has."""

_ASKED: Final = tuple(
    frozenset(words.split())
    for words in (
        "who wer wem wen wessen whose whom", "when wann year jahr jahre date datum day month",
        "where wo wohin woher city country stadt land", "why reason warum weshalb wieso grund",
        "many much viele viel number anzahl percentage prozent", "old alt age alter", "long lange lang",
    )
)  # fmt: skip
_HOW: Final = frozenset(("how", "wie"))

SAME_LANGUAGE: Final[Mapping[str, float]] = {
    "cosine": 12.18, "words": -0.46, "subject": 3.54, "differing": -0.39, "nearly": 0.64, "almost": 0.96,
    "swapped": -0.55, "spelling": 0.19, "letters": 7.26, "longer": -6.31, "order": -3.02, "asks_more": -3.61,
    "asks_partly": -1.90, "bias": -13.66,
}  # fmt: skip
OTHER_LANGUAGE: Final[Mapping[str, float]] = {
    "cosine": 27.51, "spelling": -4.51, "longer": -1.60, "fuller": -1.58, "stretched": -3.31, "asks_else": -2.57,
    "asks_more": -1.71, "asks_partly": -0.42, "bias": -13.42,
}  # fmt: skip
"""Log-odds by feature (`features`); made by `python tools/fit_likeness.py`."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """`similarity` in [0, 1], 0 where the texts differ literally. `contrary`: they speak of the same, and deny
    each other or give other numbers."""

    similarity: float
    contrary: bool = False


def likeness(a: str, b: str, cosine: float, least: float = 0.0) -> Likeness:
    """`cosine` of the centred vectors of the two texts. A similarity that cannot reach `least` may be told as 0: most
    texts are unlike, and that is seen from their letters."""
    wanted = math.log(least / (1 - least)) if least else -math.inf
    if least and _at_most(heard(a), heard(b), cosine) < wanted:
        return Likeness(0.0)
    one, other = literal(a), literal(b)
    weights = _weights(one, other)
    found = _quick(one, other, cosine)
    if _total(weights, found) + max(weights.get("spelling", 0.0), 0.0) + max(weights.get("order", 0.0), 0.0) < wanted:
        return Likeness(0.0)
    value = _logistic(_total(weights, found | _slow(one, other)))
    numbers = one.numbers != other.numbers
    if one.asks != other.asks and not one.words ^ other.words:
        return Likeness(value)
    if numbers or opposed(one, other):
        told = not (one.asks or other.asks)
        return Likeness(0.0, told and value >= CONTRARY and not (numbers and _loosely(one, other)))
    if other_subject(one, other):
        return Likeness(0.0)
    return Likeness(value)


def other_subject(a: Literal, b: Literal) -> bool:
    """Whether two texts of one language name other things, or ask who and when."""
    if a.language != b.language:
        return False
    asked_a, asked_b = _asked(a), _asked(b)
    return names_differ(a, b) or bool(asked_a and asked_b and not asked_a & asked_b)


def _loosely(a: Literal, b: Literal) -> bool:
    """One of the texts gives no number at all: it says less, not something else."""
    return not (a.numbers and b.numbers)


def _at_most(a: Heard, b: Heard, cosine: float) -> float:
    """What `score` can give for two texts of these letters."""
    weights = _weights(a, b)
    known = {"cosine": cosine, "letters": common(a.letters, b.letters), "longer": _longer(a.spoken, b.spoken)}
    words = weights.get("words", 0.0) + cosine * weights.get("subject", 0.0)
    left = weights.keys() - known.keys() - {"bias", "words", "subject"}
    return _total(weights, known) + max(words, 0.0) + sum(max(weights[name], 0.0) for name in left)


def score(a: Literal, b: Literal, cosine: float) -> float:
    """Log-odds."""
    return _total(_weights(a, b), features(a, b, cosine))


def _weights(a: Heard | Literal, b: Heard | Literal) -> Mapping[str, float]:
    return SAME_LANGUAGE if a.language == b.language else OTHER_LANGUAGE


def _total(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    return weights["bias"] + sum(weight * found[name] for name, weight in weights.items() if name in found)


def features(a: Literal, b: Literal, cosine: float) -> dict[str, float]:
    """What is weighed. `words`: share of common stems; `subject`: that times the cosine; `differing`: stems that one
    has alone, up to 20; `nearly`, `almost`: at most one or two stems differ; `swapped`: each has one stem of its own;
    `spelling`: of the content words, each against the most similar one; `letters`: common sequences of four; `longer`,
    `fuller`: logarithm of how much longer the one is, in words and in content words; `stretched`: the same in letters,
    between two languages, beside what is usual; `order`: common words the other way round; `asks_else`, `asks_more`,
    `asks_partly`: what the question words say."""
    return _quick(a, b, cosine) | _slow(a, b)


def _slow(a: Literal, b: Literal) -> dict[str, float]:
    """What compares every word of the one with every word of the other; each in [0, 1]."""
    return {"spelling": aligned(a.content, b.content), "order": turned(a.content, b.content)}


def _quick(a: Literal, b: Literal, cosine: float) -> dict[str, float]:
    asked_a, asked_b = _asked(a), _asked(b)
    own_a, own_b = len(a.stems - b.stems), len(b.stems - a.stems)
    differing = own_a + own_b
    return {
        "cosine": cosine,
        "words": overlap(a.stems, b.stems),
        "subject": cosine * overlap(a.stems, b.stems),
        "differing": float(min(differing, 20)),
        "nearly": float(differing <= 1),
        "almost": float(differing <= 2),
        "swapped": float(own_a == 1 == own_b),
        "letters": common(a.letters, b.letters),
        "longer": _longer(a.spoken, b.spoken),
        "fuller": abs(math.log((len(a.content) + 1) / (len(b.content) + 1))),
        "stretched": _stretched(a, b),
        "asks_else": float(bool(asked_a and asked_b and not asked_a & asked_b)),
        "asks_more": float(bool(asked_a) != bool(asked_b)),
        "asks_partly": float(asked_a != asked_b and bool(asked_a & asked_b)),
    }


def _stretched(a: Literal, b: Literal) -> float:
    """How far the lengths of a German and an English text are from saying the same."""
    if a.language == b.language:
        return 0.0
    german, english = (a, b) if a.language == "de" else (b, a)
    return abs(math.log((sum(map(len, german.spoken)) + 1) / (sum(map(len, english.spoken)) + 1)) - USUAL)


def _longer(a: Sequence[str], b: Sequence[str]) -> float:
    return abs(math.log((len(a) + 1) / (len(b) + 1)))


def _asked(text: Literal) -> frozenset[int]:
    """Which question words it has; "how" counts where it has no other."""
    found = frozenset(number for number, words in enumerate(_ASKED) if text.words & words)
    return found or frozenset([-1] if text.words & _HOW else [])


def _logistic(value: float) -> float:
    return 0.5 + 0.5 * math.tanh(value / 2)
