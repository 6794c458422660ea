"""Items follow the documents they stand on, in the transaction that changes those.

A document that is removed takes along every telling that stood on it alone, and an item whose last telling goes is
forgotten. An item whose first telling goes stands on the next one, with that one's words; knowledge is grouped again
(memory_groups.py). A document that changed keeps
its spans where their words are still in it, wherever; an item none of whose words are left is stale.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from ..memory_types import MEMORY, SourceSpan
from . import memory_sessions, writes
from .connect import fetch
from .memory_groups import regroup, stand_on
from .memory_states import related, rows_of, settle
from .migrations import queries

SQL = queries()
QUOTED: Final = 200
"""Characters of a span's beginning that are kept, to look for it where the text before it changed."""


def span_hash(text: str) -> bytes:
    """BLAKE2b-128."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def bind(connection: apsw.Connection, telling: int, sources: Sequence[SourceSpan]) -> None:
    """Writes the sources of a telling; those whose document is there follow it from now on."""
    for source in dict.fromkeys(sources):
        row = connection.execute(SQL["memory_bindable"], (source.collection, source.uri)).fetchone()
        document, hash_, quote, end = None, source.content_hash, "", source.end
        if row is not None:
            document = row[0]
            text = _text(connection, document)
            end = source.end if source.end > source.start else len(text)
            span = text[source.start : end]
            hash_, quote = span_hash(span), span[:QUOTED]
        values = (telling, document, document is not None, source.start, end, source.collection, source.uri)
        connection.execute(SQL["memory_source"], (*values, hash_, quote))


def follow_changed(connection: apsw.Connection, documents: Sequence[int]) -> None:
    """The text of these documents is another one now."""
    texts: dict[int, str] = {}
    touched = set()
    for id_, document, start, end, hash_, quote, gone, item in rows_of(
        connection, "memory_sources_of_documents", documents
    ):
        if document not in texts:
            texts[document] = _text(connection, document)
        place = _place(texts[document], start, end - start, hash_, quote)
        if place is None and not gone:
            connection.execute(SQL["memory_move_source"], (start, end, True, id_))
            touched.add(item)
        elif place is not None and (gone or place != start):
            connection.execute(SQL["memory_move_source"], (place, place + end - start, False, id_))
            touched.add(item)
    if touched:
        _close(connection, touched)


def _place(text: str, start: int, length: int, hash_: bytes, quote: str) -> int | None:
    """Where the span stands now: as near to its old place as it is found first."""
    if span_hash(text[start : start + length]) == hash_:
        return start
    at = text.find(quote)
    while at >= 0:
        if span_hash(text[at : at + length]) == hash_:
            return at
        at = text.find(quote, at + 1)
    return None


def follow_removed(connection: apsw.Connection) -> None:
    """Documents were removed, which took their ids from the sources."""
    lost = fetch(connection, SQL["memory_lost_sources"])
    if not lost:
        return
    items: defaultdict[int, set[int]] = defaultdict(set)
    for source, telling, item in lost:
        connection.execute(SQL["memory_forget_source"], (source,))
        items[item].add(telling)
    others = related(connection, items)  # before what they follow from is gone
    forgotten, regrouped = [], []
    for item, tellings in items.items():
        first = fetch(connection, SQL["memory_first_telling"], (item,))
        for telling in tellings:
            if connection.execute(SQL["memory_stands"], (telling,)).fetchone() is None:
                connection.execute(SQL["memory_forget_telling"], (telling,))
        now_first = fetch(connection, SQL["memory_first_telling"], (item,))
        if not now_first:
            forgotten.append(item)
        elif now_first[0][0] != first[0][0]:
            telling, kept, text = now_first[0]
            if text is not None:
                regrouped.append(item)
            else:
                stand_on(connection, item, telling, msgspec.json.decode(kept))
                followers = memory_sessions.following(connection, [item])
                others |= memory_sessions.refresh(connection, {item, *followers})
    changed, empty = regroup(connection, regrouped)
    from .memory_writes import forget_items  # which needs `bind`

    forget_items(connection, forgotten + empty)
    _close(connection, (set(items) | others | changed) - set(forgotten) - set(empty))


def _close(connection: apsw.Connection, touched: set[int]) -> None:
    from .memory_writes import mark

    changed = settle(connection, touched | related(connection, touched))
    mark(connection, writes.collection_id(connection, MEMORY), touched | changed, time.time())


def _text(connection: apsw.Connection, document: int) -> str:
    return "".join(row[0] for row in connection.execute(writes.SQL["text_of_document"], (document,)))
