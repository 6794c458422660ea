"""What is done with vectors and hits beside ranking: feedback, a cross-encoder, diversity, highlights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..protocols import Ids, Reranker, Scores, Store, Vectors
from ..text.analysis import highlights
from ..types import Hit, ScoreParts
from .fusion import diversify
from .nearest import Indexes


def moved(store: Store, space: str, vector: Vectors, ids: Ids, scores: Scores, count: int, weight: float) -> Vectors:
    """The question's vector in a space moved towards the best chunks, each by its score (Rocchio, 1971, without
    negative examples)."""
    best = [int(i) for i in ids[:count]]
    found, rows = store.embeddings(space, best)
    if not len(found):
        return vector
    shares = scores[[best.index(int(i)) for i in found]]
    # einsum: a BLAS product this small waits for its threads where other work fills the cores
    towards = np.einsum("n,nd->d", shares / max(float(shares.sum()), 1e-9), rows)
    new = vector + weight * towards
    return np.asarray(new / np.linalg.norm(new), dtype=np.float32)


def reranked(query: str, hits: list[Hit], reranker: Reranker, depth: int) -> list[Hit]:
    scores = reranker.score(query, [f"{h.chunk.context}\n{h.chunk.text}".strip() for h in hits[:depth]])
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], hits[i].chunk.id))
    scored = []
    for i in order:
        chunk, parts, logit = hits[i].chunk, hits[i].parts, float(scores[i])
        # the logistic function of the logit: in (0, 1) as fused scores are, for whoever compares or divides them
        score = 0.5 + 0.5 * math.tanh(logit / 2)
        scored.append(Hit(chunk, score, ScoreParts(parts.lexical, parts.dense, logit, parts.graph)))
    return scored + hits[depth:]


def diversified(store: Store, hits: list[Hit], k: int, relevance: float, dense: Indexes) -> list[Hit]:
    if not hits:
        return hits
    ids = [hit.chunk.id for hit in hits]
    blocks = []  # one for each space, with zeros where a chunk is of another: nothing is told across spaces
    for space in dict.fromkeys(indexes[-1].space.id for indexes in dense.values() if indexes):
        mine = [h.chunk.id for h in hits if (own := dense[h.chunk.collection]) and own[-1].space.id == space]
        found, rows = store.embeddings(space, mine)
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


def highlighted(hits: Sequence[Hit], query: str, languages: Sequence[str]) -> list[Hit]:
    marked = highlights([hit.chunk.text for hit in hits], query, languages)
    return [
        Hit(
            hit.chunk,
            hit.score,
            hit.parts,
            tuple((hit.chunk.start + a, hit.chunk.start + b) for a, b in spans),
            hit.reason,
        )
        for hit, spans in zip(hits, marked, strict=True)
    ]
