"""The JSON of the data folder as a whole, and of backups."""

from __future__ import annotations

from typing import Annotated, TypedDict

from ...records import CollectionRecord


class StatusRecord(TypedDict):
    """`status`."""

    schema_version: int
    folder: str
    bytes: Annotated[int, "of the whole data folder on disk"]
    state: Annotated[str, "`writable`, or `read-only: ` and why"]
    collections: list[CollectionRecord]
    segments: Annotated[
        dict[str, list[dict[str, str | int]]],
        "sealed index files by collection: kind, space, name, rows, bytes, how it is searched (search) and why",
    ]
    roots: Annotated[dict[str, list[str]], "folders that `sync` follows, by collection"]
    caches: Annotated[
        dict[str, dict[str, float]],
        "entries and bytes of each cache; for those of this process (results, answers) also hits, misses, evictions "
        "and hit_rate",
    ]
    memory_mb: Annotated[float, "resident memory of this process"]


class VerifyRecord(TypedDict):
    """`verify`. Exit code 5 where there are problems."""

    schema_version: int
    clean: bool
    checked: Annotated[dict[str, int], "how many of each kind were compared"]
    problems: list[str]


class DoneRecord(TypedDict):
    """`rebuild`."""

    schema_version: int
    seconds: float


class PurgeRecord(TypedDict):
    """`purge`."""

    schema_version: int
    freed: Annotated[int, "bytes by which the data folder shrank"]
    bytes: Annotated[int, "of the whole data folder on disk"]
    seconds: float


class BackupRecord(TypedDict):
    """`backup`."""

    schema_version: int
    path: str
    generation: Annotated[int, "number of the new generation"]
    bytes: Annotated[int, "what a restore gives back: database and index files"]
    stored: Annotated[int, "bytes that were new"]
    generations: Annotated[list[int], "those that are there now, rising"]
    removed: Annotated[list[int], "those that were too old"]
    seconds: float


class GenerationRecord(TypedDict):
    generation: int
    created: Annotated[float, "seconds since 1970 (UTC)"]
    bytes: Annotated[int, "what a restore gives back: database and index files"]
    schema: Annotated[int, "number of the database's schema"]
    version: Annotated[str, "of Ragstone, that wrote it"]
    problems: Annotated[list[str], "what is wrong with it; looked for with --check only"]


class BackupsRecord(TypedDict):
    """`backup --list`, and with `--check` what is wrong. Exit code 5 where a generation is damaged."""

    schema_version: int
    path: str
    generations: list[GenerationRecord]
    unreadable: Annotated[list[int], "generations whose manifest is damaged"]


class RestoreRecord(TypedDict):
    """`restore`."""

    schema_version: int
    path: str
    folder: Annotated[str, "the data folder"]
    generation: int
    created: Annotated[float, "seconds since 1970 (UTC)"]
    bytes: int
    documents: int
    seconds: float


class CheckRecord(TypedDict):
    name: str
    state: Annotated[str, "ok, note, mended or failed"]
    detail: str
    hint: str


class DoctorRecord(TypedDict):
    """`doctor`. Exit code 1 where a check failed."""

    schema_version: int
    checks: list[CheckRecord]
