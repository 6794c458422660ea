"""What must hold in the database, looked at row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import apsw

from .migrations import queries

SQL = queries()
MOST_REPORTED: Final = 100

_COUNTED: Final = {
    "check_unused_embeddings": "vectors belong to no chunk",
    "check_queues": "chunks without a vector do not wait for one",
    "check_waiting": "entries wait for a vector without need",
    "check_uses": "uses of a space have no queue, or one too many",
    "check_languages": "languages of a collection have other chunks than are counted",
    "check_terms": "kept index terms belong to no chunk",
    "check_extractions": "extractions belong to no chunk",
    "check_memory_documents": "documents of memory are no item",
    "check_memory_items": "items of memory have no document of one chunk there, or were told by nobody",
    "check_memory_texts": "items of memory do not have the words of their first telling",
    "check_memory_sources": "sources of items are gone and the items were not told",
}


def problems(connection: apsw.Connection) -> Iterator[str]:
    """Damage of the file, broken references, texts not covered by their chunks, and stray rows."""
    for (message,) in connection.execute(f"PRAGMA integrity_check({MOST_REPORTED})"):
        if message != "ok":
            yield f"integrity: {message}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"foreign key: row {row} of {table} refers to a missing row of {parent}"
    yield from _coverage(connection)
    for query, meaning in _COUNTED.items():
        count = connection.execute(SQL[query]).get
        if count:
            yield f"{count} {meaning}"


def _coverage(connection: apsw.Connection) -> Iterator[str]:
    """Chunks of a document are numbered from 0, follow each other without gap, and end where the text ends."""
    current, name, expected, place, end_of_text, count = -1, "", 0, 0, 0, 0
    for id_, uri, characters, chunks, ordinal, start, end, text in connection.execute(SQL["check_coverage"]):
        if id_ != current:
            yield from _closing(name, place, end_of_text, expected, count)
            current, name, expected, place, end_of_text, count = id_, uri, 0, 0, characters, chunks
        if ordinal is None:
            continue
        if (ordinal, start) != (expected, place) or end - start != len(text):
            yield f"{uri}: chunk {ordinal} at {start}-{end} does not continue chunk {expected - 1} at {place}"
        expected, place = ordinal + 1, end
    yield from _closing(name, place, end_of_text, expected, count)


def _closing(name: str, place: int, characters: int, found: int, count: int) -> Iterator[str]:
    if (place, found) != (characters, count):
        yield f"{name}: {found} chunks cover {place} of {characters} characters in {count} chunks"
