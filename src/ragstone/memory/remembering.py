"""From what is told to tellings that name what they are like and what they deny."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..memory_types import KINDS, SESSION_SECONDS, TYPES, NewItem
from ..protocols import Alike, Embedder, Ids, MemoryStore, Store, Telling, VectorIndex, Vectors, Wording
from ..text.centre import Centre
from ..text.turns import as_context
from .items import telling
from .likeness import CONTRARY, Likeness, likeness
from .table import Table

NEAREST: Final = 16
"""Items that a new one is compared with, of those that are there and of those told before it in the same call."""
KNOWLEDGE: Final = KINDS.index("knowledge")
QUESTION: Final = TYPES.index("question")
LOWEST: Final = 0.3
"""Centred cosine below which two texts are not compared word by word."""


Known = dict[tuple[bytes, bytes], Likeness]
"""By the hashes of two texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where repetitions are looked for: `vectors` of the items' texts alone are compared."""

    name: str
    embedder: Embedder
    centre: Centre
    index: VectorIndex | None


def tellings_of(items: Sequence[NewItem], memory: MemoryStore) -> list[Telling]:
    """Each episode with the one before it in its session: of the same call, or the last that is there."""
    last: dict[str, tuple[float, str]] = {}
    made = []
    for item in items:
        previous = ""
        if item.kind == "episode":
            project, at = item.project or "", item.at or 0.0
            held = last.get(project)
            if held is not None and 0 <= at - held[0] <= SESSION_SECONDS:
                previous = held[1]
            elif held is None:
                previous = memory.previous(project, at)
            last[project] = at, as_context(item.who, item.text)
        made.append(telling(item, previous))
    return made


def with_vectors(tellings: Sequence[Telling], space: str, passages: Vectors, texts: Vectors) -> list[Telling]:
    """`passages`, `texts`: float32[n, d], of the tellings with and without their context."""
    kept, alone = passages.astype("<f2"), texts.astype("<f2")
    return [
        replace(
            told,
            vectors={space: passage.tobytes()},
            alone={space: text.tobytes()} if told.item.kind == "knowledge" else {},
        )
        for told, passage, text in zip(tellings, kept, alone, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A wording told before; `cosine` is the centred one."""

    cosine: float
    hash: bytes
    text: str
    asks: bool


def compared(
    tellings: Sequence[Telling], texts: Vectors, space: Space, store: Store, table: Table, threshold: float,
    known: Known,
) -> list[Telling]:  # fmt: skip
    """Of knowledge: facts are compared by their keys, and what happened twice are two episodes. `texts`: float32[n, d],
    vectors of the tellings' texts without context. `known` is filled, and spares the next try what this one found."""
    away = space.centre.away(_rounded(texts))
    among = away @ away.T if len(tellings) > 1 else np.zeros((1, 1), np.float32)
    stored = _stored(tellings, texts, away, space, store, table)
    made: list[Telling] = []
    least = min(threshold, CONTRARY)
    for number, told in enumerate(tellings):
        candidates = stored.get(number, [])
        for i in np.argsort(-among[number, :number])[:NEAREST].tolist() if told.item.kind == "knowledge" else ():
            other = tellings[i]
            if other.item.kind == "knowledge" and other.item.project == told.item.project:
                asks = other.item.type == "question"
                candidates.append(_Candidate(float(among[number, i]), other.text, other.item.text, asks))
        alike: dict[bytes, Alike] = {}
        for one in candidates:
            if one.cosine < LOWEST or one.hash == told.text or one.asks != (told.item.type == "question"):
                continue
            found = known.get((told.text, one.hash))
            if found is None:
                found = known[told.text, one.hash] = likeness(told.item.text, one.text, one.cosine, least)
            if found.similarity >= threshold or found.contrary:
                alike[one.hash] = Alike(one.hash, 0.0 if found.contrary else found.similarity, found.contrary)
        made.append(replace(told, likenesses=tuple(alike.values())))
    return made


def _rounded(vectors: Vectors) -> Vectors:
    """As they are stored, so that two texts have one cosine whichever of them was told first."""
    rounded: Vectors = vectors.astype("<f2").astype(np.float32)
    return rounded


def _stored(
    tellings: Sequence[Telling], texts: Vectors, away: Vectors, space: Space, store: Store, table: Table
) -> dict[int, list[_Candidate]]:
    """Every wording of the nearest items of the same project."""
    if space.index is None or not len(table.columns.chunk):
        return {}
    projects = {name: id_ for id_, name, _ in store.memory.project_ids()}
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, told in enumerate(tellings):
        if told.item.kind == "knowledge":
            groups[projects.get(told.item.project or "", -1)].append(number)
    near: dict[int, Ids] = {}
    for project, numbers in groups.items():
        held = table.columns
        allow = held.chunk[(held.project == project) & (held.kind == KNOWLEDGE)]
        if len(allow):
            for number, (ids, _) in zip(numbers, space.index.search(texts[numbers], NEAREST, allow), strict=True):
                near[number] = ids
    chunks = sorted({int(id_) for ids in near.values() for id_ in ids})
    if not chunks:
        return {}
    wordings = _wordings(chunks, space, store, table)
    return {
        number: [
            _Candidate(float(away[number] @ vector), wording.hash, wording.text, asks)
            for id_ in ids
            for wording, vector, asks in wordings.get(int(id_), ())
        ]
        for number, ids in near.items()
    }


def _wordings(
    chunks: Sequence[int], space: Space, store: Store, table: Table
) -> dict[int, list[tuple[Wording, Vectors, bool]]]:
    """By chunk, each with its centred vector and whether it asks. What has no vector in this space yet, because the
    model was changed or absent, is embedded."""
    rows = table.rows_of(np.array(chunks, dtype=np.int64))
    there = {chunk: int(row) for chunk, row in zip(chunks, rows, strict=True) if row >= 0}
    told = store.memory.wordings([int(table.columns.document[row]) for row in there.values()])
    known, vectors = store.embeddings(space.name, chunks)
    of_chunk = dict(zip(known.tolist(), vectors, strict=True))
    contexts = {chunk.id: chunk.context for chunk in store.chunks(list(there))}
    found: list[tuple[int, Wording, Vectors | None]] = []
    for chunk, row in there.items():
        for place, wording in enumerate(told.get(int(table.columns.document[row]), ())):
            vector = None
            if wording.vector and wording.space == space.name:
                vector = np.frombuffer(wording.vector, "<f2").astype(np.float32)
            elif not place and not contexts.get(chunk) and chunk in of_chunk:
                vector = of_chunk[chunk].astype(np.float32)
            found.append((chunk, wording, vector))
    missing = [wording.text for _, wording, vector in found if vector is None]
    embedded = iter(_rounded(space.embedder.embed(missing, "passage")) if missing else ())
    made: defaultdict[int, list[tuple[Wording, Vectors, bool]]] = defaultdict(list)
    for chunk, wording, vector in found:
        away = space.centre.away(next(embedded) if vector is None else vector)
        made[chunk].append((wording, away, bool(table.columns.type[there[chunk]] == QUESTION)))
    return made
