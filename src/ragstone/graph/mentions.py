"""What a chunk mentions: names from the tagger, the rest by rules; where two overlap, the surer kind wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from ..graph_types import Mention, MentionKind
from ..text.sentences import sentence_spans
from . import lexicon, patterns
from .tagger import Tagger
from .words import WORD, shipped_vectors

Token = tuple[int, int, str]

LONGEST_TERM: Final = 4
"""Words of a noun phrase that no capital or hyphen holds together."""
WEIGHTS: Final[dict[MentionKind, float]] = {
    "name": 1.0, "identifier": 1.0, "standard": 1.0, "definition": 1.0, "heading": 0.8, "term": 0.5, "date": 0.4,
    "number": 0.3,
}  # fmt: skip
_SPACE = re.compile(r"\s+")

# Classes of words
CLOSED, VERB, NOUN, CAPITAL, PLAIN, OTHER = range(6)


def norm(text: str) -> str:
    """What equal mentions share: case and white space folded, marks around it dropped."""
    return _SPACE.sub(" ", text).strip(" \t\n.,;:!?\"'`„“”»«()[]*").casefold()


@lru_cache(maxsize=60_000)
def word_class(word: str, german: bool) -> int:
    """Class of a word of at most 40 characters: NOUN is a German capitalised word that is usually one."""
    if not word[0].isalpha():
        return OTHER
    low = word.lower()
    if low in lexicon.CLOSED:
        return CLOSED
    if word[0].isupper():
        rank = shipped_vectors().rank
        if german and len(word) > 2 and not (low in rank and (word not in rank or rank[low] < rank[word])):
            return NOUN
        return CAPITAL
    if lexicon.is_verb(low):
        return VERB
    if len(word) < 3 or low.endswith("ly") or not word.isalpha():
        return OTHER
    return PLAIN


class Finder:
    """Mentions of one chunk while they are found."""

    def __init__(self, text: str, language: str | None, tagger: Tagger, seen: Sequence[tuple[int, int]] = ()) -> None:
        """`seen`: names that count where the tagger finds none."""
        self.text = text
        self._seen = seen
        self.german = language == "de"
        self.sentences: list[list[Token]] = []
        for start, end in sentence_spans(text):
            self.sentences.append([(m.start(), m.end(), m[0]) for m in WORD.finditer(text, start, end)])
        self._found: list[tuple[int, int, MentionKind]] = []
        self._taken = bytearray(len(text))
        self._tagger = tagger

    def find(self, headings: Sequence[str]) -> list[Mention]:
        text = self.text
        self._add_all("identifier", (m.span() for m in patterns.ADDRESS.finditer(text)))
        self._add_all("standard", (_trimmed(text, *m.span()) for m in patterns.STANDARD.finditer(text)))
        self._add_all("identifier", self._codes())
        self._add_all("number", (m.span() for m in patterns.QUANTITY.finditer(text)))
        self._names()
        self._add_all("name", (_trimmed(text, start, end) for start, end in self._seen))
        self._add_all("date", (m.span() for m in patterns.DATE.finditer(text)))
        self._terms()
        mentions = [_mention(text, start, end, kind) for start, end, kind in self._found]
        mentions += self._headings(headings)
        mentions = [m for m in mentions if m.norm]
        mentions.sort(key=lambda m: (m.start, -m.end, m.kind))
        return mentions

    def _add(self, kind: MentionKind, start: int, end: int) -> None:
        if end > start and not self._taken.count(1, start, end):
            self._taken[start:end] = b"\x01" * (end - start)
            self._found.append((start, end, kind))

    def _add_all(self, kind: MentionKind, spans: Iterable[tuple[int, int]]) -> None:
        for start, end in spans:
            self._add(kind, start, end)

    def _codes(self) -> list[tuple[int, int]]:
        known = patterns.is_identifier
        return [m.span() for m in patterns.CODE.finditer(self.text) if known(m[0])]

    def _names(self) -> None:
        named = self._tagger.names([[word for _, _, word in s] for s in self.sentences])
        for tokens, spans in zip(self.sentences, named, strict=True):
            for first, last in spans:
                start, end = tokens[first][0], tokens[last - 1][1]
                if any(c.isalnum() for c in self.text[start : min(end, start + 40)]):
                    # A name that holds an identifier is the surer of the two.
                    self._add("name", start, end)

    def _terms(self) -> None:
        """Noun phrases: German nouns (with what hyphens and other nouns join to them); runs of other words that are
        neither function words nor verbs."""
        german, taken = self.german, self._taken
        for tokens in self.sentences:
            run: list[Token] = []
            before = CLOSED
            for position, token in enumerate(tokens):
                start, _, word = token
                kind = OTHER if taken[start] else word_class(word[:40], german)
                if word == "-" and run and run[-1][1] == start:
                    run.append(token)
                    continue
                # A German sentence opens with a capital whatever the word is.
                good = kind in (NOUN, PLAIN, CAPITAL)
                if german:
                    good = kind == NOUN or (kind == CAPITAL and position > 0)
                if good and not (run and run[-1][2] == "-" and run[-1][1] != start):
                    run.append(token)
                else:
                    self._term(run, before)
                    run, before = [], kind
            self._term(run, before)

    def _term(self, run: list[Token], before: int) -> None:
        """`before`: class of the word before the run. In English a single plain word is a term only after a function
        word, where nouns stand; adverbs and adjectives there are few."""
        while run and run[-1][2] == "-":
            run.pop()
        if not run or (len(run) == 1 and before not in (CLOSED, OTHER) and not self.german):
            return
        run = run[: 2 * LONGEST_TERM] if self.german else run[-LONGEST_TERM:]
        while run and run[0][2] == "-":
            run = run[1:]
        if run and (len(run) > 1 or len(run[0][2]) > 2):
            self._add("term", run[0][0], min(run[-1][1], run[0][0] + 200))

    def _headings(self, headings: Sequence[str]) -> list[Mention]:
        found = []
        seen = set()
        for match in patterns.HEADING.finditer(self.text) if "#" in self.text else ():
            start, end = match.span(1)
            numbered = patterns.NUMBERED.match(self.text, start, end)
            start = numbered.end() if numbered else start
            end -= len(self.text[start:end]) - len(self.text[start:end].rstrip(" #\t"))
            if end > start:
                found.append(_mention(self.text, start, end, "heading"))
                seen.add(found[-1].norm)
        for heading in headings:
            numbered = patterns.NUMBERED.match(heading)
            title = heading[numbered.end() if numbered else 0 :].strip()[:200]
            folded = norm(title)
            if folded and folded not in seen:
                seen.add(folded)
                found.append(Mention(0, 0, title, folded, "heading", WEIGHTS["heading"]))
        return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1] in ".:/–-":
        end -= 1
    return start, end


def _mention(text: str, start: int, end: int, kind: MentionKind) -> Mention:
    part = text[start:end]
    return Mention(start, end, part, norm(part), kind, WEIGHTS[kind])
