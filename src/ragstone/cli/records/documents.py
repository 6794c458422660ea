"""The JSON of documents."""

from __future__ import annotations

from typing import Annotated, TypedDict

from ...records import SCHEMA_VERSION, AnswerRecord, DocumentRecord
from ...types import FileReport, IngestReport


class FileRecord(TypedDict):
    uri: str
    state: Annotated[str, "added, updated, unchanged, failed, skipped or removed"]
    chunks_added: int
    chunks_removed: int
    characters: int
    reason: Annotated[str, "why it failed or was skipped"]
    code: Annotated[str, "class of the error (errors.py)"]


class IngestRecord(TypedDict):
    """`add`, `sync`, and a line for each group of changes of `watch`."""

    schema_version: int
    collection: Annotated[str | None, "null: all"]
    files: list[FileRecord]
    counts: Annotated[dict[str, int], "files by state"]
    embedded: Annotated[int, "chunks that got a vector in this run"]
    bytes: Annotated[int, "bytes read"]
    seconds: Annotated[float, "until all was durable and searchable; embedding is not in it"]
    revision: int


class ListRecord(TypedDict):
    """`list`."""

    schema_version: int
    documents: list[DocumentRecord]


class ShowRecord(TypedDict):
    """`show`. `text` is the whole text, or what `--page` or `--span` chose, from `start` to `end`."""

    schema_version: int
    document: DocumentRecord
    start: int
    end: int
    text: str


class RemoveRecord(TypedDict):
    """`remove`."""

    schema_version: int
    collection: str
    removed: Annotated[list[str], "uris; with --all, the collection's"]


class TransferRecord(TypedDict):
    """`export` and `import`."""

    schema_version: int
    path: str
    documents: int
    embedded: Annotated[int, "chunks that got a vector after an import"]


class DemoRecord(TypedDict):
    """`demo`."""

    schema_version: int
    ingest: IngestRecord
    answers: list[AnswerRecord]


def ingest_record(report: IngestReport, collection: str | None, embedded: int) -> IngestRecord:
    counts: dict[str, int] = {}
    for file in report.files:
        counts[file.state] = counts.get(file.state, 0) + 1
    return {
        "schema_version": SCHEMA_VERSION,
        "collection": collection,
        "files": [_file(f) for f in report.files],
        "counts": counts,
        "embedded": embedded,
        "bytes": report.bytes_read,
        "seconds": report.seconds,
        "revision": report.revision,
    }


def _file(file: FileReport) -> FileRecord:
    return {
        "uri": file.uri,
        "state": file.state,
        "chunks_added": file.chunks_added,
        "chunks_removed": file.chunks_removed,
        "characters": file.characters,
        "reason": file.reason,
        "code": file.code,
    }
