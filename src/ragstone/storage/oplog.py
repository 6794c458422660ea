"""The operation log: what changed, in order, for who follows it."""

from __future__ import annotations

import apsw

from ..faults import reach
from ..types import Change
from . import rows
from .connect import fetch
from .migrations import queries

SQL = queries()


def last_seq(connection: apsw.Connection) -> int:
    return int(connection.execute(SQL["last_id"], ("oplog",)).get)


def first_seq(connection: apsw.Connection) -> int:
    first = connection.execute(SQL["first_seq"]).get
    return int(first) if first is not None else last_seq(connection) + 1


def changes(connection: apsw.Connection, since: int, limit: int, collection: str | None) -> list[Change]:
    if collection is None:
        found = fetch(connection, SQL["changes"], (since, limit))
    else:
        found = fetch(connection, SQL["changes_of_collection"], (collection, since, limit))
    return [rows.change(row) for row in found]


def trim(connection: apsw.Connection, below: int) -> None:
    """Inside a write transaction."""
    connection.execute(SQL["trim_terms"], (below,))
    reach("log.trimmed")
    connection.execute(SQL["trim_log"], (below,))
