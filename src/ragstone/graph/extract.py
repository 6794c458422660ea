"""Extraction without a model: from the text of a chunk to its mentions and relations, by rules and a small tagger.

What comes out depends on the text, its language and its headings alone, so a graph that is built in another order, or
rebuilt, is the same graph. Time grows with the length of the text, up to a bound.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..graph_types import Extraction, Mention
from ..protocols import Recognizer
from ..text.language import detect
from . import patterns
from .mentions import Finder
from .relations import Relations
from .tagger import Tagger, shipped_tagger

_OPENING = re.compile(r"(?:^|[\n.!?:*>„“\"(] ?)(?:(?:An?|The|Eine?|Der|Die|Das) )?$")
"""What stands before a term that opens its sentence."""
RULES_VERSION: Final = 1
"""Raise it whenever the same text would give something else, new weights of the tagger included: chunks are then
extracted again."""
MOST_CHARACTERS: Final = 30_000
"""Of one chunk that are looked at: chunks have 1,500; what is so much longer is a heap of data, no text."""
MOST_MENTIONS: Final = 5_000
"""Of one chunk; what stands behind them is left out."""


class RuleExtractor:
    """Implements protocols.Extractor. Any number of threads may use it. Names that `recognizers` see are added
    where the tagger sees none."""

    def __init__(self, tagger: Tagger | None = None, recognizers: Sequence[Recognizer] = ()) -> None:
        self._tagger = tagger or shipped_tagger()
        self._recognizers = recognizers
        self.version = "+".join((f"rules-{RULES_VERSION}", *(one.version for one in recognizers)))

    def extract(self, text: str, language: str | None = None, headings: Sequence[str] = ()) -> Extraction:
        if len(text) > MOST_CHARACTERS:
            # Not within a word, where there are words.
            text = text[: max(text.rfind(" ", 0, MOST_CHARACTERS), MOST_CHARACTERS - 100)]
        language = language or detect(text)
        seen = [span for one in self._recognizers for span in one.names(text, language or "")]
        finder = Finder(text, language, self._tagger, seen)
        mentions = finder.find(headings)[:MOST_MENTIONS]
        mentions = _defined(text, mentions)
        relations = Relations(text, mentions, finder.sentences, german=finder.german).find()
        return Extraction(self.version, tuple(mentions), tuple(relations))


def _defined(text: str, mentions: list[Mention]) -> list[Mention]:
    """Terms that the chunk says what they are: "Ein Timer ist ein …", "Unter X versteht man …"."""
    under = [m.span(1) for m in patterns.UNDER.finditer(text)] if "nter " in text else []
    starts = [a for a, _ in under]
    out = []
    for mention in mentions:
        if mention.kind == "term" and (_within(mention.start, starts, under) or _opens(text, mention)):
            mention = replace(mention, kind="definition", weight=1.0)
        out.append(mention)
    return out


def _within(at: int, starts: list[int], spans: list[tuple[int, int]]) -> bool:
    place = bisect_right(starts, at) - 1
    return place >= 0 and at < spans[place][1]


def _opens(text: str, mention: Mention) -> bool:
    return bool(
        patterns.IS_A.match(text, mention.end) and _OPENING.search(text[max(0, mention.start - 8) : mention.start])
    )
