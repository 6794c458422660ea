"""The graph as a search uses it: from a question and its first hits to passages that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ..protocols import Extractor, Ids, Reached, Scores, Theme
from ..types import Chunk
from . import showing
from .graph import KnowledgeGraph
from .linking import Link, linked, rarity
from .viewing import Frame
from .walk import walk

FIRST: Final = 8
"""Hits that a walk begins on."""
REACHED: Final = 200
"""Chunks that a walk gives, those where it is most of the time."""
ASKED: Final = 40
"""Hits by which the communities are told that a question is about."""
TRIED: Final = 2
"""Entities of a chunk among which the end of a reason is looked for."""


class GraphRetrieval:
    """Implements protocols.GraphSearch; thread-safe."""

    def __init__(self, graph: Callable[[], KnowledgeGraph], extractor: Callable[[], Extractor]) -> None:
        self._graph = graph
        self._extractor = extractor
        self._asked: tuple[Frame, str, list[Link]] | None = None

    def reach(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], *, named: bool
    ) -> Reached | None:
        frame = self._graph().current(collection)
        if frame is None:
            return None
        links = self._links(frame, question, language)
        asked = {link.entity: link.weight**2 for link in links} if named else {}
        whole = sum(asked.values()) or 1.0
        begin = zip(hits[0][:FIRST].tolist(), hits[1][:FIRST].tolist(), strict=True)
        starts = {place: max(score, 0.0) for id_, score in begin if (place := frame.place(id_)) is not None}
        total = sum(starts.values()) or 1.0
        walked, shares = walk(
            frame, {entity: weight / whole for entity, weight in asked.items()},
            {place: score / total for place, score in starts.items()},
        )  # fmt: skip
        if not named:
            new = ~np.isin(walked, list(starts))
            walked, shares = walked[new], shares[new]
        ids = frame.chunk_ids(walked)
        best = np.lexsort((ids, -shares))[:REACHED]
        best = best[np.argsort(ids[best])]
        shares = shares[best]
        top = float(shares.max()) if len(shares) else 0.0
        scaled = shares / top if top > 0.0 else shares
        entities = [frame.entity(link.entity) for link in links]
        names = tuple({form.casefold() for entity in entities for form in (entity.name, *entity.aliases)})
        telling = sum(entity.kind != "term" for entity in entities)
        return Reached(ids[best], scaled.astype(np.float32), len(links), telling, names, frame.revision)

    def themes(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], count: int
    ) -> tuple[list[Theme], int]:
        themes = self._graph().themes(collection)
        linked = {link.entity: link.weight for link in self._links(themes.frame, question, language)}
        ids, scores = hits[0][:ASKED], np.maximum(hits[1][:ASKED], 0.0)
        near = np.asarray(scores / max(float(scores.max(initial=0.0)), 1e-9), dtype=np.float32)
        of_hits = dict(zip(ids.tolist(), near.tolist(), strict=True))
        found = []
        for number, share in themes.ranked((ids, near), linked)[:count]:
            sentences = themes.answering(number, of_hits, count) if linked else themes.sentences(number)
            spans = tuple((one.chunk_id, one.start, one.end) for one in sentences)
            found.append(Theme(themes.name(number), len(themes.groups[number].members), share, spans))
        return found, themes.frame.revision

    def reasons(
        self, collection: str, question: str, language: str, first: Sequence[int], chunks: Sequence[Chunk]
    ) -> list[str]:
        frame = self._graph().current(collection)
        if frame is None:
            return [""] * len(chunks)
        asked = [link.entity for link in self._links(frame, question, language)]
        return [_reason(frame, asked, first, chunk) for chunk in chunks]

    def _links(self, frame: Frame, question: str, language: str) -> list[Link]:
        held = self._asked  # a search asks twice
        if held is not None and held[0] is frame and held[1] == question:
            return held[2]
        mentions = self._extractor().extract(question, language or None).mentions
        links = linked(frame, question, mentions, language or "en")
        self._asked = frame, question, links
        return links


def _reason(frame: Frame, asked: Sequence[int], first: Sequence[int], chunk: Chunk) -> str:
    own = members(frame, chunk.id)
    place = f", page {chunk.page}" if chunk.page is not None else f", {chunk.uri}"
    starts = [entity for entity in asked if entity in own]
    if not starts:
        shared = {e: rarity(frame, e) for other in first if other != chunk.id for e in own & members(frame, other)}
        starts = sorted(shared, key=lambda entity: (-shared[entity], frame.id(entity)))
    if not starts:
        return ""
    head = frame.entity(starts[0])
    others = {entity: (entity not in asked, -rarity(frame, entity), frame.id(entity)) for entity in own - {starts[0]}}
    for other in sorted(others, key=others.__getitem__)[:TRIED]:
        tail = frame.entity(other)
        edge = showing.edge(frame, starts[0], other)
        if edge is not None and edge.label:
            names = {head.id: head.name, tail.id: tail.name}
            return f"{names[edge.head]} —{edge.label}→ {names[edge.tail]}{place}"
    return f"{head.name}{place}"


def members(frame: Frame, chunk_id: int) -> set[int]:
    """The entities that a chunk mentions."""
    place = frame.place(chunk_id)
    return set() if place is None else set(frame.members(np.array([place]))[1].tolist())
