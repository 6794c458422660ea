"""Which spaces a collection uses. What changes them runs inside a write transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import apsw
import msgspec

from ..errors import InputError
from ..faults import reach
from ..protocols import ChangeSpaces
from ..types import Recipe, Space, SpaceRole, SpaceUse
from .connect import fetch
from .migrations import queries
from .writes import collection_at, has_uses, open_queue, space_number

SQL = queries()
FLOAT16: Final = 2
"""Bytes of one number of a vector."""


def read(connection: apsw.Connection, owner: int) -> list[SpaceUse]:
    """The active one first."""
    return [_use(*row) for row in fetch(connection, SQL["space_uses"], (owner,))]


@lru_cache(maxsize=256)
def _use(space: str, role: SpaceRole, recipe: str, revision: int, since: float) -> SpaceUse:
    return SpaceUse(
        msgspec.json.decode(space, type=Space), role, msgspec.json.decode(recipe, type=Recipe), revision, since
    )


def wanted(connection: apsw.Connection, owner: int, space: str) -> bool:
    """Whether the collection wants vectors of that space."""
    return not has_uses(connection, owner) or any(
        use.space.id == space and use.role != "dropping" for use in read(connection, owner)
    )


def change(connection: apsw.Connection, collection: str, change: ChangeSpaces) -> list[SpaceUse]:
    """See `Store.change_spaces`."""
    owner, revision = collection_at(connection, collection)
    before = read(connection, owner)
    after = list(change(tuple(before), lambda space: _count_waiting(connection, owner, space)))
    old = {use.space.id: use for use in before}
    if {_said(use) for use in after} == {_said(use) for use in before}:
        return before
    _require_sense(after)
    connection.execute(SQL["drop_uses"], (owner,))
    now = time.time()
    for use in after:
        number = space_number(connection, use.space.id, [use.space.dimension * FLOAT16])
        known = old.get(use.space.id)
        same = known is not None and known.role == use.role
        since = (known.revision, known.since) if known is not None and same else (revision + 1, now)
        values = _json(use.space), _json(use.recipe)
        connection.execute(SQL["insert_use"], (owner, number, use.role, *since, *values))
        if use.role == "dropping":
            for statement in ("drop_waiting_of_space", "drop_queue_of_space"):
                connection.execute(SQL[statement], (owner, number))
            connection.execute(SQL["forget_segments"], (owner, "vector", use.space.id))
        elif connection.execute(SQL["queue"], (owner, number)).fetchone() is None:
            open_queue(connection, owner, number)
            connection.execute(SQL["log_embedded"], {"collection": owner, "space": number})
    connection.execute(SQL["raise_revision"], (owner,))
    reach("spaces.changed")
    return read(connection, owner)


def drop_vectors(connection: apsw.Connection, space: str, after: bytes, limit: int) -> bytes:
    """See `Store.drop_vectors`."""
    row = connection.execute(SQL["space"], (space,)).fetchone()
    if row is None:
        return b""
    hashes = [found[0] for found in fetch(connection, SQL["hashes_of_space"], (row[0], after, limit))]
    connection.executemany(SQL["drop_embedding"], [{"space": row[0], "hash": hash_} for hash_ in hashes])
    reach("spaces.emptied")
    return hashes[-1] if len(hashes) == limit else b""


def _count_waiting(connection: apsw.Connection, owner: int, space: str) -> int:
    row = connection.execute(SQL["space"], (space,)).fetchone()
    if row is None or connection.execute(SQL["queue"], (owner, row[0])).fetchone() is None:
        return int(connection.execute(SQL["chunk_total"], (owner,)).get)
    return int(connection.execute(SQL["count_waiting"], (owner, row[0])).get)


def _require_sense(uses: Sequence[SpaceUse]) -> None:
    roles = [use.role for use in uses]
    if roles.count("active") != 1 or roles.count("preferred") > 1 or len({u.space.id for u in uses}) != len(uses):
        raise InputError("a collection has one active space, at most one preferred, and each only once.")


def _said(use: SpaceUse) -> tuple[Any, ...]:
    return use.space, use.role, use.recipe


def _json(value: Space | Recipe) -> str:
    return msgspec.json.encode(value).decode()
