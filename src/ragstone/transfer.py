"""Export and import: documents as JSON lines, with their chunks, so that an import needs no reader and gives the same
chunks. Vectors are not exported: they are made again from the text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from .errors import DamagedFile, InputError, NotFound
from .ingest.soundness import require_sound
from .protocols import Store
from .text.analysis import Analyzer, analyzer
from .text.passage import chunk_hash
from .types import ChunkSpan, Page, PreparedChunk, PreparedDocument, Progress, ProgressCallback, Turn

FORMAT = "ragstone-export-1"
DECISION_FORMAT: Final = "ragstone-graph-decision-1"
_KEY = re.compile("[0-9a-f]{24}")
BATCH = 32
HASH_BYTES = 32


class ExportedChunk(msgspec.Struct, frozen=True, omit_defaults=True):
    start: int
    end: int
    context: str = ""
    page: int | None = None
    line: int = 1
    section: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


class ExportedDocument(msgspec.Struct, frozen=True):
    format: str
    collection: str
    uri: str
    title: str
    media_type: str
    language: str
    content_hash: str
    size: int
    modified: float
    metadata: dict[str, str | int | float | bool]
    pages: tuple[Page, ...]
    text: str
    chunks: tuple[ExportedChunk, ...]


class ExportedDecision(msgspec.Struct, frozen=True):
    """What was decided by hand about two forms of the graph, named by their keys."""

    format: Literal["ragstone-graph-decision-1"]
    collection: str
    kind: Literal["merge", "split"]
    a: str
    b: str
    by: str


def export_documents(
    store: Store, path: Path, collections: Sequence[str], progress: ProgressCallback | None = None
) -> int:
    """Writes beside `path` first and renames at the end, so that a file that is there is complete."""
    partial = path.with_name(path.name + ".part")
    count = 0
    try:
        with partial.open("wb") as file:
            for collection in collections:
                for document in store.documents(collection):
                    chunks = store.document_chunks(document.id)
                    line = ExportedDocument(
                        format=FORMAT,
                        collection=collection,
                        uri=document.uri,
                        title=document.title,
                        media_type=document.media_type,
                        language=document.language,
                        content_hash=document.content_hash.hex(),
                        size=document.size,
                        modified=document.modified,
                        metadata=dict(document.metadata),
                        pages=document.pages,
                        text="".join(chunk.text for chunk in chunks),
                        chunks=tuple(
                            ExportedChunk(c.start, c.end, c.context, c.page, c.line, c.section, c.turns) for c in chunks
                        ),
                    )
                    file.write(msgspec.json.encode(line) + b"\n")
                    count += 1
                    if progress:
                        progress(Progress("export", count, None, document.uri))
                for d in store.graph.decisions(collection):
                    decision = ExportedDecision(DECISION_FORMAT, collection, d.kind, d.a, d.b, d.by)
                    file.write(msgspec.json.encode(decision) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from error
    return count


def import_documents(store: Store, path: Path, progress: ProgressCallback | None = None) -> tuple[int, list[str]]:
    """Adds or replaces what an export holds; returns how many documents, and the collections. What was read before
    a damaged line stays. Raises NotFound, DamagedFile, StoreError."""
    count = 0
    names: dict[str, None] = {}
    for collection, batch in _batches(path):
        if collection not in names:
            store.create_collection(collection)
            names[collection] = None
        if isinstance(batch, ExportedDecision):
            store.graph.decide(collection, batch.kind, [(batch.a, batch.b)], batch.by)
            continue
        store.put(collection, batch)
        count += len(batch)
        if progress:
            progress(Progress("import", count, None, batch[-1].uri))
    return count, list(names)


def _batches(path: Path) -> Iterator[tuple[str, list[PreparedDocument] | ExportedDecision]]:
    batch: list[PreparedDocument] = []
    current = ""
    for collection, document in _read(path):
        if isinstance(document, ExportedDecision):
            if batch:
                yield current, batch
                batch = []
            yield collection, document
            continue
        if batch and (collection != current or len(batch) >= BATCH):
            yield current, batch
            batch = []
        current = collection
        batch.append(document)
    if batch:
        yield current, batch


def _read(path: Path) -> Iterator[tuple[str, PreparedDocument | ExportedDecision]]:
    decoder = msgspec.json.Decoder(ExportedDocument)
    decision = msgspec.json.Decoder(ExportedDecision)
    decided = b'{"format":"' + DECISION_FORMAT.encode()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    if line.startswith(decided):
                        yield (made := _decision(decision.decode(line))).collection, made
                        continue
                    exported = decoder.decode(line)
                    document = _prepared(exported)
                except (ValueError, RecursionError) as error:
                    raise DamagedFile(
                        f"{path}, line {number}: {error}.", "It is not an export, or was cut off or changed."
                    ) from error
                yield exported.collection, document
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _decision(decision: ExportedDecision) -> ExportedDecision:
    """Raises ValueError for what no export says."""
    if decision.a == decision.b or not all(_KEY.fullmatch(key) for key in (decision.a, decision.b)):
        raise ValueError("the decision names no two forms")
    return decision


def _prepared(document: ExportedDocument) -> PreparedDocument:
    """Raises ValueError for what no export says."""
    if document.format != FORMAT:
        raise ValueError(f"the format {document.format!r} is not known")
    content_hash = bytes.fromhex(document.content_hash)
    if len(content_hash) != HASH_BYTES:
        raise ValueError("the content hash is not one")
    analyse = analyzer(document.language)
    prepared = PreparedDocument(
        uri=document.uri,
        content_hash=content_hash,
        size=document.size,
        modified=document.modified,
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        metadata=document.metadata,
        pages=document.pages,
        chunks=tuple(_chunk(document, chunk, analyse) for chunk in document.chunks),
    )
    require_sound(prepared)
    if sum(len(chunk.text) for chunk in prepared.chunks) != len(document.text):
        raise ValueError("the chunks do not cover the text")
    return prepared


def _chunk(document: ExportedDocument, chunk: ExportedChunk, analyse: Analyzer) -> PreparedChunk:
    text = document.text[chunk.start : chunk.end]
    return PreparedChunk(
        ChunkSpan(chunk.start, chunk.end, chunk.page, chunk.line, chunk.section, chunk.turns),
        text,
        chunk.context,
        chunk_hash(chunk.context, text, document.language),
        analyse.analyze(chunk.context) + analyse.analyze(text),
    )
