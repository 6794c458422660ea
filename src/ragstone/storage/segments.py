"""Which index files a collection has."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from ..faults import reach
from ..protocols import Segment, SegmentKind
from . import rows, space_uses
from .migrations import queries
from .writes import collection_id

SQL = queries()


def read(connection: apsw.Connection, collection: str) -> list[Segment]:
    owner = collection_id(connection, collection)
    return [rows.segment(row) for row in connection.execute(SQL["segments"], (owner,))]


def publish(
    connection: apsw.Connection,
    collection: str,
    kind: SegmentKind,
    space: str,
    segments: Sequence[Segment],
) -> None:
    """See `Store.publish`. Runs inside a write transaction."""
    owner = collection_id(connection, collection)
    if segments and kind == "vector" and not space_uses.wanted(connection, owner, space):
        return
    connection.execute(SQL["forget_segments"], (owner, kind, space))
    reach("segments.forgotten")
    for position, s in enumerate(segments):
        values = (s.name, position, s.checksum, s.size, s.rows, s.watermark, s.dead)
        connection.execute(SQL["insert_segment"], (owner, kind, space, *values))
