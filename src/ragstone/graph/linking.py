"""Which entities a question speaks of, and how much each of them tells apart."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from ..graph_types import MentionKind
from ..text.analysis import fold
from ..text.stopwords import stop_words
from .mentions import WEIGHTS, norm
from .sealed import NO_NODE
from .viewing import Frame

_WORD: Final = re.compile(r"[^\W_](?:[\w.'’/-]*\w)?")
_POSSESSIVE: Final = re.compile(r"['’]s?$")
LONGEST: Final = 5
"""Words of a form that is looked for in the question."""
MOST: Final = 16
"""Entities of a question, those of the largest weight."""


@dataclass(frozen=True, slots=True)
class Link:
    """`weight` in (0, 1]: that of the entity's kind times how rare it is, 1 for a name that a single chunk has."""

    entity: int
    weight: float
    kind: MentionKind


def linked(frame: Frame, question: str, language: str = "en") -> list[Link]:
    """By falling weight (ties: smaller id). Any run of words may be a form: of texts' own forms the graph knows which
    are. Words of one letter or that say nothing in the language are no forms, and entities that say nothing of their
    texts are not spoken of."""
    numbers = set(frame.numbers_of_norms(_forms(question, language)).tolist()) - {NO_NODE}
    links = []
    for entity in numbers:
        if not frame.generic[entity]:
            kind = frame.kind(entity)
            links.append(Link(entity, WEIGHTS[kind] * rarity(frame, entity), kind))
    return sorted(links, key=lambda link: (-link.weight, frame.id(link.entity)))[:MOST]


def _forms(question: str, language: str) -> list[str]:
    """Runs of words, without and with what stands between them ("St. Louis")."""
    spans = [match.span() for match in _WORD.finditer(question)]
    words = [_POSSESSIVE.sub("", question[start:end].casefold()) for start, end in spans]
    forms: dict[str, None] = {}
    for size in range(min(LONGEST, len(words)), 0, -1):
        for first in range(len(words) - size + 1):
            last = first + size - 1
            between = question[spans[first][0] : spans[last][0]].casefold()
            for form in (" ".join(words[first : last + 1]), norm(between + words[last])):
                if _speaks(form, size, language):
                    forms[form] = None
    return list(forms)


def rarity(frame: Frame, entity: int) -> float:
    """ln(1 + chunks / chunks that mention it), scaled to (0, 1]."""
    count = max(1, frame.chunk_count)
    return math.log1p(count / max(1, int(frame.entity_chunks[entity]))) / math.log1p(count)


def _speaks(form: str, size: int, language: str) -> bool:
    return len(form) > 1 and (size > 1 or fold(form) not in stop_words(language))
