"""Edges as people look at them: with the surest word for them, and how many chunks show them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..graph_types import Edge, MentionKind, Subgraph
from .codec import SCALE
from .contents import Contents
from .viewing import Frame


def around(
    frame: Frame, contents: Contents, numbers: list[int], limit: int, kinds: set[MentionKind] | None, *, labelled: bool
) -> Subgraph:
    """The `limit` entities with the strongest edges to those of `numbers`, and the edges between them and these."""
    view = frame.view
    edges = np.unique(np.concatenate([frame.edges_of(number) for number in numbers])) if numbers else np.empty(0, int)
    strongest = edges[np.argsort(-view.strengths[edges], kind="stable")].tolist()
    own = set(numbers)
    others: dict[int, None] = {}
    shown: list[Edge] = []
    truncated = False
    for at in strongest:
        ends = int(view.heads[at]), int(view.tails[at])
        new = [end for end in ends if end not in own]
        if new and kinds is not None and view.entities[new[0]].kind not in kinds:
            continue
        if new and new[0] not in others and len(others) >= limit:
            truncated = True
            if labelled:
                break
            continue
        found = edge(frame, contents, *ends)
        if found is None or (labelled and not found.label):
            continue
        others |= dict.fromkeys(new)
        shown.append(found)
    return Subgraph(tuple(view.entities[n] for n in (*numbers, *others)), tuple(shown), truncated)


def edge(frame: Frame, contents: Contents, a: int, b: int) -> Edge | None:
    """None where no chunk shows it. Read from head to tail as most of what its label stands for does."""
    weight = chunks = 0
    labels: Counter[tuple[str, bool]] = Counter()
    for chunk in np.intersect1d(frame.chunks_of(a), frame.chunks_of(b), assume_unique=True).tolist():
        rows = contents.relations.get(chunk)
        if rows is None:
            continue
        forward, backward = _between(frame, rows, a, b)
        shown = rows[forward | backward]
        if not len(shown):
            continue
        chunks += 1
        weight += int(shown["weight"].sum())
        for label, strength, along in zip(
            shown["label"].tolist(), shown["weight"].tolist(), forward[forward | backward].tolist(), strict=True
        ):
            if label:
                labels[contents.labels[label], along] += strength
    if not chunks:
        return None
    label, along = min(labels, key=lambda found: (-labels[found], found[0], not found[1]), default=("", True))
    head, tail = (a, b) if along else (b, a)
    entities = frame.view.entities
    return Edge(entities[head].id, entities[tail].id, label, weight / SCALE, chunks)


def _between(frame: Frame, rows: NDArray[np.void], a: int, b: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    one, other = frame.number[rows["head"]], frame.number[rows["tail"]]
    return (one == a) & (other == b), (one == b) & (other == a)
