"""The knowledge graph of a knowledge base, as everybody uses it: `kb.graph`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from ..errors import DiskFull, InputError, NotFound, RagstoneError, StoreBusy, StoreDamaged, StoreReadOnly
from ..graph_types import (
    Community,
    DeepenReport,
    Edge,
    Entity,
    Evidence,
    GraphDecision,
    GraphPath,
    GraphStatus,
    MentionKind,
    Subgraph,
)
from ..index.sealing import PURGE_WAIT_SECONDS
from ..protocols import Extractor, Store
from ..types import ProgressCallback
from . import finding, passages, sealing, showing, verifying
from .building import GraphBuilder
from .codec import KINDS
from .deepening import Deepening, Stop
from .follow import CollectionGraph
from .layers import MODEL, RULES
from .mentions import norm
from .overview import Overview, overview
from .paths import shortest
from .resolve import Explanation, key_of
from .themes import Themes
from .view import GraphView
from .viewing import Frame

DEFAULT_COLLECTION: Final = "default"
MOST_FAILURES: Final = 20
"""That a status lists."""
SEALED: Final = 1_000
"""Chunks that came or went, from which on a file is written."""
MOST_WAITED: Final = 200
"""Changes that a search waits for."""
_PATH_EVIDENCE: Final = 3

log = logging.getLogger(__name__)


class KnowledgeGraph:
    """Thread-safe. Entities are named by their ids, which are the same in every process and after every rebuild.
    Every method raises NotFound for a collection that is not there, and StoreError."""

    def __init__(
        self, store: Store, extractor: Callable[[], Extractor], builder: Callable[[], GraphBuilder] | None,
        deepening: Callable[[], Deepening] | None = None,
    ) -> None:
        """`builder` and `deepening` are None where nothing can be written."""
        self._store = store
        self._extractor = extractor
        self._builder = builder
        self._deepening = deepening
        self._lock = threading.Lock()
        self._held: dict[str, CollectionGraph] = {}
        self._themes: dict[str, Themes] = {}
        self._overviews: dict[str, tuple[tuple[int, int], Overview]] = {}
        self._following: dict[str, threading.Thread] = {}
        self._closed = False

    # ------------------------------------------------------------------ keeping it
    def build(
        self,
        collection: str | None = None,
        *,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
    ) -> list[GraphStatus]:
        """Extracts everything that waits, in one collection or in all. Can be interrupted at any moment, or by `stop`:
        what is done stays done."""
        if self._builder is None:
            raise InputError("the knowledge base was opened for reading only.", "Open it for writing to build a graph.")
        for name in self._named(collection):
            self._builder().run(name, progress=progress, stop=stop)
        return self.status(collection)

    def deepen(
        self,
        collection: str | None = None,
        *,
        progress: ProgressCallback | None = None,
        stop: Stop | None = None,
        limit: int | None = None,
        again: bool = False,
    ) -> list[DeepenReport]:
        """Has the language model of graph.model read what it has not, at most `limit` passages of each collection:
        see `Deepening.run`. Raises SettingsError where there is none, ModelError, BudgetExceeded, Conflict."""
        if self._deepening is None:
            raise InputError("the knowledge base was opened for reading only.", "Open it for writing.")
        run = self._deepening().run
        return [
            run(name, progress=progress, stop=stop, limit=limit, again=again) for name in self._named(collection)
        ]  # fmt: skip

    def status(self, collection: str | None = None) -> list[GraphStatus]:
        return [self._status(name) for name in self._named(collection)]

    def verify(self, collection: str) -> tuple[int, list[str]]:
        """How many extractions were read, and what is not as it should be: those that cannot be read, some that the
        extractor makes otherwise now, and what this process, or a file, holds otherwise than the store."""
        with self._lock:
            held = self._held.get(collection)
        extractor = None if self._builder is None else self._extractor()
        return verifying.compared(self._store, collection, extractor, held)

    def rebuild(self, collection: str) -> None:
        """Forgets what this process holds and extractions that cannot be read; `build` or the background makes them
        again. Decisions made by hand stay."""
        _, broken = verifying.unreadable(self._store, collection)
        if broken:
            verifying.forget(self._store, broken)
        sealing.withdraw(self._store, collection)
        self.forget(collection)
        self.seal(collection)

    def seal(self, collection: str, *, changed: int = SEALED, wait_seconds: float = 0.0) -> bool:
        """Writes the graph to a file, for processes to open, where at least `changed` chunks came or went since the one
        there is; whether it did. Questions go on meanwhile. Raises NotFound, StoreError."""
        with self._lock:
            held = self._held.get(collection)
        file = None if held is None else held.file
        if self._builder is None or not sealing.worth(self._store, collection, file, changed):
            return False
        # a graph of its own, which goes on from the same tables: who asks the one that is held does not wait
        start = None if held is None else held.start()
        sealed, seq = CollectionGraph(self._store, collection, start=start).seal()
        del start
        if not sealing.publish(self._store, collection, sealed, seq, wait_seconds=wait_seconds):
            return False
        if held is not None:
            opened = CollectionGraph(self._store, collection)
            opened.frame()
            with self._lock:
                if self._held.get(collection) is held:
                    self._held[collection] = opened
        return True

    def purge(self, collection: str) -> None:
        """Takes what was removed out of the file; the old one stays until `purge_files`. Raises NotFound,
        StoreError."""
        if sealing.stale(self._store, collection):
            self.seal(collection, changed=1, wait_seconds=PURGE_WAIT_SECONDS)
        if sealing.stale(self._store, collection):
            sealing.withdraw(self._store, collection)

    def close(self) -> None:
        """Waits for what is brought up to date, and seals what is worth it. The store must still be open."""
        with self._lock:
            closed, self._closed = self._closed, True
            threads, held = list(self._following.values()), list(self._held)
        for thread in threads:
            thread.join()
        for collection in held if not closed else ():
            with suppress(NotFound, StoreBusy, StoreDamaged, StoreReadOnly, DiskFull):
                self.seal(collection)
        with self._lock:
            self._held.clear()

    def forget(self, collection: str) -> None:
        """Frees the memory of a collection's graph; whoever asks for it next reads it again."""
        with self._lock:
            self._held.pop(collection, None)
            self._themes.pop(collection, None)
            self._overviews.pop(collection, None)

    def notes(self, collection: str) -> tuple[str, ...]:
        """What was found wrong with the file of a collection when it was opened."""
        return tuple(self._graph(collection).notes)

    # ------------------------------------------------------------------ looking at it
    def revision(self, collection: str = DEFAULT_COLLECTION) -> int:
        """That a view made now has; microseconds."""
        return self._store.revision(collection)

    def view(self, collection: str = DEFAULT_COLLECTION) -> GraphView:
        """As of every acknowledged write. Chunks that wait for extraction are left out."""
        return self._graph(collection).view()[1]

    def current(self, collection: str) -> Frame | None:
        """As of every acknowledged write. None while much is to be followed, which a thread does: after the first time
        nobody waits for that. Raises NotFound, StoreError."""
        graph = self._graph(collection)
        with self._lock:
            if collection in self._following:
                return None
        if graph.read and graph.behind(MOST_WAITED):
            with self._lock:
                if collection not in self._following and not self._closed:
                    thread = threading.Thread(
                        target=self._follow, args=(graph, collection), name=f"ragstone-graph-{collection}", daemon=True
                    )
                    self._following[collection] = thread
                    thread.start()
            return None
        return graph.frame()

    def find(self, name: str, *, collection: str = DEFAULT_COLLECTION, limit: int = 20) -> list[Entity]:
        """Entities that have the name in some form, then those one of whose forms begins with it, holds it, or is
        written much like it; each time what most chunks mention first."""
        frame = self._frame(collection)
        return [frame.entity(number) for number in finding.find(frame, norm(name), limit)]

    def entity(self, id: str, *, collection: str = DEFAULT_COLLECTION) -> Entity:
        frame = self._frame(collection)
        return frame.entity(_number(frame, id))

    def neighbours(
        self,
        ids: Sequence[str],
        *,
        collection: str = DEFAULT_COLLECTION,
        limit: int = 50,
        kinds: Sequence[MentionKind] | None = None,
        labelled: bool = False,
    ) -> Subgraph:
        """The entities with the strongest edges to those of `ids`, at most `limit`, and all edges of that between the
        former and the latter; with `labelled` only edges for which a word is known. Raises NotFound."""
        frame = self._frame(collection)
        numbers = [_number(frame, id) for id in dict.fromkeys(ids)]
        wanted = None if kinds is None else {KINDS[KINDS.index(kind)] for kind in kinds}
        return showing.around(frame, numbers, limit, wanted, labelled=labelled)

    def edge(self, head: str, tail: str, *, collection: str = DEFAULT_COLLECTION, limit: int = 20) -> Edge:
        """With its evidence, of at most `limit` passages. Raises NotFound where no chunk shows it."""
        frame = self._frame(collection)
        return self._edge(frame, _number(frame, head), _number(frame, tail), limit)

    def mentions(self, id: str, *, collection: str = DEFAULT_COLLECTION, limit: int = 50) -> list[Evidence]:
        """Sentences that mention it, of the chunks that do so most first. Raises NotFound."""
        frame = self._frame(collection)
        return passages.mentions(self._store, frame, _number(frame, id), limit)

    def path(self, a: str, b: str, *, collection: str = DEFAULT_COLLECTION, longest: int = 6) -> GraphPath:
        """The shortest sure way over at most `longest` edges, each with evidence. Raises NotFound."""
        frame, view = self._graph(collection).view()
        start, end = (int(np.flatnonzero(frame.numbers == _number(frame, id))[0]) for id in (a, b))
        way = frame.numbers[shortest(view, start, end, longest)].tolist()
        edges = [self._edge(frame, x, y, _PATH_EVIDENCE) for x, y in pairwise(way)]
        return GraphPath(tuple(frame.entity(number) for number in way), tuple(edges))

    def communities(self, *, collection: str = DEFAULT_COLLECTION, limit: int = 50) -> list[Community]:
        """The `limit` largest, each named after its most central entity."""
        themes = self.themes(collection)
        return [themes.community(number) for number in range(min(limit, len(themes.groups)))]

    def themes(self, collection: str = DEFAULT_COLLECTION) -> Themes:
        """The communities of the collection as it is, found once for each state of the graph."""
        frame, view = self._graph(collection).view()
        with self._lock:
            held = self._themes.get(collection)
        if held is None or held.frame is not frame:
            held = Themes(self._store, frame, view)
            with self._lock:
                self._themes[collection] = held
        return held

    def overview(self, collection: str = DEFAULT_COLLECTION, *, limit: int, most: int) -> Overview:
        """The `limit` most connected entities and the `most` edges of these that stand out, with places to draw them
        at; the last one is kept for each state of the graph."""
        view = self.view(collection)
        with self._lock:
            asked, held = self._overviews.get(collection, (None, None))
        if held is None or held.view is not view or asked != (limit, most):
            held = overview(view, limit, most)
            with self._lock:
                self._overviews[collection] = (limit, most), held
        return held

    # ------------------------------------------------------------------ decisions by hand
    def merge(self, a: str, b: str, *, collection: str = DEFAULT_COLLECTION, by: str = "") -> Entity:
        """Makes two entities one, durably: it holds for texts that come later too. Raises NotFound."""
        frame = self._frame(collection)
        _number(frame, a)
        _number(frame, b)
        if a == b:
            raise InputError(f"{a} cannot be merged with itself.", "Name two entities.")
        self._store.graph.decide(collection, "merge", [(a, b)], by)
        return self._holding(collection, a)

    def split(
        self, id: str, alias: str, *, collection: str = DEFAULT_COLLECTION, by: str = ""
    ) -> tuple[Entity, Entity]:
        """Makes one form of an entity, named as it is written, an entity of its own, durably; returns what is left and
        it. Raises NotFound."""
        frame = self._frame(collection)
        number = _number(frame, id)
        nodes = {frame.contents.norm(node): frame.contents.key(node) for node in frame.nodes_of(number)}
        out = nodes.get(norm(alias))
        if out is None:
            known = ", ".join(sorted(nodes)[:10])
            raise NotFound(f"{alias!r} is no form of {frame.entity(number).name!r}.", f"Its forms: {known}.")
        if len(nodes) == 1:
            raise InputError(f"{alias!r} is the only form of this entity.", "There is nothing to split it from.")
        rest = sorted(key for key in nodes.values() if key != out)
        self._store.graph.decide(collection, "split", [(out, key) for key in rest], by)
        return self._holding(collection, rest[0]), self._holding(collection, out)

    def decisions(self, collection: str = DEFAULT_COLLECTION) -> list[GraphDecision]:
        """Those that hold, the oldest first."""
        graph = self._graph(collection)
        return [
            replace(decision, a_name=graph.name(decision.a), b_name=graph.name(decision.b))
            for decision in graph.decisions()
        ]

    def withdraw(self, a: str, b: str, *, collection: str = DEFAULT_COLLECTION) -> None:
        """Takes back what was decided about a pair, named as in `decisions`. Raises NotFound."""
        self._store.graph.withdraw(collection, a, b)

    def explain(self, a: str, b: str, *, collection: str = DEFAULT_COLLECTION) -> Explanation:
        """Why two forms, given by key or as they are written, are one entity or are not. Raises NotFound."""
        graph = self._graph(collection)
        one, other = (given if graph.name(given) else key_of(norm(given)) for given in (a, b))
        return graph.explain(one, other)

    # ------------------------------------------------------------------ inside
    def _named(self, collection: str | None) -> list[str]:
        if collection is None:
            return self._store.collections()
        self._store.revision(collection)
        return [collection]

    def _graph(self, collection: str) -> CollectionGraph:
        with self._lock:
            held = self._held.get(collection)
            if held is None:
                held = self._held[collection] = CollectionGraph(self._store, collection)
            return held

    def _frame(self, collection: str) -> Frame:
        return self._graph(collection).frame()

    def _follow(self, graph: CollectionGraph, collection: str) -> None:
        try:
            graph.frame()
        except RagstoneError as error:  # the next one who asks meets it
            log.info("the graph of %r was not brought up to date: %s", collection, error)
        finally:
            with self._lock:
                del self._following[collection]

    def _holding(self, collection: str, key: str) -> Entity:
        frame = self._frame(collection)
        return frame.entity(frame.number_of_key(key))

    def _edge(self, frame: Frame, a: int, b: int, limit: int) -> Edge:
        edge = showing.edge(frame, a, b)
        if edge is None:
            names = [frame.entity(number).name for number in (a, b)]
            raise NotFound(
                f"no text shows {names[0]!r} and {names[1]!r} together.", "`ragstone graph path` looks for a way."
            )
        head, tail = (a, b) if frame.id(a) == edge.head else (b, a)
        shown = passages.evidence(self._store, frame, head, tail, limit) if limit else ()
        return replace(edge, evidence=shown)

    def _status(self, name: str) -> GraphStatus:
        frame = self._frame(name)
        version = self._extractor().version
        return GraphStatus(
            collection=name,
            chunks=len(self._store.chunk_ids(name)),
            waiting=self._store.graph.count_waiting(name, RULES, version),
            entities=len(frame.numbers),
            edges=frame.edge_count,
            mentions=frame.mentions(),
            merged=frame.merged,
            decisions=len(self._store.graph.decisions(name)),
            extractor=version,
            revision=frame.revision,
            failed=self._store.graph.count_failed(name, RULES),
            deepened=self._store.graph.count_read(name, MODEL),
            failures=tuple(self._store.graph.failures(name, RULES, MOST_FAILURES)),
        )


def _number(frame: Frame, id: str) -> int:
    number = frame.find(id)
    if number is None:
        raise NotFound(f"there is no entity {id!r}.", "Find entities by name: `ragstone graph find NAME`.")
    return number
