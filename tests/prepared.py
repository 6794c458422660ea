"""Prepared documents for tests of the store: what ingest would hand over, made from plain texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ragstone.text.analysis import pack
from ragstone.types import ChunkSpan, Metadata, PreparedChunk, PreparedDocument, Terms


def content_hash(text: str, context: str = "") -> bytes:
    return hashlib.blake2b(f"{context}\0{text}".encode(), digest_size=16).digest()


def prepared(
    uri: str,
    texts: Sequence[str],
    *,
    context: str = "",
    metadata: Metadata | None = None,
    language: str = "en",
    media_type: str = "text/plain",
    modified: float = 0.0,
    title: str = "",
) -> PreparedDocument:
    """One chunk for each text. The document's hash covers everything."""
    chunks = []
    place = 0
    for text in texts:
        span = ChunkSpan(place, place + len(text), 1, 1 + place, ("Part",))
        words = tuple(text.lower().split())
        chunks.append(PreparedChunk(span, text, context, content_hash(text, context), Terms(pack(words), len(words))))
        place += len(text)
    identity = repr((texts, context, metadata, language, media_type, modified, title))
    return PreparedDocument(
        uri, hashlib.blake2b(identity.encode(), digest_size=32).digest(), place, modified, title, media_type,
        language, metadata or {}, (), tuple(chunks),
    )  # fmt: skip
