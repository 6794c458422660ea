"""From hits that are chunks to one for each document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ..protocols import Ids, Scores
from ..types import Hit, ScoreParts
from .fusion import HELD, NOBODY, Foreign, fuse, lifted

HEAD: Final = 20
"""Documents that are ranked on the scale of the best `candidates` of each side (measured best for the first ten); those
behind them on the scale of all candidates (measured better for recall@100: cranfield .78 against .76)."""


def best_of_each_document(
    hits: Sequence[Hit], lexical: tuple[Ids, Scores], dense_weight: float, depth: int, foreign: Foreign = NOBODY
) -> list[Hit]:
    """Documents by the fusion of BM25 over the whole document and of their best chunk's cosine: measured better than
    the best fused chunk. Each is shown by its best chunk; its parts are the document's. `depth`: how many documents
    of each side are fused. `foreign` are chunks."""
    away = set(foreign.ids.tolist())
    documents = np.array(sorted({h.chunk.document_id for h in hits if h.chunk.id in away}), dtype=np.int64)
    other = replace(foreign, ids=documents)
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
        first_of_each = _first(by_words, depth), _first(by_vector, depth)
        ids, scores, _, _ = fuse(*first_of_each, dense_weight, foreign=other)
        ids, scores = ids[:HEAD], scores[:HEAD]
        more, more_scores, _, _ = fuse(by_words, by_vector, dense_weight, foreign=other)
        behind = ~np.isin(more, ids)
        ids = np.concatenate([ids, more[behind]])
        scores = np.concatenate([scores, more_scores[behind] * (float(scores.min()) if len(scores) else 1.0)])
    words = dict(zip(lexical[0].tolist(), lexical[1].tolist(), strict=True))
    return [
        Hit(first[i].chunk, float(score), ScoreParts(words.get(i), dense.get(i)))
        for i, score in zip(ids.tolist(), scores, strict=True)
        if i in first
    ]


def first_of_each_document(hits: Sequence[Hit]) -> list[Hit]:
    first: dict[int, Hit] = {}
    for hit in hits:
        first.setdefault(hit.chunk.document_id, hit)
    return list(first.values())


def with_walk(documents: Sequence[Hit], hits: Sequence[Hit], weight: float) -> list[Hit]:
    """Documents, ranked, with `weight` times the graph's share of their best chunk among `hits` added, on a scale on
    which the best document has 1; and those that only the graph led to. None of these comes among the first HELD."""
    top = max((hit.score for hit in documents), default=0.0) or 1.0
    own = {hit.chunk.document_id: hit.score / top for hit in documents}
    shown = {hit.chunk.document_id: hit for hit in documents}
    shares: dict[int, float] = {}
    for hit in hits:
        document, share = hit.chunk.document_id, hit.parts.graph
        if share is not None and share > shares.get(document, 0.0):
            shares[document] = share
            shown.setdefault(document, hit)
    before = np.array([own.get(document, 0.0) for document in shown], dtype=np.float32)
    share_of = np.array([shares.get(document, 0.0) for document in shown], dtype=np.float32)
    total = dict(zip(shown, lifted(before, share_of, weight, HELD).tolist(), strict=True))
    best = max(total.values(), default=0.0) or 1.0
    return [
        replace(shown[i], score=total[i] / best, parts=replace(shown[i].parts, graph=shares.get(i)))
        for i in sorted(total, key=lambda document: (-total[document], document))
    ]


def _first(ranking: tuple[Ids, Scores], count: int) -> tuple[Ids, Scores]:
    return ranking[0][:count], ranking[1][:count]
