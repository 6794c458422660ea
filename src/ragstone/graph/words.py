"""Words of a text, and what a word alone tells of whether it is part of a name: the tagger's input.

A word's vector is decoded from a table that ships with the package (data/README.md): word pieces of
multilingual-e5-small that are whole words, their input embeddings reduced and product-quantised. A word that is not
in it takes the vector of its other case, of the head of a German compound, or of its longest known opening.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from importlib.resources import files
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..text import compounds
from ..text.stopwords import STOP_WORDS

WORD: Final = re.compile(r"\w+|[^\w\s]")
"""A run of word characters, or any other visible character alone."""
PARTS: Final = 16
CENTROIDS: Final = 256
WIDTH: Final = 4
"""Numbers that one part of a code stands for: a vector has PARTS × WIDTH."""
FLAGS: Final = 16
DENSE: Final = PARTS * WIDTH + FLAGS
BUCKETS: Final = 4096
HASHES: Final = 7
LONGEST: Final = 40
"""Characters of a word that are looked at."""

_SHAPES = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzäöüßéèáàóíúçñABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜÉÈÁÀ0123456789", "x" * 39 + "X" * 33 + "9" * 10
)
_REPEATED = re.compile(r"(.)\1+")
_STOP = STOP_WORDS["de"] | STOP_WORDS["en"]


class Vectors:
    """Rank by word, and codes by rank: uint8[words, PARTS]; centroids float32[PARTS, CENTROIDS, WIDTH]."""

    def __init__(self, words: list[str], codes: NDArray[np.uint8], centroids: NDArray[np.float32]) -> None:
        self.rank = {w: i for i, w in enumerate(words)}
        self.codes = codes
        self.centroids = centroids
        self._parts = np.arange(PARTS)

    def vector(self, rank: int) -> NDArray[np.float32]:
        return np.asarray(self.centroids[self._parts, self.codes[rank]].ravel(), np.float32)


@cache
def shipped_vectors() -> Vectors:
    folder = files("ragstone.graph") / "data"
    words = zlib.decompress((folder / "words.txt.z").read_bytes()).decode("utf-8").split("\n")
    raw = (folder / "vectors.bin").read_bytes()
    size = PARTS * CENTROIDS * WIDTH * 2
    centroids = np.frombuffer(raw, "<f2", PARTS * CENTROIDS * WIDTH).reshape(PARTS, CENTROIDS, WIDTH)
    codes = np.frombuffer(raw, np.uint8, offset=size).reshape(-1, PARTS)
    return Vectors(words, codes, centroids.astype(np.float32))


def shape(word: str) -> str:
    """Runs of lower-case letters, capitals and digits as x, X and 9: "FB_Timer1" is X_Xx9."""
    return _REPEATED.sub(r"\1", word.translate(_SHAPES))


def hashes(word: str) -> list[int]:
    """HASHES buckets: the word in lower case, its shape, its endings and openings."""
    word = word[:LONGEST]
    low = word.lower()
    keys = (
        f"w{low}",
        f"h{shape(word)}",
        f"1{low[-1:]}{word[:1].isupper():d}",
        f"2{low[-2:]}{word[:1].isupper():d}",
        f"3{low[-3:]}",
        f"4{low[-4:]}",
        f"p{low[:3]}",
    )
    return [crc32(k.encode("utf-8", "surrogatepass")) % BUCKETS for k in keys]


def dense(word: str, vectors: Vectors) -> NDArray[np.float32]:
    """float32[DENSE]: the vector and what is known of the word in its other cases."""
    word = word[:LONGEST]
    low, rank = word.lower(), vectors.rank
    title = low[:1].upper() + low[1:]
    own, lower, upper = (rank.get(w, -1) for w in (word, low, title))
    found = own
    if found < 0:
        found = upper if word[:1].isupper() else lower
    if found < 0:
        found = max(upper, lower)
    parts = compounds.split(low)
    partial = 0
    if found < 0 and len(word) > 3 and word.isalpha():
        if parts:
            head = parts[-1]
            found = rank.get(head[:1].upper() + head[1:], rank.get(head, -1))
        if found < 0:
            for end in range(len(word) - 1, 3, -1):
                found = rank.get(word[:end], -1)
                if found >= 0:
                    partial = end
                    break
    out = np.zeros(DENSE, np.float32)
    if found >= 0:
        out[FLAGS:] = vectors.vector(found)
    count = len(rank)
    out[:FLAGS] = (
        own >= 0,
        lower >= 0,
        upper >= 0,
        1 - own / count if own >= 0 else 0,
        1 - lower / count if lower >= 0 else 0,
        1 - upper / count if upper >= 0 else 0,
        0 <= lower < upper or (lower >= 0 > upper),
        bool(parts),
        partial / len(word) if word else 0,
        found < 0,
        word[:1].isupper(),
        word.isupper() and len(word) > 1,
        any(c.isdigit() for c in word),
        low in _STOP,
        min(len(word), 16) / 16,
        1,
    )
    return out
