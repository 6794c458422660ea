"""Question in, hits out. Stages: refresh, embed, analyse, lexical, dense, fuse, feedback, graph, fetch, rerank,
diversify, highlight; each one's milliseconds are in `SearchResult.timings`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DeadlineExceeded, ModelUnavailable
from ..protocols import (
    CollectionView,
    Embedder,
    GraphSearch,
    Ids,
    Reranker,
    Scores,
    Store,
    VectorIndex,
    Vectors,
)
from ..text.analysis import query_terms
from ..text.language import detect_query
from ..types import Filter, Hit, Mode, ScoreParts, SearchResult
from .asking import Clock, check_query, is_identifier
from .documents import best_of_each_document, first_of_each_document, with_walk
from .fusion import NOBODY, Foreign, fuse
from .languages import WIDER, best, foreign, gap_of
from .mixing import When, consult, is_late, with_reasons
from .nearest import Coverage, Indexes, coverage, joined, nearest, needed
from .profiles import Profiles
from .refining import diversified, highlighted, moved, reranked
from .survey import survey

AWAY = "no answer: "
"""How a note begins that says which model did not answer."""
LATE = "deadline: "
"""How a note begins that says what there was no time for."""
BEHIND = "the graph is brought up to date after a write: "
"""How the note begins that says so."""
STATE_TRIES = 10
"""Searches that are tried until none of the best chunks was deleted before its text was read; then the rest counts."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Values chosen on development data (docs/decisions/0007-fusion.md).

    `candidates`: how many each index gives. Share of the dense score in the fused one: `dense_weight`; `cross_weight`
    where the question is in a language that the collection is not in; `code_weight` where most of what is searched is
    program code, whose words are seldom those of the question; `identifier_weight` where the question is only an
    identifier or a number.
    `feedback`: how many of the best chunks move the question's vector towards them, and `feedback_weight` how far,
    for a question in a language of `feedback_languages` that the collection is in too. `rerank_depth`: how many
    chunks a cross-encoder reads.
    """

    candidates: int = 100
    dense_weight: float = 0.45
    cross_weight: float = 0.55
    code_weight: float = 0.8
    identifier_weight: float = 0.3
    feedback: int = 3
    feedback_weight: float = 0.6
    feedback_languages: tuple[str, ...] = ("en",)
    rerank_depth: int = 30


@dataclass(frozen=True, slots=True)
class _Request:
    """One question with its vector in each space (float32[1, d]) and all that decides its result. `shared` are the
    milliseconds of what was done for all questions of a batch at once."""

    query: str
    vectors: Mapping[str, Vectors]
    k: int
    filter: Filter | None
    mode: Mode
    diversity: float | None
    one_per_document: bool
    highlights: bool
    deadline: float | None
    shared: Mapping[str, float]
    notes: tuple[str, ...]


class Retriever:
    """Searches one or several collections. `view` gives a collection's indexes; `embedder`, that of a space, is called
    for the first question that needs vectors there, so that a lexical search never loads a model."""

    def __init__(
        self,
        store: Store,
        view: Callable[[str], CollectionView],
        embedder: Callable[[str], Embedder] | None,
        *,
        reranker: Callable[[], Reranker] | None = None,
        tuning: Tuning | None = None,
        fixed_weight: float | None = None,
        graph: GraphSearch | None = None,
        graph_when: When = "auto",
    ) -> None:
        self._store = store
        self._view = view
        self._embedder = embedder
        self._reranker = reranker
        self._tuning = tuning or Tuning()
        self._fixed_weight = fixed_weight
        self._graph = None if graph_when == "off" else graph
        self._graph_when: When = graph_when
        self._profiles = Profiles(store)
        self._coverage: dict[str, tuple[tuple[object, ...], Coverage]] = {}

    def search(
        self,
        queries: Sequence[str],
        collections: Sequence[str],
        *,
        k: int = 10,
        filter: Filter | None = None,
        mode: Mode = "hybrid",
        diversity: float | None = None,
        one_per_document: bool = False,
        highlights: bool = True,
        deadline: float | None = None,
        space: str | None = None,
    ) -> list[SearchResult]:
        """One result for each query. `space` is searched in place of the spaces that are searched else.
        `diversity` in [0, 1] weighs difference from better hits against relevance.
        `one_per_document` keeps the best chunk of each document. `deadline` is `time.monotonic()` seconds: optional
        stages that do not fit are left out and named in the notes. Raises QueryError, NotFound, DeadlineExceeded."""
        if not queries:
            return []
        for query in queries:
            check_query(query, k)
        views = {name: self._view(name) for name in collections}
        clock = Clock()
        for view in views.values():
            view.refresh()
        clock.lap("refresh")
        notes: list[str] = []
        dense = {name: view.dense(space) for name, view in views.items()}
        vectors = self._embed(queries, dense, mode, notes, clock, deadline)
        shared = {name: ms / len(queries) for name, ms in clock.timings.items()}
        results = []
        for position, query in enumerate(queries):
            for _ in range(STATE_TRIES):
                own = {space_id: rows[position : position + 1] for space_id, rows in vectors.items()}
                request = _Request(
                    query, own, k, filter, mode, diversity, one_per_document, highlights, deadline, shared, tuple(notes)
                )
                revision = sum(view.at()[0] for view in views.values())
                result, whole = self._one(request, views, dense, revision)
                if whole:
                    break
                for view in views.values():
                    view.refresh()
                dense = {name: view.dense(space) for name, view in views.items()}
                if vectors and any(space_id not in vectors for space_id in needed(dense)):  # roles changed meanwhile
                    vectors = self._embed(queries, dense, mode, [], clock, None)
            results.append(result)
        return results

    def _embed(
        self,
        queries: Sequence[str],
        dense: Indexes,
        mode: Mode,
        notes: list[str],
        clock: Clock,
        deadline: float | None,
    ) -> dict[str, Vectors]:
        """The questions' vectors by space; none where only words are searched."""
        if mode == "lexical" or self._embedder is None:
            return {}
        spaces = needed(dense)
        if not spaces:
            notes.append("no vectors yet: searched by words only")
            return {}
        if deadline is not None and time.monotonic() >= deadline:
            notes.append(f"{LATE}searched by words only")
            return {}
        try:
            vectors = {space: self._embedder(space).embed(list(queries), "query") for space in spaces}
        except ModelUnavailable as error:
            if mode == "dense":
                raise
            notes.append(f"{AWAY}searched by words only ({error.message})")
            return {}
        clock.lap("embed")
        return vectors

    def _one(
        self, request: _Request, views: Mapping[str, CollectionView], dense_of: Indexes, revision: int
    ) -> tuple[SearchResult, bool]:
        """The result, and whether every chunk that the indexes named was still there."""
        query, vectors, k, mode, deadline = request.query, request.vectors, request.k, request.mode, request.deadline
        diversity, one_per_document = request.diversity, request.one_per_document
        notes = list(request.notes)
        clock = Clock()
        depth = max(self._tuning.candidates, k * (3 if one_per_document or diversity else 1))
        allow: dict[str, Ids | None] = dict.fromkeys(views)
        if request.filter:
            allow = {name: self._store.chunk_ids(name, request.filter) for name in views}
            clock.lap("filter")
        lexical: list[tuple[Ids, Scores]] = []
        documents: list[tuple[Ids, Scores]] = []
        languages: list[str] = []
        profiles = {name: self._profiles.of(name, view) for name, view in views.items()}
        code = all(profile.code for profile in profiles.values())
        clock.lap("analyse")
        for name, view in views.items():
            among = profiles[name].languages
            languages.extend(lang for lang in among if lang not in languages)
            if mode != "dense":
                terms = query_terms(query, among)
                clock.lap("analyse")
                lexical.append(view.lexical.search(terms, depth, allow[name]))
                if one_per_document:
                    owners = profiles[name].owners(self._store)
                    documents.append(view.lexical.search_documents(terms, depth, owners, allow[name]))
                clock.lap("lexical")
        spoken = detect_query(query, tuple(dict.fromkeys((*languages, "en", "de"))))
        weight = self._weight(query, mode, bool(vectors), code, bool(spoken) and spoken not in languages)
        gap = 0.0
        prose = self._fixed_weight is None and weight in (self._tuning.dense_weight, self._tuning.cross_weight)
        bridged = prose and bool(spoken) and {*languages} != {spoken}
        if bridged and spoken in languages:
            gap = gap_of(index.space.model for indexes in dense_of.values() for index in indexes if index.size())
        wide = depth * (WIDER if gap else 1)
        dense = self._nearest(vectors, views, dense_of, allow, wide)
        clock.lap("dense")

        def fused(dense: tuple[Ids, Scores]) -> tuple[Foreign, tuple[Ids, Scores, Scores, Scores]]:
            words = joined(lexical)
            ids = np.union1d(words[0], dense[0])
            away = foreign(self._store, ids, spoken, languages, gap) if bridged else NOBODY
            return away, fuse(words, best(dense, away, depth), weight, foreign=away)

        away, (ids, scores, raw_lex, raw_dense) = fused(dense)
        clock.lap("fuse")
        if mode not in ("lexical", "dense") and vectors and not code and self._feeds_back(spoken, languages):
            nearer = {
                space: moved(
                    self._store, space, vector, ids, scores, self._tuning.feedback, self._tuning.feedback_weight
                )
                for space, vector in vectors.items()
            }
            dense = self._nearest(nearer, views, dense_of, allow, wide)
            away, (ids, scores, raw_lex, raw_dense) = fused(dense)
            clock.lap("feedback")
        walked = np.full(len(ids), np.nan, dtype=np.float32)
        steady, asked_graph, bridge = True, False, 0.0
        if mode in ("mixed", "graph", "global") and self._graph is not None:
            revisions = {name: view.at()[0] for name, view in views.items()}
            if is_late(deadline):
                notes.append(f"{LATE}searched without the graph")
            elif mode == "global":
                hits, steady = survey(
                    self._graph, self._store, query, spoken, revisions, (ids, scores), allow, k
                )  # fmt: skip
                clock.lap("graph")
                if hits:
                    return self._result(request, hits, notes, clock, revision, dense_of), steady
                notes.append("the graph has no communities yet: searched as in mode hybrid")
            else:
                mixed = consult(
                    self._graph, self._store, query, spoken, revisions, (ids, scores, raw_lex, raw_dense), mode,
                    self._graph_when, allow, spread=not (one_per_document or diversity),
                )  # fmt: skip
                if mixed.behind:
                    notes.append(f"{BEHIND}searched without it")
                steady = mixed.steady
                ids, scores, raw_lex, raw_dense = mixed.ranking
                walked, asked_graph, bridge = mixed.graph, mixed.used, mixed.bridge
                clock.lap("graph")
        if (mode == "lexical" or not vectors) and not asked_graph:
            scores = raw_lex
        elif mode == "dense":
            scores = raw_dense
        keep = len(ids) if one_per_document or diversity else k
        if one_per_document:
            depth = len(ids)
        if self._reranker is not None:
            keep = max(keep, self._tuning.rerank_depth)
        keep = min(keep, depth)
        found = {chunk.id: chunk for chunk in self._store.chunks([int(i) for i in ids[:keep]])}
        hits = [
            Hit(found[int(i)], float(s), ScoreParts(_known(lex), _known(den), graph=_known(share)))
            for i, s, lex, den, share in zip(
                ids[:keep], scores[:keep], raw_lex[:keep], raw_dense[:keep], walked[:keep], strict=True
            )
            if int(i) in found
        ]
        whole = steady and len(found) == len(ids[:keep])
        clock.lap("fetch")
        if one_per_document and asked_graph and not bridge:
            hits = first_of_each_document(hits)
        elif one_per_document:
            of_documents = best_of_each_document(hits, joined(documents), weight, max(self._tuning.candidates, k), away)
            hits = with_walk(of_documents, hits, bridge) if bridge else of_documents
        if self._reranker is not None and hits:
            if deadline is not None and time.monotonic() >= deadline:
                notes.append(f"{LATE}not reranked")
            else:
                hits = reranked(query, hits, self._reranker(), self._tuning.rerank_depth)
                clock.lap("rerank")
        if diversity:
            hits = diversified(self._store, hits, k, 1.0 - diversity, dense_of)
            clock.lap("diversify")
        hits = hits[:k]
        if asked_graph and self._graph is not None:
            hits = with_reasons(hits, self._graph, query, spoken)
            clock.lap("reasons")
        if request.highlights:
            hits = highlighted(hits, query, languages)
            clock.lap("highlight")
        if not hits and deadline is not None and time.monotonic() >= deadline:
            raise DeadlineExceeded("the search did not finish in time.", "Give it a later deadline.")
        return self._result(request, hits, notes, clock, revision, dense_of), whole

    def _result(
        self,
        request: _Request,
        hits: Sequence[Hit],
        notes: Sequence[str],
        clock: Clock,
        revision: int,
        dense_of: Indexes,
    ) -> SearchResult:
        timings = {**request.shared, **clock.timings}
        timings["total"] = sum(timings.values())
        complete = not any(note.startswith((LATE, AWAY, BEHIND)) for note in notes)
        spaces = {
            name: tuple(index.space.id for index in indexes if index.space.id in request.vectors and index.size())
            for name, indexes in dense_of.items()
        }
        found_in = {name: ids_of for name, ids_of in spaces.items() if ids_of}
        return SearchResult(request.query, tuple(hits), revision, timings, tuple(notes), complete, found_in)

    def _weight(self, query: str, mode: Mode, has_vector: bool, code: bool, crossing: bool) -> float:
        if mode == "lexical" or not has_vector:
            return 0.0
        if mode == "dense":
            return 1.0
        if self._fixed_weight is not None:
            return self._fixed_weight
        if is_identifier(query):
            return self._tuning.identifier_weight
        if code:
            return self._tuning.code_weight
        return self._tuning.cross_weight if crossing else self._tuning.dense_weight

    def _nearest(
        self,
        vectors: Mapping[str, Vectors],
        views: Mapping[str, CollectionView],
        dense: Indexes,
        allow: Mapping[str, Ids | None],
        depth: int,
    ) -> tuple[Ids, Scores]:
        def coverage_of(name: str, preferred: VectorIndex, active: VectorIndex) -> Coverage:
            """Found out once for each state of the collection."""
            key = (views[name].at(), preferred.space.id, active.space.id)
            held = self._coverage.get(name)
            if held is None or held[0] != key:
                held = self._coverage[name] = key, coverage(preferred, active)
            return held[1]

        return nearest(vectors, dense, allow, depth, coverage_of)

    def _feeds_back(self, spoken: str, languages: Sequence[str]) -> bool:
        tuning = self._tuning
        return bool(tuning.feedback) and languages[0] in tuning.feedback_languages and spoken in ("", languages[0])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
