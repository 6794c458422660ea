"""From a generated sentence to the spans that support it, or to the verdict that nothing does.

A sentence is supported when sentences of the documents share its words (weighted by how rare they are among the
candidates) or its meaning (sentence embeddings), **and** every number and name in it stands literally in what is
cited, in its neighbourhood (names only) or in the question (names only). Wording may change, facts may not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

import numpy as np

from ..protocols import Embedder, Vectors
from ..text.analysis import analyzer, fold, query_terms
from ..text.stopwords import stop_words
from .evidence import EMBEDDED, Candidate, coverage, weigh
from .extractive import Scale

MAX_CITED = 3
MIN_SUPPORT = 0.5
MIN_GAIN = 0.15  # a further span must add this share of the sentence's weight

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_COUNTED = re.compile(r"(\d+(?:[.,:]\d+)*)[ \u00a0]([^\W\d_]{3,})")
_NAME = re.compile(r"\b[^\W\d_]*[A-ZÄÖÜ][\w-]*(?:[-'’][\w-]+)*")
_CAPITALS = re.compile(r"[A-ZÄÖÜ].*[A-ZÄÖÜ]|\w+\d")


@dataclass(frozen=True, slots=True)
class Aligned:
    """Spans that support a sentence, best first. `missing` are numbers and names that stand in none of them."""

    cited: tuple[Candidate, ...]
    support: float
    missing: tuple[str, ...]

    @property
    def supported(self) -> bool:
        return bool(self.cited) and self.support >= MIN_SUPPORT and not self.missing


@dataclass(frozen=True, slots=True)
class Count:
    """A number with the word after it, as said, and that word's terms: "11 points" is not "11 sacks"."""

    said: str
    number: str
    terms: frozenset[str]


class Aligner:
    """Aligns sentences with the candidates of one answer; the candidates are embedded once, at the first sentence or
    from `prepare` on.

    `scale` tells which cosines of the embedder's space mean nothing and everything; None leaves embeddings out.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        question: str,
        languages: Sequence[str],
        embedder: Embedder | None,
        scale: Scale | None,
    ) -> None:
        self._candidates = tuple(candidates)
        self._question = fold(question)
        self._languages = tuple(languages)
        self._embedder = embedder
        self._scale = scale
        self._vectors: Future[Vectors] | None = None

    def prepare(self) -> None:
        """Embeds the candidates on another thread, while a model writes its first sentence."""
        if self._vectors is None and self._embedder is not None and self._scale is not None:
            made: Future[Vectors] = Future()
            self._vectors = made
            Thread(target=_embed, args=(self._embedder, self._candidates, made), name="ragstone-align").start()

    def align(self, sentence: str, language: str) -> Aligned:
        """The spans for one sentence, at most `MAX_CITED`."""
        terms = query_terms(sentence, list(dict.fromkeys((language, *self._languages))))
        if not self._candidates or not terms.groups:
            return Aligned((), 0.0, ())
        weights = weigh(terms, self._candidates)
        shares = [coverage(terms, weights, c.terms) for c in self._candidates]
        alike = self._similar(sentence)
        order = sorted(range(len(shares)), key=lambda i: (-(shares[i] + alike[i]), i))
        numbers, names = literals(sentence, language)
        counts = counted(sentence, language)
        cited = [order[0]]
        covered = self._candidates[order[0]].terms
        for i in order[1:]:
            if len(cited) == MAX_CITED:
                break
            both = covered | self._candidates[i].terms
            gain = coverage(terms, weights, both) - coverage(terms, weights, covered)
            needed = any(n in digits(self._candidates[i].text) for n in self._absent(numbers, cited))
            if gain >= MIN_GAIN or (needed and shares[i] >= MIN_GAIN):
                cited.append(i)
                covered = both
        words = coverage(terms, weights, covered)
        meaning = max(alike[i] for i in cited)
        missing = (*self._absent(numbers, cited), *self._unknown(names, cited), *self._torn(counts, cited, language))
        support = max(words, (words + meaning) / 2.0)
        return Aligned(tuple(self._candidates[i] for i in cited), support, missing)

    def _similar(self, sentence: str) -> list[float]:
        if self._embedder is None or self._scale is None:
            return [0.0] * len(self._candidates)
        if self._vectors is None:
            self._vectors = Future()
            _embed(self._embedder, self._candidates, self._vectors)
        low, high = self._scale.low, self._scale.high
        vector = self._embedder.embed([sentence], "query")[0]
        return [float(x) for x in np.clip((self._vectors.result() @ vector - low) / (high - low), 0.0, 1.0)]

    def _absent(self, numbers: Sequence[str], cited: Sequence[int]) -> list[str]:
        there = set().union(*(digits(self._candidates[i].text) for i in cited))
        return [n for n in numbers if n not in there]

    def _torn(self, counts: Sequence[Count], cited: Sequence[int], language: str) -> list[str]:
        """Those whose number stands only in cited sentences without the word. Another language has other words."""
        spans = [self._candidates[i] for i in cited]
        if any(c.chunk.language != language for c in spans):
            return []
        torn = []
        for count in counts:
            holding = [c for c in spans if count.number in digits(c.text)]
            if holding and not any(count.terms & c.terms for c in holding):
                torn.append(count.said)
        return torn

    def _unknown(self, names: Sequence[str], cited: Sequence[int]) -> list[str]:
        texts = {self._candidates[i].chunk.id: self._candidates[i].chunk for i in cited}.values()
        known = self._question + " " + " ".join(fold(f"{c.context} {c.text}") for c in texts)
        return [n for n in names if _bare(n) not in known]


def _embed(embedder: Embedder, candidates: Sequence[Candidate], made: Future[Vectors]) -> None:
    try:
        made.set_result(embedder.embed([c.text[:EMBEDDED] for c in candidates], "passage"))
    except BaseException as error:  # noqa: BLE001 - raised where the vectors are wanted
        made.set_exception(error)


def literals(sentence: str, language: str) -> tuple[list[str], list[str]]:
    """Numbers (in one spelling) and names of a sentence.

    In German every noun has a capital, so only two capitalised words in a row and words with inner capitals or digits
    count as names; elsewhere every capitalised word that does not begin the sentence.
    """
    numbers = list(digits(sentence))
    found = list(_NAME.finditer(sentence))
    names = []
    for i, m in enumerate(found):
        follows = i > 0 and sentence[found[i - 1].end() : m.start()] == " " and found[i - 1].start() > 0
        strange = _CAPITALS.search(m.group()) is not None
        if strange or (follows if language == "de" else m.start() > 0):
            names.append(m.group())
    return numbers, names


def counted(sentence: str, language: str) -> list[Count]:
    """The numbers of a sentence that count something."""
    stop = stop_words(language)
    words = analyzer(language).words
    return [
        Count(m.group(), _plain(m.group(1)), frozenset(words(m.group(2))))
        for m in _COUNTED.finditer(sentence)
        if m.group(2).casefold() not in stop
    ]


def digits(text: str) -> dict[str, None]:
    """Numbers of a text in one spelling, in order: 1,000 and 1.000 are 1000; 1,5 and 1.5 are 1.5."""
    return {_plain(m.group()): None for m in _NUMBER.finditer(text)}


def _plain(number: str) -> str:
    if _GROUPED.fullmatch(number):
        return re.sub(r"[.,]", "", number)
    return number.replace(",", ".")


def _bare(name: str) -> str:
    """A name as it is looked for: folded, without a genitive ending."""
    return re.sub(r"['’]?s$", "", fold(name))
