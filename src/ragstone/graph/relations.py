"""How the mentions of a chunk belong together.

    labelled    definitions, tables, fields, verbs and prepositions between two mentions of a sentence
    together    mentions of one sentence; names of neighbouring sentences; a name that the chunk is about and each other

Mentions that share a `norm`, and a name that is a part of one longer name of the chunk ("Schneider" after "Willi
Schneider"), are one node; of all places that show a pair the surest counts. The number of pairs grows with the number
of mentions, not with its square: only so many neighbours are looked at.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from operator import attrgetter
from typing import Final

from ..graph_types import TOGETHER, Mention, Relation
from . import lexicon, patterns
from .mentions import Token
from .words import WORD

SENTENCE_NAMES: Final = 8
"""Names after a name in its sentence that it is tied to."""
SENTENCE_TERMS: Final = 2
"""The same where one of the two is no name."""
NEAR_NAMES: Final = 6
"""Different names after a name, in the next sentences, that it is tied to."""
NEAR_SENTENCES: Final = 1
TOPICS: Final = 6
"""Names that the chunk is about: each is tied to every other name of it."""
MOST_TOPIC_TIES: Final = 200
BETWEEN: Final = 80
"""Characters between two mentions that can name a relation."""
_WEIGHT: Final = {"pattern": 1.0, "verb": 0.9, "clause": 0.75, "preposition": 0.7, "topic": 0.2, "near": 0.15}
_BY_DISTANCE: Final = (0.5, *(round(0.5 / distance**0.5, 4) for distance in range(1, SENTENCE_NAMES + 1)))
"""Weight of standing together, by how many mentions further on in the sentence."""
_NAMES: Final = frozenset(("name", "standard", "identifier", "definition"))
_OF: Final = frozenset(("of", "von", "vom"))
_GENITIVE: Final = frozenset(("des", "der"))
_CLAUSE = re.compile(r"[;:!?.\n]|, ?(?:and|und|but|aber|which|who|where|der|die|das|dass|weil|wenn)\b")


Tie = tuple[float, int, int, tuple[int, int] | None]


class Relations:
    """Relations of one chunk while they are found. `mentions` are ordered by start."""

    def __init__(self, text: str, mentions: list[Mention], sentences: list[list[Token]], *, german: bool) -> None:
        self._text = text
        self._german = german
        self._mentions = mentions
        self._sentences = sentences
        self._starts = [m.start for m in mentions]
        self._ends = [m.end for m in mentions]
        self._weights = [m.weight for m in mentions]
        self._named = [m.kind in _NAMES for m in mentions]
        self._nodes = _nodes(mentions)
        # By nodes: weight, places of the mentions, and where it shows if not from the one to the other.
        self._best: dict[tuple[int, int], Tie] = {}
        self._labelled: dict[tuple[int, int, str], Tie] = {}

    def find(self) -> list[Relation]:
        inline = [
            self._inside(tokens[0][0], tokens[-1][1]) if tokens else [] for tokens in self._sentences
        ]
        self._definitions()
        self._fields()
        self._tables()
        for places, tokens in zip(inline, self._sentences, strict=True):
            self._in_sentence(places, tokens)
        self._headings()
        self._across(inline)
        found = [self._relation(tie, key[2]) for key, tie in self._labelled.items()]
        tied = {(a, b) if a < b else (b, a) for a, b, _ in self._labelled}
        found += [self._relation(tie, TOGETHER) for pair, tie in self._best.items() if pair not in tied]
        found.sort(key=attrgetter("head", "tail", "label"))
        return found

    def _relation(self, tie: Tie, label: str) -> Relation:
        weight, head, tail, span = tie
        if span is None:
            first, last = (head, tail) if head < tail else (tail, head)
            span = (self._starts[first], max(self._ends[first], self._ends[last]))
        return Relation(head, tail, label, span[0], span[1], weight)

    def _inside(self, start: int, end: int) -> list[int]:
        """Places of the mentions that lie in a span, in order; of nested ones the outermost."""
        places, reached = [], start
        for place in range(bisect_left(self._starts, start), bisect_right(self._starts, end)):
            mention = self._mentions[place]
            if mention.kind != "heading" and reached <= mention.start < mention.end <= end:
                places.append(place)
                reached = mention.end
        return places

    def _tie(self, head: int, tail: int, label: str, weight: float, span: tuple[int, int] | None = None) -> None:
        nodes = self._nodes
        a, b = nodes[head], nodes[tail]
        if a == b:
            return
        if label:
            old = self._labelled.get((a, b, label))
            if old is None or old[0] < weight:
                self._labelled[a, b, label] = (weight, head, tail, span)
            return
        pair = (a, b) if a < b else (b, a)
        best = self._best.get(pair)
        if best is None or best[0] < weight:
            self._best[pair] = (weight, head, tail, span)

    def _adjacent(self, one: int, other: int) -> bool:
        """Whether nothing but a space parts them: "the motor M1"."""
        return self._mentions[other].start - self._mentions[one].end == 1

    def _in_sentence(self, places: list[int], tokens: list[Token]) -> None:
        subject = places[0] if places else 0
        for i, head in enumerate(places):
            named = self._named[head]
            if i + 1 < len(places):
                label, sure = self._between(head, subject, places[i + 1], tokens)
                if label:
                    # What rules the verb is what the phrase began with: "the output of X drives Y".
                    verbal = sure not in (_WEIGHT["preposition"], _WEIGHT["pattern"])
                    self._tie(subject if verbal else head, places[i + 1], label, sure)
                    if verbal and i + 2 < len(places) and self._adjacent(places[i + 1], places[i + 2]):
                        self._tie(subject, places[i + 2], label, sure)
                if label not in _OF:
                    subject = places[i + 1]
            for distance, tail in enumerate(places[i + 1 : i + 1 + (SENTENCE_NAMES if named else SENTENCE_TERMS)], 1):
                if distance <= SENTENCE_TERMS or self._named[tail]:
                    weight = _BY_DISTANCE[distance] * self._weights[head] * self._weights[tail]
                    self._tie(head, tail, TOGETHER, weight)

    def _between(self, head: int, subject: int, tail: int, tokens: list[Token]) -> tuple[str, float]:
        """What stands between two neighbours: a verb or a preposition, with its weight; in German also the verb that
        ends the clause behind them. ("", 0) where nothing does. `subject`: what `head` belongs to ("output of X")."""
        one, other = self._mentions[head], self._mentions[tail]
        if not 0 < other.start - one.end <= BETWEEN:
            return "", 0.0
        between = self._text[one.end : other.start]
        if patterns.IS_A.match(between):
            return "is a", _WEIGHT["pattern"]
        words = WORD.findall(between)
        verb = -1
        for i, word in enumerate(words):
            if word[0].islower() and lexicon.is_verb(word):
                verb = i
        if verb >= 0:
            following = words[verb + 1] if verb + 1 < len(words) else ""
            if following in lexicon.PREPOSITIONS and following not in _GENITIVE:
                return f"{words[verb]} {following}", _WEIGHT["verb"]
            return words[verb], _WEIGHT["verb"]
        first = words[0].lower() if words else ""
        if first in lexicon.PREPOSITIONS and len(words) <= 3 and subject == head:
            return ("of" if first in _GENITIVE else first), _WEIGHT["preposition"]
        if first == "(" and len(words) == 1:
            return "(", _WEIGHT["preposition"]
        if self._german and words and not _CLAUSE.search(between):
            at = bisect_left(tokens, (other.end, 0, ""))
            for _, _, word in tokens[at : at + 1]:
                if word[0].islower() and lexicon.is_verb(word):
                    return word, _WEIGHT["clause"]
        return "", 0.0

    def _definitions(self) -> None:
        """"Unter X versteht man Y"."""
        for match in patterns.UNDER.finditer(self._text) if "nter " in self._text else ():
            heads = self._inside(*match.span(1))
            tails = self._inside(match.end(), min(len(self._text), match.end() + 2 * BETWEEN))
            if heads and tails:
                self._tie(heads[0], tails[0], "is a", _WEIGHT["pattern"])

    def _fields(self) -> None:
        """"Key: value" lines: the value belongs to the key."""
        for match in patterns.FIELD.finditer(self._text) if ":" in self._text else ():
            keys, values = self._inside(*match.span(1)), self._inside(*match.span(2))
            for value in values[:SENTENCE_TERMS] if keys else ():
                self._tie(keys[-1], value, ":", _WEIGHT["preposition"])

    def _tables(self) -> None:
        """Rows: the first cell has each other cell, labelled by the head of its column."""
        heads: list[str] = []
        ended = -2
        for match in patterns.ROW.finditer(self._text) if "|" in self._text or "\t" in self._text else ():
            cells = _cells(match[0], match.start())
            if match.start() > ended + 1:
                heads = [self._text[a:b].strip() for a, b in cells]
                ended = match.end()
                continue
            ended = match.end()
            firsts = self._inside(*cells[0])
            for number, cell in enumerate(cells[1:], 1):
                label = heads[number][:40] if number < len(heads) else ""
                for place in self._inside(*cell)[:SENTENCE_TERMS] if firsts else ():
                    self._tie(firsts[0], place, label or ":", _WEIGHT["preposition"])

    def _headings(self) -> None:
        """What a heading names and the names below it."""
        headings = [i for i, m in enumerate(self._mentions) if m.kind == "heading"]
        if not headings:
            return
        below = [i for i, m in enumerate(self._mentions) if m.kind in _NAMES][:MOST_TOPIC_TIES]
        for place in below:
            above = headings[max(0, bisect_left(headings, place) - 1)]
            mention = self._mentions[place]
            self._tie(above, place, TOGETHER, _WEIGHT["topic"], (mention.start, mention.end))

    def _across(self, inline: list[list[int]]) -> None:
        """Names of neighbouring sentences, and those that the chunk is about."""
        mentions, nodes = self._mentions, self._nodes
        names = [[p for p in places if mentions[p].kind == "name"] for places in inline]
        flat = [(p, number) for number, places in enumerate(names) for p in places]
        for i, (head, number) in enumerate(flat):
            met = {nodes[head]}
            for tail, later in flat[i + 1 : i + 1 + 4 * NEAR_NAMES]:
                if later - number > NEAR_SENTENCES or len(met) > NEAR_NAMES:
                    break
                if nodes[tail] not in met:
                    met.add(nodes[tail])
                    if later > number:
                        self._tie(head, tail, TOGETHER, _WEIGHT["near"] / (later - number))
        firsts: dict[int, int] = {}
        for place, _ in flat:
            firsts.setdefault(nodes[place], place)
        counts = Counter(nodes[p] for p, _ in flat)
        order = {node: i for i, node in enumerate(firsts)}
        topics = sorted(firsts, key=lambda n: (-counts[n] - (2 if order[n] == 0 else 0), order[n]))[:TOPICS]
        for topic in topics:
            for node in list(firsts)[:MOST_TOPIC_TIES]:
                self._tie(firsts[topic], firsts[node], TOGETHER, _WEIGHT["topic"])


def _nodes(mentions: list[Mention]) -> list[int]:
    """For each mention the first one that is the same node."""
    first: dict[str, int] = {}
    longer: defaultdict[str, set[str]] = defaultdict(set)
    for place, mention in enumerate(mentions):
        first.setdefault(mention.norm, place)
    for form, place in first.items():
        if mentions[place].kind == "name" and " " in form:
            words = form.split()
            for word in {words[0], words[-1], " ".join(words[1:])}:
                longer[word].add(form)
    same = dict(first)
    for form, wholes in longer.items():
        if form in first and len(wholes) == 1 and len(form) > 2 and mentions[first[form]].kind == "name":
            same[form] = first[next(iter(wholes))]
    return [same[same_form(m.norm, same, mentions)] for m in mentions]


def same_form(form: str, same: dict[str, int], mentions: list[Mention]) -> str:
    """The form that stands for a form: one step further where the longer name is itself a part of one."""
    target = mentions[same[form]].norm
    return target if target in same else form


def _cells(row: str, start: int) -> list[tuple[int, int]]:
    separator = "|" if "|" in row else "\t"
    inner = row.strip()
    at = start + row.index(inner[0]) if inner else start
    if separator == "|":
        if inner.startswith("|"):
            inner, at = inner[1:], at + 1
        inner = inner.removesuffix("|")
    cells = []
    for cell in inner.split(separator):
        cells.append((at, at + len(cell)))
        at += len(cell) + 1
    return cells
