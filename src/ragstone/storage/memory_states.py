"""What an item's state follows from. Every function takes the write connection with a transaction open.

Nothing here depends on the order in which rows were written: with the rows of an item gone, the others stand as if it
had never been told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from ..memory_types import STATES
from .connect import array, fetch
from .migrations import queries

SQL = queries()


def related(connection: apsw.Connection, ids: Iterable[int]) -> set[int]:
    """Items whose state may follow from these: values of the same key, and what these contradict."""
    return {row[0] for id_ in ids for row in connection.execute(SQL["memory_related"], {"id": id_})}


def settle(connection: apsw.Connection, ids: Iterable[int]) -> set[int]:
    """Brings the states of these items, of those that are still there, up to date; gives those that changed."""
    wanted = list(ids)
    told: set[int] = set()
    for id_ in wanted:  # all of them first: states compare when items were told last
        connection.execute(SQL["memory_count_tellings"], {"id": id_})
        if connection.changes():
            told.add(id_)
    return told | {id_ for id_ in wanted if _settle(connection, id_)}


def _settle(connection: apsw.Connection, id_: int) -> bool:
    row = connection.execute(SQL["memory_standing"], (id_,)).fetchone()
    if row is None:
        return False
    before, (project, key, told_at, denied, lost, stands) = row[:3], row[3:]
    state, valid_to, replaced_by = "valid", None, None
    later = _next(connection, project, key, told_at, id_)
    if later is not None:
        state, (replaced_by, valid_to) = "replaced", later
    elif denied is not None:
        state, valid_to = "contradicted", denied
    elif lost and not stands:
        state = "stale"
    after = (STATES.index(state), valid_to, replaced_by)
    if after == before:
        return False
    connection.execute(SQL["memory_stand"], (*after, id_))
    return True


def _next(connection: apsw.Connection, project: int, key: str, told_at: float, id_: int) -> tuple[int, float] | None:
    """The value that the key had after this one, and from when on."""
    if not key:
        return None
    values = {"project": project, "key": key, "told_at": told_at, "id": id_}
    row: tuple[int, float] | None = connection.execute(SQL["memory_next_of_key"], values).fetchone()
    return row


def rows_of(connection: apsw.Connection, query: str, ids: Sequence[int]) -> list[Any]:
    return fetch(connection, SQL[query], (array(ids),)) if len(ids) else []
