"""Edges as people look at them: with the surest word for them, and how many chunks show them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..graph_types import Edge, MentionKind, Subgraph
from .codec import SCALE
from .viewing import Frame


def around(
    frame: Frame, numbers: list[int], limit: int, kinds: set[MentionKind] | None, *, labelled: bool
) -> Subgraph:
    """The `limit` entities with the strongest edges to those of `numbers`, and the edges between them and these."""
    asked = np.array(numbers, np.int64)
    owners, found, strengths = frame.edges(asked)
    one, other = frame.ties(asked)[owners], frame.ties(found)
    order = np.lexsort((np.maximum(one, other), np.minimum(one, other), -strengths))
    ways = zip(asked[owners[order]].tolist(), found[order].tolist(), strict=True)
    strongest = {tuple(sorted(way)): way for way in ways}  # between two of `numbers` either way
    own = set(numbers)
    others: dict[int, None] = {}
    shown: list[Edge] = []
    truncated = False
    for ends in strongest.values():
        new = [end for end in ends if end not in own]
        if new and kinds is not None and frame.entity(new[0]).kind not in kinds:
            continue
        if new and new[0] not in others and len(others) >= limit:
            truncated = True
            if labelled:
                break
            continue
        between = edge(frame, *ends)
        if between is None or (labelled and not between.label):
            continue
        others |= dict.fromkeys(new)
        shown.append(between)
    return Subgraph(tuple(frame.entity(n) for n in (*numbers, *others)), tuple(shown), truncated)


def speaks(label: str) -> bool:
    """Whether a label has a word: a colon or a bracket between two names tells nobody anything."""
    return label[:1].isalpha()


def edge(frame: Frame, a: int, b: int) -> Edge | None:
    """None where no chunk shows it. Read from head to tail as most of what its label stands for does."""
    weight = chunks = 0
    labels: Counter[tuple[str, bool]] = Counter()
    for chunk in np.intersect1d(frame.chunks_of(a), frame.chunks_of(b), assume_unique=True).tolist():
        said = frame.said(chunk)
        if said is None:
            continue
        entities = frame.root[frame.contents.node_of[said.writing]]
        one, other = entities[said.head], entities[said.tail]
        forward, backward = (one == a) & (other == b), (one == b) & (other == a)
        shown = forward | backward
        if not shown.any():
            continue
        chunks += 1
        weight += int(said.strength[shown].sum())
        for label, strength, along in zip(
            said.label[shown].tolist(), said.strength[shown].tolist(), forward[shown].tolist(), strict=True
        ):
            if speaks(word := frame.contents.labels[label]):
                labels[word, along] += strength
    if not chunks:
        return None
    label, along = min(labels, key=lambda found: (-labels[found], found[0], not found[1]), default=("", True))
    head, tail = (a, b) if along else (b, a)
    return Edge(frame.id(head), frame.id(tail), label, weight / SCALE, chunks)

