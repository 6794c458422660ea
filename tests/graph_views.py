"""Views of graphs for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragstone.graph.view import GraphView
from ragstone.graph_types import Entity


def view_of(
    edges: Sequence[tuple[int, int, float]], chunks: Mapping[int, Sequence[int]] | None = None, count: int | None = None
) -> GraphView:
    """Entities are named e0, e1, …; `chunks`: the entities that each chunk mentions."""
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
    )
