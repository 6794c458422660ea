"""From two rankings one: a convex combination of normalised scores, and diversity among the results.

Convex combination was measured better than reciprocal rank fusion on every development set but one
(docs/decisions/0007-fusion.md). The normalisation is theoretical-minimum for BM25 (0 … best) and min-max over
the dense candidates (Bruch, Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..protocols import Ids, Scores, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """Those in another language than the question. Their dense scores are taken `gap` higher, and count `alone` by
    themselves where that is more than with the words, which they can hardly share."""

    ids: Ids
    gap: float
    alone: float


HELD: Final = 3
"""First hits that a walk through the graph lifts nothing above: it finds what belongs to them, and does not judge
them."""
CLOSE: Final = 1e-3
"""Share of the last one's score within which what was to be lifted above them keeps the walk's order."""
NOBODY: Final = Foreign(np.empty(0, dtype=np.int64), 0.0, 0.0)


def fuse(
    lexical: tuple[Ids, Scores],
    dense: tuple[Ids, Scores],
    dense_weight: float,
    *,
    floor: float | None = None,
    foreign: Foreign = NOBODY,
) -> tuple[Ids, Scores, Scores, Scores]:
    """Ids by falling fused score (ties: rising id), the fused scores in [0, 1], and the raw lexical and dense
    scores (NaN where a ranking did not contain the id).

    `dense_weight` in [0, 1]. `floor` is the dense score that counts as 0; by default the smallest one given.
    """
    lex_ids, lex_scores = lexical
    dense_ids, dense_scores = dense
    ids = np.union1d(lex_ids, dense_ids)
    raw_lex = np.full(len(ids), np.nan, dtype=np.float32)
    raw_dense = np.full(len(ids), np.nan, dtype=np.float32)
    raw_lex[np.searchsorted(ids, lex_ids)] = lex_scores
    raw_dense[np.searchsorted(ids, dense_ids)] = dense_scores
    other = np.isin(ids, foreign.ids)
    near = _scaled(raw_dense + np.where(other, np.float32(foreign.gap), np.float32(0.0)), floor)
    fused = (1.0 - dense_weight) * _scaled(raw_lex, 0.0) + dense_weight * near
    fused = np.where(other, np.maximum(fused, foreign.alone * near), fused)
    order = np.lexsort((ids, -fused))
    return ids[order], fused[order].astype(np.float32), raw_lex[order], raw_dense[order]


def lifted(own: Scores, shares: Scores, weight: float, behind: int) -> Scores:
    """Scores with `weight` times the shares of a walk added. The best `behind` stay the best, in order (of equal ones
    the first); 0: all may be lifted above all."""
    total = own + weight * shares
    if behind and len(own) > behind:
        held = np.argsort(-own, kind="stable")[:behind]
        least = float(own[held[-1]])
        total = np.minimum(total, least * (1.0 + CLOSE * shares))
        total[held] = own[held] + 2.0 * CLOSE * least
    return np.asarray(total, dtype=np.float32)


def _scaled(scores: Scores, low: float | None) -> Scores:
    """To [0, 1]: `low` (default: the smallest) becomes 0, the largest 1; NaN becomes 0."""
    known = scores[~np.isnan(scores)]
    if len(known) == 0:
        return np.zeros(len(scores), dtype=np.float32)
    high = float(known.max())
    bottom = float(known.min()) if low is None else min(low, float(known.min()))
    if high <= bottom:
        return np.where(np.isnan(scores), 0.0, 1.0).astype(np.float32)
    scaled: Scores = np.nan_to_num((scores - bottom) / (high - bottom), nan=0.0).astype(np.float32)
    return scaled


def diversify(scores: Scores, vectors: Vectors, k: int, relevance: float) -> list[int]:
    """Positions of k results chosen by maximal marginal relevance (Carbonell and Goldstein, 1998):
    each next one maximises relevance · score − (1 − relevance) · largest cosine to what is chosen.

    `scores` float[n] in [0, 1]; `vectors` float[n, d] of unit length, a zero row is similar to nothing.
    """
    chosen: list[int] = []
    closest = np.zeros(len(scores), dtype=np.float32)
    open_ = np.ones(len(scores), dtype=bool)
    for _ in range(min(k, len(scores))):
        gain = relevance * scores - (1.0 - relevance) * closest
        gain[~open_] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        open_[best] = False
        closest = np.maximum(closest, np.einsum("nd,d->n", vectors, vectors[best]))
    return chosen
