"""A short text as a document of one chunk, and parts of texts."""

from __future__ import annotations

import hashlib

from ..errors import InputError
from ..types import ChunkSpan, PreparedChunk, PreparedDocument
from .analysis import analyzer
from .language import detect


def chunk_hash(context: str, text: str, language: str) -> bytes:
    """BLAKE2b-128 of all that a chunk's terms and embedding are made from."""
    head = f"{language}\0{context}\0"
    data = (head + text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()


def one_passage(uri: str, text: str, *, title: str = "", context: str = "", modified: float = 0.0) -> PreparedDocument:
    """`context` is indexed and embedded with the text, and is not part of it."""
    language = detect(f"{context}\n{text}" if context else text)
    analyse = analyzer(language).analyze
    chunk = PreparedChunk(
        ChunkSpan(0, len(text)),
        text,
        context,
        chunk_hash(context, text, language),
        analyse(context) + analyse(text) if context else analyse(text),
    )
    digest = hashlib.blake2b(repr((uri, title)).encode("utf-8", "surrogatepass") + chunk.content_hash, digest_size=32)
    return PreparedDocument(
        uri=uri,
        content_hash=digest.digest(),
        size=len(text.encode("utf-8", "surrogatepass")),
        modified=modified,
        title=title,
        media_type="text/plain",
        language=language,
        metadata={},
        pages=(),
        chunks=(chunk,),
    )


def clipped(length: int, start: int, end: int | None) -> tuple[int, int]:
    """`[start, end)` inside a text of `length` characters; end None is the text's end. Raises InputError."""
    last = length if end is None else min(end, length)
    if start > last:
        raise InputError("the span begins behind its end.", f"The text has {length} characters.")
    return start, last
