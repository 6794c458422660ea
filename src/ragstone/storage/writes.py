"""What a write does inside its transaction. Every function takes the write connection with a transaction open, and
raises the collection's revision and appends to the operation log exactly when something changed."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from ..errors import ModelMismatch, NotFound
from ..faults import reach
from ..protocols import PutResult
from ..text.analysis import ANALYSIS_VERSION
from ..types import PreparedChunk, PreparedDocument
from . import rows
from .connect import array, fetch
from .migrations import queries
from .rows import ADD, DELETE, EMBED

SQL = queries()


def collection_id(connection: apsw.Connection, name: str) -> int:
    """Raises NotFound."""
    return collection_at(connection, name)[0]


def collection_at(connection: apsw.Connection, name: str) -> tuple[int, int]:
    """Id and revision. Raises NotFound."""
    row = connection.execute(SQL["collection"], (name,)).fetchone()
    if row is None:
        raise NotFound(f"there is no collection {name!r}.", "`ragstone status` lists the collections.")
    return row[0], row[1]


@dataclass(slots=True)
class _Difference:
    """What a put changes, gathered over its documents and written with few statements."""

    new: list[tuple[Any, ...]] = field(default_factory=list)
    terms: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    moved: list[tuple[Any, ...]] = field(default_factory=list)
    added: list[tuple[int, bytes]] = field(default_factory=list)
    removed: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, id_: int, document_id: int, position: tuple[Any, ...], chunk: PreparedChunk) -> None:
        ordinal, start, end, page, line, section, turns = position
        self.new.append(
            (
                id_, document_id, ordinal, start, end, page, line, chunk.content_hash, section, turns, chunk.context,
                chunk.text,
            )
        )
        self.terms.append((id_, chunk.terms.length, chunk.terms.keys, ANALYSIS_VERSION))
        self.added.append((id_, chunk.content_hash))


def put(connection: apsw.Connection, collection: str, documents: Sequence[PreparedDocument]) -> list[PutResult]:
    """Stores documents; those whose content hash is stored already are left alone."""
    owner = collection_id(connection, collection)
    difference = _Difference()
    # Ids are given here rather than by SQLite, so that all rows of a batch are known before the first is written;
    # AUTOINCREMENT still remembers the largest, so none is used twice.
    next_chunk = connection.execute(SQL["last_id"], ("chunks",)).get + 1
    now = time.time()
    results: list[PutResult] = []
    batch: set[str] = set()
    for document in documents:
        if document.uri in batch:
            _write(connection, owner, difference)
            difference, batch = _Difference(), set()
        batch.add(document.uri)
        stored = connection.execute(SQL["stored_version"], (owner, document.uri)).fetchone()
        if stored is not None and stored[1] == document.content_hash:
            results.append(PutResult(document.uri, "unchanged", stored[0], 0, 0))
            continue
        added, removed = len(difference.added), len(difference.removed)
        columns = rows.document_columns(document, now)
        if stored is None:
            connection.execute(SQL["insert_document"], (owner, document.uri, *columns))
            document_id = connection.last_insert_rowid()
            kept: dict[bytes, deque[Any]] = {}
        else:
            document_id = stored[0]
            connection.execute(SQL["update_document"], (*columns, document_id))
            kept = defaultdict(deque)
            for row in connection.execute(SQL["stored_chunks"], (document_id,)):
                kept[row[0]].append(row)
        for ordinal, chunk in enumerate(document.chunks):
            position = rows.position_columns(ordinal, chunk)
            same = kept.get(chunk.content_hash)
            if same:
                row = same.popleft()
                if row[2:] != position:
                    difference.moved.append((*position, row[1]))
            else:
                difference.add(next_chunk, document_id, position, chunk)
                next_chunk += 1
        difference.removed.extend((row[1], row[0]) for rest in kept.values() for row in rest)
        results.append(
            PutResult(
                document.uri,
                "added" if stored is None else "updated",
                document_id,
                len(difference.added) - added,
                len(difference.removed) - removed,
            )
        )
    _write(connection, owner, difference)
    if any(result.state != "unchanged" for result in results):
        connection.execute(SQL["raise_revision"], (owner,))
    return results


def _write(connection: apsw.Connection, owner: int, difference: _Difference) -> None:
    reach("put.documents")
    if difference.moved:
        connection.executemany(SQL["move_chunk"], difference.moved)
    if difference.new:
        connection.executemany(SQL["insert_chunk"], difference.new)
        reach("put.chunks")
        connection.executemany(SQL["keep_terms"], difference.terms)
        connection.executemany(SQL["log"], [(owner, ADD, id_, None) for id_, _ in difference.added])
        _reuse_vectors(connection, owner, difference.added)
    if difference.removed:  # after the new ones, in the log too: who follows it in parts never misses both
        _remove_chunks(connection, owner, [id_ for id_, _ in difference.removed])
    # After the new chunks are there: a text that only moved to another document keeps its vector.
    _forget_derived(connection, (hash_ for _, hash_ in difference.removed))


def _reuse_vectors(connection: apsw.Connection, owner: int, added: list[tuple[int, bytes]]) -> None:
    """New chunks whose text has a vector already are announced at once; the others wait for theirs."""
    spaces = [row[0] for row in connection.execute(SQL["spaces"])]
    if not spaces:
        return
    hashes = apsw.carray(tuple({hash_ for _, hash_ in added}))
    queues = _queues(connection, owner)
    if has_uses(connection, owner):
        spaces = [space for space in spaces if space in queues]
    for space in spaces:
        embedded = {row[0] for row in connection.execute(SQL["embedded_hashes"], (hashes, space))}
        if space in queues:
            waiting = [(owner, space, id_) for id_, hash_ in added if hash_ not in embedded]
            connection.executemany(SQL["wait"], waiting)
        elif embedded:
            open_queue(connection, owner, space)
        if embedded:
            entries = [(owner, EMBED, id_, space) for id_, hash_ in added if hash_ in embedded]
            connection.executemany(SQL["log"], entries)


def has_uses(connection: apsw.Connection, owner: int) -> bool:
    """Whether the collection uses certain spaces and wants vectors of no other."""
    return connection.execute(SQL["has_uses"], (owner,)).fetchone() is not None


def open_queue(connection: apsw.Connection, owner: int, space: int) -> None:
    connection.execute(SQL["open_queue"], (owner, space))
    connection.execute(SQL["fill_queue"], {"collection": owner, "space": space})


def _queues(connection: apsw.Connection, owner: int) -> set[int]:
    return {row[0] for row in connection.execute(SQL["queues"], (owner,))}


def _remove_chunks(connection: apsw.Connection, owner: int, ids: list[int]) -> None:
    one = [(id_,) for id_ in ids]
    connection.executemany(SQL["delete_chunk"], one)
    reach("delete.chunks")
    connection.executemany(SQL["forget_terms"], one)
    for space in _queues(connection, owner):
        connection.executemany(SQL["served"], [(owner, space, id_) for id_ in ids])
    connection.executemany(SQL["log"], [(owner, DELETE, id_, None) for id_ in ids])


def _forget_derived(connection: apsw.Connection, hashes: Iterable[bytes]) -> None:
    """Vectors and extractions of texts that no chunk holds any more."""
    unique = [{"hash": hash_} for hash_ in dict.fromkeys(hashes)]
    if unique and connection.execute(SQL["spaces"]).fetchone():
        connection.executemany(SQL["forget_embedding"], unique)
    connection.executemany(SQL["forget_extraction"], unique)


def delete(connection: apsw.Connection, collection: str, uris: Sequence[str]) -> list[str]:
    """Removes documents; returns the uris that were there, each once, in the order given."""
    owner = collection_id(connection, collection)
    found: dict[str, int] = {}
    for uri in uris:
        row = connection.execute(SQL["stored_version"], (owner, uri)).fetchone()
        if row is not None:
            found[uri] = row[0]
    if found:
        remove_documents(connection, owner, list(found.values()))
    return list(found)


def remove_documents(connection: apsw.Connection, owner: int, ids: list[int]) -> None:
    wanted = array(ids)
    gone = fetch(connection, SQL["hashes_of_documents"], (wanted,))
    if gone:
        _remove_chunks(connection, owner, sorted(id_ for id_, _ in gone))
    reach("delete.documents")
    connection.executemany(SQL["delete_document"], [(id_,) for id_ in ids])
    _forget_derived(connection, (hash_ for _, hash_ in gone))
    connection.execute(SQL["raise_revision"], (owner,))


def drop_collection(connection: apsw.Connection, name: str) -> None:
    owner = collection_id(connection, name)
    ids = [row[0] for row in connection.execute(SQL["document_ids"], (owner,))]
    if ids:
        remove_documents(connection, owner, ids)
    reach("drop.documents")
    for statement in (
        "drop_uses", "drop_waiting", "drop_queues", "drop_segments", "drop_roots", "drop_graph_decisions",
        "drop_collection",
    ):  # fmt: skip
        connection.execute(SQL[statement], (owner,))
    connection.execute(SQL["raise_revision"], (owner,))


def put_embeddings(connection: apsw.Connection, space: str, embeddings: Mapping[bytes, bytes]) -> int:
    """Stores vectors by content hash; returns for how many chunks a new vector was logged. Raises ModelMismatch
    where the size of a vector is not that of the space."""
    if not embeddings:
        return 0
    space_id = _space(connection, space, embeddings)
    reached: defaultdict[int, list[int]] = defaultdict(list)
    wants: dict[int, bool] = {}
    for hash_, vector in embeddings.items():
        found = fetch(connection, SQL["chunks_of_hash"], (hash_,))
        for owner in {owner for _, owner in found} - wants.keys():
            wants[owner] = space_id in _queues(connection, owner) or not has_uses(connection, owner)
        holders = [(id_, owner) for id_, owner in found if wants[owner]]
        stored = connection.execute(SQL["embedding"], (space_id, hash_)).fetchone()
        if not holders or (stored is not None and stored[0] == vector):
            continue
        connection.execute(SQL["put_embedding"], (space_id, hash_, vector))
        reach("vectors.stored")
        for id_, owner in holders:
            reached[owner].append(id_)
    for owner, ids in reached.items():
        if space_id in _queues(connection, owner):
            connection.executemany(SQL["served"], [(owner, space_id, id_) for id_ in ids])
        else:
            open_queue(connection, owner, space_id)
        connection.executemany(SQL["log"], [(owner, EMBED, id_, space_id) for id_ in ids])
        connection.execute(SQL["raise_revision"], (owner,))
    return sum(len(ids) for ids in reached.values())


def _space(connection: apsw.Connection, name: str, embeddings: Mapping[bytes, bytes]) -> int:
    return space_number(connection, name, [len(vector) for vector in embeddings.values()])


def space_number(connection: apsw.Connection, name: str, sizes: Sequence[int]) -> int:
    """The row's id, made where there is none. `sizes`: bytes of the vectors that are to be its. Raises
    ModelMismatch."""
    row = connection.execute(SQL["space"], (name,)).fetchone()
    size = row[1] if row else sizes[0]
    wrong = next((found for found in sizes if found != size or size % 2), None)
    if wrong is not None or size == 0:
        raise ModelMismatch(
            f"a vector of {wrong or 0} bytes does not belong to the space {name!r}, whose vectors have {size}.",
            "Use the model that the collection was embedded with, or rebuild it with the new one.",
        )
    if row:
        return int(row[0])
    return int(connection.execute(SQL["insert_space"], (name, size)).get)


def unchanged(
    connection: apsw.Connection, collection: str, documents: Sequence[PreparedDocument]
) -> list[PutResult] | None:
    """The results where there is nothing to write at all: then no fsync is spent."""
    results = []
    owner = collection_id(connection, collection)
    for document in documents:
        stored = connection.execute(SQL["stored_version"], (owner, document.uri)).fetchone()
        if stored is None or stored[1] != document.content_hash:
            return None
        results.append(PutResult(document.uri, "unchanged", stored[0], 0, 0))
    return results
