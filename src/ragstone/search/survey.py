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
    """At most k passages, shared out among the communities by how much each has of the question (as seats are by the
    method of Sainte-Laguë): those of the sentences of each that answer best. `highlights` are these sentences,
    `reason` names the community. And whether each graph was made of the revision that its index has."""
    themes: list[tuple[str, Theme]] = []
    steady = True
    for collection, revision in revisions.items():
        found, at = graph.themes(collection, query, language, ranking, k)
        themes += [(collection, theme) for theme in found]
        steady = steady and at == revision
    themes.sort(key=lambda pair: -pair[1].share)
    spans: dict[int, list[tuple[int, int]]] = {}
    about: dict[int, Theme] = {}
    given, left = [0] * len(themes), [list(theme.spans) for _, theme in themes]
    while len(spans) < k and any(left):
        claims = [themes[n][1].share / (2 * seats + 1) for n, seats in enumerate(given)]
        turn = max((n for n, rest in enumerate(left) if rest), key=lambda n: (claims[n], -n))
        (collection, theme), (chunk_id, start, end) = themes[turn], left[turn].pop(0)
        wanted = allow[collection]
        if chunk_id in spans:
            spans[chunk_id].append((start, end))
        elif wanted is None or bool(np.isin(chunk_id, wanted)):
            spans[chunk_id], about[chunk_id] = [(start, end)], theme
            given[turn] += 1
    chunks = store.chunks(list(spans))
    best = max((theme.share for theme in about.values()), default=0.0) or 1.0
    hits = [_hit(chunk, spans[chunk.id], about[chunk.id], best) for chunk in chunks]
    return hits, steady and len(chunks) == len(spans)


def _hit(chunk: Chunk, spans: list[tuple[int, int]], theme: Theme, best: float) -> Hit:
    share = theme.share / best
    marked = tuple(sorted({(chunk.start + start, chunk.start + end) for start, end in spans}))
    return Hit(chunk, share, ScoreParts(graph=share), marked, f"{theme.name} ({theme.entities} entities)")
