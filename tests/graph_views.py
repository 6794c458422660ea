"""Views of graphs for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragstone.graph.codec import columns, encode
from ragstone.graph.contents import Contents
from ragstone.graph.entities import Entities
from ragstone.graph.sealing import sealed_of
from ragstone.graph.view import GraphView
from ragstone.graph.viewing import Frame, frame_of
from ragstone.graph_types import Entity, Extraction, Mention, Relation


def view_of(
    edges: Sequence[tuple[int, int, float]],
    chunks: Mapping[int, Sequence[int]] | None = None,
    count: int | None = None,
    generic: Sequence[int] = (),
) -> GraphView:
    """Entities are named e0, e1, …; `chunks`: the entities that each chunk mentions; `generic`: those that say
    nothing."""
    chunks = chunks or {}
    size = max([count or 0, *(max(a, b) + 1 for a, b, _ in edges), *(max(m) + 1 for m in chunks.values() if m)])
    merged: dict[tuple[int, int], float] = {}
    for a, b, weight in edges:
        pair = (min(a, b), max(a, b))
        merged[pair] = merged.get(pair, 0.0) + weight
    pairs = sorted(merged)
    ids = sorted(chunks)
    members = [sorted(set(chunks[i])) for i in ids]
    return GraphView(
        tuple(Entity(f"id{i}", f"e{i}", "name") for i in range(size)),
        np.array(ids, dtype=np.int64),
        np.cumsum([0, *map(len, members)]).astype(np.int64),
        np.array([m for row in members for m in row], dtype=np.int32),
        np.ones(sum(map(len, members)), dtype=np.float32),
        np.array([a for a, _ in pairs], dtype=np.int32),
        np.array([b for _, b in pairs], dtype=np.int32),
        np.array([merged[p] for p in pairs], dtype=np.float32),
        {f"e{i}": (i,) for i in range(size)},
        np.isin(np.arange(size), list(generic)),
    )


def frame_of_rows(
    edges: Sequence[tuple[int, int, float]], chunks: Mapping[int, Sequence[int]], *, sealed: bool = True
) -> tuple[Frame, dict[int, int]]:
    """The same as a frame, read from what chunks say, and its entities by number. The edges stand in the first chunk
    that has both ends. `sealed`: all in tables, not beside them."""
    contents = Contents()
    left = list(edges)
    for chunk, members in sorted(chunks.items()):
        here = [(a, b, weight) for a, b, weight in left if a in members and b in members]
        left = [edge for edge in left if edge not in here]
        mentions = tuple(Mention(0, 0, _name(entity), _name(entity), "name", 1.0) for entity in members)
        relations = tuple(Relation(members.index(a), members.index(b), "", 0, 1, w) for a, b, w in here)
        contents.put(chunk, columns(encode(Extraction("1", mentions, relations), "en")))
    assert not left
    entities = Entities(contents)
    if sealed:
        entities.resolve_all(())
        contents = Contents(sealed_of(contents, entities))
        entities = Entities(contents)
    else:
        entities.follow()
    frame = frame_of(contents, entities, 1)
    every = {entity for members in chunks.values() for entity in members}
    return frame, {entity: frame.number_of_norm(_name(entity)) for entity in every}


def _name(entity: int) -> str:
    """Names that are not taken for one."""
    return "x" + "".join(chr(97 + int(digit)) * 2 for digit in f"{entity:04d}")
