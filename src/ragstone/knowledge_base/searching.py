"""Searches, and their results for as long as nothing changes that they were made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from ..cache.file import digest
from ..errors import RagstoneError
from ..index.sync import CollectionIndex
from ..observe import spans
from ..observe.instruments import SEARCH_STAGES, SEARCHES, looked_up, stages
from ..search.retriever import Retriever
from ..types import Filter, Mode, SearchResult
from .names import chosen
from .parts import Parts

STATES_KEPT = 64
"""Sets of collections whose state is remembered between two questions."""
SERVING_SECONDS = 5.0
"""After a question, while which this process counts as answering."""
State = tuple[tuple[str, tuple[int, int], tuple[str, ...]], ...]
"""For each collection the revision and log entry that its indexes stand at, and the spaces that are searched."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was asked for, but for its filter and deadline."""

    query: str
    collections: tuple[str, ...] | None
    k: int
    mode: Mode
    diversity: float | None = None
    one_per_document: bool = False
    highlights: bool = True
    space: str | None = None


class Searching:
    """Thread-safe."""

    def __init__(self, parts: Parts, index: Callable[[str], CollectionIndex], retriever: Retriever) -> None:
        self._parts = parts
        self._store = parts.store
        self._index = index
        self._retriever = retriever
        self._asked_at = -SERVING_SECONDS
        self._states: dict[tuple[str, ...] | None, tuple[int, State]] = {}

    def serving(self) -> bool:
        """Whether this process answers questions now."""
        return time.monotonic() - self._asked_at < SERVING_SECONDS

    def search(self, asked: Asked, filter: Filter | None, deadline: float | None, *, cache: bool) -> SearchResult:
        """And counts it, where questions are counted."""
        if self._parts.count_questions and self._parts.persistent is not None and cache and not filter:
            self._parts.persistent.asked(msgspec.json.encode(asked).decode())
        return self.find(asked, filter, deadline, cache=cache)

    def find(
        self, asked: Asked, filter: Filter | None = None, deadline: float | None = None, *, cache: bool = True
    ) -> SearchResult:
        self._asked_at = time.monotonic()
        started = time.perf_counter()
        if cache:
            state = self._state(asked.collections)
            # repr, because a filter for draft=True equals one for draft=1 but means something else
            key = (state, asked, repr(filter))
            held = self._parts.results.get(key)
            looked_up("results", held)
            if held is not None:
                SEARCHES.observe(time.perf_counter() - started, "yes")
                return held
        names = chosen(self._store, asked.collections)
        with _observed(asked.mode, asked.k) as made:
            result = self._retriever.search(
                [asked.query], names, k=asked.k, filter=filter, mode=asked.mode, diversity=asked.diversity,
                one_per_document=asked.one_per_document, highlights=asked.highlights, deadline=deadline,
                space=asked.space,
            )[0]  # fmt: skip
            made.append(result)
        SEARCHES.observe(time.perf_counter() - started, "no")
        # kept only if nothing was written meanwhile, so that the key describes what the result was made of, and
        # only if nothing was left out for a deadline
        if cache and result.complete and state == self._standing(names):
            self._parts.results.put(key, result)
        return result

    def batch(
        self, queries: Sequence[str], collections: Sequence[str] | None, k: int, filter: Filter | None, mode: Mode,
        diversity: float | None,
    ) -> list[SearchResult]:  # fmt: skip
        self._asked_at = time.monotonic()
        with _observed(mode, k) as made:
            made += self._retriever.search(
                queries, chosen(self._store, collections), k=k, filter=filter, mode=mode, diversity=diversity
            )
        for result in made:
            SEARCHES.observe(result.timings["total"] / 1000.0, "no")
        return made

    def frequent(self, count: int) -> list[Asked]:
        """What was asked most often, where questions are counted."""
        persistent = self._parts.persistent
        asked = []
        for request in persistent.frequent(count) if persistent is not None else ():
            with suppress(msgspec.MsgspecError):  # of another version
                asked.append(msgspec.json.decode(request, type=Asked))
        return asked

    def state_tag(self, collections: tuple[str, ...] | None, *, refresh: bool) -> str | None:
        if refresh:
            return _tag(self._state(collections))
        held = self._states.get(collections)
        return None if held is None or held[0] != self._store.data_version() else _tag(held[1])

    def _state(self, collections: tuple[str, ...] | None) -> State:
        """Where the indexes stand once they have seen every write that was acknowledged. As long as the store's
        version is the one that was read before they were last brought up to date, nothing needs to be asked."""
        version = self._store.data_version()
        held = self._states.get(collections)
        if held is not None and held[0] == version:
            return held[1]
        names = chosen(self._store, collections)
        for name in names:
            self._index(name).refresh()
        state = self._standing(names)
        if len(self._states) >= STATES_KEPT:
            self._states.clear()
        self._states[collections] = (version, state)
        return state

    def _standing(self, names: Sequence[str]) -> State:
        indexes = [(name, self._index(name)) for name in names]
        return tuple((name, i.at(), tuple(dense.space.id for dense in i.dense())) for name, i in indexes)


@contextmanager
def _observed(mode: Mode, k: int) -> Iterator[list[SearchResult]]:
    """Counts and tells the searches that the body adds to the list, stage by stage."""
    span, began = spans.start("search", {"ragstone.mode": mode, "ragstone.k": k}), spans.now()
    made: list[SearchResult] = []
    error = ""
    try:
        with spans.inside(span):
            yield made
    except RagstoneError as failed:
        error = failed.code
        raise
    finally:
        for result in made:
            stages(SEARCH_STAGES, result.timings)
            spans.stages(span, result.timings, began=began)
        span.set({"ragstone.searches": len(made), "ragstone.hits": sum(len(result.hits) for result in made)})
        span.end(error)


def _tag(state: State) -> str:
    return digest([repr(state).encode()]).hex()
