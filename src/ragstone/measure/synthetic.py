"""Text and vectors in any amount for measuring speed: no meaning, but the statistics that speed depends on.

Words follow Zipf's law over a vocabulary of `VOCABULARY` made-up words, sentences and paragraphs have the lengths
of prose. Vectors are mixtures of real embeddings with a little noise: they keep what makes real ones hard to
search, a large common component and few effective dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..protocols import Vectors

VOCABULARY = 60_000
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
    """`count` unit vectors in blocks: each mixes two of `real` (float32[n, d], unit length) with noise."""
    random = np.random.default_rng(seed)
    for start in range(0, count, 4096):
        rows = min(4096, count - start)
        first = real[random.integers(len(real), size=rows)]
        second = real[random.integers(len(real), size=rows)]
        share = random.random((rows, 1), dtype=np.float32)
        noise = random.standard_normal(first.shape, dtype=np.float32) * np.float32(0.25 / np.sqrt(first.shape[1]))
        mixed = share * first + (1 - share) * second + noise
        yield (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
