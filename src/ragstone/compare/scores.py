"""Automatic scores of one answer, each in [0, 1]; None where a score does not apply.

topics      share of the expected topics that the answer says
support     share of its sentences that the passages support, by the alignment that marks answers for users
language    whether it is in the question's language (None: too short to tell)
citations   share of its citations that overlap a gold span (no citation: 0); `recall` is the share of gold quotes cited

`quality` is topics × (1 + mean of support, language and citations) / 2, of those that apply: what does not say what was
asked for is worth nothing, however well supported (a model that repeats the question is), and how it is said decides up
to half. A failure, and "no answer" to a question that has one, count 0; where the documents do not tell, saying so is 1
and anything else 0. Topics are looked for as words and numbers: this measures whether an answer contains what it
should, not whether it reads well. That is what rating by people is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..answer.citations import Aligner, digits
from ..answer.evidence import sentences
from ..answer.extractive import SCALES
from ..answer.generated import Transcript
from ..protocols import Embedder
from ..text.analysis import analyzer, fold
from ..text.language import detect, detect_query
from ..types import Citation, Sentence
from .cases import Case, Span, overlaps

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Scores:
    quality: float
    topics: float | None = None
    support: float | None = None
    language: float | None = None
    citations: float | None = None
    recall: float | None = None
    declined: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as a user would see it, with what its scores are made of."""

    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    declined: bool


class Reader:
    """Makes what a model wrote into what is shown, with citations; passages of a case are embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._aligners: dict[str, Aligner] = {}

    def read(self, case: Case, text: str) -> Shown:
        language = case.question.language
        aligner = self._aligners.get(case.question.id)
        if aligner is None:
            scale = SCALES.get(self._embedder.space.model)
            candidates = sentences(case.hits, len(case.hits))
            aligner = Aligner(candidates, case.question.text, [language], self._embedder, scale)
            self._aligners[case.question.id] = aligner
        align = aligner.align
        transcript = Transcript(lambda sentence: align(sentence, language))
        for _ in transcript.feed(text, last=True):
            pass
        return Shown(
            transcript.text, tuple(transcript.sentences), tuple(transcript.citations), declined=transcript.declined
        )


def score(case: Case, shown: Shown) -> Scores:
    question = case.question
    if question.refuse:
        return Scores(quality=float(shown.declined), declined=shown.declined)
    if shown.declined:
        return Scores(quality=0.0, topics=0.0 if question.topics else None, declined=True)
    plain = " ".join(sentence.text for sentence in shown.sentences)
    met = topics(question.topics, plain, question.language)
    support = _share([sentence.supported for sentence in shown.sentences])
    language = _language(plain, question.language)
    citations = _precision(case, shown.citations)
    manner = [value for value in (support, language, citations) if value is not None]
    said = 1.0 if met is None else met
    return Scores(
        quality=said * (1.0 + sum(manner) / len(manner)) / 2.0 if manner else said,
        topics=met,
        support=support,
        language=language,
        citations=citations,
        recall=_recall(case, shown.citations),
    )


def topics(expected: Sequence[Sequence[str]], text: str, language: str) -> float | None:
    """Share of the topics of which one spelling is said."""
    return _share([any(_says(spelling, text, language) for spelling in spellings) for spellings in expected])


def _says(spelling: str, text: str, language: str) -> bool:
    """Its numbers however they are written, and its words in a row or as the same index terms (inflected, in a
    compound)."""
    if not set(digits(spelling)) <= set(digits(text)):
        return False
    rest = _NUMBER.sub(" ", spelling)
    words = r"\s+".join(map(re.escape, fold(rest).split()))
    if not words or re.search(rf"(?<!\w){words}(?!\w)", fold(text)):
        return True
    wanted = set(analyzer(language).words(rest))
    return bool(wanted) and wanted <= set(analyzer(language).words(text))


def _language(text: str, wanted: str) -> float | None:
    found = detect(text) or detect_query(text, tuple(dict.fromkeys((wanted, "de", "en"))))
    return float(found == wanted) if found else None


def _precision(case: Case, citations: Sequence[Citation]) -> float | None:
    if not case.gold:
        return None
    cited = [any(overlaps(_span(citation), gold) for gold in case.gold) for citation in citations]
    return _share(cited) or 0.0


def _recall(case: Case, citations: Sequence[Citation]) -> float | None:
    return _share([any(overlaps(_span(citation), gold) for citation in citations) for gold in case.gold])


def _span(citation: Citation) -> Span:
    return Span(citation.uri, citation.start, citation.end)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
