"""The passages behind what the graph says, read from the store when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ..graph_types import Evidence
from ..protocols import Store
from ..types import Chunk
from .codec import Columns
from .layers import extractions
from .viewing import Frame

MOST_CHUNKS: Final = 200
"""Of an edge or entity that are read to find the surest passages."""
LONGEST_SENTENCE: Final = 300
_END = re.compile(r"[.!?]\s|\n")


def evidence(store: Store, frame: Frame, a: int, b: int, limit: int) -> tuple[Evidence, ...]:
    """What shows an edge, the surest first."""
    chunks = np.intersect1d(frame.chunks_of(a), frame.chunks_of(b), assume_unique=True)
    found: list[tuple[float, Evidence]] = []
    for chunk, said in extracted(store, chunks[-MOST_CHUNKS:].tolist()):
        numbers = frame.numbers_of_norms([norm for norm, _, _ in said.forms])
        one, other = numbers[said.form[said.head]], numbers[said.form[said.tail]]
        for at in np.flatnonzero(((one == a) & (other == b)) | ((one == b) & (other == a))).tolist():
            start, end = int(said.from_[at]), int(said.from_[at] + said.span[at])
            item = Evidence(
                chunk.id, chunk.uri, chunk.place(chunk.start + start)[0], start, end, chunk.text[start:end],
                said.labels[said.label[at]], bool(one[at] == a),
            )  # fmt: skip
            found.append((float(said.strength[at]), item))
    found.sort(key=lambda pair: (-pair[0], pair[1].label == "", pair[1].chunk_id, pair[1].start))
    return tuple(item for _, item in found[:limit])


def mentions(store: Store, frame: Frame, number: int, limit: int) -> list[Evidence]:
    """Sentences that mention an entity; of what only a heading names, the heading."""
    found: list[tuple[int, Evidence]] = []
    for chunk, said in extracted(store, frame.chunks_of(number)[-MOST_CHUNKS:].tolist()):
        numbers = frame.numbers_of_norms([norm for norm, _, _ in said.forms])
        places = np.flatnonzero(numbers[said.form] == number).tolist()
        for at in places:
            start, end = int(said.start[at]), int(said.start[at] + said.length[at])
            text = said.forms[said.form[at]][1]
            if end > start:
                start, end = _sentence(chunk.text, start, end)
                text = chunk.text[start:end]
            page = chunk.place(chunk.start + start)[0]
            found.append((len(places), Evidence(chunk.id, chunk.uri, page, start, end, text)))
    found.sort(key=lambda pair: (-pair[0], pair[1].chunk_id, pair[1].start))
    return list(dict.fromkeys(item for _, item in found))[:limit]


def extracted(store: Store, ids: Sequence[int]) -> Iterator[tuple[Chunk, Columns]]:
    """Chunks that are still there, with what was extracted from them."""
    found = dict(extractions(store, ids))
    for chunk in store.chunks(list(found)):
        said = found[chunk.id]
        if said is not None:
            yield chunk, said


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence around a span, within LONGEST_SENTENCE characters to either side."""
    first, last = max(0, start - LONGEST_SENTENCE), min(len(text), end + LONGEST_SENTENCE)
    begins = [match.end() for match in _END.finditer(text, first, start)]
    ended = _END.search(text, end, last)
    at = begins[-1] if begins else first
    while at < start and text[at].isspace():
        at += 1
    return at, max(end, ended.start() + 1 if ended else last)
