"""Do the derived indexes say what the store says? Read-only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..protocols import Ids, Store
from ..text.analysis import analyzer
from ..types import Chunk, Progress, ProgressCallback, Terms, VerifyReport
from .files import file_checksum
from .lexical import Bm25Index
from .postings import bag_digest
from .sealing import SEGMENTS
from .vectors import FlatVectorIndex

_TEXTS = 500
_VECTORS = 4_000
_NAMED = 5
"""Ids that a problem names."""


def chunk_terms(chunk: Chunk) -> Terms:
    """Index terms of a stored chunk: those of its context, then those of its text, as ingest made them."""
    analyse = analyzer(chunk.language).analyze
    return analyse(chunk.context) + analyse(chunk.text)


def compare(
    store: Store,
    collection: str,
    lexical: Bm25Index,
    vectors: Mapping[str, FlatVectorIndex],
    terms_of: Callable[[Chunk], Terms],
    progress: ProgressCallback | None = None,
) -> VerifyReport:
    """Files against their checksums, then ids, terms and vectors against the store."""
    checked: dict[str, int] = {}
    problems: list[str] = []
    _compare_files(store, collection, checked, problems)
    ids = store.chunk_ids(collection)
    _compare_terms(store, ids, lexical, terms_of, checked, problems, progress)
    for index in vectors.values():
        _compare_vectors(store, ids, index, checked, problems)
    return VerifyReport(checked, tuple(problems))


def _compare_files(store: Store, collection: str, checked: dict[str, int], problems: list[str]) -> None:
    segments = store.segments(collection)
    last = store.last_seq()
    for segment in segments:
        try:
            intact = file_checksum(store.folder / SEGMENTS / segment.name) == segment.checksum
        except OSError as error:
            if segment.kind == "graph" and isinstance(error, FileNotFoundError):
                continue  # backups leave it out
            problems.append(f"index file {segment.name} cannot be read: {error.strerror}")
            continue
        if not intact:
            problems.append(f"index file {segment.name} is damaged")
        if segment.watermark > last:
            problems.append(f"index file {segment.name} is ahead of the store")
    checked["index files"] = len(segments)


def _compare_terms(
    store: Store,
    ids: Ids,
    lexical: Bm25Index,
    terms_of: Callable[[Chunk], Terms],
    checked: dict[str, int],
    problems: list[str],
    progress: ProgressCallback | None,
) -> None:
    indexed, digests = lexical.digests()
    _compare_ids("the word index", ids, indexed, problems)
    wrong: list[int] = []
    for first in range(0, len(ids), _TEXTS):
        for chunk in store.chunks(ids[first : first + _TEXTS].tolist()):
            at = int(np.searchsorted(indexed, chunk.id))
            if at < len(indexed) and indexed[at] == chunk.id and int(digests[at]) != bag_digest(terms_of(chunk)):
                wrong.append(chunk.id)
        if progress:
            progress(Progress("verify", min(first + _TEXTS, len(ids)), len(ids)))
    if wrong:
        problems.append(f"the word index holds other words than the store for {_some(wrong)}")
    checked["chunks"] = len(ids)


def _compare_vectors(
    store: Store, ids: Ids, index: FlatVectorIndex, checked: dict[str, int], problems: list[str]
) -> None:
    embedded: list[Ids] = [np.empty(0, dtype=np.int64)]
    wrong: list[int] = []
    for first in range(0, len(ids), _VECTORS):
        block, vectors = store.embeddings(index.space.id, ids[first : first + _VECTORS].tolist())
        if not len(block):
            continue
        order = np.argsort(block)
        block, rows = block[order], vectors[order].astype(np.float16)
        embedded.append(block)
        held, stored = index.stored(block)
        expected = rows[np.isin(block, held)]
        wrong += held[(stored.view(np.uint16) != expected.view(np.uint16)).any(axis=1)].tolist()
    name = f"the vector index of {index.space.id}"
    _compare_ids(name, np.concatenate(embedded), index.ids(), problems)
    if wrong:
        problems.append(f"{name} holds other vectors than the store for {_some(wrong)}")
    checked["vectors"] = checked.get("vectors", 0) + sum(len(block) for block in embedded)


def _compare_ids(name: str, expected: Ids, found: Ids, problems: list[str]) -> None:
    missing = np.setdiff1d(expected, found).tolist()
    if missing:
        problems.append(f"{name} does not hold {_some(missing)}")
    surplus = np.setdiff1d(found, expected).tolist()
    if surplus:
        problems.append(f"{name} still holds {_some(surplus)}")
    if len(np.unique(found)) != len(found):
        problems.append(f"{name} holds chunks twice")


def _some(ids: list[int]) -> str:
    named = ", ".join(str(chunk_id) for chunk_id in ids[:_NAMED])
    return f"{len(ids)} chunks ({named}{', …' if len(ids) > _NAMED else ''})"
