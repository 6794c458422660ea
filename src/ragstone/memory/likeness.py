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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .literal import Literal, literal, names_differ, opposed, overlap
from .spelling import aligned, letters, turned

THRESHOLD: Final = 0.95
"""Similarity from which on a text repeats another."""
CONTRARY: Final = 0.45
"""Similarity, but for what they say literally, from which on two texts speak of the same subject."""

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
    "cosine": 12.65, "words": -1.43, "subject": 3.75, "differing": -0.39, "nearly": 1.07, "almost": 0.47,
    "spelling": 0.78, "letters": 7.20, "longer": -6.18, "order": -3.01, "asks_more": -3.56, "asks_partly": -1.88,
    "bias": -13.74,
}  # fmt: skip
OTHER_LANGUAGE: Final[Mapping[str, float]] = {
    "cosine": 27.27, "spelling": -4.11, "longer": -3.44, "fuller": -1.77, "asks_else": -2.74, "asks_more": -1.70,
    "asks_partly": 0.30, "bias": -13.34,
}  # fmt: skip
"""Log-odds by feature (`features`); made by `python tools/fit_likeness.py`."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """`similarity` in [0, 1], 0 where the texts differ literally. `contrary`: they speak of the same, and deny
    each other or give other numbers."""

    similarity: float
    contrary: bool = False


def likeness(a: str, b: str, cosine: float) -> Likeness:
    """`cosine` of the centred vectors of the two texts."""
    one, other = literal(a), literal(b)
    value = _logistic(score(one, other, cosine))
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


def score(a: Literal, b: Literal, cosine: float) -> float:
    """Log-odds."""
    weights = SAME_LANGUAGE if a.language == b.language else OTHER_LANGUAGE
    found = features(a, b, cosine)
    return weights["bias"] + sum(weight * found[name] for name, weight in weights.items() if name != "bias")


def features(a: Literal, b: Literal, cosine: float) -> dict[str, float]:
    """What is weighed. `words`: share of common stems; `subject`: that times the
    cosine; `differing`: stems that one has alone, up to 20; `nearly`, `almost`: at most one or two stems
    differ; `spelling`: of the content words, each against the most similar one; `letters`: common sequences of four;
    `longer`, `fuller`: logarithm of how much longer the one is, in words and in content words; `order`: common words
    the other way round; `asks_else`, `asks_more`, `asks_partly`: what the question words say."""
    asked_a, asked_b = _asked(a), _asked(b)
    differing = len(a.stems ^ b.stems)
    return {
        "cosine": cosine,
        "words": overlap(a.stems, b.stems),
        "subject": cosine * overlap(a.stems, b.stems),
        "differing": float(min(differing, 20)),
        "nearly": float(differing <= 1),
        "almost": float(differing <= 2),
        "spelling": aligned(a.content, b.content),
        "letters": letters(a.letters, b.letters),
        "longer": abs(math.log((len(a.spoken) + 1) / (len(b.spoken) + 1))),
        "fuller": abs(math.log((len(a.content) + 1) / (len(b.content) + 1))),
        "order": turned(a.content, b.content),
        "asks_else": float(bool(asked_a and asked_b and not asked_a & asked_b)),
        "asks_more": float(bool(asked_a) != bool(asked_b)),
        "asks_partly": float(asked_a != asked_b and bool(asked_a & asked_b)),
    }


def _asked(text: Literal) -> frozenset[int]:
    """Which question words it has; "how" counts where it has no other."""
    found = frozenset(number for number, words in enumerate(_ASKED) if text.words & words)
    return found or frozenset([-1] if text.words & _HOW else [])


def _logistic(value: float) -> float:
    return 0.5 + 0.5 * math.tanh(value / 2)
