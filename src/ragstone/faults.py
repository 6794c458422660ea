"""Named points of the write path, where a stress test can stop the process or look at it.

`reach(name)` costs one comparison and does nothing, unless this process called `watch`: only a process that was
started for a stress test does, and nothing reads the environment or a setting to decide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

POINTS: Final = {
    "schema.applied": "a migration ran, its transaction is open",
    "schema.current": "the database has the newest schema, the store is not open yet",
    "writer.begun": "the write lock is held, nothing is written",
    "writer.worked": "the requests of a group ran, nothing is committed",
    "writer.committed": "the group is durable, no caller knows",
    "writer.checkpoint": "the log is about to be copied into the database",
    "put.documents": "document rows are written, their chunks are not",
    "put.chunks": "chunks are written, their log entries are not",
    "delete.chunks": "chunks are deleted, their log entries are missing",
    "delete.documents": "a document's chunks are gone, its row is not",
    "drop.documents": "a collection's documents are gone, the collection is not",
    "vectors.stored": "a vector is written, its log entry is not",
    "spaces.changed": "the new roles of spaces are written, not committed",
    "spaces.emptied": "some vectors of a dropped space are gone, others are not",
    "segments.forgotten": "the old set of segments is deleted, the new one is not written",
    "log.trimmed": "index terms are forgotten, their log entries are not",
    "batch.stored": "documents are durable, their report is not out",
    "embed.computed": "vectors are computed, none is stored",
    "embed.stored": "vectors are durable, nobody was told",
    "graph.extracted": "texts are read for the graph, nothing of it is stored",
    "graph.stored": "what was extracted is written, its log entries are not",
    "graph.told": "what was extracted is durable, nobody was told",
    "graph.redecided": "what was decided about a pair is gone, the new decision is not written",
    "graph.sealed": "a graph is in its file, which is not published",
    "file.created": "an index file exists under its temporary name, empty",
    "file.written": "an index file is written, not synced",
    "file.synced": "an index file is synced, not renamed",
    "file.renamed": "an index file has its name, its folder is not synced",
    "seal.written": "a tail is in its file, which is not published",
    "seal.merged": "segments are merged into a file, which is not published",
    "seal.published": "a set is published, the files it replaced are still there",
    "seal.tidied": "files that nothing refers to are gone, the log is not trimmed",
    "rebuild.lexical": "the new word index is published, the new vectors are not",
    "memory.documents": "the documents of what is remembered are written, what is structured about them is not",
    "memory.forgotten": "items are gone, the states that followed from them are not settled",
    "orphan.removed": "one file that nothing refers to is gone, others are not",
}

LEARNING: Final = {
    "learn.remembered": "items are durable, the place in the stream is not",
    "learn.placed": "items and place are durable, nobody was told",
}
"""Points of learning from a stream, over those of the write path."""

CHAT: Final = {
    "chat.asked": "a question is written, its transaction is open",
    "chat.answered": "an answer is written and bound to its passages, its transaction is open",
}
"""Points of a session of the terminal chat."""

_watcher: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Tells the watcher, where there is one, that the process is at this point."""
    if _watcher is not None:
        _watcher(name)


@contextmanager
def watch(watcher: Callable[[str], None]) -> Iterator[None]:
    """Inside, `watcher` is called with the name of every point that any thread of this process reaches."""
    global _watcher
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before
