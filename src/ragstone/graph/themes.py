"""What a collection is about: its communities, each with the sentences that stand nearest to its centre."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ..graph_types import Community, Evidence
from ..protocols import Ids, Scores, Store
from ..text.sentences import sentence_spans
from .communities import Group, communities, groups
from .passages import extracted
from .view import GraphView
from .viewing import Frame

MOST: Final = 1_000
"""Communities that a question is compared with, the largest."""
SENTENCES: Final = 3
"""Of a community where nothing is asked."""
READ: Final = 8
"""Chunks of a community whose sentences are compared."""
LONGEST: Final = 300
"""Characters of a sentence that is cited; a longer one is no summary."""
NAMED: Final = 3
HIT: Final = 4.0
"""How much more the best hit counts than the sentence nearest to the centre, where something is asked."""
_NOTHING: Final[Mapping[int, float]] = {}


class Themes:
    """Of one state of a graph. The communities are found at once, sentences of one when they are first asked for.
    Safe from several threads."""

    def __init__(self, store: Store, frame: Frame, view: GraphView) -> None:
        """`view` is of `frame`."""
        self.frame = frame
        self.view = view
        self._store = store
        self._number = np.full(len(frame.root), -1, np.int64)  # in the view, by entity of the frame
        self._number[frame.numbers] = np.arange(len(frame.numbers))
        labels = communities(view)
        self.groups = groups(view, labels, most=MOST)
        of_label = np.full(int(labels.max()) + 1 if len(labels) else 1, -1, dtype=np.int64)
        for number, group in enumerate(self.groups):
            of_label[labels[group.members[0]]] = number
        self._of_entity = of_label[labels] if len(labels) else np.zeros(0, dtype=np.int64)
        place = np.repeat(np.arange(len(view.chunks)), np.diff(view.starts))
        whole = np.maximum(np.bincount(place, view.shares, len(view.chunks)), 1e-9)
        member = self._of_entity[view.members] if len(view.members) else np.zeros(0, dtype=np.int64)
        self._member, self._part = member, view.shares / whole[place]
        known = member >= 0
        sizes = np.bincount(member[known], self._part[known], len(self.groups))
        self._sizes = sizes / max(1, len(view.chunks))
        self._lock = threading.Lock()
        self._sentences: dict[int, tuple[Evidence, ...]] = {}

    def ranked(self, hits: tuple[Ids, Scores], linked: Mapping[int, float]) -> list[tuple[int, float]]:
        """Numbers of communities with their shares of what was asked for, the largest first: of the `hits` (chunks
        with their scores), of the entities of the frame that the question names, and of the whole collection."""
        view = self.view
        total = self._sizes.copy()
        at = np.searchsorted(view.chunks, hits[0])
        scores = np.maximum(hits[1], 0.0) / max(float(np.maximum(hits[1], 0.0).sum()), 1e-9)
        for place, id_, score in zip(at.tolist(), hits[0].tolist(), scores.tolist(), strict=True):
            if place < len(view.chunks) and view.chunks[place] == id_:
                row = slice(view.starts[place], view.starts[place + 1])
                known = self._member[row] >= 0
                np.add.at(total, self._member[row][known], score * self._part[row][known])
        whole = sum(linked.values()) or 1.0
        for entity, weight in linked.items():
            community = self._of_entity[self._number[entity]]
            if community >= 0:
                total[community] += weight / whole
        order = np.argsort(-total, kind="stable")
        return [(int(number), float(total[number])) for number in order]

    def name(self, number: int) -> str:
        return ", ".join(self.view.entities[e].name for e in self.groups[number].members[:NAMED])

    def sentences(self, number: int) -> tuple[Evidence, ...]:
        """The nearest to the centre first. The centre is the strength of each member within the community; a sentence
        is the set of entities that it names; near is a large cosine. What an earlier sentence named counts half."""
        with self._lock:
            held = self._sentences.get(number)
        if held is None:
            group = self.groups[number]
            held = self._summary(group, [int(self.view.chunks[place]) for place in group.chunks[:READ]], SENTENCES)
            with self._lock:
                self._sentences[number] = held
        return held

    def answering(self, number: int, hits: Mapping[int, float], count: int) -> tuple[Evidence, ...]:
        """At most `count` sentences of a community for a question: as `sentences`, but of `hits` (chunks with their
        scores, the best has 1) as well, and those of better hits first."""
        group = self.groups[number]
        own = {int(self.view.chunks[place]) for place in group.chunks}
        found = [chunk for chunk in sorted(hits, key=lambda chunk: (-hits[chunk], chunk)) if chunk in own][:READ]
        central = [int(self.view.chunks[place]) for place in group.chunks[:READ]]
        return self._summary(group, list(dict.fromkeys(found + central)), count, hits)

    def community(self, number: int) -> Community:
        view, group = self.view, self.groups[number]
        entities = tuple(self.frame.id(number) for number in self.frame.numbers[list(group.members)].tolist())
        chunks = tuple(view.chunks[list(group.chunks)].tolist())
        sentences = self.sentences(number)
        summary = " ".join(" ".join(one.text.split()) for one in sentences)
        return Community(entities[0], self.name(number), entities, chunks, summary, sentences)

    def _summary(
        self, group: Group, chunks: Sequence[int], count: int, hits: Mapping[int, float] = _NOTHING
    ) -> tuple[Evidence, ...]:
        view = self.view
        centre = dict(zip(group.members, group.strengths, strict=True))
        found: list[tuple[Evidence, frozenset[int]]] = []
        for chunk, columns in extracted(self._store, chunks):
            numbers = np.array([view.forms.get(norm, (-1,))[0] for norm, _, _ in columns.forms], dtype=np.int64)
            entities = numbers[columns.form]
            for start, end in sentence_spans(chunk.text):
                inside = (columns.start >= start) & (columns.start + columns.length <= end) & (columns.length > 0)
                named = frozenset(int(e) for e in entities[inside] if e >= 0)
                if named & centre.keys() and end - start <= LONGEST:
                    page = chunk.place(chunk.start + start)[0]
                    text = chunk.text[start:end]
                    found.append((Evidence(chunk.id, chunk.uri, page, start, end, text), named))
        chosen: list[Evidence] = []
        told: set[int] = set()
        while found and len(chosen) < count:
            near = [
                sum(centre.get(e, 0.0) * (0.5 if e in told else 1.0) for e in named) / len(named) ** 0.5
                for _, named in found
            ]
            if hits:
                top = max(near) or 1.0
                near = [
                    central / top + HIT * hits.get(one.chunk_id, 0.0)
                    for central, (one, _) in zip(near, found, strict=True)
                ]
            evidence, named = found.pop(int(np.argmax(near)))
            if all(evidence.text != other.text for other in chosen):
                chosen.append(evidence)
                told |= named
        return tuple(chosen)
