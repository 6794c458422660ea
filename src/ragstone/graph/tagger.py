"""Names in text: a small network over windows of seven words, the same on every machine of a kind.

Each word is a fixed vector (words.py) and a sum of learned vectors of its hashes; two layers look at three words on
either side and at their neighbours' hidden states; the best sequence of begin, inside and outside wins. Sentences do
not see each other. Weights: `data/tagger.bin`, made by tools/train_tagger.py (docs/decisions/0029).
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .words import BUCKETS, DENSE, dense, hashes, shipped_vectors

Floats = NDArray[np.float32]

WINDOW: Final = 3
"""Words on either side."""
EMBEDDED: Final = 24
HIDDEN: Final = 128
SECOND: Final = 64
SHAPES: Final = (
    ("E", (BUCKETS + 1, EMBEDDED)),
    ("W1", ((2 * WINDOW + 1) * (DENSE + EMBEDDED), HIDDEN)),
    ("b1", (HIDDEN,)),
    ("W2", (3 * HIDDEN, SECOND)),
    ("b2", (SECOND,)),
    ("W3", (SECOND, 3)),
    ("b3", (3,)),
)
"""Order and shapes of what the file holds, float16."""
BIAS: Final = 0.6
"""Taken from the logarithm of "outside": rather a name too many than one too few (chosen by cross-validation)."""
KNOWN_WORDS: Final = 40_000
"""Words whose vectors are kept, 0.5 kB each."""
NEAR_WORDS: Final = 8_192
"""Words of which is kept what they give to their neighbours, 3.5 kB each."""
BATCH: Final = 16
"""Words whose part in their neighbours is computed at once."""
ROWS: Final = 32
"""Words of a product of the second layer. OpenBLAS uses threads from 2^18 multiplications on; they wait for each other
actively, which made two cores take 3.4 times the processor time of one. BATCH and ROWS keep products at that bound."""
BLOCK: Final = 1_024
"""Words that are looked at at once, so that memory does not grow with the text."""

_REJECTED: Final = -1e9


class Tagger:
    """One per process and set of weights; any number of threads may use it."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = weights
        self._around = weights["W1"].reshape(2 * WINDOW + 1, DENSE + EMBEDDED, HIDDEN)
        self._second = weights["W2"].reshape(3, HIDDEN, SECOND)
        self._lock = threading.Lock()
        self._inputs: dict[str, Floats] = {}
        self._row: dict[str, int] = {}
        # What a word gives to the hidden state of each of the words around it, by its place there.
        self._rows = np.zeros((2 * WINDOW + 1, NEAR_WORDS, HIDDEN), np.float32)

    def _first(self, words: list[str]) -> Floats:
        """Hidden state, float32[words - 2 * WINDOW, HIDDEN]. At most NEAR_WORDS different words."""
        with self._lock:
            row = self._row
            new = [word for word in dict.fromkeys(words) if word not in row]
            if len(row) + len(new) > NEAR_WORDS:
                row.clear()
                new = list(dict.fromkeys(words))
            # In batches of one size, so that the last bits of a row do not depend on which words are new together.
            for start in range(0, len(new), BATCH):
                batch = new[start : start + BATCH]
                inputs = np.zeros((BATCH, DENSE + EMBEDDED), np.float32)
                for i, word in enumerate(batch):
                    if word:
                        inputs[i] = self._input(word)
                begin = len(row)
                self._rows[:, begin : begin + len(batch)] = (inputs @ self._around)[:, : len(batch)]
                row.update(zip(batch, range(begin, begin + len(batch)), strict=True))
            at = np.array([row[word] for word in words])
            count = len(words) - 2 * WINDOW
            hidden: Floats = self._rows[0].take(at[:count], axis=0)
            hidden += self._weights["b1"]
            for o in range(1, 2 * WINDOW + 1):
                hidden += self._rows[o].take(at[o : o + count], axis=0)
        np.maximum(hidden, 0, out=hidden)
        return hidden

    def _input(self, word: str) -> Floats:
        known = self._inputs.get(word)
        if known is None:
            if len(self._inputs) >= KNOWN_WORDS:
                self._inputs.clear()
            embedded = self._weights["E"][hashes(word)].sum(0)
            known = self._inputs[word] = np.concatenate([dense(word, shipped_vectors()), embedded])
        return known

    def names(self, sentences: list[list[str]]) -> list[list[tuple[int, int]]]:
        """For each sentence the spans (start, end) of words that are names."""
        found: list[list[tuple[int, int]]] = [[] for _ in sentences]
        padded: list[str] = []
        places: list[tuple[int, int, int]] = []  # sentence, its first word there, its first word in `padded`
        for number, sentence in enumerate(sentences):
            for start in range(0, len(sentence), BLOCK):
                part = sentence[start : start + BLOCK]
                if len(padded) + len(part) > BLOCK:
                    self._flush(padded, places, sentences, found)
                    padded, places = [], []
                padded += [""] * (WINDOW + 1)
                places.append((number, start, len(padded)))
                padded += part
        self._flush(padded, places, sentences, found)
        return found

    def _flush(
        self,
        padded: list[str],
        places: list[tuple[int, int, int]],
        sentences: list[list[str]],
        found: list[list[tuple[int, int]]],
    ) -> None:
        if not places:
            return
        scores = self._scores([*padded, *([""] * (WINDOW + 1))])
        outside = (scores[:, 0] >= scores[:, 1:].max(axis=1)).tolist()
        values = scores.tolist()
        edge = WINDOW + 1
        for number, start, at in places:
            length = min(BLOCK, len(sentences[number]) - start)
            part = slice(at - edge, at - edge + length)
            found[number] += [(a + start, b + start) for a, b in _spans(values[part], outside[part])]

    def _scores(self, padded: list[str]) -> Floats:
        """Logarithms of the three tags, float32[words - 2 * (WINDOW + 1), 3]."""
        w = self._weights
        hidden = self._first(padded)
        count = len(hidden) - 2
        parts = np.zeros((-(-len(hidden) // ROWS), ROWS, HIDDEN), np.float32)
        parts.reshape(-1, HIDDEN)[: len(hidden)] = hidden
        second = np.tile(w["b2"], (count, 1))
        for o in range(3):
            second += (parts @ self._second[o]).reshape(-1, SECOND)[o : o + count]
        np.maximum(second, 0, out=second)
        logits = second @ w["W3"] + w["b3"]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        logits[:, 0] -= BIAS
        return np.asarray(logits, np.float32)


def _spans(scores: list[list[float]], outside: list[bool]) -> list[tuple[int, int]]:
    """Best sequence of outside (0), begin (1) and inside (2), which follows begin or inside alone. Runs of words that
    are plainly outside need no search."""
    spans: list[tuple[int, int]] = []
    i, count = 0, len(scores)
    while i < count:
        if outside[i]:
            i += 1
            continue
        # One word before the run, for it may be the beginning of it.
        first = i - 1 if i else 0
        last = i
        while last < count and not (outside[last] and (last + 1 >= count or outside[last + 1])):
            last += 1
        best = (0.0, _REJECTED, _REJECTED)
        back: list[tuple[int, int]] = []
        for o, b, n in scores[first:last]:
            top = max(range(3), key=best.__getitem__)
            named = 1 if best[1] >= best[2] else 2
            back.append((top, named))
            best = (best[top] + o, best[top] + b, best[named] + n)
        tag = max(range(3), key=best.__getitem__)
        end = -1
        for at in range(last - 1, first - 1, -1):
            if tag and end < 0:
                end = at + 1
            if tag == 1:
                spans.append((at, end))
                end = -1
            top, named = back[at - first]
            tag = named if tag == 2 else top
        i = last
    return sorted(spans)


@cache
def shipped_tagger() -> Tagger:
    return Tagger(read_weights((files("ragstone.graph") / "data" / "tagger.bin").read_bytes()))


def read_weights(data: bytes) -> dict[str, Floats]:
    weights: dict[str, Floats] = {}
    at = 0
    for name, size in SHAPES:
        count = int(np.prod(size))
        weights[name] = np.frombuffer(data, "<f2", count, at).reshape(size).astype(np.float32)
        at += 2 * count
    return weights
