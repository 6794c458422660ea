"""Question in, hits out. Stages: refresh, embed, analyse, lexical, dense, fuse, feedback, fetch, rerank,
diversify, highlight; each one's milliseconds are in `SearchResult.timings`."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DeadlineExceeded, ModelUnavailable, QueryError
from ..protocols import CollectionView, Embedder, Ids, Owners, Reranker, Scores, Store, VectorIndex, Vectors
from ..text.analysis import highlight, query_terms
from ..text.language import detect_query
from ..types import Chunk, Filter, Hit, Mode, ScoreParts, SearchResult
from .fusion import diversify, fuse
from .nearest import Coverage, Indexes, coverage, joined, nearest, needed

MAX_QUERY_BYTES = 8192
"""safety.md, defaults that ship."""
MAX_K = 1000
HEAD = 20
"""Documents that are ranked on the scale of the best `candidates` of each side (measured best for the first ten); those
behind them on the scale of all candidates (measured better for recall@100: cranfield .78 against .76)."""
STATE_TRIES = 10
"""Searches that are tried until none of the best chunks was deleted before its text was read; then the rest counts."""
AWAY = "no answer: "
"""How a note begins that says which model did not answer."""
LATE = "deadline: "
"""How a note begins that says what there was no time for."""
_CODE_MEMORY = 10_000  # chunks of which is remembered whether they look like code
_CODE_MARKS = re.compile(r"[(){}\[\]=;_<>]")
_SPACES = re.compile(r"\s")
MAX_LANGUAGES = 3
"""Languages of a collection in which a question is analysed; the most frequent ones."""


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


@dataclass(frozen=True, slots=True)
class _Profile:
    """Languages of a collection, most frequent first, and whether most of it is program code (by an even sample)."""

    collection: str
    revision: int
    languages: tuple[str, ...]
    code: bool
    held: list[Owners]

    def owners(self, store: Store) -> Owners:
        """Read when first needed."""
        if not self.held:
            self.held.append(store.owners(self.collection))
        return self.held[0]


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
    ) -> None:
        self._store = store
        self._view = view
        self._embedder = embedder
        self._reranker = reranker
        self._tuning = tuning or Tuning()
        self._fixed_weight = fixed_weight
        self._profiles: dict[str, _Profile] = {}
        self._code: dict[int, bool] = {}
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
        profiles = {name: self._profile(name, view) for name, view in views.items()}
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
        dense = self._nearest(vectors, views, dense_of, allow, depth)
        clock.lap("dense")
        spoken = detect_query(query, tuple(dict.fromkeys((*languages, "en", "de"))))
        weight = self._weight(query, mode, bool(vectors), code, bool(spoken) and spoken not in languages)
        ids, scores, raw_lex, raw_dense = fuse(joined(lexical), dense, weight)
        clock.lap("fuse")
        if mode == "hybrid" and vectors and not code and self._feeds_back(spoken, languages):
            moved = {space: self._moved(space, vector, ids, scores) for space, vector in vectors.items()}
            dense = self._nearest(moved, views, dense_of, allow, depth)
            ids, scores, raw_lex, raw_dense = fuse(joined(lexical), dense, weight)
            clock.lap("feedback")
        if mode == "lexical" or not vectors:
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
            Hit(found[int(i)], float(s), ScoreParts(_known(lex), _known(den)))
            for i, s, lex, den in zip(ids[:keep], scores[:keep], raw_lex[:keep], raw_dense[:keep], strict=True)
            if int(i) in found
        ]
        whole = len(found) == len(ids[:keep])
        clock.lap("fetch")
        if one_per_document:
            hits = _best_of_each_document(hits, joined(documents), weight, max(self._tuning.candidates, k))
        if self._reranker is not None and hits:
            if deadline is not None and time.monotonic() >= deadline:
                notes.append(f"{LATE}not reranked")
            else:
                hits = self._rerank(query, hits)
                clock.lap("rerank")
        if diversity:
            hits = self._diversify(hits, k, 1.0 - diversity, dense_of)
            clock.lap("diversify")
        hits = hits[:k]
        if request.highlights:
            hits = [_highlighted(hit, query, languages) for hit in hits]
            clock.lap("highlight")
        if not hits and deadline is not None and time.monotonic() >= deadline:
            raise DeadlineExceeded("the search did not finish in time.", "Give it a later deadline.")
        timings = {**request.shared, **clock.timings}
        timings["total"] = sum(timings.values())
        complete = not any(note.startswith((LATE, AWAY)) for note in notes)
        spaces = {
            name: tuple(index.space.id for index in indexes if index.space.id in vectors and index.size())
            for name, indexes in dense_of.items()
        }
        found_in = {name: ids_of for name, ids_of in spaces.items() if ids_of}
        return SearchResult(query, tuple(hits), revision, timings, tuple(notes), complete, found_in), whole

    def _languages(self, collection: str) -> tuple[str, ...]:
        counts = self._store.languages(collection)
        ranked = sorted((lang for lang in counts if lang), key=lambda lang: (-counts[lang], lang))
        total = sum(counts.values())
        return tuple(lang for lang in ranked if counts[lang] >= 0.01 * total)[:MAX_LANGUAGES] or ("en",)

    def _profile(self, collection: str, view: CollectionView) -> _Profile:
        """What the collection is made of, found out once for each revision."""
        revision = view.at()[0]
        known = self._profiles.get(collection)
        if known is None or known.revision != revision:
            code = self._is_code(view.lexical.sample())
            known = self._profiles[collection] = _Profile(collection, revision, self._languages(collection), code, [])
        return known

    def _is_code(self, sample: Ids) -> bool:
        """Whether most of the sample looks like code. The sample hardly changes with a write, and what a chunk looks
        like never does."""
        new = [int(i) for i in sample if int(i) not in self._code]
        if new:
            if len(self._code) > _CODE_MEMORY:
                self._code = {}
            self._code.update((chunk.id, looks_like_code(chunk.text)) for chunk in self._store.chunks(new))
        return sum(self._code.get(int(i), False) for i in sample) > 0.5 * len(sample)

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

    def _moved(self, space: str, vector: Vectors, ids: Ids, scores: Scores) -> Vectors:
        """The question's vector in a space moved towards the best chunks, each by its score (Rocchio, 1971, without
        negative examples)."""
        best = [int(i) for i in ids[: self._tuning.feedback]]
        found, rows = self._store.embeddings(space, best)
        if not len(found):
            return vector
        shares = scores[[best.index(int(i)) for i in found]]
        # einsum: a BLAS product this small waits for its threads where other work fills the cores
        towards = np.einsum("n,nd->d", shares / max(float(shares.sum()), 1e-9), rows)
        moved = vector + self._tuning.feedback_weight * towards
        return np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)

    def _rerank(self, query: str, hits: list[Hit]) -> list[Hit]:
        if self._reranker is None:
            return hits
        depth = self._tuning.rerank_depth
        scores = self._reranker().score(query, [f"{h.chunk.context}\n{h.chunk.text}".strip() for h in hits[:depth]])
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], hits[i].chunk.id))
        scored = []
        for i in order:
            chunk, parts, logit = hits[i].chunk, hits[i].parts, float(scores[i])
            # the logistic function of the logit: in (0, 1) as fused scores are, for whoever compares or divides them
            score = 0.5 + 0.5 * math.tanh(logit / 2)
            scored.append(Hit(chunk, score, ScoreParts(parts.lexical, parts.dense, logit)))
        return scored + hits[depth:]

    def _diversify(self, hits: list[Hit], k: int, relevance: float, dense: Indexes) -> list[Hit]:
        if not hits:
            return hits
        ids = [hit.chunk.id for hit in hits]
        blocks = []  # one for each space, with zeros where a chunk is of another: nothing is told across spaces
        for space in dict.fromkeys(indexes[-1].space.id for indexes in dense.values() if indexes):
            mine = [h.chunk.id for h in hits if (own := dense[h.chunk.collection]) and own[-1].space.id == space]
            found, rows = self._store.embeddings(space, mine)
            block = np.zeros((len(ids), rows.shape[1] if rows.size else 1), dtype=np.float32)
            where = {int(i): n for n, i in enumerate(found)}
            for position, chunk_id in enumerate(ids):
                if chunk_id in where:
                    block[position] = rows[where[chunk_id]]
            blocks.append(block)
        vectors = np.hstack(blocks) if blocks else np.zeros((len(ids), 1), dtype=np.float32)
        scores = np.array([hit.score for hit in hits], dtype=np.float32)
        spread = float(scores.max() - scores.min()) or 1.0
        return [hits[i] for i in diversify((scores - scores.min()) / spread, vectors, k, relevance)]


class Clock:
    """Milliseconds by stage; a stage that is lapped twice is added up."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = self.timings.get(stage, 0.0) + (now - self._last) * 1000.0
        self._last = now


def check_query(query: str, k: int) -> None:
    """Raises QueryError."""
    if not any(map(str.isalnum, query)):
        raise QueryError("there is no word in the question.", "Write at least one.")
    if len(query.encode("utf-8", "surrogatepass")) > MAX_QUERY_BYTES:
        raise QueryError(f"the question is longer than {MAX_QUERY_BYTES} bytes.", "Shorten it.")
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}.", f"It must be between 1 and {MAX_K}.")


def is_identifier(query: str) -> bool:
    """One word with a digit, an underscore or capitals inside: FB_Timer1, 6ES7-315, getUserName."""
    word = query.strip()
    if not word or any(c.isspace() for c in word):
        return False
    return any(c.isdigit() or c == "_" for c in word) or (word[1:] != word[1:].lower() and not word.isupper())


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _best_of_each_document(
    hits: Sequence[Hit], lexical: tuple[Ids, Scores], dense_weight: float, depth: int
) -> list[Hit]:
    """Documents by the fusion of BM25 over the whole document and of their best chunk's cosine: measured better than
    the best fused chunk. Each is shown by its best chunk; its parts are the document's. `depth`: how many documents
    of each side are fused."""
    first: dict[int, Hit] = {}
    dense: dict[int, float] = {}
    for hit in hits:
        document = hit.chunk.document_id
        first.setdefault(document, hit)
        if hit.parts.dense is not None:
            dense[document] = max(hit.parts.dense, dense.get(document, -np.inf))
    nearest = sorted(dense, key=lambda document: (-dense[document], document))
    by_vector = np.array(nearest, dtype=np.int64), np.array([dense[i] for i in nearest], dtype=np.float32)
    if dense_weight in (0.0, 1.0):  # one side alone: its own score says more than its share of the best one
        ids, scores = lexical if dense_weight == 0.0 else by_vector
        order = np.lexsort((ids, -scores))
        ids, scores = ids[order], scores[order]
    else:
        order = np.argsort(-lexical[1], kind="stable")
        by_words = lexical[0][order], lexical[1][order]
        ids, scores, _, _ = fuse(_first(by_words, depth), _first(by_vector, depth), dense_weight)
        ids, scores = ids[:HEAD], scores[:HEAD]
        more, more_scores, _, _ = fuse(by_words, by_vector, dense_weight)
        behind = ~np.isin(more, ids)
        ids = np.concatenate([ids, more[behind]])
        scores = np.concatenate([scores, more_scores[behind] * (float(scores.min()) if len(scores) else 1.0)])
    words = dict(zip(lexical[0].tolist(), lexical[1].tolist(), strict=True))
    return [
        Hit(first[i].chunk, float(score), ScoreParts(words.get(i), dense.get(i)))
        for i, score in zip(ids.tolist(), scores, strict=True)
        if i in first
    ]


def _first(ranking: tuple[Ids, Scores], count: int) -> tuple[Ids, Scores]:
    return ranking[0][:count], ranking[1][:count]


def looks_like_code(text: str) -> bool:
    """Whether brackets, operators and underscores are more than 5 % of what is not white space: the median is 7.5 % in
    Python functions with their comments, 4 % in manuals of function blocks, below 0.5 % in prose."""
    return len(_CODE_MARKS.findall(text)) > 0.05 * max(1, len(text) - len(_SPACES.findall(text)))


def _highlighted(hit: Hit, query: str, languages: Sequence[str]) -> Hit:
    chunk: Chunk = hit.chunk
    spans = tuple((chunk.start + a, chunk.start + b) for a, b in highlight(chunk.text, query, languages))
    return Hit(chunk, hit.score, hit.parts, spans)
