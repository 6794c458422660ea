"""Conversations among what was found: which passages are turns, and which turns stand beside each other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from ..protocols import Store
from ..text.dates import Day, dates_in
from ..text.turns import LONG
from ..types import Chunk

_SPEAKER: Final = re.compile(r"[^\W\d_][^\n:|=(){}\[\];]{0,40}:\s+\S")
_MARK: Final = re.compile(r"[\s>*_#-]*")
BESIDE: Final = 2
"""Turns before and after one that are beside it."""
HEAD: Final = 60
"""Characters of a turn in which its date stands, if it has one."""
_SENTENCE: Final = re.compile(r"[^.!?\n]*[.!?\n]?")
FULL: Final = 200
"""Characters from which on a turn tells no more."""
GAP: Final = 2
"""Documents of others between two neighbours that are looked over, and as many that were removed."""


def is_talk(chunks: Sequence[Chunk], share: float) -> bool:
    """Whether at least `share` of the passages are turns."""
    return bool(chunks) and sum(map(is_turn, chunks)) >= share * len(chunks)


def is_turn(chunk: Chunk) -> bool:
    """Whether at least half of its lines open with a name and a colon."""
    lines = [line for line in chunk.text.splitlines() if line.strip()]
    spoken = sum(_SPEAKER.match(line, _MARK.match(line).end()) is not None for line in lines)  # type: ignore[union-attr]
    return bool(lines) and 2 * spoken >= len(lines)


def is_line(chunk: Chunk) -> bool:
    return "\n" not in chunk.text.strip()


def speaker(chunk: Chunk) -> str:
    """Who says a turn of one line; "" for what has several lines, which may be of several speakers."""
    text = chunk.text.strip()
    name, colon, _ = text.partition(":")
    return name.strip().casefold() if colon and "\n" not in text else ""


def asks(chunk: Chunk) -> bool:
    return "?" in chunk.text


def tells(chunk: Chunk) -> float:
    """How much a turn of one line says, in [0, 1]: its characters, those of questions left out, as a share of FULL. 1
    for what has several lines."""
    text = chunk.text.strip()
    if "\n" in text:
        return 1.0
    said = text.partition(":")[2].strip()
    asked = sum(len(each) for each in _SENTENCE.findall(said) if each.endswith("?")) if "?" in said else 0
    return min(len(said) - asked, FULL) / FULL


def days_of(chunk: Chunk) -> frozenset[Day]:
    """Of which days a turn is, as its title, the name of its document or its first characters say."""
    return _named(chunk.title) | _named(chunk.uri) | dates_in(chunk.text[:HEAD])


@lru_cache(maxsize=8_192)
def _named(name: str) -> frozenset[Day]:
    """Many passages have one document, and many questions the same documents."""
    return dates_in(name)


def turns_beside(store: Store, chunks: Sequence[Chunk]) -> Mapping[int, list[tuple[int, int]]]:
    """For each chunk the ids of those beside it and how many turns after it they come (before it: less than 0):
    documents of one chunk, of the same collection and title, in the order in which the documents were first added.
    An edited document keeps its place."""
    wanted = {chunk.document_id: chunk for chunk in chunks if chunk.title and len(chunk.text) <= LONG}
    width = BESIDE + GAP
    around = sorted({d + step for d in wanted for step in range(-width, width + 1)})
    series: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for document, chunk_id, collection, title in store.whole_documents(around):
        series[collection, title].append((document, chunk_id))
    beside: dict[int, list[tuple[int, int]]] = {}
    for chunk in wanted.values():
        row = series.get((chunk.collection, chunk.title), [])
        at = next((n for n, (document, _) in enumerate(row) if document == chunk.document_id), None)
        if at is not None:
            near = range(max(0, at - BESIDE), min(len(row), at + BESIDE + 1))
            beside[chunk.id] = [
                (row[n][1], n - at) for n in near if n != at and abs(row[n][0] - chunk.document_id) <= width
            ]
    return beside
