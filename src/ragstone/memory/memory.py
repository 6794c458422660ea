"""The surface of memory: `KnowledgeBase.memory`."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..errors import InputError, ModelError, NotFound, StoreBusy
from ..memory_types import (
    ANSWERED,
    GENERAL,
    KINDS,
    MEMORY,
    STATES,
    TYPES,
    Kind,
    MemoryItem,
    MemoryStatistics,
    NewItem,
    Project,
    Recall,
    Remembered,
    SourceSpan,
    Type,
)
from ..protocols import CollectionView, Embedder, Store, Told
from ..text.analysis import fold
from ..text.centre import Centre
from ..types import Space as VectorSpace
from . import recalling, remembering
from .finding import FRESH_DAYS, Weights
from .items import checked, project_name, texts_to_embed
from .likeness import THRESHOLD
from .table import Table

CURRENT: Final = "memory:project"
"""Name of the stored value that says which project is the current one."""
TRIES: Final = 40
"""Writes of others that may come between before a telling gives up."""
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What memory needs of the knowledge base it belongs to. `space` tells in which vector space items are searched and
    records it as such."""

    store: Store
    view: Callable[[str], CollectionView]
    space: Callable[[], VectorSpace]
    embedder: Callable[[str], Embedder]
    shipped: Callable[[str], Embedder]
    """For texts that come with Ragstone."""
    wrote: Callable[[bool], None]
    """From whether anything is gone."""


class Memory:
    """Thread-safe; several processes may use one data folder. Everything that returned is durable.

    `merge_at`: similarity from which on something told repeats an item (likeness.py)."""

    def __init__(
        self, surroundings: Surroundings, *, merge_at: float = THRESHOLD, weights: Weights | None = None
    ) -> None:
        self._around = surroundings
        self._store = surroundings.store
        self._merge_at = merge_at
        self._weights = weights or Weights()
        self._table = Table()
        self._lock = threading.Lock()
        self._centres: dict[str, Centre] = {}
        self._recalls = 0
        self._found = 0

    # ------------------------------------------------------------------ telling
    def remember(
        self,
        text: str = "",
        *,
        kind: Kind = "knowledge",
        type: Type = "fact",
        key: str = "",
        value: str = "",
        project: str | None = None,
        at: float | None = None,
        who: str = "",
        participants: Sequence[str] = (),
        outcome: str = "",
        confidence: float = 1.0,
        intent: str = "",
        sources: Sequence[SourceSpan] = (),
        context: str = "",
        idempotency_key: str = "",
    ) -> Remembered:
        """Raises InputError, StoreError."""
        item = NewItem(
            text, kind, type, key, value, project, at, who, tuple(participants), outcome, confidence, intent,
            tuple(sources), context, idempotency_key,
        )  # fmt: skip
        return self.remember_many([item])[0]

    def remember_many(self, items: Sequence[NewItem]) -> list[Remembered]:
        """One transaction, one batch of embedding. Without a model that answers, only exact repetitions are merged.
        Raises InputError (then nothing is remembered), StoreError."""
        if not items:
            return []
        current, now = self.current_project(), time.time()
        ready = [checked(item, current, now) for item in items]
        told = self._tell(ready)
        self._around.wrote(False)
        held = {item.id: item for item in self._items([one.id for one in told])}
        results = []
        for one in told:
            if one.id not in held:
                raise StoreBusy("what was told was forgotten at the same moment.", "Tell it again.")
            results.append(Remembered(held[one.id], one.outcome, one.similarity, one.contradicted))
        return results

    def _tell(self, items: Sequence[NewItem]) -> list[Told]:
        if MEMORY not in self._store.every_collection():
            self._store.memory.make_project(GENERAL)
        tellings = remembering.tellings_of(items, self._store.memory)
        space, texts = None, None
        try:
            space = self._around.space()
            embedder = self._around.embedder(space.id)
            passages = texts_to_embed(tellings)
            alone = [
                telling.item.text if telling.item.kind == "knowledge" else passage
                for telling, passage in zip(tellings, passages, strict=True)
            ]
            wanted = list(dict.fromkeys([*passages, *alone]))
            vectors = embedder.embed(wanted, "passage")
            place = {text: row for row, text in enumerate(wanted)}
            texts = vectors[[place[text] for text in alone]]
            tellings = remembering.with_vectors(tellings, space.id, vectors[[place[text] for text in passages]], texts)
            centre = self._centre(space.id)
        except ModelError:
            space = None  # words follow at once, vectors when the model is there again
        known: remembering.Known = {}
        for attempt in range(TRIES):
            revision = None
            ready = tellings
            if space is not None and texts is not None:
                view, revision, table = self._refreshed()
                near = remembering.Space(space.id, embedder, centre, view.vectors(space.id))
                ready = remembering.compared(tellings, texts, near, self._store, table, self._merge_at, known)
            told = self._store.memory.remember(ready, at_revision=revision)
            if told is not None:
                return told
            time.sleep(random.uniform(0, 0.002 * (attempt + 1)))
        raise StoreBusy("others write to memory without a pause.", "Try again.")

    def _centre(self, space: str) -> Centre:
        if space not in self._centres:
            self._centres[space] = Centre(self._around.shipped(space))
        return self._centres[space]

    def _refreshed(self) -> tuple[CollectionView, int, Table]:
        """The indexes and the table, at least at the revision that is returned. The table is for this call alone: the
        next one may follow the log before this one has ended."""
        revision = self._store.revision(MEMORY)
        view = self._around.view(MEMORY)
        view.refresh()
        with self._lock:
            self._table.refresh(self._store, revision)
            return view, revision, self._table.shown(self._store)

    # ------------------------------------------------------------------ asking
    def recall(
        self,
        question: str,
        *,
        k: int = 10,
        kinds: Sequence[Kind] = (),
        types: Sequence[Type] = (),
        project: str | None = None,
        all_projects: bool = False,
        since: float | None = None,
        until: float | None = None,
        now: float | None = None,
        history: bool = False,
    ) -> Recall:
        """The best k items. What happened in the time that the question names ("last week", "before the release", "im
        März"; counted from `now`) comes first; `since` and `until` leave out what is of another time. With `history`,
        also items that no longer hold. Raises QueryError."""
        wanted = recalling.Wanted(
            question, k, tuple(kinds), tuple(types),
            None if all_projects else (self.current_project() if project is None else project_name(project)),
            since, until, time.time() if now is None else now, history,
        )  # fmt: skip
        recalling.check(wanted)
        if not self._there():
            return Recall(question, ())
        found = recalling.recall(self._around, self._refreshed, wanted, self._weights)
        self._recalls += 1
        self._found += bool(found.hits) and found.answerable >= ANSWERED
        return found

    def get(self, id: str) -> MemoryItem:
        """Raises NotFound."""
        found = self._items([id])
        if not found:
            raise NotFound(f"there is no memory {id!r}.", "`ragstone timeline` lists what is remembered.")
        return found[0]

    def history(self, key: str, project: str | None = None) -> list[MemoryItem]:
        """Every value that the key had, the newest first."""
        name = self.current_project() if project is None else project_name(project)
        return self._fresh(self._store.memory.items(self._store.memory.history(name, fold(" ".join(key.split())))))

    def timeline(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        project: str | None = None,
        all_projects: bool = False,
        kinds: Sequence[Kind] = (),
        limit: int = 50,
        before: float | None = None,
    ) -> list[MemoryItem]:
        """By falling `at`; the next page is asked for with `before` = the last one's `at`."""
        if not 1 <= limit <= recalling.MOST:
            raise InputError(f"limit is {limit}.", f"It must be between 1 and {recalling.MOST}.")
        if not self._there():
            return []
        held = self._refreshed()[2].columns
        mask = recalling.in_project(self._store, held, None if all_projects else self._named(project))
        mask &= recalling.in_kinds(held, kinds)
        mask &= held.at >= (-np.inf if since is None else since)
        mask &= held.at < min(np.inf if until is None else until, np.inf if before is None else before)
        rows = np.flatnonzero(mask)
        rows = rows[np.lexsort((-held.document[rows], -held.at[rows]))][:limit]
        return self._fresh(self._store.memory.items(held.document[rows].tolist()))

    # ------------------------------------------------------------------ forgetting
    def forget(self, id: str) -> bool:
        """Whether it was there."""
        return self._forget([id]) > 0

    def forget_matching(
        self,
        *,
        project: str | None = None,
        kinds: Sequence[Kind] = (),
        key: str = "",
        before: float | None = None,
        all_projects: bool = False,
    ) -> int:
        """How many items went. Raises InputError where nothing says which."""
        if project is None and not kinds and not key and before is None:
            raise InputError("nothing says what to forget.", "Name a project, a kind, a key or a time.")
        if not self._there():
            return 0
        held = self._refreshed()[2].columns
        mask = recalling.in_project(self._store, held, None if all_projects else self._named(project))
        mask &= recalling.in_kinds(held, kinds)
        if before is not None:
            mask &= held.at < before
        documents = held.document[np.flatnonzero(mask)].tolist()
        if key:
            name = self._named(project)
            of_key = set(self._store.memory.history(name, fold(" ".join(key.split()))))
            documents = [document for document in documents if document in of_key]
        return self._forget([item.id for item in self._store.memory.items(documents)])

    def _forget(self, ids: Sequence[str]) -> int:
        count = self._store.memory.forget(ids) if self._there() else 0
        if count:
            self._around.wrote(True)
        return count

    # ------------------------------------------------------------------ projects
    def projects(self, *, archived: bool = False) -> list[Project]:
        """By name; the general one, "", first."""
        current = self.current_project()
        found = [
            Project(name, items, created, gone, name == current)
            for name, created, gone, items in self._store.memory.projects()
            if archived or not gone
        ]
        if not any(one.name == current for one in found):
            found.append(Project(current, 0, 0.0, current=True))
        return sorted(found, key=lambda one: one.name)

    def create_project(self, name: str) -> Project:
        """No effect where it exists, but that it is no longer archived. Raises InputError."""
        name = project_name(name)
        if not name:
            raise InputError("a project needs a name.")
        self._store.memory.make_project(name)
        self._store.memory.archive_project(name, False)
        return self._project(name)

    def switch_project(self, name: str) -> Project:
        """What `project=None` means from now on, in every process; "" is the general one. Raises NotFound."""
        name = project_name(name)
        if name != GENERAL:
            self._project(name)
        self._store.set_state(CURRENT, name)
        return self._project(name)

    def archive_project(self, name: str) -> Project:
        """It is left out where all projects are asked. Raises NotFound."""
        name = project_name(name)
        if not self._store.memory.archive_project(name, True):
            raise NotFound(f"there is no project {name!r}.", "`ragstone memory projects` lists them.")
        if self.current_project() == name:
            self._store.set_state(CURRENT, GENERAL)
        return self._project(name)

    def current_project(self) -> str:
        return self._store.get_state(CURRENT) or GENERAL

    def _project(self, name: str) -> Project:
        for one in self.projects(archived=True):
            if one.name == name:
                return one
        raise NotFound(f"there is no project {name!r}.", "`ragstone memory projects` lists them; create makes one.")

    # ------------------------------------------------------------------ counting
    def statistics(self) -> MemoryStatistics:
        counts, now = self._store.memory.counts(), time.time()
        by_kind: dict[str, int] = dict.fromkeys(KINDS, 0)
        by_type: dict[str, int] = {name: 0 for name in TYPES if name}
        by_state: dict[str, int] = dict.fromkeys(STATES, 0)
        told = 0
        for kind, type_, state, items, tellings in counts.groups:
            by_kind[KINDS[kind]] += items
            if TYPES[type_]:
                by_type[TYPES[type_]] += items
            by_state[STATES[state]] += items
            told += tellings
        old = sum(now - at > FRESH_DAYS.get(TYPES[type_], float("inf")) * DAY for type_, at in counts.fresh)
        by_state["valid"] -= old
        by_state["stale"] += old
        total = sum(by_kind.values())
        return MemoryStatistics(
            items=total,
            by_kind=by_kind,
            by_type=by_type,
            by_state=by_state,
            told=told,
            merged=told - total,
            stale=by_state["stale"] / total if total else 0.0,
            contradictions=counts.contradictions,
            projects=len(self._store.memory.project_ids()),
            recalls=self._recalls,
            found=self._found,
            hit_rate=self._found / self._recalls if self._recalls else None,
            bytes=counts.bytes,
        )

    # ------------------------------------------------------------------ inside
    def _there(self) -> bool:
        return MEMORY in self._store.every_collection()

    def _named(self, project: str | None) -> str:
        return self.current_project() if project is None else project_name(project)

    def _items(self, ids: Sequence[str]) -> list[MemoryItem]:
        return self._fresh(self._store.memory.items(self._store.memory.find(ids)))

    def _fresh(self, items: Sequence[MemoryItem], now: float | None = None) -> list[MemoryItem]:
        return recalling.aged(items, time.time() if now is None else now)
