"""What a recall finds, and in which order.

Words (BM25) and meaning (cosine) of each item are scaled to the best of all and joined, as in a search; then an episode
gains from the one after it, which often answers or repeats it, and from the best of its session; what the person said
that the question names gains, and what happened in the time that the question names. The weights were chosen on the
development conversations of LoCoMo and on LiHuaWorld (docs/decisions/0025-memory.md; `ragstone eval memory`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..memory_types import TYPES
from ..protocols import Ids, LexicalIndex, Scores
from ..text.analysis import analyzer, query_terms, term_key
from .table import EPISODE, STALE, VALID, Columns, Table

DAY = 86_400.0
BEST_OF_SESSION = 3
"""Items whose mean stands for their session."""
FRESH_DAYS: Mapping[str, float] = {"question": 30.0, "problem": 90.0, "pattern": 365.0, "solution": 365.0}
"""Days after which knowledge of a type that was not told again counts as stale; other types stay."""


@dataclass(frozen=True, slots=True)
class Weights:
    """`meaning`: share of the cosine, words have the rest. `next`: share of the words of the episode after; `session`:
    of the mean of the three best of the session; `who`, `time`: added where the question names the speaker or a date;
    `recent`: where it names a time that counts from now. `fresh`: added to what was told just now, half of it to what
    was told `half_life` days ago; not for episodes, whose time is part of what they say. `stale`:
    what is left of the score of stale items. `candidates`: of each index. `floor`: the rank whose cosine counts 0."""

    meaning: float = 0.35
    next: float = 0.45
    session: float = 0.4
    who: float = 0.15
    time: float = 0.25
    recent: float = 0.5
    fresh: float = 0.03
    half_life: float = 60.0
    stale: float = 0.7
    candidates: int = 200
    floor: int = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """`who`: numbers of the names that the question names (one of them: what that one said gains)."""

    who: frozenset[int] = frozenset()
    since: float | None = None
    until: float | None = None
    relative: bool = False
    now: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Rows of the table by falling score; `parts` add up to it but for the factor of stale items."""

    rows: NDArray[np.int64]
    scores: Scores
    parts: Mapping[str, Scores] = field(default_factory=dict)


def rank(
    table: Table, words: tuple[Ids, Scores], meaning: tuple[Ids, Scores], asked: Asked, weights: Weights
) -> Found:
    """`words` and `meaning`: chunk ids and raw scores, best first. With one of them empty the other counts alone."""
    held = table.columns
    rows_words, rows_meaning = table.rows_of(words[0]), table.rows_of(meaning[0])
    known = np.concatenate([rows_words, rows_meaning])
    rows = np.unique(known[known >= 0])
    share = weights.meaning if len(words[0]) and len(meaning[0]) else float(len(meaning[0]) > 0)
    lexical = _placed(rows, rows_words, words[1])
    follower = table.next[rows]
    later = np.where(follower >= 0, _at(rows, lexical, follower), 0.0)
    joined = lexical + weights.next * later
    best = float(joined.max(initial=0.0)) or 1.0
    dense = _placed(rows, rows_meaning, _above_floor(meaning[1], weights.floor))
    parts: dict[str, NDArray[np.float64]] = {
        "words": (1 - share) * lexical / best,
        "neighbours": (1 - share) * weights.next * later / best,
        "meaning": share * dense,
    }
    base: NDArray[np.float64] = parts["words"] + parts["neighbours"] + parts["meaning"]
    if len(asked.who) == 1:
        said: NDArray[np.float64] = np.isin(held.who[rows], list(asked.who)).astype(np.float64)
        parts["who"] = np.asarray(weights.who * said, dtype=np.float64)
        base = base + parts["who"]
    parts["session"] = weights.session * _of_session(table.session[rows], base)
    if asked.since is not None or asked.until is not None:
        inside = _within(held.at[rows], asked.since, asked.until).astype(np.float64)
        parts["time"] = np.asarray((weights.recent if asked.relative else weights.time) * inside, dtype=np.float64)
    age = np.maximum(asked.now - held.told_at[rows], 0.0) / DAY
    fresh = np.asarray(weights.fresh * 0.5 ** (age / weights.half_life), dtype=np.float64)
    parts["fresh"] = np.where(held.kind[rows] == EPISODE, 0.0, fresh)
    added = {"who": weights.who, "time": weights.recent if asked.relative else weights.time, "fresh": weights.fresh}
    most = 1 + weights.session + sum(weight for name, weight in added.items() if name in parts)
    total = np.asarray(sum(parts.values())) / most
    total = np.where(stale(held, rows, asked.now), weights.stale * total, total)
    order = np.lexsort((-rows, -total))
    return Found(
        rows[order],
        total[order].astype(np.float32),
        {name: (np.asarray(values)[order] / most).astype(np.float32) for name, values in parts.items()},
    )


def stale(held: Columns, rows: NDArray[np.int64], now: float) -> NDArray[np.bool_]:
    """By their source, or because nobody told them again for longer than their type keeps fresh."""
    limits = np.array([FRESH_DAYS.get(name, math.inf) * DAY for name in TYPES])
    old = now - held.told_at[rows] > limits[held.type[rows]]
    gone: NDArray[np.bool_] = (held.state[rows] == STALE) | (old & (held.state[rows] == VALID))
    return gone


def _placed(rows: NDArray[np.int64], where: NDArray[np.int64], scores: Scores) -> NDArray[np.float64]:
    placed = np.zeros(len(rows))
    there = where >= 0
    placed[np.searchsorted(rows, where[there])] = scores[there]
    return placed


def _at(rows: NDArray[np.int64], values: NDArray[np.float64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of other rows, 0 for those that were not found."""
    if not len(rows):
        return np.zeros(0)
    place = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    return np.where(rows[place] == wanted, values[place], 0.0)


def _above_floor(scores: Scores, floor: int) -> Scores:
    """To [0, 1]: the best is 1, the `floor`-th best 0."""
    if not len(scores):
        return scores
    low, high = float(scores[min(floor, len(scores)) - 1]), float(scores[0])
    if high <= low:
        return np.ones(len(scores), np.float32)
    scaled: Scores = np.clip((scores - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return scaled


def _of_session(session: NDArray[np.int64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the three best of each row's session, of all where there are fewer."""
    means = base.copy()
    order = np.lexsort((-base, session))
    ordered = session[order]
    if not len(ordered):
        return means
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(ordered))))
    best = (np.arange(len(ordered)) - starts[group] < BEST_OF_SESSION) & (ordered >= 0)
    counts = np.bincount(group[best], minlength=len(starts))
    of_group = np.bincount(group[best], base[order[best]], len(starts)) / np.maximum(counts, 1)
    inside = ordered >= 0
    means[order[inside]] = of_group[group[inside]]
    return means


def _within(at: NDArray[np.float64], since: float | None, until: float | None) -> NDArray[np.bool_]:
    inside = np.ones(len(at), dtype=np.bool_)
    if since is not None:
        inside &= at >= since
    if until is not None:
        inside &= at < until
    return inside


def answerable(question: str, languages: Sequence[str], texts: Sequence[str], index: LexicalIndex) -> float:
    """How likely these texts, the best found, hold what is asked for: the share of the question's words, weighted by
    rarity, that the best of them has, through a logistic function fitted on LiHuaWorld."""
    groups = query_terms(question, languages).groups
    if not groups or not texts:
        return 0.0
    rarity = [float(index.rarity([term for term, _ in group]).max()) for group in groups]
    covered = 0.0
    for text in texts:
        keys: set[int] = set()
        for language in languages:
            keys.update(np.frombuffer(analyzer(language).analyze(text).keys, "<u8").tolist())
        shares = (
            weight * max((w for term, w in group if term_key(term) in keys), default=0.0)
            for weight, group in zip(rarity, groups, strict=True)
        )
        covered = max(covered, sum(min(share, weight) for share, weight in zip(shares, rarity, strict=True)))
    return 0.5 + 0.5 * math.tanh((ANSWERABLE[0] * covered / (sum(rarity) or 1.0) + ANSWERABLE[1]) / 2)


ANSWERABLE = (9.0, -4.5)
"""Slope and offset of the log-odds over the share."""
