"""Memory in the database of the store: `protocols.MemoryStore`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import apsw
import msgspec

from ..memory_types import KINDS, MEMORY, STATES, TYPES, MemoryItem, SourceSpan
from ..protocols import MemoryCounts, MemoryRow, MemoryStore, Telling, Told, Wording
from . import memory_sessions, memory_sources, memory_writes
from .connect import ReaderPool, fetch
from .memory_states import rows_of
from .migrations import queries
from .writer import Work

SQL = queries()


class Write(Protocol):
    """Runs work in a write transaction of the store; `frees`: also on a disk that is nearly full."""

    def __call__(self, work: Work[Any], *, frees: bool = False) -> Any: ...


class SqliteMemory(MemoryStore):
    """Safe from several threads, as the store is."""

    def __init__(self, readers: ReaderPool, write: Write) -> None:
        self._readers = readers
        self._write = write

    def remember(self, tellings: Sequence[Telling], *, at_revision: int | None = None) -> list[Told] | None:
        told: list[Told] | None = self._write(lambda c: memory_writes.remember(c, tellings, at_revision))
        return told

    def forget(self, ids: Sequence[str]) -> int:
        if not self.find(ids):
            return 0
        return int(self._write(lambda connection: memory_writes.forget(connection, ids), frees=True))

    def items(self, document_ids: Sequence[int]) -> list[MemoryItem]:
        with self._readers.snapshot() as connection:
            found = rows_of(connection, "memory_items", document_ids)
            sources: defaultdict[int, dict[SourceSpan, None]] = defaultdict(dict)
            for document, collection, uri, start, end, hash_ in rows_of(
                connection, "memory_sources_of_items", document_ids
            ):
                sources[document][SourceSpan(collection, uri, start, end, hash_)] = None
            denied: defaultdict[int, list[str]] = defaultdict(list)
            for document, uri in rows_of(connection, "memory_contradictions_of_items", document_ids):
                denied[document].append(uri)
        return [_item(row, tuple(sources[row[0]]), tuple(sorted(denied[row[0]]))) for row in found]

    def wordings(self, document_ids: Sequence[int]) -> dict[int, list[Wording]]:
        found: defaultdict[int, list[Wording]] = defaultdict(list)
        with self._readers.snapshot() as connection:
            for document, hash_, space, vector, text in rows_of(connection, "memory_wordings", document_ids):
                found[document].append(Wording(hash_, text, space, vector))
        return found

    def find(self, ids: Sequence[str]) -> list[int]:
        with self._readers.use() as connection:
            found = [connection.execute(SQL["memory_of_uri"], (MEMORY, id_)).fetchone() for id_ in ids]
        return [row[0] for row in found if row is not None]

    def previous(self, project: str, at: float) -> str:
        with self._readers.snapshot() as connection:
            row = connection.execute(SQL["memory_project"], (project,)).fetchone()
            return "" if row is None else memory_sessions.before(connection, row[0], at, memory_sessions.LAST)

    def rows(self, since_version: int) -> list[MemoryRow]:
        with self._readers.use() as connection:
            return fetch(connection, SQL["memory_rows"], (since_version,))

    def history(self, project: str, folded_key: str) -> list[int]:
        with self._readers.snapshot() as connection:
            row = connection.execute(SQL["memory_project"], (project,)).fetchone()
            if row is None:
                return []
            return [found[0] for found in connection.execute(SQL["memory_history"], (row[0], folded_key))]

    def projects(self) -> list[tuple[str, float, bool, int]]:
        with self._readers.use() as connection:
            rows = fetch(connection, SQL["memory_projects"])
        return [(name, created, bool(archived), items) for name, created, archived, items in rows]

    def project_ids(self) -> list[tuple[int, str, bool]]:
        with self._readers.use() as connection:
            return [(id_, name, bool(gone)) for id_, name, gone in fetch(connection, SQL["memory_project_names"])]

    def make_project(self, name: str) -> None:
        self._write(lambda connection: memory_writes.make_project(connection, name))

    def archive_project(self, name: str, archived: bool) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute(SQL["memory_archive"], (archived, name))
            return bool(connection.changes())

        return bool(self._write(work))

    def counts(self) -> MemoryCounts:
        with self._readers.snapshot() as connection:
            return MemoryCounts(
                tuple(fetch(connection, SQL["memory_counts"])),
                tuple(fetch(connection, SQL["memory_told_at"])),
                int(connection.execute(SQL["memory_contradiction_total"]).get),
                int(connection.execute(SQL["memory_bytes"]).get),
            )


def followed(work: Callable[[apsw.Connection], Any]) -> Callable[[apsw.Connection], Any]:
    """Documents go: what was remembered goes with them, in the same transaction."""

    def both(connection: apsw.Connection) -> Any:
        result = work(connection)
        memory_sources.follow_removed(connection)
        return result

    return both


def _item(row: Sequence[Any], sources: tuple[SourceSpan, ...], contradicts: tuple[str, ...]) -> MemoryItem:
    (
        _, uri, kind, type_, text, project, key, value, at, valid_from, valid_to, who, participants, outcome,
        confidence, intent, told, state, replaced_by, created, changed, told_at,
    ) = row  # fmt: skip
    return MemoryItem(
        id=uri,
        kind=KINDS[kind],
        type=TYPES[type_],
        text=text,
        project=project,
        key=key,
        value=value,
        at=at,
        valid_from=valid_from,
        valid_to=valid_to,
        who=who,
        participants=tuple(msgspec.json.decode(participants)),
        outcome=outcome,
        confidence=confidence,
        intent=intent,
        sources=sources,
        told=told,
        state=STATES[state],
        replaced_by=replaced_by or "",
        contradicts=contradicts,
        told_at=told_at,
        created=created,
        changed=changed,
    )
