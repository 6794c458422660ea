"""The knowledge graph in the database of the store: `protocols.GraphStore`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import apsw

from ..errors import NotFound
from ..faults import reach
from ..graph_types import GraphDecision, GraphFailure
from ..protocols import Extracted, GraphStore, Unread
from . import writes
from .connect import ReaderPool, array, fetch
from .memory import Write
from .migrations import queries
from .rows import EXTRACT

SQL = queries()


class SqliteGraph(GraphStore):
    """Safe from several threads and processes, as the store is."""

    def __init__(self, readers: ReaderPool, write: Write) -> None:
        self._readers = readers
        self._write = write

    def waiting(
        self, collection: str, layer: int, version: str, limit: int, *, before: int | None = None, after: int = 0
    ) -> list[Unread]:
        with self._readers.snapshot() as connection:
            wanted = {
                "collection": writes.collection_id(connection, collection), "layer": layer, "version": version,
                "before": before if before is not None else (1 << 63) - 1, "after": after, "limit": limit,
            }  # fmt: skip
            return [Unread(*row) for row in fetch(connection, SQL["graph_waiting"], wanted)]

    def count_waiting(self, collection: str, layer: int, version: str) -> int:
        return self._count("count_graph_waiting", collection, layer, version)

    def count_failed(self, collection: str, layer: int) -> int:
        return self._count("count_graph_failed", collection, layer, "")

    def count_read(self, collection: str, layer: int) -> int:
        return self._count("count_graph_read", collection, layer, "")

    def forget_failed(self, collection: str, layer: int) -> None:
        def work(connection: apsw.Connection) -> None:
            wanted = {"collection": writes.collection_id(connection, collection), "layer": layer}
            connection.execute(SQL["forget_failed_extractions"], wanted).fetchall()

        self._write(work)

    def failures(self, collection: str, layer: int, limit: int) -> list[GraphFailure]:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            wanted = {"collection": owner, "layer": layer, "limit": limit}
            return [GraphFailure(*row) for row in fetch(connection, SQL["graph_failures"], wanted)]

    def _count(self, query: str, collection: str, layer: int, version: str) -> int:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            wanted = {"collection": owner, "layer": layer, "version": version}
            return int(connection.execute(SQL[query], wanted).get)

    def put(self, layer: int, version: str, found: Mapping[bytes, Extracted]) -> int:
        if not found:
            return 0
        return int(self._write(lambda connection: _put(connection, layer, version, found)))

    def extractions(self, ids: Sequence[int], layer: int) -> list[tuple[int, bytes]]:
        if not len(ids):
            return []
        wanted = array(ids)
        with self._readers.use() as connection:
            return [(id_, data) for id_, data in fetch(connection, SQL["extractions"], (wanted, layer))]

    def decisions(self, collection: str) -> list[GraphDecision]:
        with self._readers.snapshot() as connection:
            owner = writes.collection_id(connection, collection)
            return [GraphDecision(*row) for row in fetch(connection, SQL["graph_decisions"], (owner,))]

    def decide(
        self, collection: str, kind: Literal["merge", "split"], pairs: Sequence[tuple[str, str]], who: str
    ) -> None:
        def work(connection: apsw.Connection) -> None:
            owner = writes.collection_id(connection, collection)
            now = time.time()  # pairs of one moment are one act
            for one, other in map(sorted, pairs):
                connection.execute(SQL["forget_graph_decision"], (owner, one, other)).fetchall()
                reach("graph.redecided")
                connection.execute(SQL["insert_graph_decision"], (owner, one, other, kind, now, who))
            connection.execute(SQL["raise_revision"], (owner,))

        self._write(work)

    def withdraw(self, collection: str, a: str, b: str) -> None:
        one, other = sorted((a, b))

        def work(connection: apsw.Connection) -> bool:
            owner = writes.collection_id(connection, collection)
            gone = connection.execute(SQL["forget_graph_decision"], (owner, one, other)).fetchall()
            if gone:
                connection.execute(SQL["raise_revision"], (owner,))
            return bool(gone)

        if not self._write(work, frees=True):
            raise NotFound(f"nothing was decided about {a} and {b}.", "`ragstone graph decisions` lists what was.")


def _put(connection: apsw.Connection, layer: int, version: str, found: Mapping[bytes, Extracted]) -> int:
    reached: defaultdict[int, list[int]] = defaultdict(list)
    for hash_, extracted in found.items():
        holders = fetch(connection, SQL["chunks_of_hash"], (hash_,))
        stored = connection.execute(SQL["extraction"], (hash_, layer)).fetchone()
        new = (version, extracted.error, extracted.data)
        if not holders or stored == new:
            continue
        connection.execute(SQL["put_extraction"], (hash_, layer, *new))
        for id_, owner in holders:
            reached[owner].append(id_)
    reach("graph.stored")
    for owner, ids in reached.items():
        connection.executemany(SQL["log"], [(owner, EXTRACT, id_, None) for id_ in ids])
        connection.execute(SQL["raise_revision"], (owner,))
    return sum(len(ids) for ids in reached.values())
