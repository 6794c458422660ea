"""Which entities a question speaks of, and how much each of them tells apart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..graph_types import Mention
from ..text.analysis import fold
from ..text.stopwords import stop_words
from .viewing import Frame

_WORD: Final = re.compile(r"[^\W_](?:[\w.'’/-]*\w)?")
_POSSESSIVE: Final = re.compile(r"['’]s?$")
LONGEST: Final = 5
"""Words of a form that is looked for in the question."""
UNMENTIONED: Final = 0.5
"""Weight of a form in the question that the extraction did not see there; a mention has its own."""
MOST: Final = 16
"""Entities of a question, those of the largest weight."""


@dataclass(frozen=True, slots=True)
class Link:
    """`weight` in (0, 1]: how sure the mention is times how rare the entity is, 1 for one that a single chunk has."""

    entity: int
    weight: float


def linked(frame: Frame, question: str, mentions: Iterable[Mention], language: str = "en") -> list[Link]:
    """By falling weight (ties: smaller id). Words of one letter or that say nothing in the language are no forms, and
    entities that say nothing of their texts are not spoken of."""
    forms: dict[str, float] = {}
    for mention in mentions:
        forms[mention.norm] = max(forms.get(mention.norm, 0.0), mention.weight)
    words = [_POSSESSIVE.sub("", word) for word in _WORD.findall(question.casefold())]
    for size in range(min(LONGEST, len(words)), 0, -1):
        for start in range(len(words) - size + 1):
            form = " ".join(words[start : start + size])
            if form not in forms and _speaks(form, size, language):
                forms[form] = UNMENTIONED
    weights: dict[int, float] = {}
    for entity, sure in zip(frame.numbers_of_norms(list(forms)).tolist(), forms.values(), strict=True):
        if entity >= 0 and not frame.generic[entity]:
            weights[entity] = max(weights.get(entity, 0.0), sure * rarity(frame, entity))
    order = sorted(weights, key=lambda entity: (-weights[entity], frame.id(entity)))
    return [Link(entity, weights[entity]) for entity in order[:MOST]]


def rarity(frame: Frame, entity: int) -> float:
    """ln(1 + chunks / chunks that mention it), scaled to (0, 1]."""
    count = max(1, frame.chunk_count)
    return math.log1p(count / max(1, int(frame.entity_chunks[entity]))) / math.log1p(count)


def _speaks(form: str, size: int, language: str) -> bool:
    return len(form) > 1 and (size > 1 or fold(form) not in stop_words(language))
