"""The graph as a search uses it: from a question and its first hits to passages that belong to them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ..errors import NotFound, RagstoneError
from ..protocols import Extractor, Ids, Reached, Scores, Theme
from ..types import Chunk
from .graph import KnowledgeGraph
from .linking import Link, linked, rarity
from .view import GraphView
from .walk import Walker

log = logging.getLogger(__name__)
SMALL: Final = 5_000
"""Chunks up to which a search waits until the graph is up to date."""
FIRST: Final = 8
"""Hits that a walk begins on."""
REACHED: Final = 200
"""Chunks that a walk gives, those where it is most of the time."""
TRIED: Final = 2
"""Entities of a chunk among which the end of a reason is looked for."""


class GraphRetrieval:
    """Implements protocols.GraphSearch. Keeps the walker of the last state of each collection; thread-safe."""

    def __init__(self, graph: Callable[[], KnowledgeGraph], extractor: Callable[[], Extractor]) -> None:
        self._graph = graph
        self._extractor = extractor
        self._lock = threading.Lock()
        self._walkers: dict[str, Walker] = {}
        self._making: set[str] = set()
        self._asked: tuple[GraphView, str, list[Link]] | None = None

    def reach(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], *, named: bool
    ) -> Reached | None:
        walker = self._current(collection)
        if walker is None:
            return None
        view = walker.view
        links = self._links(view, question, language)
        asked = {link.entity: link.weight**2 for link in links} if named else {}
        whole = sum(asked.values()) or 1.0
        numbers, known = numbers_of(view, hits[0][:FIRST])
        scores = np.maximum(hits[1][:FIRST][known], 0.0)
        total = float(scores.sum()) or 1.0
        walked, shares = walker.walk(
            {entity: weight / whole for entity, weight in asked.items()},
            dict(zip(numbers.tolist(), (scores / total).tolist(), strict=True)),
        )
        if not named:
            new = ~np.isin(walked, numbers)
            walked, shares = walked[new], shares[new]
        best = np.sort(np.lexsort((walked, -shares))[:REACHED])
        shares = shares[best]
        top = float(shares.max()) if len(shares) else 0.0
        scaled = shares / top if top > 0.0 else shares
        entities = [view.entities[link.entity] for link in links]
        names = tuple({form.casefold() for entity in entities for form in (entity.name, *entity.aliases)})
        return Reached(view.chunks[walked[best]], scaled.astype(np.float32), len(links), names, view.revision)

    def themes(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], count: int
    ) -> tuple[list[Theme], int]:
        themes = self._graph().themes(collection)
        view = themes.frame.view
        linked = {link.entity: link.weight for link in self._links(view, question, language)}
        found = [
            Theme(
                themes.name(number), len(themes.groups[number].members), share,
                tuple((one.chunk_id, one.start, one.end) for one in themes.sentences(number)),
            )
            for number, share in themes.ranked(hits, linked)[:count]
        ]  # fmt: skip
        return found, view.revision

    def reasons(
        self, collection: str, question: str, language: str, first: Sequence[int], chunks: Sequence[Chunk]
    ) -> list[str]:
        walker = self._current(collection)
        if walker is None:
            return [""] * len(chunks)
        view = walker.view
        asked = [link.entity for link in self._links(view, question, language)]
        return [self._reason(collection, view, asked, first, chunk) for chunk in chunks]

    def _reason(
        self, collection: str, view: GraphView, asked: Sequence[int], first: Sequence[int], chunk: Chunk
    ) -> str:
        own = members(view, chunk.id)
        place = f", page {chunk.page}" if chunk.page is not None else f", {chunk.uri}"
        starts = [entity for entity in asked if entity in own]
        if not starts:
            shared = {e: rarity(view, e) for other in first if other != chunk.id for e in own & members(view, other)}
            starts = sorted(shared, key=lambda entity: (-shared[entity], entity))
        if not starts:
            return ""
        head = view.entities[starts[0]]
        others = sorted(own - {starts[0]}, key=lambda entity: (entity not in asked, -rarity(view, entity), entity))
        for other in others[:TRIED]:
            tail = view.entities[other]
            try:
                edge = self._graph().edge(head.id, tail.id, collection=collection, limit=0)
            except NotFound:
                continue
            if edge.label:
                names = {head.id: head.name, tail.id: tail.name}
                return f"{names[edge.head]} —{edge.label}→ {names[edge.tail]}{place}"
        return f"{head.name}{place}"

    def _links(self, view: GraphView, question: str, language: str) -> list[Link]:
        held = self._asked  # a search asks twice
        if held is not None and held[0] is view and held[1] == question:
            return held[2]
        mentions = self._extractor().extract(question, language or None).mentions
        links = linked(view, question, mentions, language or "en")
        self._asked = view, question, links
        return links

    def _current(self, collection: str) -> Walker | None:
        """Of the collection as it is. None while one is made on a thread: after the first, nobody waits for that of a
        large collection."""
        revision = self._graph().revision(collection)
        with self._lock:
            held = self._walkers.get(collection)
            if held is not None and held.view.revision == revision:
                return held
            behind = held is not None and len(held.view.chunks) > SMALL
            begins = behind and collection not in self._making
            if begins:
                self._making.add(collection)
        if not behind:
            return self._made(collection)
        if begins:
            threading.Thread(
                target=self._make, args=(collection,), name=f"ragstone-graph-{collection}", daemon=True
            ).start()  # fmt: skip
        return None

    def _make(self, collection: str) -> None:
        try:
            self._made(collection)
        except RagstoneError as error:  # the next search makes it itself and tells
            log.info("the graph of %r was not brought up to date: %s", collection, error)
            with self._lock:
                self._walkers.pop(collection, None)
        finally:
            with self._lock:
                self._making.discard(collection)

    def _made(self, collection: str) -> Walker:
        view = self._graph().view(collection)
        with self._lock:
            held = self._walkers.get(collection)
        if held is not None and held.view is view:
            return held
        walker = Walker(view)
        with self._lock:
            self._walkers[collection] = walker
        return walker


def numbers_of(view: GraphView, chunks: Ids) -> tuple[Ids, Ids]:
    """The numbers of those chunks that the view has, and their places in `chunks`."""
    if not len(view.chunks):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    at = np.minimum(np.searchsorted(view.chunks, chunks), len(view.chunks) - 1)
    known = np.flatnonzero(view.chunks[at] == chunks)
    return at[known], known


def members(view: GraphView, chunk_id: int) -> set[int]:
    """The entities that a chunk mentions."""
    numbers, _ = numbers_of(view, np.array([chunk_id], dtype=np.int64))
    return {int(e) for n in numbers.tolist() for e in view.members[view.starts[n] : view.starts[n + 1]]}
