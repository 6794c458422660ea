"""The dense part of a search over every space that is searched.

Scores of two spaces are never compared as they are. A chunk that has a vector in the preferred space is ranked there;
its score is the one that the active space gives to the chunk of that rank among the same chunks (matching of
quantiles over one population), so that it can stand beside chunks that the active space alone knows. Where the
preferred space knows all, its own scores are taken. Collections whose scales differ are joined by min-max over the
candidates of each scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..protocols import Ids, Scores, VectorIndex, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Chunks with a vector in the preferred space, and those with one in the active space only; both rise."""

    preferred: Ids
    rest: Ids


Indexes = Mapping[str, tuple[VectorIndex, ...]]
"""By collection: the preferred space's, where there is one, and the active space's."""


def coverage(preferred: VectorIndex, active: VectorIndex) -> Coverage:
    known = preferred.ids()
    return Coverage(known, np.setdiff1d(active.ids(), known, assume_unique=True))


def needed(dense: Indexes) -> list[str]:
    """Spaces in which the question needs a vector."""
    return list(dict.fromkeys(index.space.id for indexes in dense.values() for index in indexes if index.size()))


def nearest(
    vectors: Mapping[str, Vectors],
    dense: Indexes,
    allow: Mapping[str, Ids | None],
    depth: int,
    coverage_of: Callable[[str, VectorIndex, VectorIndex], Coverage],
) -> tuple[Ids, Scores]:
    """Best `depth` of each collection, not in order. `vectors` are the question's, float32[1, d], by space; spaces
    without one are passed over."""
    scales: dict[str, list[tuple[Ids, Scores]]] = {}
    for name, indexes in dense.items():
        searched = [index for index in indexes if index.space.id in vectors and index.size()]
        if not searched:
            continue
        scale, found = searched[0].space.id, None
        if len(searched) == 2:
            covered = coverage_of(name, searched[0], searched[1])
            if len(covered.rest):
                scale, found = searched[1].space.id, _both(vectors, searched, covered, allow[name], depth)
        scales.setdefault(scale, []).append(
            found or searched[0].search(vectors[searched[0].space.id], depth, allow[name])[0]
        )
    parts = [joined(of_scale) for of_scale in scales.values()]
    return joined(parts if len(parts) == 1 else [(ids, _spread(scores)) for ids, scores in parts])


def joined(parts: Sequence[tuple[Ids, Scores]]) -> tuple[Ids, Scores]:
    ids = [np.empty(0, dtype=np.int64), *(i for i, _ in parts)]
    scores = [np.empty(0, dtype=np.float32), *(s for _, s in parts)]
    return np.concatenate(ids), np.concatenate(scores)


def _both(
    vectors: Mapping[str, Vectors], searched: Sequence[VectorIndex], covered: Coverage, allow: Ids | None, depth: int
) -> tuple[Ids, Scores]:
    preferred, active = searched
    common, rest = _allowed(covered.preferred, allow), _allowed(covered.rest, allow)
    asked = vectors[active.space.id]
    ids, own = preferred.search(vectors[preferred.space.id], depth, common)[0]
    _, scale = active.search(asked, depth, common)[0]
    others = active.search(asked, depth, rest)[0]
    if not len(scale):  # none of them has a vector in the active space: taken as like the others
        scale = others[1] if len(others[1]) else own
    places = np.linspace(0, len(scale) - 1, num=len(ids)) if len(ids) != len(scale) else np.arange(len(ids))
    scores = np.interp(places, np.arange(len(scale)), scale).astype(np.float32) if len(ids) else own
    return joined([(ids, scores), others])


def _allowed(ids: Ids, allow: Ids | None) -> Ids:
    return ids if allow is None else np.intersect1d(ids, allow, assume_unique=True)


def _spread(scores: Scores) -> Scores:
    """To [0, 1]."""
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if high <= low:
        return np.ones(len(scores), dtype=np.float32)
    return ((scores - low) / (high - low)).astype(np.float32)
