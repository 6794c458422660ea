"""A collection of any size for measuring: real rows in the store, real postings and real index files.

Chunks are spliced from pairs of a pool of paragraphs whose index terms are made once: terms of two texts are those of
both together, so each chunk's are exactly what ingest would have made, at a fifth of the time. Vectors are mixtures of
real ones (measure/synthetic.py). Nothing else is left out: rows go through the store's own writes, and the indexes
follow the log.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np

from ..knowledge_base import DEFAULT_COLLECTION, KnowledgeBase
from ..text.analysis import analyzer
from ..text.language import detect
from ..text.passage import chunk_hash
from ..types import ChunkSpan, PreparedChunk, PreparedDocument, Terms
from .samples import sample_sentences
from .synthetic import TextMaker, mixtures

CHARACTERS = 600
CHUNKS_OF_DOCUMENT = 20
_POOL = 6_000  # paragraphs: 36 million pairs
_DOCUMENTS = 200  # put at a time
_SEALED = 50_000  # chunks after which the tails become files
_KEPT = 97  # every so many texts one is returned


def fill(kb: KnowledgeBase, chunks: int, maker: TextMaker) -> list[str]:
    """Puts `chunks` chunks with vectors into the default collection, in index files; returns some of the texts."""
    kept: list[str] = []
    kb.store.create_collection(DEFAULT_COLLECTION)
    index = kb.index(DEFAULT_COLLECTION)
    done = sealed = 0
    for added in pour(kb, chunks, maker):
        kept += [chunk.text for number, chunk in enumerate(added, start=done) if number % _KEPT == 0]
        done += len(added)
        if done - sealed >= _SEALED:
            index.refresh()
            index.seal(quick=True)  # large merges once, at the end
            sealed = done
    index.refresh()
    index.seal()
    index.consolidate()  # as the indexer does while nobody writes
    return kept


def pour(kb: KnowledgeBase, chunks: int, maker: TextMaker, name: str = "d") -> Iterator[list[PreparedChunk]]:
    """Puts them into the store alone; gives those that were just acknowledged. `name` begins the documents' names."""
    space = kb.collection(DEFAULT_COLLECTION).space
    rows = itertools.chain.from_iterable(mixtures(kb.embedder().embed(sample_sentences(), "passage"), chunks))
    documents = _documents(chunks, maker, name)
    while some := list(itertools.islice(documents, _DOCUMENTS)):
        kb.store.put(DEFAULT_COLLECTION, some)
        added = [chunk for document in some for chunk in document.chunks]
        kb.store.put_embeddings(space, {chunk.content_hash: next(rows).astype("<f2").tobytes() for chunk in added})
        yield added


def _documents(chunks: int, maker: TextMaker, name: str) -> Iterator[PreparedDocument]:
    pool = [maker.paragraph(CHARACTERS // 2) for _ in range(min(_POOL, 2 * chunks))]
    language = detect(" ".join(pool[:20]))
    analyse = analyzer(language).analyze
    terms = [analyse(text) for text in pool]
    random = np.random.default_rng(29)
    drawn = np.unique(random.integers(len(pool) ** 2, size=2 * chunks))  # each pair once
    pairs = iter(random.permutation(drawn)[:chunks].tolist())
    for number in range(-(-chunks // CHUNKS_OF_DOCUMENT)):
        parts: list[PreparedChunk] = []
        place = 0
        for pair in itertools.islice(pairs, CHUNKS_OF_DOCUMENT):
            first, second = divmod(pair, len(pool))
            text = f"{pool[first]} {pool[second]}\n"
            span = ChunkSpan(place, place + len(text), None, 1 + len(parts))
            parts.append(_chunk(span, text, language, terms[first] + terms[second]))
            place += len(text)
        identity = hashlib.blake2b(b"".join(part.content_hash for part in parts), digest_size=32).digest()
        uri = f"{name}{number}"
        yield PreparedDocument(uri, identity, place, 0.0, "", "text/plain", language, {}, (), tuple(parts))


def _chunk(span: ChunkSpan, text: str, language: str, terms: Terms) -> PreparedChunk:
    return PreparedChunk(span, text, "", chunk_hash("", text, language), terms)
