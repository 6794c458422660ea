"""How alike two texts are in their letters and in the order of their words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Grams = NDArray[np.uint64]
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
COMPARED: Final = 64
"""Words of a text that are compared with those of the other one by one; of longer texts the first."""


def aligned(a: Sequence[str], b: Sequence[str]) -> float:
    """Mean over the words of both texts of how alike the most similar word of the other text is, in [0, 1]."""
    a, b = a[:COMPARED], b[:COMPARED]
    if not a or not b:
        return 0.0
    return (_covered(a, b) + _covered(b, a)) / 2


def turned(a: Sequence[str], b: Sequence[str]) -> float:
    """Share of the pairs of common words that stand the other way round, in [0, 1]."""
    place = {word: number for number, word in enumerate(b[:COMPARED])}
    common = [place[word] for word in dict.fromkeys(a[:COMPARED]) if word in place]
    pairs = len(common) * (len(common) - 1) // 2
    if not pairs:
        return 0.0
    return sum(common[i] < common[j] for i in range(len(common)) for j in range(i)) / pairs


def letters(a: frozenset[str], b: frozenset[str]) -> float:
    """Dice coefficient of two sets of n-grams."""
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def grams_of_four(text: str) -> Grams:
    """Sequences of four characters, hashed, each once: a twelfth of what a set of them takes."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    if len(points) < 4:
        return points[:0]
    mixed = ((points[:-3] * _MIX + points[1:-2]) * _MIX + points[2:-1]) * _MIX + points[3:]
    return np.unique(mixed)


def common(a: Grams, b: Grams) -> float:
    """Dice coefficient."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return 2 * both / (len(a) + len(b)) if len(a) or len(b) else 0.0


def grams(text: str, length: int) -> frozenset[str]:
    return frozenset(text[i : i + length] for i in range(len(text) - length + 1))


def _covered(a: Sequence[str], b: Sequence[str]) -> float:
    there = set(b)
    return sum(1.0 if word in there else max(_alike(word, other) for other in b) for word in a) / len(a)


def _alike(a: str, b: str) -> float:
    if a[:1].isdigit() or b[:1].isdigit():
        return float(a == b)
    return letters(_of_word(a), _of_word(b))


@lru_cache(maxsize=16_384)
def _of_word(word: str) -> frozenset[str]:
    return grams(f"<{word}>", 3)
