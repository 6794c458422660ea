"""Which tellings of knowledge are one item.

In the order of telling, each one repeats the item whose first telling has the same words, else the one whose first
telling is most like it (of equals the earliest), else it is an item of its own. So items follow from the tellings that
are there and their order, and from nothing that was told and is gone: with the first telling of an item, all that hung
together with it by likeness is grouped again. A chain a ~ b ~ c in which a and c are not alike is two items, a with b,
and c; without a it is one, b with c.

Every function takes the write connection with a transaction open.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from ..memory_types import KINDS, MEMORY
from ..text.passage import one_passage
from . import writes
from .connect import fetch
from .memory_states import related, rows_of
from .migrations import queries

SQL = queries()
KNOWLEDGE = KINDS.index("knowledge")


@dataclass(frozen=True, slots=True)
class _Telling:
    """`kept`: what an item needs to stand on it, "" for the one that its item stands on."""

    id: int
    item: int
    text: int
    kept: str


def regroup(connection: apsw.Connection, items: Iterable[int]) -> tuple[set[int], list[int]]:
    """The first telling of these items is gone. Gives the items whose tellings or whose state changed, and those that
    have no tellings any more."""
    near, words = _hanging_together(connection, items)
    tellings = [_Telling(*row) for row in rows_of(connection, "memory_tellings_of_texts", list(words))]
    before = {telling.item for telling in tellings}
    touched = related(connection, before)
    used: set[int] = set()
    for group in _groups(tellings, near, words):
        used.add(_stand(connection, group, used))
    touched |= used | related(connection, used)
    return touched, sorted(before - used)


def _hanging_together(
    connection: apsw.Connection, items: Iterable[int]
) -> tuple[dict[int, dict[int, float]], dict[int, bytes]]:
    """By text, those it is near to; and the words of each."""
    near: defaultdict[int, dict[int, float]] = defaultdict(dict)
    words: dict[int, bytes] = {}
    new = {row[0] for row in rows_of(connection, "memory_texts_of_items", sorted(items))}
    while new:
        words |= dict(rows_of(connection, "memory_words_of_texts", sorted(new)))
        found = {row[0] for text in new for row in connection.execute(SQL["memory_texts_of_words"], (text,))}
        for one, other, similarity in rows_of(connection, "memory_near_texts", sorted(new)):
            near[one][other] = similarity
            found.add(other)
        new = found - words.keys()
    return near, words


def _groups(
    tellings: Sequence[_Telling], near: dict[int, dict[int, float]], words: dict[int, bytes]
) -> list[list[_Telling]]:
    """Each with its first telling in front, in the order of those."""
    groups: dict[int, list[_Telling]] = {}  # by text of the first telling
    of_words: dict[bytes, int] = {}
    for telling in tellings:
        holder = of_words.get(words[telling.text])
        if holder is None:
            like = [(similarity, text) for text, similarity in near[telling.text].items() if text in groups]
            best = max((similarity for similarity, _ in like), default=None)
            holder = next((text for text in groups if (best, text) in like), None)
        if holder is None:
            of_words[words[telling.text]] = telling.text
            groups[telling.text] = [telling]
        else:
            groups[holder].append(telling)
    return list(groups.values())


def _stand(connection: apsw.Connection, group: Sequence[_Telling], used: set[int]) -> int:
    """Gives the group an item: the one in which its first telling is, where no earlier group has it."""
    first = group[0]
    item = first.item if first.item not in used else _made(connection, first)
    for telling in group[1:]:
        if not telling.kept:  # it stood for an item until now
            kept = msgspec.json.encode(_standing_words(connection, telling.item)).decode()
            connection.execute(SQL["memory_keep_telling"], (kept, telling.id))
    for telling in group:
        if telling.item != item:
            connection.execute(SQL["memory_move_telling"], (item, telling.id))
    if first.kept:
        stand_on(connection, item, first.id, msgspec.json.decode(first.kept))
    return item


def _made(connection: apsw.Connection, telling: _Telling) -> int:
    """A new item, with the words of the telling; `stand_on` fills in the rest."""
    kept = msgspec.json.decode(telling.kept)
    project = connection.execute("SELECT project_id FROM memory_items WHERE document_id = ?", (telling.item,)).get
    document = one_passage(
        secrets.token_hex(8), kept["text"], title=kept["title"], context=kept["context"], modified=kept["at"]
    )
    id_ = writes.put(connection, MEMORY, [document])[0].document_id
    now, at = time.time(), kept["at"]
    words = msgspec.convert(kept["words"], bytes)
    values = (project, KNOWLEDGE, kept["type"], at, at, at, kept["confidence"], now, now, words)
    connection.execute(SQL["memory_insert"], (id_, *values, *kept["described"], telling.text))
    return id_


def stand_on(connection: apsw.Connection, item: int, telling: int, kept: dict[str, Any]) -> None:
    """The item has the words of this telling from now on."""
    uri = connection.execute("SELECT uri FROM documents WHERE id = ?", (item,)).get
    document = one_passage(uri, kept["text"], title=kept["title"], context=kept["context"], modified=kept["at"])
    writes.put(connection, MEMORY, [document])
    at, confidence = kept["at"], kept["confidence"]
    words = msgspec.convert(kept["words"], bytes)
    values = (kept["type"], at, at, confidence, words, *kept["described"], telling, item)
    connection.execute(SQL["memory_restand"], values)
    connection.execute(SQL["memory_keep_telling"], ("", telling))
    vector = fetch(connection, SQL["memory_space_of_text"], (telling,))
    if vector and not kept["context"]:  # nothing has to be embedded again
        writes.put_embeddings(connection, vector[0][0], {document.chunks[0].content_hash: vector[0][1]})


def _standing_words(connection: apsw.Connection, item: int) -> dict[str, Any]:
    """As `memory_writes.telling_kept` gives them for a telling that is merged."""
    text, context, title, type_, at, confidence, words, *described = connection.execute(
        SQL["memory_standing_words"], (item,)
    ).get
    return {
        "text": text, "context": context, "title": title, "type": type_, "at": at, "confidence": confidence,
        "words": words, "described": described,
    }  # fmt: skip
