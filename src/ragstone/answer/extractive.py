"""An answer made of the documents' own sentences: the few that bear most on the question, in reading order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..protocols import Embedder
from ..types import Citation, Sentence
from .evidence import DENSE_LIMIT, EMBEDDED, Bearing, Candidate, Evidence

REFUSALS = {
    "de": "In den Dokumenten steht dazu nichts.",
    "en": "The documents say nothing about this.",
}


# Candidates that are embedded together until one is near enough.
_STEPS = (0, 1, 4, DENSE_LIMIT)
_MARKS = re.compile(r"^(?:[|>*#•·-]+\s+)+|(?:\s*\|)+$")
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")


@dataclass(frozen=True, slots=True)
class Scale:
    """Which cosines of a question and a sentence mean nothing (0) and everything (1) in a vector space, where both
    are in one language, and where they are in two."""

    low: float
    high: float
    cross_low: float
    cross_high: float

    @property
    def gap(self) -> float:
        """How much lower similarities of equal weight are across two languages."""
        return ((self.low - self.cross_low) + (self.high - self.cross_high)) / 2


# Every model has its own range; measured with the sets of docs/decisions/0006-answers.md.
SCALES: Mapping[str, Scale] = {"multilingual-e5-small": Scale(0.78, 0.90, 0.73, 0.87)}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When there is an answer, and what belongs to it; chosen on development data (docs/decisions/0006-answers.md).

    `evidence`: least `confidence` to answer at all; `beside`: that of sentences in another language where others are in
    the question's; `words`: the same where only words can tell (no embedder, or one
    whose scale is unknown). `relative`: a further sentence needs this share of the best one's score. `redundancy`:
    how much repeated content costs against relevance (MMR).
    """

    evidence: float = 0.35
    beside: float = 0.55
    words: float = 0.2
    relative: float = 0.75
    redundancy: float = 0.4


def refusal(language: str) -> str:
    """The sentence that says that nothing was found, English where the language is neither German nor English."""
    return REFUSALS.get(language, REFUSALS["en"])


def confidence(found: Bearing, low: float, high: float, words: float) -> float:
    """How well the documents bear on the question, in [0, 1]: `words` times the share of the question's weight that
    its best surroundings hold, the rest the best similarity, on a scale from `low` to `high`."""
    similar = 0.0 if math.isnan(found.cosine) else min(1.0, max(0.0, (found.cosine - low) / (high - low)))
    return words * found.coverage + (1.0 - words) * similar


def enough(evidence: Evidence, scale: Scale | None, thresholds: Thresholds) -> bool:
    """Whether there is anything to answer from. Across languages and without a scale nothing can tell, so the hits
    are trusted."""
    if not evidence.candidates:
        return False
    known = [found for found in (evidence.own, evidence.foreign) if found is not None]
    if scale is None or all(math.isnan(found.cosine) for found in known):
        return evidence.crossing or max(found.coverage for found in known) >= thresholds.words
    own, foreign = evidence.own, evidence.foreign
    if own is not None and confidence(own, scale.low, scale.high, 0.5) >= thresholds.evidence:
        return True
    if foreign is None:
        return False
    # Words say little across languages, so similarity counts four times.
    least = thresholds.evidence if own is None else thresholds.beside
    return confidence(foreign, scale.cross_low, scale.cross_high, 0.2) >= least


def bears(
    question: str, evidence: Evidence, embedder: Embedder | None, scale: Scale | None, thresholds: Thresholds
) -> bool:
    """What `enough` says of the same evidence with its similarities. Of vectors, whose making takes most of the time,
    no more are made than tell: none where the words suffice, that of one sentence where it is near."""
    if embedder is None or scale is None or not evidence.candidates:
        return enough(evidence, scale, thresholds)
    if enough(_as_near(evidence, -1.0, -1.0), scale, thresholds):
        return True
    vector = embedder.embed([question], "query")[0]
    for first, end in pairwise(_STEPS):
        some = evidence.candidates[first:end]
        if not some:
            break
        cosines = embedder.embed([c.text[:EMBEDDED] for c in some], "passage") @ vector
        own = max((float(near) for c, near in zip(some, cosines, strict=True) if not c.foreign), default=-1.0)
        foreign = max((float(near) for c, near in zip(some, cosines, strict=True) if c.foreign), default=-1.0)
        if enough(_as_near(evidence, own, foreign), scale, thresholds):
            return True
    return False


def _as_near(evidence: Evidence, own: float, foreign: float) -> Evidence:
    """With these similarities."""
    return replace(
        evidence,
        own=evidence.own and replace(evidence.own, cosine=own),
        foreign=evidence.foreign and replace(evidence.foreign, cosine=foreign),
    )


def select(evidence: Evidence, limit: int, thresholds: Thresholds) -> list[Candidate]:
    """Up to `limit` sentences by maximal marginal relevance, in reading order: by rank of the hit, then position."""
    pool = [c for c in evidence.candidates if c.features.shape > 0.0] or list(evidence.candidates)
    if not pool:
        return []
    top = pool[0].score
    chosen: list[Candidate] = []
    while pool and len(chosen) < limit:
        best = max(pool, key=lambda c: (c.score - thresholds.redundancy * top * _repeats(c, chosen), -c.rank, -c.start))
        if best.score < thresholds.relative * top:
            break
        chosen.append(best)
        pool = [c for c in pool if c is not best and not (c.chunk.uri == best.chunk.uri and c.start == best.start)]
    first = {c.chunk.document_id: c.rank for c in sorted(chosen, key=lambda c: -c.rank)}
    return sorted(chosen, key=lambda c: (first[c.chunk.document_id], c.chunk.document_id, c.start))


def _repeats(candidate: Candidate, chosen: Sequence[Candidate]) -> float:
    """Largest share of the candidate's terms that one chosen sentence already has."""
    if not candidate.terms:
        return 1.0
    return max((len(candidate.terms & c.terms) / len(candidate.terms | c.terms) for c in chosen), default=0.0)


def cite(chosen: Sequence[Candidate]) -> tuple[str, tuple[Sentence, ...], tuple[Citation, ...]]:
    """Text with `[n]`, sentences and citations of chosen candidates. A sentence of the documents supports itself."""
    parts, sentences, citations = [], [], []
    for number, c in enumerate(chosen, 1):
        flat = plain(c.text)
        parts.append(f"{flat} [{number}]")
        sentences.append(Sentence(flat, (number,), 1.0, supported=True))
        citations.append(citation(number, c))
    return "\n".join(parts) if _rows(chosen) else " ".join(parts), tuple(sentences), tuple(citations)


def plain(text: str) -> str:
    """A sentence as it is shown: one line, without the marks of lists, quotations, headings and table cells around
    it. The citation keeps the exact span."""
    flat = _MARKS.sub("", " ".join(text.split()))
    return _EMPHASIS.sub(r"\1", flat) or " ".join(text.split())


def citation(number: int, c: Candidate) -> Citation:
    """A citation of exactly the candidate's span, with the page, line and section in which that begins."""
    page, line, section = c.chunk.place(c.start)
    return Citation(
        number=number,
        uri=c.chunk.uri,
        title=c.chunk.title,
        page=page,
        line=line,
        section=section,
        start=c.start,
        end=c.end,
        text=c.text,
        score=c.score,
        chunk_id=c.chunk.id,
    )


def _rows(chosen: Sequence[Candidate]) -> bool:
    """Table rows, list items and headings stand on lines of their own."""
    return any(c.text.rstrip()[-1:] not in ".!?:;”“\"»')" for c in chosen)
