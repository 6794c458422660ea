"""Whether the graph of a collection is what the store and the extractor say."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..errors import StoreDamaged
from ..protocols import Extracted, Extractor, Store, Unread
from .building import extracted
from .codec import columns
from .follow import CollectionGraph
from .layers import LAYERS, RULES
from .sealing import published
from .view import GraphView

SAMPLED: Final = 50
"""Texts that are extracted again."""
_BATCH: Final = 2_000
_TRIES: Final = 5


def compared(
    store: Store, collection: str, extractor: Extractor | None, held: CollectionGraph | None
) -> tuple[int, list[str]]:
    """How many extractions were read, and what is wrong with them, with `held` and with the file of the graph."""
    count, broken = unreadable(store, collection)
    if broken:
        return count, [f"{len(broken)} extractions cannot be read, the first of chunk {broken[0]}"]
    problems = []
    if extractor is not None:
        wrong = differing(store, collection, extractor)
        if wrong:
            problems.append(f"{len(wrong)} chunks say otherwise than was extracted, the first is {wrong[0]}")
    if held is None and published(store, collection) is not None:
        held = CollectionGraph(store, collection)
    if held is not None:
        fresh = CollectionGraph(store, collection, from_store=True)
        problems += [f"{what} of the graph differ from the store's" for what in astray(held, fresh)]
    return count, problems


def unreadable(store: Store, collection: str) -> tuple[int, list[int]]:
    """How many extractions there are, and the chunks whose extraction cannot be read."""
    count, broken = 0, []
    ids = store.chunk_ids(collection)
    for first in range(0, len(ids), _BATCH):
        some = ids[first : first + _BATCH].tolist()
        for chunk_id, data in (row for layer in LAYERS for row in store.graph.extractions(some, layer)):
            count += 1
            try:
                if data:
                    columns(data)
            except StoreDamaged:
                broken.append(chunk_id)
    return count, broken


def forget(store: Store, chunk_ids: list[int]) -> None:
    """What was extracted from them; they wait then."""
    for layer in LAYERS:
        known = [chunk_id for chunk_id, _ in store.graph.extractions(chunk_ids, layer)]
        store.graph.put(layer, "", {chunk.content_hash: Extracted(b"", "damaged") for chunk in store.chunks(known)})


def differing(store: Store, collection: str, extractor: Extractor) -> list[int]:
    """Of some chunks, spread over all, those from which the same extractor now extracts something else."""
    ids = store.chunk_ids(collection)
    some = ids[:: max(1, len(ids) // SAMPLED)].tolist()
    stored = dict(store.graph.extractions(some, RULES))
    wrong = []
    for chunk in store.chunks(list(stored)):
        data = stored[chunk.id]
        if data and columns(data).version == extractor.version:
            unread = Unread(chunk.id, chunk.content_hash, chunk.context, chunk.text, chunk.language)
            if extracted(extractor, unread).data != data:
                wrong.append(chunk.id)
    return wrong


def astray(followed: CollectionGraph, fresh: CollectionGraph) -> list[str]:
    """What a graph that followed the log says otherwise than one that was just read from the store. Writes of others
    meanwhile are taken into account."""
    for _ in range(_TRIES):
        (_, one), (_, other) = followed.view(), fresh.view()
        found = _differences(one, other)
        if not found or one.revision == other.revision:
            break
    return found


def _differences(one: GraphView, other: GraphView) -> list[str]:
    if [entity.id for entity in one.entities] != [entity.id for entity in other.entities]:
        return ["entities"]
    found = ["names or counts of entities"] if list(one.entities) != list(other.entities) else []
    for what, names in (
        ("chunks", ("chunks", "starts", "members", "shares")), ("edges", ("heads", "tails", "strengths")),
    ):  # fmt: skip
        if not all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names):
            found.append(what)
    return found
