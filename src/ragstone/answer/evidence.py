"""Which sentences of the hits bear on the question, and how much.

Every sentence of the hits is a candidate, described by a handful of features in [0, 1]; a weighted sum orders them.
Cheap features (words, rank, kind of answer) come first; only the best `DENSE_LIMIT` by these are embedded, since
embedding a sentence costs milliseconds and everything else microseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..protocols import Embedder, QueryTerms
from ..text.analysis import analyzer, query_terms
from ..text.sentences import sentence_spans
from ..types import Chunk, Hit
from .expected import Kind, expected, holds
from .frame import frame

CHOICE_VERSION = 3  # part of the key of cached answers; raise it with every change of what is chosen or how it is shown
HIT_LIMIT = 8  # hits whose sentences are candidates: the right one is among the first 5 for 99.5 % of xquad's questions
DENSE_LIMIT = 16
EMBEDDED = 600  # characters of a sentence that are embedded: longer "sentences" are tables and lists without stops
FRAME_WEIGHT = 0.3
FOREIGN = 0.7  # of the similarity of a sentence in another language stands for the words it cannot share
INHERITED = 0.7  # a sentence that points back has this share of the words of the sentence before it

# Beginnings that point back: pronouns, possessives, demonstratives.
_BACK = re.compile(
    r"(he|she|it|they|his|her|its|their|this|these|that|those|such|both|there"
    r"|er|sie|es|ihre?[rsnm]?|seine?[rsnm]?|diese?[rsnm]?|dies|deren|dessen|beide|dort|dabei|damit|dadurch|solche)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Features:
    """All in [0, 1]. `words`: share of the question's weight found in the sentence; `around`: in the sentence, its
    neighbours and the chunk's title and headings; `dense`: similarity to the question, scaled over the candidates;
    `hit`: the hit's score over the best one's; `kind`: the sentence holds what the question asks for; `shape`: it
    reads like a statement."""

    words: float = 0.0
    around: float = 0.0
    dense: float = 0.0
    hit: float = 0.0
    kind: float = 0.0
    shape: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a hit. `start`, `end` are offsets in the document's text; `rank` is the hit's and `ordinal` the
    sentence's in its chunk, both from 0; `terms` are its index terms; `cosine` is NaN where it was not embedded."""

    chunk: Chunk
    rank: int
    ordinal: int
    start: int
    end: int
    terms: frozenset[str]
    features: Features = Features()
    cosine: float = math.nan
    score: float = 0.0
    foreign: bool = False
    """In another language than the question, whose words it cannot hold."""

    @property
    def text(self) -> str:
        return self.chunk.text[self.start - self.chunk.start : self.end - self.chunk.start]


@dataclass(frozen=True, slots=True)
class Bearing:
    """How near the best of some candidates is. `coverage`: the share of the question's weight found anywhere in the
    surroundings of one; `cosine`: the largest similarity (NaN where none was embedded)."""

    coverage: float = 0.0
    cosine: float = math.nan


@dataclass(frozen=True, slots=True)
class Evidence:
    """Candidates by falling score. `own` are those in the question's language, `foreign` the others; None where there
    are none. `crossing`: most hits are in another language than the question."""

    candidates: tuple[Candidate, ...]
    weights: Mapping[str, float]
    kind: Kind
    own: Bearing | None
    foreign: Bearing | None
    crossing: bool


def bearing(candidates: Sequence[Candidate]) -> Bearing | None:
    known = [c.cosine for c in candidates if not math.isnan(c.cosine)]
    around = max((c.features.around for c in candidates), default=0.0)
    return Bearing(around, max(known, default=math.nan)) if candidates else None


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each feature counts; fitted on xquad (dev), German and English together, and rounded
    (docs/decisions/0006-answers.md)."""

    words: float = 1.0
    around: float = 0.5
    dense: float = 1.0
    hit: float = 1.0
    kind: float = 0.4
    shape: float = 0.3


def highlighted(hits: Sequence[Hit]) -> tuple[Candidate, ...]:
    """The first highlight of each hit."""
    return tuple(
        Candidate(hit.chunk, rank, 0, *hit.highlights[0], frozenset(), score=hit.score)
        for rank, hit in enumerate(hits)
        if hit.highlights
    )


def sentences(hits: Sequence[Hit], limit: int = HIT_LIMIT) -> list[Candidate]:
    """Every sentence of the first `limit` hits, in the order of the hits; a chunk that comes twice counts once. Its
    headings are none: they name what is said below them."""
    found = []
    seen: set[int] = set()
    for rank, hit in enumerate(hits[:limit]):
        chunk = hit.chunk
        if chunk.id in seen:
            continue
        seen.add(chunk.id)
        words = analyzer(chunk.language).words
        headings = {_bare(heading) for heading in chunk.section}
        for ordinal, (start, end) in enumerate(sentence_spans(chunk.text)):
            if _bare(chunk.text[start:end]) in headings:
                continue
            terms = frozenset(words(chunk.text[start:end]))
            found.append(Candidate(chunk, rank, ordinal, chunk.start + start, chunk.start + end, terms))
    return found


def _bare(heading: str) -> str:
    """Without what marks it as a heading in Markdown and its relatives."""
    return " ".join(heading.strip("#=* \t\n").split())


def weigh(question: QueryTerms, candidates: Sequence[Candidate]) -> list[float]:
    """The weight of each group of the question: inverse frequency among the candidates, less for words that only
    frame a question (frame.py). A word that is nowhere weighs most: that it is missing says most."""
    count, framing = len(candidates), frame()
    weights = []
    for group in question.groups:
        forms = {term for term, _ in group}
        seen = sum(1 for c in candidates if forms & c.terms)
        idf = math.log(1.0 + (count - seen + 0.5) / (seen + 0.5))
        weights.append(idf * (FRAME_WEIGHT if forms & framing else 1.0))
    return weights


def coverage(question: QueryTerms, weights: Sequence[float], terms: frozenset[str]) -> float:
    """Share of the question's weight that `terms` hold, in [0, 1]; the best form of each group counts."""
    total = sum(weights)
    if not total:
        return 0.0
    got = sum(
        weight * max((w for term, w in group if term in terms), default=0.0)
        for group, weight in zip(question.groups, weights, strict=True)
    )
    return min(1.0, got / total)


def _words(question: QueryTerms, weights: Sequence[float], c: Candidate, before: Candidate | None) -> float:
    own = coverage(question, weights, c.terms)
    if before is None or not _BACK.match(c.text):
        return own
    return max(own, INHERITED * coverage(question, weights, c.terms | before.terms))


def gather(
    question: str,
    hits: Sequence[Hit],
    embedder: Embedder | None,
    *,
    language: str,
    spoken: str = "",
    weights: Weights = Weights(),
    gap: float = 0.0,
) -> Evidence:
    """The candidates of the hits, scored. Without an embedder the order rests on words, rank and kind. `language`: of
    the answer; `spoken`: of the question, "" where that cannot be told, and then nothing counts as foreign. `gap`: how
    much lower similarities across two languages are in the embedder's space."""
    languages = _languages(language, hits)
    terms = query_terms(question, languages)
    candidates = sentences(hits)
    group_weights = weigh(terms, candidates)
    kind = expected(question)
    best_hit = max((h.score for h in hits), default=0.0) or 1.0
    context = {c.chunk.id: frozenset(analyzer(c.chunk.language).words(c.chunk.context)) for c in candidates}
    scored = []
    for i, c in enumerate(candidates):
        near = [o for o in candidates[max(0, i - 1) : i + 2] if o.chunk.id == c.chunk.id]
        around = context[c.chunk.id].union(*(o.terms for o in near))
        features = Features(
            words=_words(terms, group_weights, c, candidates[i - 1] if i and c.ordinal else None),
            around=coverage(terms, group_weights, around),
            hit=max(0.0, hits[c.rank].score / best_hit),
            kind=float(bool(kind) and holds(kind, c.text, question)),
            shape=0.0 if _names_columns(c, candidates[i + 1 : i + 2]) else _shape(c.text),
        )
        foreign = bool(spoken) and c.chunk.language not in ("", spoken)
        total = _total(features, weights, features.hit if foreign else 0.0)
        scored.append(replace(c, features=features, score=total, foreign=foreign))
    scored.sort(key=_order)
    if embedder is not None and scored:
        scored = _with_similarity(question, scored, embedder, weights, gap)
    return Evidence(
        tuple(scored),
        {t: w for g, w in zip(terms.groups, group_weights, strict=True) for t, _ in g},
        kind,
        bearing([c for c in scored if not c.foreign]),
        bearing([c for c in scored if c.foreign]),
        _crossing(language, hits[:HIT_LIMIT]),
    )


def _with_similarity(
    question: str, scored: Sequence[Candidate], embedder: Embedder, weights: Weights, gap: float
) -> list[Candidate]:
    near, rest = scored[:DENSE_LIMIT], scored[DENSE_LIMIT:]
    vector = embedder.embed([question], "query")[0]
    cosines = embedder.embed([c.text[:EMBEDDED] for c in near], "passage") @ vector
    raised = cosines + np.where([c.foreign for c in near], np.float32(gap), np.float32(0.0))
    low, high = float(np.min(raised)), float(np.max(raised))
    width = (high - low) or 1.0
    out = []
    for c, cosine, similar in zip(near, cosines, raised, strict=True):
        features = replace(c.features, dense=(float(similar) - low) / width)
        total = _total(features, weights, features.dense if c.foreign else 0.0)
        out.append(replace(c, features=features, cosine=float(cosine), score=total))
    return [*sorted(out, key=_order), *rest]


def _total(f: Features, w: Weights, instead: float) -> float:
    """`instead` of words that another language does not have, what else tells of nearness."""
    return (
        w.words * max(f.words, FOREIGN * instead)
        + w.around * max(f.around, FOREIGN * instead)
        + w.dense * f.dense
        + w.hit * f.hit
        + w.kind * f.kind
        + w.shape * f.shape
    )


def _order(c: Candidate) -> tuple[float, int, int]:
    return (-c.score, c.rank, c.start)


def _shape(text: str) -> float:
    """1 for a statement, 0 for a question, a heading, a picture or a scrap."""
    flat = text.strip()
    if flat.endswith("?") or flat.startswith(("#", "![")) or len(flat) < 15:
        return 0.0
    return 1.0 if flat[-1] in ".!:;)”“\"»'" or len(flat) > 60 else 0.5


def _names_columns(c: Candidate, following: Sequence[Candidate]) -> bool:
    """Whether it is the first row of a table whose names stand in every other row again."""
    name, tab, _ = c.text.partition("\t")
    return bool(tab) and any(o.chunk.document_id == c.chunk.document_id and f"{name}: " in o.text for o in following)


def _crossing(language: str, hits: Sequence[Hit]) -> bool:
    """Whether most of the hits are in a known language that is not the question's."""
    other = sum(1 for h in hits if h.chunk.language and h.chunk.language != language)
    return bool(language) and 2 * other > len(hits)


def _languages(first: str, hits: Iterable[Hit]) -> list[str]:
    """The question's language and those of the hits, without repeats."""
    return list(dict.fromkeys(lang for lang in (first, *(h.chunk.language for h in hits)) if lang)) or ["en"]
