"""Passages in another language than the question's.

An embedding model puts texts of one language nearer to each other than texts of one meaning in two languages, and words
of the question do not stand in a translation. In an archive of two languages both keep a passage of the other one
behind worse ones of the question's own (docs/decisions/0007-fusion.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ..protocols import Ids, Scores, Store
from .fusion import NOBODY, Foreign

GAPS: Final[Mapping[str, float]] = {"multilingual-e5-small": 0.02}
"""By model: what a cosine across two languages is taken higher; chosen on development data."""
BESIDE: Final = 0.9
ALONE: Final = 0.7
"""What a dense score across two languages counts without words: beside passages in the question's language, and where
there are none, so that names and identifiers, which all languages share, still tell (docs/decisions/0007-fusion.md)."""
WIDER: Final = 3
"""Times as many candidates are looked at where some are in another language."""


def gap_of(models: Iterable[str]) -> float:
    """0 where the model is not known, or several are searched, whose scales differ."""
    names = set(models)
    return GAPS.get(names.pop(), 0.0) if len(names) == 1 else 0.0


def foreign(store: Store, ids: Ids, spoken: str, languages: Sequence[str], gap: float) -> Foreign:
    """Those of `ids` that are in another language than `spoken`, in which the question is asked of collections in
    `languages`."""
    if not spoken or all(language == spoken for language in languages):
        return NOBODY
    if spoken not in languages:
        return Foreign(ids, 0.0, ALONE)
    return Foreign(store.in_another_language(ids, spoken), gap, BESIDE)


def best(dense: tuple[Ids, Scores], foreign: Foreign, count: int) -> tuple[Ids, Scores]:
    """The best `count`, not in order, as `foreign` has it."""
    ids, scores = dense
    if len(ids) <= count:
        return dense
    raised = scores + np.where(np.isin(ids, foreign.ids), np.float32(foreign.gap), np.float32(0.0))
    kept = np.sort(np.lexsort((ids, -raised))[:count])
    return ids[kept], scores[kept]
