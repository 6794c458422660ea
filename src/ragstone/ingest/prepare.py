"""A source's bytes into documents ready for the store: read, tell the language, cut, analyse, hash.

Everything here runs in a parser worker and crosses the pipe as plain values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..errors import ReadError
from ..text.analysis import analyzer
from ..text.language import detect
from ..text.passage import chunk_hash
from ..types import Blob, ChunkSpan, Metadata, ParsedDocument, PreparedChunk, PreparedDocument, Terms
from .chunking import CHUNKER_VERSION, MAX_TOKENS, chunk
from .limits import ReadFailure, ReadLimits

READER_VERSION: Final = 2
"""Part of every document's content hash: raise it when the readers give other texts for the same bytes."""

_CONTEXT = 300  # characters of title and heading path that go with a chunk
_HEADING = 80  # characters of one heading in it; a title may take the whole


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What decides, beside the bytes, how a source is prepared. `metadata` is added to every document."""

    limits: ReadLimits = field(default_factory=ReadLimits)
    max_tokens: int = MAX_TOKENS
    metadata: Metadata = field(default_factory=dict)


def prepare(blob: Blob, options: PrepareOptions) -> list[PreparedDocument | ReadFailure]:
    """One result for a file, one for each member of an archive. Never raises for what is in the bytes."""
    from .readers import read

    results: list[PreparedDocument | ReadFailure] = []
    digest = source_hash(blob.data, options)
    try:
        parsed = read(blob, options.limits)
    except ReadError as error:
        return [ReadFailure.of(blob.uri, error)]
    for uri, document in parsed:
        if isinstance(document, ReadError):
            results.append(ReadFailure.of(uri, document))
        else:
            size = len(blob.data)
            results.append(prepare_parsed(uri, document, digest, size, blob.modified, options))
    return results


def prepare_parsed(
    uri: str, parsed: ParsedDocument, content_hash: bytes, size: int, modified: float, options: PrepareOptions
) -> PreparedDocument:
    """A text that was read already. `content_hash` is `source_hash` of what it was read from."""
    language = parsed.language or detect(parsed.text)
    title = " ".join(parsed.title.split())
    analyse = analyzer(language).analyze
    # Chunks of one section share their context, so its terms are made once.
    contexts: dict[tuple[str, ...], tuple[str, Terms]] = {}
    chunks: list[PreparedChunk] = []
    for span in chunk(parsed, max_tokens=options.max_tokens):
        if span.section not in contexts:
            text = context_of(title, span)
            contexts[span.section] = (text, analyse(text))
        context, before = contexts[span.section]
        text = parsed.text[span.start : span.end]
        terms = analyse(text)
        chunks.append(PreparedChunk(span, text, context, chunk_hash(context, text, language), before + terms))
    return PreparedDocument(
        uri=uri,
        content_hash=content_hash,
        size=size,
        modified=modified,
        title=title,
        media_type=parsed.media_type,
        language=language,
        metadata={**parsed.metadata, **options.metadata},
        pages=parsed.pages,
        chunks=tuple(chunks),
    )


def source_hash(data: bytes, options: PrepareOptions) -> bytes:
    """BLAKE2b-256 of the bytes and of all else that decides what becomes of them."""
    digest = hashlib.blake2b(digest_size=32)
    settings = (READER_VERSION, CHUNKER_VERSION, options.max_tokens, options.limits.ocr)
    digest.update(repr((settings, sorted(options.metadata.items()))).encode("utf-8", "surrogatepass") + b"\0")
    digest.update(data)
    return digest.digest()


def context_of(title: str, span: ChunkSpan) -> str:
    """Title and headings above a chunk, outermost first, each once, within `_CONTEXT` characters: where there are
    too many, those in the middle go."""
    names = _distinct((title[:_CONTEXT], *(_shortened(name) for name in span.section)))
    while len(names) > 1 and len(" › ".join(names)) > _CONTEXT:
        names.pop(len(names) // 2)
    return " › ".join(names)[:_CONTEXT]


def _distinct(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    kept: list[str] = []
    for name in names:
        if name and name.casefold() not in seen:
            seen.add(name.casefold())
            kept.append(name)
    return kept


def _shortened(heading: str) -> str:
    return heading if len(heading) <= _HEADING else heading[: _HEADING - 1].rstrip() + "…"
