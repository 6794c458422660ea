"""An episode is found with the words of the one before it: "Yes, on Tuesday" says nothing alone.

The context follows from the rows: when an episode is forgotten or told late, the one after it gets its new context in
the same transaction, so nothing that was forgotten stays beside others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import apsw

from ..memory_types import MEMORY, SESSION_SECONDS
from ..text.passage import one_passage
from ..text.turns import as_context, context_of
from . import writes
from .migrations import queries

SQL = queries()
LAST: Final = (1 << 63) - 1
"""As a document's id: after all that are there."""


def before(connection: apsw.Connection, project: int, at: float, id_: int) -> str:
    values = {"project": project, "since": at - SESSION_SECONDS, "at": at, "id": id_}
    row = connection.execute(SQL["memory_previous"], values).fetchone()
    return "" if row is None else as_context(*row)


def following(connection: apsw.Connection, ids: Iterable[int]) -> set[int]:
    """The episode after each of these, where it is of the same session."""
    found: set[int] = set()
    for id_ in ids:
        row = connection.execute(SQL["memory_episode"], (id_,)).fetchone()
        if row is not None:
            values = {"project": row[0], "until": row[1] + SESSION_SECONDS, "at": row[1], "id": id_}
            found.update(after[0] for after in connection.execute(SQL["memory_following"], values))
    return found


def refresh(connection: apsw.Connection, ids: Iterable[int]) -> set[int]:
    """Gives the episodes among these the context that follows from the rows; returns those that changed."""
    changed: set[int] = set()
    for id_ in ids:
        row = connection.execute(SQL["memory_episode"], (id_,)).fetchone()
        if row is None:
            continue
        project, at, who, text, uri, title = row
        context = context_of(who, text, before(connection, project, at, id_))
        document = one_passage(uri, text, title=title, context=context, modified=at)
        if writes.put(connection, MEMORY, [document])[0].state != "unchanged":
            changed.add(id_)
    return changed
