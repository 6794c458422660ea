"""What a whole collection is about: the communities of its graph, each with its most central sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..protocols import GraphSearch, Ids, Scores, Store, Theme
from ..types import Chunk, Hit, ScoreParts


def survey(
    graph: GraphSearch,
    store: Store,
    query: str,
    language: str,
    revisions: Mapping[str, int],
    ranking: tuple[Ids, Scores],
    allow: Mapping[str, Ids | None],
    k: int,
) -> tuple[list[Hit], bool]:
    """At most k passages: that of the first sentence of each community, the one with the largest share of the question
    first, then those of their next sentences. `highlights` are these sentences, `reason` names the community.
    And whether each graph was made of the revision that its index has."""
    themes: list[tuple[str, Theme]] = []
    steady = True
    for collection, revision in revisions.items():
        found, at = graph.themes(collection, query, language, ranking, k)
        themes += [(collection, theme) for theme in found]
        steady = steady and at == revision
    themes.sort(key=lambda pair: -pair[1].share)
    spans: dict[int, list[tuple[int, int]]] = {}
    about: dict[int, Theme] = {}
    for turn in range(max((len(theme.spans) for _, theme in themes), default=0)):
        for collection, theme in themes[:k]:
            if turn >= len(theme.spans):
                continue
            chunk_id, start, end = theme.spans[turn]
            wanted = allow[collection]
            if chunk_id in spans:
                spans[chunk_id].append((start, end))
            elif len(spans) < k and (wanted is None or bool(np.isin(chunk_id, wanted))):
                spans[chunk_id], about[chunk_id] = [(start, end)], theme
    chunks = store.chunks(list(spans))
    best = max((theme.share for theme in about.values()), default=0.0) or 1.0
    hits = [_hit(chunk, spans[chunk.id], about[chunk.id], best) for chunk in chunks]
    return hits, steady and len(chunks) == len(spans)


def _hit(chunk: Chunk, spans: list[tuple[int, int]], theme: Theme, best: float) -> Hit:
    share = theme.share / best
    marked = tuple(sorted({(chunk.start + start, chunk.start + end) for start, end in spans}))
    return Hit(chunk, share, ScoreParts(graph=share), marked, f"{theme.name} ({theme.entities} entities)")
