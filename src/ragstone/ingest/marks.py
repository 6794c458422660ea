"""What tells that a source did not change: content hashes of documents and of archives' members."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from ..protocols import Known
from ..types import Metadata, PreparedDocument
from .chunking import CHUNKER_VERSION
from .names import MEMBER, source_of
from .prepare import READER_VERSION

READING: Final = repr((READER_VERSION, CHUNKER_VERSION)).encode()
"""Part of every content hash, so that files are read again that did not change when a newer version of readers
or chunking gives something else for the same bytes."""


def reading_key(salt: bytes, metadata: Metadata) -> bytes:
    """What decides, besides the bytes of a file, what is stored of it."""
    return hashlib.blake2b(READING + salt + msgspec.json.encode(dict(metadata), order="sorted")).digest()


def members_of(known: Iterable[str]) -> dict[str, list[str]]:
    """Uris of stored members by the uri of their archive."""
    found: dict[str, list[str]] = {}
    for uri in known:
        if MEMBER in uri:
            found.setdefault(source_of(uri), []).append(uri)
    return found


def unchanged(known: Mapping[str, Known], members: Mapping[str, list[str]], uri: str, content_hash: bytes) -> bool:
    if uri in known:
        return known[uri].content_hash == content_hash
    inside = members.get(uri)
    if not inside:
        return False
    mark = _mark(content_hash, len(inside))
    return all(known[member].content_hash[:16] == mark for member in inside)


def _mark(content_hash: bytes, members: int) -> bytes:
    """First half of the content hash of an archive's members: equal for all of them, and only as long as none is
    missing, so that the archive is known as unchanged without being opened, and as incomplete after a crash."""
    return hashlib.blake2b(content_hash + members.to_bytes(8, "little"), digest_size=16).digest()


def marked(
    documents: list[PreparedDocument], uri: str, content_hash: bytes, metadata: Metadata, *, complete: bool
) -> list[PreparedDocument]:
    """The documents with their content hashes: that of the source, or for members mark and hash of their own. A
    source with failures is never known as unchanged, so that it is read again next time."""
    mark = _mark(content_hash, len(documents)) if complete else os.urandom(16)
    found = []
    for document in documents:
        if metadata:
            document = replace(document, metadata={**document.metadata, **metadata})
        whole = content_hash if complete else os.urandom(32)
        own = whole if document.uri == uri else mark + _own_hash(document)
        found.append(replace(document, content_hash=own))
    return found


def _own_hash(document: PreparedDocument) -> bytes:
    """Second half of a member's content hash: of all that is stored of it, whatever the archive around it."""
    bare = replace(document, content_hash=b"", size=0, modified=0.0, chunks=())
    chunks = [(chunk.content_hash, chunk.span) for chunk in document.chunks]
    return hashlib.blake2b(repr((bare, chunks)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
