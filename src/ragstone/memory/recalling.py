"""A question becomes items: who may be found, words and meaning, order, and how likely the answer is among them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, QueryError
from ..memory_types import KINDS, STATES, TYPES, Kind, MemoryItem, Recall, RecallHit, Type
from ..protocols import CollectionView, Ids, Scores, Store
from ..search.asking import MAX_K, Clock, check_query
from ..text.analysis import fold, query_terms
from .finding import DAY, FRESH_DAYS, Asked, Found, Weights, answerable, rank
from .items import LATEST
from .table import Columns, Mask, Table
from .times import TimeWords, time_words

if TYPE_CHECKING:
    from .memory import Surroundings

MOST: Final = MAX_K
LANGUAGES: Final = 3
"""In which a question is analysed: the most frequent ones of what is remembered."""
_NAME = re.compile(r"[^\W_]+")
_EMPTY = np.empty(0, np.int64), np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`project` None: all that are not archived."""

    question: str
    k: int
    kinds: tuple[Kind, ...]
    types: tuple[Type, ...]
    project: str | None
    since: float | None
    until: float | None
    now: float
    history: bool


def check(wanted: Wanted) -> None:
    """Raises QueryError."""
    check_query(wanted.question, wanted.k)
    for name, given, known in (("kind", wanted.kinds, KINDS), ("type", wanted.types, TYPES)):
        unknown = [value for value in given if value not in known or not value]
        if unknown:
            raise QueryError(f"{unknown[0]!r} is no {name} of memory.", f"Use {', '.join(filter(None, known))}.")
    if not 0 <= wanted.now < LATEST:
        raise QueryError("now is no time between 1970 and the year 10000.", "Give seconds since 1970.")


def recall(
    around: Surroundings,
    refreshed: Callable[[], tuple[CollectionView, int, Table]],
    wanted: Wanted,
    weights: Weights,
) -> Recall:
    clock = Clock()
    view, _, table = refreshed()
    clock.lap("refresh")
    notes: list[str] = []
    store = around.store
    words = None if wanted.since is not None or wanted.until is not None else time_words(wanted.question, wanted.now)
    vector = _embedded(around, view, wanted.question, notes)
    clock.lap("embed")
    held = table.columns
    mask = chosen(store, held, wanted)
    searching = _Searching(store, view, table, weights, wanted, vector)
    if words is not None and words.anchor:
        words = searching.anchored(words, mask, notes)
    since, until = (wanted.since, wanted.until) if words is None else (words.since, words.until)
    inside = mask & within(held, since, until)
    if words is not None:
        if not inside.any():
            notes.append("nothing of that time is remembered")
        inside = mask
    clock.lap("filter")
    found = searching.found(wanted.question, inside, since, until, clock, relative=words is not None and words.relative)
    items = _read(store, held, found, wanted)
    clock.lap("fetch")
    likely = answerable(
        wanted.question, searching.languages, [_spoken(hit.item) for hit in items[:3]], view.lexical
    )
    clock.lap("answerable")
    timings = {**clock.timings, "total": sum(clock.timings.values())}
    return Recall(wanted.question, tuple(items), since, until, likely, timings, tuple(notes))


def _embedded(
    around: Surroundings, view: CollectionView, question: str, notes: list[str]
) -> dict[str, Scores]:
    """The question's vector by space, for the spaces that have vectors."""
    try:
        spaces = [index.space.id for index in view.dense() if index.size()]
        vectors = {space: around.embedder(space).embed([question], "query") for space in spaces[:1]}
    except ModelError as error:
        notes.append(f"searched by words only ({error.message})")
        return {}
    if not vectors:
        notes.append("no vectors yet: searched by words only")
    return vectors


class _Searching:
    """One question over the items that a mask of the table lets through."""

    def __init__(
        self,
        store: Store,
        view: CollectionView,
        table: Table,
        weights: Weights,
        wanted: Wanted,
        vector: dict[str, Scores],
    ) -> None:
        self._view = view
        self._table = table
        self._weights = weights
        self._wanted = wanted
        self._vector = vector
        self.languages = table.languages(store)[:LANGUAGES] or ("en",)

    def found(
        self,
        question: str,
        mask: Mask,
        since: float | None,
        until: float | None,
        clock: Clock | None = None,
        *,
        relative: bool = False,
    ) -> Found:
        held, depth = self._table.columns, max(self._weights.candidates, self._wanted.k)
        allow: Ids | None = None if mask.all() else held.chunk[mask]
        lexical = self._view.lexical.search(query_terms(question, self.languages), depth, allow)
        if clock:
            clock.lap("lexical")
        dense = _EMPTY
        for index in self._view.dense():
            if index.space.id in self._vector:
                dense = index.search(self._vector[index.space.id], depth, allow)[0]
                break
        if clock:
            clock.lap("dense")
        asked = Asked(_names(self._wanted.question, self._table.speakers), since, until, relative, self._wanted.now)
        found = rank(self._table, lexical, dense, asked, self._weights)
        if clock:
            clock.lap("rank")
        return found

    def anchored(self, words: TimeWords, mask: Mask, notes: list[str]) -> TimeWords:
        """When the event was that the question names: the best item for its words."""
        found = self.found(words.anchor, mask, None, None)
        if not len(found.rows):
            return words
        at = float(self._table.columns.at[found.rows[0]])
        notes.append(f"{words.side} {words.anchor}: taken as {time.strftime('%Y-%m-%d', time.gmtime(at))}")
        return replace(words, since=at + 1e-3, until=None) if words.side == "after" else replace(words, until=at)


def _read(store: Store, held: Columns, found: Found, wanted: Wanted) -> list[RecallHit]:
    rows = found.rows[: wanted.k]
    documents = held.document[rows].tolist()
    items = store.memory.items(documents)
    if len(items) == len(documents):
        places = range(len(documents))
    else:  # some were forgotten meanwhile
        single = [store.memory.items([document]) for document in documents]
        places = [place for place, one in enumerate(single) if one]  # type: ignore[assignment]
        items = [one[0] for one in single if one]
    return [
        RecallHit(
            item,
            float(found.scores[place]),
            {name: round(float(values[place]), 4) for name, values in found.parts.items() if values[place]},
        )
        for place, item in zip(places, aged(items, wanted.now), strict=True)
    ]


def aged(items: Sequence[MemoryItem], now: float) -> list[MemoryItem]:
    """Knowledge that nobody told again for longer than its type keeps fresh is stale."""
    return [
        replace(item, state="stale")
        if item.state == "valid" and now - item.told_at > FRESH_DAYS.get(item.type, math.inf) * DAY
        else item
        for item in items
    ]


def chosen(store: Store, held: Columns, wanted: Wanted) -> Mask:
    mask = in_project(store, held, wanted.project) & in_kinds(held, wanted.kinds)
    if wanted.types:
        mask &= _among(held.type, [TYPES.index(name) for name in wanted.types])
    if not wanted.history:
        mask &= (held.state == STATES.index("valid")) | (held.state == STATES.index("stale"))
    return mask


def in_project(store: Store, held: Columns, project: str | None) -> Mask:
    """None: all that are not archived."""
    wanted = [
        id_
        for id_, name, archived in store.memory.project_ids()
        if (not archived if project is None else name == project)
    ]
    return _among(held.project, wanted)


def in_kinds(held: Columns, kinds: Sequence[Kind]) -> Mask:
    return _among(held.kind, [KINDS.index(kind) for kind in kinds or KINDS])


def _among(column: NDArray[np.int16] | NDArray[np.int32], wanted: Sequence[int]) -> Mask:
    """By a table of answers: ten times as quick as a search in the list."""
    answers = np.zeros(1 + max([int(column.max(initial=0)), *wanted], default=0), dtype=np.bool_)
    answers[list(wanted)] = True
    found: Mask = answers[column]
    return found


def within(held: Columns, since: float | None, until: float | None) -> Mask:
    mask = np.ones(len(held.at), dtype=np.bool_)
    if since is not None:
        mask &= held.at >= since
    if until is not None:
        mask &= held.at < until
    return mask


def _names(question: str, names: Mapping[int, str]) -> frozenset[int]:
    """Numbers of the names of which the question has a word of three letters or more."""
    said = {fold(word) for word in _NAME.findall(question)}
    return frozenset(
        number
        for number, name in names.items()
        if any(len(part) > 2 and part in said for part in _NAME.findall(fold(name)))
    )


def _spoken(item: MemoryItem) -> str:
    return f"{item.who}: {item.text}" if item.who and not item.text.startswith(f"{item.who}:") else item.text
