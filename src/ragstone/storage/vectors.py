"""Reading vectors, and what waits for one. `connection` is inside a read of one moment."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import numpy as np

from ..protocols import Ids, Pending, Vectors
from . import rows
from .connect import array, fetch
from .migrations import queries
from .writes import collection_id

SQL = queries()


def pending(connection: apsw.Connection, collection: str, space: str, limit: int) -> list[Pending]:
    owner = collection_id(connection, collection)
    space_id = _queue(connection, owner, space)
    if space_id is None:
        found = fetch(connection, SQL["newest_chunks"], (owner, limit))
    else:
        found = fetch(connection, SQL["newest_waiting"], (owner, space_id, limit))
    return [Pending(id_, hash_, rows.embedded_text(context, text)) for id_, hash_, context, text in found]


def count_pending(connection: apsw.Connection, collection: str, space: str) -> int:
    owner = collection_id(connection, collection)
    space_id = _queue(connection, owner, space)
    if space_id is None:
        return int(connection.execute(SQL["chunk_total"], (owner,)).get)
    return int(connection.execute(SQL["count_waiting"], (owner, space_id)).get)


def embeddings(connection: apsw.Connection, space: str, ids: Sequence[int]) -> tuple[Ids, Vectors]:
    row = connection.execute(SQL["space"], (space,)).fetchone()
    if row is None or not len(ids):
        return np.empty(0, np.int64), np.empty((0, row[1] // 2 if row else 0), np.float32)
    found = fetch(connection, SQL["embeddings"], (array(ids), row[0]))
    vectors = np.frombuffer(b"".join([vector for _, vector in found]), dtype="<f2").reshape(len(found), row[1] // 2)
    return np.fromiter((id_ for id_, _ in found), np.int64, len(found)), vectors.astype(np.float32)


def _queue(connection: apsw.Connection, owner: int, space: str) -> int | None:
    """Id of the space where the collection has a queue for it."""
    row = connection.execute(SQL["space"], (space,)).fetchone()
    if row is None or connection.execute(SQL["queue"], (owner, row[0])).fetchone() is None:
        return None
    return int(row[0])
