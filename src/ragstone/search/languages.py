"""Passages in another language than the question's.

An embedding model puts texts of one language nearer to each other than texts of one meaning in two languages, and words
of the question do not stand in a translation. In an archive of two languages both keep a passage of the other one
behind worse ones of the question's own (docs/decisions/0007-fusion.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from ..protocols import Ids, Scores

GAPS: Final[Mapping[str, float]] = {"multilingual-e5-small": 0.02}
"""By model: what a cosine across two languages is taken higher; chosen on development data."""
WIDER: Final = 3
"""Times as many candidates are looked at where some are in another language."""


def gap_of(models: Iterable[str]) -> float:
    """0 where the model is not known, or several are searched, whose scales differ."""
    names = set(models)
    return GAPS.get(names.pop(), 0.0) if len(names) == 1 else 0.0


def best(dense: tuple[Ids, Scores], foreign: Ids, gap: float, count: int) -> tuple[Ids, Scores]:
    """The best `count`, not in order, where the score of those that are foreign is taken `gap` higher."""
    ids, scores = dense
    if len(ids) <= count:
        return dense
    raised = scores + np.where(np.isin(ids, foreign), np.float32(gap), np.float32(0.0))
    kept = np.sort(np.lexsort((ids, -raised))[:count])
    return ids[kept], scores[kept]
