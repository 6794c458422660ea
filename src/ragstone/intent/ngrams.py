"""Words, pairs of words and character n-grams of short texts, weighted by how rare they are: what a vector of meaning
blurs, such as names and negations."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
LENGTHS = (3, 4, 5)
"""Of character n-grams, over word boundaries too."""


def ngrams(text: str) -> Counter[str]:
    words = _WORD.findall(text.lower())
    found = Counter(f"w:{word}" for word in words)
    found.update(f"p:{a} {b}" for a, b in pairwise(words))
    line = f" {' '.join(words)} "
    for n in LENGTHS:
        found.update(line[i : i + n] for i in range(len(line) - n + 1))
    return found


class NgramKernel:
    """Cosine of TF-IDF vectors to each of `texts`."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [ngrams(text) for text in texts]
        rows: dict[str, list[tuple[int, float]]] = {}
        for row, grams in enumerate(counted):
            for gram, n in grams.items():
                rows.setdefault(gram, []).append((row, 1.0 + np.log(n)))
        self._size = len(texts)
        self._idf = {gram: float(np.log1p(len(texts) / len(found))) for gram, found in rows.items()}
        squares = np.zeros(len(texts))
        for gram, found in rows.items():
            for row, weight in found:
                squares[row] += (weight * self._idf[gram]) ** 2
        lengths = np.sqrt(np.maximum(squares, 1e-12))
        self._postings = {
            gram: (
                np.array([row for row, _ in found], np.intp),
                np.array([w * self._idf[gram] / lengths[row] for row, w in found], np.float32),
            )
            for gram, found in rows.items()
        }

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[len(texts), examples]. N-grams that no example has count for nothing."""
        products = np.zeros((len(texts), self._size), np.float32)
        for line, text in zip(products, texts, strict=True):
            weights: list[float] = []
            rows: list[NDArray[np.intp]] = []
            shares: list[NDArray[np.float32]] = []
            for gram, n in ngrams(text).items():
                posting = self._postings.get(gram)
                if posting is not None:
                    weights.append((1.0 + math.log(n)) * self._idf[gram])
                    rows.append(posting[0])
                    shares.append(posting[1])
            if weights:  # added up at once: one addition for each n-gram takes three times as long
                each = np.repeat(weights, [len(some) for some in rows])
                sums = np.bincount(np.concatenate(rows), each * np.concatenate(shares), self._size)
                line[:] = sums / math.sqrt(sum(weight * weight for weight in weights))
        return products
