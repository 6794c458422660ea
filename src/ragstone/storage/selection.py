"""Which documents and chunks a filter lets through: what SQL can tell by SQL, path patterns by matching."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import apsw
import numpy as np

from ..protocols import Ids
from ..text.globs import path_matcher
from ..types import Filter, MetadataValue
from .connect import array, fetch
from .migrations import queries
from .writes import collection_at

SQL = queries()
FILTERS_KEPT: Final = 8

# Fixed fragments only: every value, also the name of a metadata key, is bound.
_METADATA = "EXISTS (SELECT 1 FROM json_each(d.metadata) m WHERE m.key = ? AND m.type IN (?, ?) AND m.value = ?)"


class Selections:
    """Ids of chunks by filter, kept for those asked again while the collection's revision stands."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, str], tuple[int, Ids]] = OrderedDict()

    def chunk_ids(self, connection: apsw.Connection, collection: str, filter: Filter | None) -> Ids:
        """Sorted, and read-only. Raises NotFound."""
        owner, revision = collection_at(connection, collection)
        # repr, because Filter(metadata=(("draft", True),)) and (("draft", 1),) are equal but mean different things.
        key = (owner, repr(filter) if filter else "")
        held = self._held.get(key)
        if held is not None and held[0] == revision:
            return held[1]
        if not filter:
            found = fetch(connection, SQL["chunk_ids_of_collection"], (owner,))
        else:
            chosen = selected_documents(connection, owner, filter)
            statement = SQL["chunk_ids_of_documents"]
            found = fetch(connection, statement, (array(chosen),)) if chosen else []
        ids = np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))
        ids.sort()
        ids.setflags(write=False)
        self._held[key] = (revision, ids)
        while len(self._held) > FILTERS_KEPT:
            self._held.popitem(last=False)
        return ids


def selected_documents(connection: apsw.Connection, owner: int, filter: Filter) -> list[int]:
    """Ids of the collection's documents that the filter lets through, by uri."""
    clauses = ["d.collection_id = ?"]
    values: list[Any] = [owner]
    if filter.language:
        clauses.append(f"d.language IN ({', '.join('?' * len(filter.language))})")
        values += filter.language
    if filter.media_type:
        clause, more = _media_types(filter.media_type)
        clauses.append(clause)
        values += more
    for name, value in filter.metadata:
        clauses.append(_METADATA)
        values += [name, *_json_types(value), value]
    if filter.modified_after is not None:
        clauses.append("d.modified >= ?")
        values.append(filter.modified_after)
    if filter.modified_before is not None:
        clauses.append("d.modified < ?")
        values.append(filter.modified_before)
    where = " AND ".join(clauses)
    found = connection.execute(f"SELECT d.id, d.uri FROM documents d WHERE {where} ORDER BY d.uri", values)  # noqa: S608
    if not filter.path:
        return [row[0] for row in found]
    fits = [path_matcher(pattern) for pattern in filter.path]
    return [row[0] for row in found if any(fit(row[1]) for fit in fits)]


def _media_types(patterns: tuple[str, ...]) -> tuple[str, list[Any]]:
    """`text/plain` is that type; `text/*` is every type of that kind."""
    clauses, values = [], []
    for pattern in patterns:
        if pattern.endswith("*"):
            prefix = pattern[:-1]
            clauses.append("substr(d.media_type, 1, ?) = ?")
            values += [len(prefix), prefix]
        else:
            clauses.append("d.media_type = ?")
            values.append(pattern)
    return f"({' OR '.join(clauses)})", values


def _json_types(value: MetadataValue) -> tuple[str, str]:
    """True is not 1, and "1" is not 1; but 1 and 1.0 are one number."""
    if isinstance(value, bool):
        name = "true" if value else "false"
        return name, name
    if isinstance(value, str):
        return "text", "text"
    return "integer", "real"
