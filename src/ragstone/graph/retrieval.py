"""The graph as a search uses it: from a question and its first hits to passages that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np

from ..protocols import Ids, Reached, Scores, Theme
from ..types import Chunk
from .contents import Said
from .graph import KnowledgeGraph
from .linking import Link, linked
from .sealed import Ints
from .showing import speaks
from .viewing import Frame
from .walk import walk

FIRST: Final = 8
"""Hits that a walk begins on."""
REACHED: Final = 200
"""Chunks that a walk gives, those where it is most of the time."""
ASKED: Final = 40
"""Hits by which the communities are told that a question is about."""


class GraphRetrieval:
    """Implements protocols.GraphSearch; thread-safe."""

    def __init__(self, graph: Callable[[], KnowledgeGraph]) -> None:
        self._graph = graph
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
        telling = sum(link.kind != "term" for link in links)
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
        ways = [(other, _entities(frame, said)) for other in first if (said := frame.said(other)) is not None]
        return [_reason(frame, asked, ways, chunk) for chunk in chunks]

    def _links(self, frame: Frame, question: str, language: str) -> list[Link]:
        held = self._asked  # a search asks twice
        if held is not None and held[0] is frame and held[1] == question:
            return held[2]
        links = linked(frame, question, language or "en")
        self._asked = frame, question, links
        return links


def _reason(frame: Frame, asked: Sequence[int], ways: Sequence[tuple[int, Ints]], chunk: Chunk) -> str:
    """What of the question a chunk mentions, or else the rarest entity that it has in common with a hit of `ways`, with
    the surest relation that the chunk itself tells of it."""
    said = frame.said(chunk.id)
    if said is None:
        return ""
    entities = _entities(frame, said)
    own = set(entities.tolist())
    starts = [entity for entity in asked if entity in own]
    if not starts:
        shared = set().union(*(other.tolist() for id_, other in ways if id_ != chunk.id)) & own
        starts = sorted(shared, key=lambda entity: (int(frame.entity_chunks[entity]), frame.id(entity)))
    if not starts:
        return ""
    place = f", page {chunk.page}" if chunk.page is not None else f", {chunk.uri}"
    told = _told(frame, said, entities, starts, set(asked))
    if told is None:
        return f"{frame.entity(starts[0]).name}{place}"
    head, label, tail = told
    return f"{frame.entity(head).name} —{label}→ {frame.entity(tail).name}{place}"


def _told(
    frame: Frame, said: Said, entities: Ints, starts: Sequence[int], asked: AbstractSet[int]
) -> tuple[int, str, int] | None:
    """Head, label and tail of a relation that has a label, of the first of `starts` that has one; with what the
    question names before others, then the surest."""
    at = np.flatnonzero(said.label)
    heads, tails = entities[said.head[at]].tolist(), entities[said.tail[at]].tolist()
    labels, sure = [frame.contents.labels[number] for number in said.label[at].tolist()], said.strength[at].tolist()
    order = {entity: place for place, entity in reversed(list(enumerate(starts)))}
    best: tuple[tuple[int, bool, int, str, str, str], tuple[int, str, int]] | None = None
    for head, tail, label, strength in zip(heads, tails, labels, sure, strict=True):
        first = min(order.get(head, len(starts)), order.get(tail, len(starts)))
        if head == tail or first == len(starts) or not speaks(label):
            continue
        other = tail if order.get(head) == first else head
        rank = first, other not in asked, -strength, label, frame.id(head), frame.id(tail)
        if best is None or rank < best[0]:
            best = rank, (head, label, tail)
    return best[1] if best is not None else None


def _entities(frame: Frame, said: Said) -> Ints:
    """Of each of its members."""
    return frame.root[frame.contents.node_of[said.writing]]
