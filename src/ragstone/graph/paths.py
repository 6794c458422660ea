"""The shortest sure way between two entities of a view."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .view import GraphView

Lengths = NDArray[np.float64]
STEP: Final = 1.0
"""By what every edge is longer: of two ways that are as sure, the one with fewer edges is shorter."""


def shortest(view: GraphView, a: int, b: int, longest: int = 6) -> list[int]:
    """Entities from `a` to `b`, both included, over at most `longest` edges; none where there is no such way.

    Rounds of relaxation (Bellman and Ford), each over all edges at once: O(edges · longest). Of ways that are equally
    long, the one whose entities have smaller numbers, from its end on. Raises IndexError."""
    count = len(view.entities)
    if not (0 <= a < count and 0 <= b < count):
        raise IndexError(f"entities {a} and {b} of {count}")
    if a == b:
        return [a]
    heads, tails = view.heads, view.tails
    length = lengths(view)
    at = np.full(count, np.inf)
    at[a] = 0.0
    rounds = [at]
    for _ in range(longest):
        at = rounds[-1]
        closer = at.copy()
        for start, end in ((heads, tails), (tails, heads)):
            reached = at[start] + length
            better = (reached < at[end]) & (reached <= at[b])
            np.minimum.at(closer, end[better], reached[better])
        if np.array_equal(closer, at):
            break
        rounds.append(closer)
    return _back(view, length, rounds, b) if np.isfinite(rounds[-1][b]) else []


def lengths(view: GraphView) -> Lengths:
    """float64[r]: STEP + ln(1 + √(strength of head · strength of tail) / strength of the edge), an entity's strength
    being the sum over its edges. So the way is the one a random walk takes most likely, and a hub is a long way."""
    count = len(view.entities)
    strengths = np.maximum(view.strengths.astype(np.float64), 1e-9)
    of = np.bincount(view.heads, strengths, count) + np.bincount(view.tails, strengths, count)
    return np.asarray(STEP + np.log1p(np.sqrt(of[view.heads] * of[view.tails]) / strengths), dtype=np.float64)


def _back(view: GraphView, length: Lengths, rounds: list[Lengths], b: int) -> list[int]:
    """From `b` to the start, which is the only entity at 0."""
    way, last = [b], len(rounds) - 1
    while rounds[last][way[-1]] > 0.0:
        end = way[-1]
        while last > 0 and rounds[last - 1][end] == rounds[last][end]:
            last -= 1
        last -= 1
        before = [
            start[edges][rounds[last][start[edges]] + length[edges] == rounds[last + 1][end]]
            for start, ends in ((view.heads, view.tails), (view.tails, view.heads))
            for edges in (np.flatnonzero(ends == end),)
        ]
        way.append(int(min(np.concatenate(before))))
    return way[::-1]
