"""What is remembered and forgotten, inside a write transaction of the store."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from ..errors import NotFound
from ..faults import reach
from ..memory_types import KINDS, MEMORY, TYPES, NewItem, Outcome
from ..protocols import Telling, Told
from . import memory_sessions, writes
from .memory_sources import bind
from .memory_states import related, settle
from .migrations import queries

SQL = queries()
DAY = 86_400.0


def remember(
    connection: apsw.Connection, tellings: Sequence[Telling], at_revision: int | None = None
) -> list[Told] | None:
    """See `protocols.MemoryStore`."""
    connection.execute(SQL["memory_collection"], (MEMORY,))
    owner, revision = writes.collection_at(connection, MEMORY)
    if at_revision is not None and revision != at_revision:
        return None
    return _Remembering(connection, owner).run(tellings)


class _Remembering:
    """One call. `held` names by position the telling, or by document the item, that holds each telling."""

    def __init__(self, connection: apsw.Connection, owner: int) -> None:
        self._connection = connection
        self._owner = owner
        self._now = time.time()
        self._new: list[Telling] = []
        self._words: dict[tuple[int, int, bytes], list[tuple[Telling, str]]] = defaultdict(list)
        self._values: dict[tuple[int, str, str], str] = {}
        self._keys: dict[str, str] = {}  # idempotency keys of this call
        self._texts: dict[tuple[int, bool, bytes], tuple[int, str]] = {}  # place in `_new` and uri, by text
        self._similarity: dict[int, float] = {}

    def run(self, tellings: Sequence[Telling]) -> list[Told]:
        decided = [self._decide(number, telling) for number, telling in enumerate(tellings)]
        results = writes.put(self._connection, MEMORY, [telling.document for telling in self._new])
        reach("memory.documents")
        documents = {result.uri: result.document_id for result in results}
        vectors: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for telling in self._new:
            for space, vector in telling.vectors.items():
                vectors[space][telling.document.chunks[0].content_hash] = vector
            self._insert(documents[telling.document.uri], telling)
        touched: set[int] = set(documents.values())
        for telling, (uri, outcome) in zip(tellings, decided, strict=True):
            id_ = documents.get(uri) or self._id(uri)
            if outcome == "unchanged":
                continue
            if outcome == "merged":
                self._tell(id_, telling, first=False)
                touched.add(id_)
        for telling, (_, outcome) in zip(tellings, decided, strict=True):
            if outcome != "unchanged":
                self._link(telling)
        for space, of_space in vectors.items():
            writes.put_embeddings(self._connection, space, of_space)
        followers = memory_sessions.following(self._connection, documents.values())
        touched |= memory_sessions.refresh(self._connection, {*documents.values(), *followers})
        self._close(touched)
        return [
            Told(
                uri, self._outcome(outcome, documents.get(uri)), self._similarity.get(number, 0.0),
                self._denied(uri, telling, outcome),
            )
            for number, (telling, (uri, outcome)) in enumerate(zip(tellings, decided, strict=True))
        ]  # fmt: skip

    def _denied(self, uri: str, telling: Telling, outcome: Outcome) -> tuple[str, ...]:
        """Items that no longer hold because of what was told: they were told before it."""
        if outcome != "added" or not any(alike.contrary for alike in telling.likenesses):
            return ()
        rows = self._connection.execute(SQL["memory_denied"], (self._id(uri),))
        return tuple(row[0] for row in rows)

    def _decide(self, number: int, telling: Telling) -> tuple[str, Outcome]:
        """The uri of the item that holds the telling, and what became of it."""
        key = telling.item.idempotency_key
        if key:
            row = self._connection.execute(SQL["memory_known_key"], (key,)).fetchone()
            if row is not None:
                return self._uri(row[0]), "unchanged"
            if key in self._keys:
                return self._keys[key], "unchanged"
        same = self._same_value(telling) if telling.item.kind == "fact" else self._same_words(telling)
        if same is not None:
            self._similarity[number] = 1.0
        else:
            self._similarity[number], same = self._most_like(telling)
        uri = same or telling.document.uri
        if key:
            self._keys[key] = uri
        if same is not None:
            return uri, "merged"
        project = self._project(telling.item.project)
        self._new.append(telling)
        if telling.item.kind == "fact":
            self._values[project, telling.folded_key, telling.folded_value] = uri
        else:
            self._words[project, KINDS.index(telling.item.kind), telling.words].append((telling, uri))
            self._texts.setdefault((project, _asks(telling), telling.text), (len(self._new), uri))
        return uri, "added"

    def _same_value(self, telling: Telling) -> str | None:
        """The item of this value of the key. A value that comes back is told again."""
        place = (self._project(telling.item.project), telling.folded_key, telling.folded_value)
        row = self._connection.execute(SQL["memory_of_value"], place).fetchone()
        return self._uri(row[0]) if row is not None else self._values.get(place)

    def _same_words(self, telling: Telling) -> str | None:
        project, kind = self._project(telling.item.project), KINDS.index(telling.item.kind)
        for id_, type_, at, who, participants in self._connection.execute(
            SQL["memory_same_words"], (project, kind, telling.words)
        ):
            names = tuple(msgspec.json.decode(participants))
            if one_event(telling.item, TYPES[type_], at, who, names):
                return self._uri(id_)
        for other, uri in self._words[project, kind, telling.words]:
            held = other.item
            if one_event(telling.item, held.type, _at(other), held.who, held.participants):
                return uri
        return None

    def _most_like(self, telling: Telling) -> tuple[float, str | None]:
        """The item whose first telling is most like this one, of equals the earliest (memory_groups.py)."""
        found: list[tuple[float, int, int, str]] = []  # what is stored was told earlier
        for alike in telling.likenesses:
            if alike.contrary:
                continue
            place = (self._project(telling.item.project), _asks(telling), alike.text)
            row = self._connection.execute(SQL["memory_leader"], place).fetchone()
            if row is not None:
                found.append((-alike.similarity, 0, row[1], row[0]))
            elif place in self._texts:
                found.append((-alike.similarity, 1, *self._texts[place]))
        if not found:
            return 0.0, None
        similarity, _, _, uri = min(found)
        return -similarity, uri

    def _insert(self, id_: int, telling: Telling) -> None:
        item = telling.item
        at = _at(telling)
        project = self._project(item.project)
        self._connection.execute(
            SQL["memory_insert"],
            (
                id_, project, KINDS.index(item.kind), TYPES.index(_type(item)), at, at, at, item.confidence, self._now,
                self._now, telling.words, *described(telling), self._text(telling, of_item=True),
            ),
        )  # fmt: skip
        self._tell(id_, telling, first=True)

    def _tell(self, id_: int, telling: Telling, *, first: bool) -> None:
        item = telling.item
        kept = "" if first else msgspec.json.encode(telling_kept(telling)).decode()
        self._connection.execute(
            SQL["memory_tell"],
            (
                id_, _at(telling), bool(item.sources), item.idempotency_key or None, kept,
                self._text(telling, of_item=first),
            ),
        )  # fmt: skip
        bind(self._connection, self._connection.last_insert_rowid(), item.sources)

    def _text(self, telling: Telling, *, of_item: bool) -> int | None:
        """The row of its text, with the vector that the item of this text does not have."""
        if telling.item.kind != "knowledge":
            return None
        place = (self._project(telling.item.project), _asks(telling), telling.words, telling.text)
        id_ = int(self._connection.execute(SQL["memory_text"], place).get)
        if telling.alone and (telling.item.context or not of_item):
            for space, vector in telling.alone.items():
                self._connection.execute(SQL["memory_text_vector"], (space, vector, id_))
        return id_

    def _link(self, telling: Telling) -> None:
        """To the texts that are like it or say the contrary."""
        if telling.likenesses:
            text = self._text(telling, of_item=True)
            project, asks = self._project(telling.item.project), _asks(telling)
            self._connection.executemany(
                SQL["memory_like"],
                [
                    {
                        "text": text, "project": project, "asks": asks, "hash": alike.text,
                        "similarity": 0.0 if alike.contrary else alike.similarity,
                    }
                    for alike in telling.likenesses
                ],
            )  # fmt: skip

    def _close(self, touched: set[int]) -> None:
        changed = settle(self._connection, touched | related(self._connection, touched))
        mark(self._connection, self._owner, touched | changed, self._now)

    def _outcome(self, outcome: Outcome, document: int | None) -> Outcome:
        """A value that came after another one of its key replaced it."""
        if outcome != "added" or document is None:
            return outcome
        row = self._connection.execute(
            "SELECT 1 FROM memory_items WHERE replaced_by = ? LIMIT 1", (document,)
        ).fetchone()
        return "replaced" if row is not None else "added"

    def _project(self, name: str | None) -> int:
        return project_id(self._connection, name or "", self._now)

    def _id(self, uri: str, *, there: bool = True) -> int:
        row = self._connection.execute(SQL["memory_of_uri"], (MEMORY, uri)).fetchone()
        if row is None and there:
            raise NotFound(f"there is no memory {uri!r}.", "It was forgotten meanwhile; try again.")
        return int(row[0]) if row is not None else 0

    def _uri(self, id_: int) -> str:
        return str(self._connection.execute("SELECT uri FROM documents WHERE id = ?", (id_,)).get)


def one_event(item: NewItem, type_: str, at: float, who: str, participants: Sequence[str]) -> bool:
    """Whether something of the same words can be the same thing: a question is no statement, and what happened on
    another day, or to others, is another event."""
    if item.kind == "knowledge":
        return (item.type == "question") == (type_ == "question")
    return (
        item.at is not None
        and int(item.at // DAY) == int(at // DAY)
        and item.who == who
        and set(item.participants) == set(participants)
    )


def forget(connection: apsw.Connection, uris: Iterable[str]) -> int:
    """How many were there."""
    found = [connection.execute(SQL["memory_of_uri"], (MEMORY, uri)).fetchone() for uri in dict.fromkeys(uris)]
    return forget_items(connection, [row[0] for row in found if row is not None])


def forget_items(connection: apsw.Connection, ids: Sequence[int]) -> int:
    if not ids:
        return 0
    owner = writes.collection_id(connection, MEMORY)
    others = related(connection, ids) - set(ids)
    followers = memory_sessions.following(connection, ids) - set(ids)
    writes.remove_documents(connection, owner, list(ids))
    reach("memory.forgotten")
    changed = settle(connection, others) | memory_sessions.refresh(connection, followers)
    mark(connection, owner, changed, time.time())
    return len(ids)


def mark(connection: apsw.Connection, owner: int, ids: Iterable[int], now: float) -> None:
    """Gives the rows a new revision of the collection, by which followers find them."""
    changed = list(ids)
    if changed:
        connection.execute(writes.SQL["raise_revision"], (owner,))
        version = writes.collection_at(connection, MEMORY)[1]
        connection.executemany(SQL["memory_touch"], [(version, now, id_) for id_ in changed])


def make_project(connection: apsw.Connection, name: str) -> None:
    connection.execute(SQL["memory_collection"], (MEMORY,))
    project_id(connection, name, time.time())


def project_id(connection: apsw.Connection, name: str, now: float) -> int:
    row = connection.execute(SQL["memory_project"], (name,)).fetchone()
    if row is None:
        connection.execute(SQL["memory_make_project"], (name, now))
        return connection.last_insert_rowid()
    return int(row[0])


def described(telling: Telling) -> tuple[Any, ...]:
    """Columns folded_key … participants."""
    item = telling.item
    return (
        telling.folded_key, telling.folded_value, item.key, item.value, item.who, item.intent, item.outcome,
        msgspec.json.encode(item.participants).decode(),
    )  # fmt: skip


def telling_kept(telling: Telling) -> Mapping[str, Any]:
    """What an item needs to stand on this telling alone."""
    item = telling.item
    return {
        "text": item.text, "context": item.context, "title": telling.document.title, "type": TYPES.index(_type(item)),
        "at": _at(telling), "confidence": item.confidence, "words": telling.words, "described": described(telling),
    }  # fmt: skip


def _asks(telling: Telling) -> bool:
    return telling.item.type == "question"


def _type(item: NewItem) -> Any:
    return item.type if item.kind == "knowledge" else ""


def _at(telling: Telling) -> float:
    assert telling.item.at is not None  # noqa: S101 - `Memory` sets it
    return telling.item.at
