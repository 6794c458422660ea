"""Text and vectors in any amount for measuring speed: no meaning, but the statistics that speed depends on.

Words follow Zipf's law over a vocabulary of `VOCABULARY` made-up words, sentences and paragraphs have the lengths
of prose. Vectors are mixtures of real embeddings with noise of the same kind: they keep what makes real ones hard to
search, a large common component, few effective dimensions and crowded neighbourhoods.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..protocols import Vectors

VOCABULARY = 60_000
_NOISE_PAIRS = 8
COMMON = (
    "the", "of", "and", "to", "in", "is", "for", "with", "on", "are", "as", "by", "be", "that", "this",
    "an", "it", "from", "or", "at", "which", "not", "can", "after", "into", "when", "all", "each",
)  # fmt: skip
ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "br", "pl", "sch", "fl")
NUCLEI = ("a", "e", "i", "o", "u", "ei", "au", "ie", "ä", "ö", "ü")
CODAS = ("", "", "n", "r", "l", "s", "t", "ng", "cht", "nd", "rm", "ck")


class TextMaker:
    """Deterministic for a seed."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        words: dict[str, None] = dict.fromkeys(COMMON)
        while len(words) < VOCABULARY:
            count = int(self._random.integers(1, 5))
            words["".join(
                ONSETS[int(self._random.integers(len(ONSETS)))]
                + NUCLEI[int(self._random.integers(len(NUCLEI)))]
                + CODAS[int(self._random.integers(len(CODAS)))]
                for _ in range(count)
            )] = None  # fmt: skip
        self._words = np.array(list(words), dtype=object)
        weights = 1.0 / (np.arange(VOCABULARY) + 2.7)
        self._steps = np.cumsum(weights / weights.sum())

    def paragraph(self, characters: int) -> str:
        """About that many characters of sentences."""
        count = max(8, characters // 6)
        picked = self._words[np.searchsorted(self._steps, self._random.random(count))].tolist()
        sentences = []
        start = 0
        while start < count:
            length = int(self._random.integers(8, 24))
            part = picked[start : start + length]
            sentences.append(" ".join(part).capitalize() + ".")
            start += length
        return " ".join(sentences)

    def markdown(self, characters: int) -> str:
        """A document with headings every few paragraphs."""
        parts = [f"# {self.title()}"]
        size = 0
        while size < characters:
            if len(parts) % 5 == 0:
                parts.append(f"## {self.title()}")
            parts.append(self.paragraph(int(self._random.integers(300, 900))))
            size += len(parts[-1])
        return "\n\n".join(parts) + "\n"

    def title(self) -> str:
        return " ".join(self._words[self._random.integers(100, VOCABULARY, size=4)].tolist()).title()

    def question(self, text: str) -> str:
        """Eight words, four from the text and four by frequency, as a natural question mixes them."""
        words = [word.strip(".").lower() for word in text.split()]
        own = self._random.choice(np.array(words, dtype=object), size=4).tolist()
        usual = self._words[np.searchsorted(self._steps, self._random.random(4))].tolist()
        return " ".join(own + usual)


def mixtures(real: Vectors, count: int, seed: int = 7) -> Iterator[Vectors]:
    """`count` unit vectors in blocks: each mixes one of `real` (float32[n, d], unit length) with one of its 30 nearest,
    and moves as far as a quarter of its length along differences of others."""
    random = np.random.default_rng(seed)
    near = np.argsort(-(real @ real.T), axis=1)[:, 1:31]
    for start in range(0, count, 4096):
        rows = min(4096, count - start)
        first = random.integers(len(real), size=rows)
        second = near[first, random.integers(near.shape[1], size=rows)]
        share = random.random((rows, 1), dtype=np.float32)
        noise = np.zeros((rows, real.shape[1]), dtype=np.float32)
        for _ in range(_NOISE_PAIRS):
            one, other = random.integers(len(real), size=(2, rows))
            noise += (real[one] - real[other]) * random.standard_normal((rows, 1), dtype=np.float32)
        noise *= 0.25 / np.linalg.norm(noise, axis=1, keepdims=True)
        mixed = share * real[first] + (1 - share) * real[second] + noise
        yield (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
