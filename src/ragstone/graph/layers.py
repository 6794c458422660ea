"""What was extracted from a chunk by rules and by a language model, as one: both count, the same mention once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from ..errors import StoreDamaged
from ..protocols import Store
from .codec import Brief, Columns, brief, briefly, columns

RULES: Final = 0
"""Layer of what is found without a language model."""
MODEL: Final = 1
LAYERS: Final = (RULES, MODEL)

Read = TypeVar("Read", Columns, Brief)

log = logging.getLogger(__name__)


def extractions(store: Store, ids: Sequence[int]) -> Iterator[tuple[int, Columns | None]]:
    """Of each chunk for which there is an extraction, in the order asked; None where nothing could be extracted. A
    layer that cannot be read is left out: `verify` tells, `rebuild` makes it again."""
    for chunk_id, data in _stored(store, ids):
        rules, model = (_decoded(columns, chunk_id, one) for one in data)
        yield chunk_id, joined(rules, model) if rules is not None and model is not None else rules or model


def briefs(store: Store, ids: Sequence[int]) -> Iterator[tuple[int, Brief]]:
    """The same of chunks from which something could be extracted."""
    for chunk_id, data in _stored(store, ids):
        if all(data):
            rules, model = (_decoded(columns, chunk_id, one) for one in data)
            both = joined(rules, model) if rules is not None and model is not None else rules or model
            found = None if both is None else briefly(both)
        else:
            found = _decoded(brief, chunk_id, data[0] or data[1])
        if found is not None:
            yield chunk_id, found


def _stored(store: Store, ids: Sequence[int]) -> Iterator[tuple[int, list[bytes]]]:
    layers = [dict(store.graph.extractions(ids, layer)) for layer in LAYERS]
    for chunk_id in ids:
        if any(chunk_id in layer for layer in layers):
            yield chunk_id, [layer.get(chunk_id, b"") for layer in layers]


def _decoded(decode: Callable[[bytes], Read], chunk_id: int, data: bytes) -> Read | None:
    try:
        return decode(data) if data else None
    except StoreDamaged as error:
        log.warning("an extraction of chunk %d is left out of the graph: %s", chunk_id, error)
        return None


def joined(rules: Columns, model: Columns) -> Columns:
    """Where both mention the same place, and where both relate the same two places by the same word, the rules'."""
    forms = {form: place for place, form in enumerate(rules.forms)}
    labels = {label: place for place, label in enumerate(rules.labels)}
    spans = zip(rules.start.tolist(), rules.length.tolist(), strict=True)
    at = {span: place for place, span in enumerate(spans)}
    mentions: list[tuple[int, int, int, int]] = []
    places: list[int] = []
    for form, start, length, weight in zip(*_lists(model.form, model.start, model.length, model.weight), strict=True):
        if (start, length) not in at:
            at[start, length] = len(rules.form) + len(mentions)
            mentions.append((forms.setdefault(model.forms[form], len(forms)), start, length, weight))
        places.append(at[start, length])
    known = set(zip(*_lists(rules.head, rules.tail, rules.label), strict=True))
    relations: list[tuple[int, ...]] = []
    for head, tail, label, *rest in zip(
        *_lists(model.head, model.tail, model.label, model.from_, model.span, model.strength), strict=True
    ):
        tie = (places[head], places[tail], labels.setdefault(model.labels[label], len(labels)))
        if tie not in known:
            relations.append((*tie, *rest))
    m, r = np.array(mentions, np.int64).reshape(-1, 4).T, np.array(relations, np.int64).reshape(-1, 6).T
    return replace(
        rules, forms=list(forms), labels=list(labels),
        form=np.append(rules.form, m[0]), start=np.append(rules.start, m[1]), length=np.append(rules.length, m[2]),
        weight=np.append(rules.weight, m[3]),
        head=np.append(rules.head, r[0]), tail=np.append(rules.tail, r[1]), label=np.append(rules.label, r[2]),
        from_=np.append(rules.from_, r[3]), span=np.append(rules.span, r[4]),
        strength=np.append(rules.strength, r[5]),
    )  # fmt: skip


def _lists(*arrays: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[list[int]]:
    return [array.tolist() for array in arrays]
