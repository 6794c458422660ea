"""German compounds into their parts.

A word is cut where a known opening part (with its linking letters: `sicherheits`, `daten`, `schul`) meets a known
rest. The table ships with the package and comes from a list of nouns (see data/README): each part has a class of
productivity, 1 (seen in one or two compounds) to 5 (in a hundred or more). Of all ways to cut, the cheapest wins:
few parts, long ones, productive ones. Words that cannot be cut well stay whole.
"""

from __future__ import annotations

import threading
import zlib
from functools import cache
from importlib.resources import files
from itertools import pairwise

import Stemmer

SHORTEST_WORD = 7
SHORTEST_PART = 3
_LONGEST_WORD = 48
_LONGEST_PART = 22
_LINKED = ("ungs", "heits", "keits", "ions", "täts", "schafts", "tums", "lings")
# Smallest class by length of a part: short parts must be very productive, or every word would fall apart.
_LEAST = {3: 5, 4: 3, 5: 2}
_PART_COST = 1.0
_CLASS_COST = (0.0, 0.9, 0.6, 0.35, 0.15, 0.0)
_SHORT_COST = 0.25  # per letter below 6

_local = threading.local()  # a stemmer has one buffer

Table = tuple[dict[str, int], dict[str, int]]


@cache
def _table() -> Table:
    """Class by opening part, and by stem of closing part."""
    text = zlib.decompress((files("ragstone.text") / "data" / "german_compounds.txt.z").read_bytes()).decode("utf-8")
    both, *lines = text.split("\n")
    sides = (dict.fromkeys(both.split(), 1), dict.fromkeys(both.split(), 1))
    for number, line in enumerate(lines):
        sides[number // 5].update(dict.fromkeys(line.split(), number % 5 + 1))
    return sides


def _stem(word: str) -> str:
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        stemmer = _local.stemmer = Stemmer.Stemmer("german", 0)
    return str(stemmer.stemWord(word))


def split(word: str) -> tuple[str, ...]:
    """Parts of a casefolded word, opening parts as they stand, or () where it is not a compound."""
    if not SHORTEST_WORD <= len(word) <= _LONGEST_WORD:
        return ()
    lefts, rights = _table()
    find = lefts.get
    end = len(word)
    final = end - SHORTEST_PART
    # best[i]: cost and cuts of the cheapest way to write word[:i] as opening parts.
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, (0,))}
    answer: tuple[float, tuple[int, ...]] | None = None
    for start in range(final + 1):
        here = best.get(start)
        if here is None:
            continue
        cost, cuts = here
        if start:
            level = rights.get(_stem(word[start:]), 0)
            if level and level >= _LEAST.get(end - start, 1):
                whole = cost + _cost(end - start, level)
                if answer is None or whole < answer[0]:
                    answer = (whole, cuts)
        for stop in range(start + SHORTEST_PART, min(final, start + _LONGEST_PART) + 1):
            part = word[start:stop]
            level = find(part, 0)
            if not level:
                if part[-1] != "s" or not part.endswith(_LINKED):
                    continue
                level = find(part[:-1], 0)
            if level and level >= _LEAST.get(stop - start, 1):
                total = cost + _cost(stop - start, level)
                if stop not in best or total < best[stop][0]:
                    best[stop] = (total, (*cuts, stop))
    if answer is None:
        return ()
    return tuple(word[a:b] for a, b in pairwise((*answer[1], end)))


def _cost(length: int, level: int) -> float:
    return _PART_COST + _CLASS_COST[level] + _SHORT_COST * max(0, 6 - length)
