"""What a process holds of one collection, for searches; and its files, for the next process.

`refresh` follows the operation log (following.py), so that every write that any process has had acknowledged is seen by
the next search.

`seal` writes the tails to files, for the next process to open; it changes where rows are kept, never what is found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from ..errors import DiskFull, NotFound, StoreBusy, StoreDamaged, StoreReadOnly
from ..faults import reach
from ..protocols import CollectionView, Store, VectorIndex
from ..types import Chunk, Progress, ProgressCallback, Space, Terms, VerifyReport
from .comparison import chunk_terms, compare
from .following import TRIES, Following, State
from .lexical import Bm25Index
from .sealing import (
    POLICIES,
    SEGMENTS,
    Sealable,
    described,
    indexer_lock,
    new_path,
    remove_orphans,
    segments_at_rest,
    segments_to_merge,
    trim_log,
)
from .vector_codes import Structure

SEAL_ROWS = 2_000
"""Rows of a tail that are worth a file while the process goes on."""
CLOSE_ROWS = 256
"""Rows of a tail that are worth a file when it ends: fewer are followed from the log in milliseconds."""
REBUILT_ROWS = 100_000
"""Rows of one file while all are made again from the store; bounds the memory that takes."""
QUICK_ROWS = 100_000
"""Largest merge that a quick seal does: less than two seconds."""
SEARCHED = ("preferred", "active")
"""Roles of the spaces that a search reads, in this order."""
Kind = Literal["lexical", "vector"]
_REBUILD_WAIT_SECONDS = 60.0
_UNWRITABLE = (StoreReadOnly, DiskFull, StoreBusy)


class CollectionIndex(CollectionView):
    """See the module. Safe for several threads, and for several processes on one data folder.

    Followed are the vector spaces that the collection uses, whatever for, so that a change of roles needs no reading;
    or `spaces`, while no use is recorded: then the first is searched. `writable` False never seals. `terms_of` makes a
    chunk's index terms where the store no longer keeps them."""

    def __init__(
        self,
        store: Store,
        collection: str,
        spaces: Sequence[Space] = (),
        *,
        structure: Structure = "auto",
        components: int = 0,
        seal_rows: int = SEAL_ROWS,
        close_rows: int = CLOSE_ROWS,
        writable: bool = True,
        terms_of: Callable[[Chunk], Terms] = chunk_terms,
    ) -> None:
        """Raises NotFound where the collection does not exist."""
        self._store = store
        self._collection = collection
        self._seal_rows = seal_rows
        self._close_rows = close_rows
        self._writable = writable
        self._terms_of = terms_of
        self._sealing = threading.Lock()  # one seal or rebuild at a time in this process; taken before `_held.lock`
        self._held = Following(store, collection, spaces, structure, components, terms_of)
        if self._held.remade:
            self._seal_quietly()

    @property
    def lexical(self) -> Bm25Index:
        return self._held.state.lexical

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found wrong with the published segments, and what was done about it."""
        return tuple(self._held.notes)

    def vectors(self, space: str) -> VectorIndex | None:
        index = self._held.state.vectors.get(space)
        return index if index is not None and index.size() else None

    def dense(self, space: str | None = None) -> tuple[VectorIndex, ...]:
        state = self._held.state  # one moment: roles and indexes are replaced together
        if space is not None:
            if space not in state.vectors:
                raise NotFound(f"{self._collection!r} does not use the space {space!r}.", "See `ragstone spaces list`.")
            return (state.vectors[space],)
        searched = [use.space.id for role in SEARCHED for use in state.uses if use.role == role]
        return tuple(state.vectors[id_] for id_ in searched or list(state.vectors)[:1])

    def at(self) -> tuple[int, int]:
        """(revision, seq of the last change that was applied). Waits while changes are being applied: when two calls
        around a search give the same, the search saw one state."""
        with self._held.lock:
            return self._held.state.revision, self._held.state.changed

    def refresh(self) -> None:
        """Raises NotFound where the collection was dropped, StoreError."""
        self._held.refresh()

    def adopt(self) -> None:
        """Lets go of what other processes have written to files since: memory holds no more than they still have to
        write, and files that they merged can go. Searches find the same and do not wait. Raises StoreError."""
        with self._sealing:
            if any(self._held.adopt() for _ in range(TRIES)):
                return
            with self._held.lock:
                self._held.state = self._held.open()
                self._held.follow()

    # ------------------------------------------------------------------ sealing

    def seal(self, *, rows: int | None = None, quick: bool = False) -> bool:
        """Writes every tail of at least `rows` (default: the setting) to a file, merges and tidies up; whether
        anything was published. Does nothing where another process is at it. `quick` is for who must not wait: it does
        nothing where this process is at it, and leaves large merges to a later call. Raises StoreError; then nothing
        changed."""
        if not self._writable or (rows is None and not self._worth_sealing(quick)):
            return False
        self._store.require_room()
        if not self._sealing.acquire(blocking=not quick):
            return False
        try:
            return self._seal_all(self._seal_rows if rows is None else rows, QUICK_ROWS if quick else None)
        finally:
            self._sealing.release()

    def consolidate(self) -> bool:
        """Merges files of vectors as is best where nobody writes any more; whether anything was published. Does nothing
        where somebody else is at it. Raises StoreError; then nothing changed."""
        vectors = self._held.state.vectors.values()
        if not self._writable or not any(segments_at_rest(index.segment_infos()) for index in vectors):
            return False
        self._store.require_room()
        with self._sealing, indexer_lock(self._store.folder) as held:
            if not held:
                return False
            self._adopt()
            published = False
            for space in list(self._held.state.vectors):
                published |= self._consolidate_set(space)
            if published:
                self._tidy()
            return published

    def _consolidate_set(self, space: str) -> bool:
        index = self._held.state.vectors.get(space)
        names = segments_at_rest(index.segment_infos()) if index is not None else []
        if index is None or not names:
            return False
        seq = self._held.state.watermarks[space]  # the tail stays where it is
        self._merge_files(index, "vector", seq, names)
        self._publish(index, "vector", space, seq)
        return True

    def _tidy(self) -> None:
        """After something was published. The caller holds the indexer lock."""
        self._held.note_published()
        remove_orphans(self._store)
        reach("seal.tidied")
        trim_log(self._store)

    def _seal_all(self, rows: int, most: int | None) -> bool:
        """`most`: rows of the largest merge, where there is a limit. The caller holds `_sealing`."""
        with indexer_lock(self._store.folder) as held:
            if not held:
                return False
            self._adopt()
            published = False
            for space in list(self._held.state.watermarks):
                published |= self._seal_set(space, rows, most)
            if published:
                self._tidy()
            return published

    def _worth_sealing(self, quick: bool) -> bool:
        """Without asking the store, because this is called after every write."""
        state = self._held.state
        tails = [state.lexical.tail_size(), *(index.tail_size() for index in state.vectors.values())]
        lags = any(state.lags(space) for space in state.watermarks)
        postponed = bool(self._held.postponed and not quick)
        return max(tails) >= self._seal_rows or lags or bool(self._held.remade) or postponed

    def _adopt(self) -> None:
        """Opens what another process published since, so that its work is not done again. The caller holds the
        indexer lock: nobody publishes now."""
        with self._held.lock:
            self.refresh()
            published = self._store.segments(self._collection)
            # also a file that was written and could not be published: to everybody else it is an orphan
            indexes: list[Sealable] = [self._held.state.lexical, *self._held.state.vectors.values()]
            used = {info.name for index in indexes for info in index.segment_infos()}
            ours = {name for name, _ in self._held.published} | used
            vanished = [name for name in ours if not (self._store.folder / SEGMENTS / name).exists()]
            others = self._held.identity(published, self._held.state) != self._held.published
            if (others or (vanished and not self._held.remade)) and not (others and self._taken()):
                self._held.state = self._held.open()
                self._held.follow()

    def _taken(self) -> bool:
        with suppress(StoreDamaged):  # made again from the store below
            return self._held.adopt()
        return False

    def _seal_set(self, space: str, rows: int, most: int | None) -> bool:
        state = self._held.state
        if space not in state.watermarks:
            return False  # dropped meanwhile
        index: Sealable = state.vectors[space] if space else state.lexical
        kind: Kind = "vector" if space else "lexical"
        with self._held.lock:
            seq = state.seq
        due = space in self._held.remade or state.lags(space) or (space in self._held.postponed and most is None)
        tail = index.tail_size()
        if tail and (tail >= rows or due):
            index.seal(new_path(self._store.folder, kind, seq))
            reach("seal.written")
        elif not due:
            return False
        published = self._store.segments(self._collection)
        if not index.segment_infos() and not any((s.kind, s.space) == (kind, space) for s in published):
            state.watermarks[space] = seq
            self._held.remade.discard(space)
            return False  # empty, and known to be
        self._held.postponed.discard(space)
        if self._merge(index, kind, seq, most):
            self._held.postponed.add(space)
        self._publish(index, kind, space, seq)
        state.watermarks[space] = seq
        self._held.remade.discard(space)
        return True

    def _merge(self, index: Sealable, kind: Kind, seq: int, most: int | None) -> bool:
        """Whether a merge was left out because it is too large."""
        while names := segments_to_merge(infos := index.segment_infos(), POLICIES[kind]):
            if most is not None and sum(info.live for info in infos if info.name in names) > most:
                return True
            self._merge_files(index, kind, seq, names)
        return False

    def _merge_files(self, index: Sealable, kind: Kind, seq: int, names: Sequence[str]) -> None:
        index.merge(new_path(self._store.folder, kind, seq), names)
        reach("seal.merged")

    def _publish(self, index: Sealable, kind: Kind, space: str, seq: int) -> None:
        self._store.publish(self._collection, kind, space, described(index, kind, space, seq))
        reach("seal.published")

    def _seal_quietly(self) -> None:
        # Where nothing can be written (now) all is served the same; the next process makes the index again.
        with suppress(*_UNWRITABLE):
            self.seal()

    # ------------------------------------------------------------------ care

    def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Compares ids, terms and vectors with the store, and the files with their checksums. What other processes
        write meanwhile is taken into account."""
        for _ in range(TRIES):
            self.refresh()
            before = self.at()
            state = self._held.state
            report = compare(self._store, self._collection, state.lexical, state.vectors, self._terms_of, progress)
            self.refresh()
            if report.clean or self.at() == before:
                break
        return report

    def rebuild(self, *, progress: ProgressCallback | None = None) -> None:
        """Makes every index again from the store, in new files beside the old ones, then swaps. Searches go on.
        Raises StoreBusy where another process seals for more than a minute, StoreError."""
        with self._sealing, indexer_lock(self._store.folder, wait_seconds=_REBUILD_WAIT_SECONDS) as held:
            if not held:
                raise StoreBusy("the indexes are being written by another process.", "Try again later.")
            seq = self._store.last_seq()

            def step(kind: str) -> Callable[[Sealable, int, int], None]:
                def done_with(index: Sealable, done: int, total: int) -> None:
                    if index.tail_size() >= REBUILT_ROWS or (done == total and index.tail_size()):
                        index.seal(new_path(self._store.folder, kind, seq))
                    if progress:
                        progress(Progress("rebuild", done, total, f"{self._collection}: {kind}"))

                return done_with

            lexical = self._held.rows.lexical(step("lexical"))
            self._merge(lexical, "lexical", seq, None)
            vectors = {}
            self.refresh()
            uses = self._held.state.uses
            for of in self._held.followed(uses):
                vectors[of.id] = self._held.rows.vectors(of, step("vector"))
                self._merge(vectors[of.id], "vector", seq, None)
            state = State(lexical, vectors, dict.fromkeys(("", *vectors), seq), seq, seq, uses)
            self._store.publish(self._collection, "lexical", "", described(lexical, "lexical", "", seq))
            reach("rebuild.lexical")
            for space, index in vectors.items():
                self._store.publish(self._collection, "vector", space, described(index, "vector", space, seq))
            with self._held.lock:
                self._held.state = state
                self._held.remade.clear()
                self._held.published = self._held.identity(self._store.segments(self._collection), state)
                self._held.follow()
            remove_orphans(self._store)

    def purge(self) -> int:
        """Writes every sealed file anew that holds a row of a deleted chunk; returns how many were. The old files
        stay until `sealing.purge_files`. Files of a space that is not followed here are unpublished: who follows it
        makes them again from the store. Raises StoreBusy where another process seals for more than a minute, and
        StoreError."""
        with self._sealing, indexer_lock(self._store.folder, wait_seconds=_REBUILD_WAIT_SECONDS) as held:
            if not held:
                raise StoreBusy("the indexes are being written by another process.", "Try again later.")
            self._adopt()
            written = 0
            for space in list(self._held.state.watermarks):
                written += self._purge_set(space)
            for segment in self._store.segments(self._collection):
                if segment.kind == "vector" and segment.space not in self._held.state.vectors:
                    self._store.publish(self._collection, "vector", segment.space, [])
            self._held.note_published()
            return written

    def _purge_set(self, space: str) -> int:
        if space not in self._held.state.watermarks:
            return 0  # dropped meanwhile
        index: Sealable = self._held.state.vectors[space] if space else self._held.state.lexical
        kind: Kind = "vector" if space else "lexical"
        if space in self._held.remade:
            self._seal_set(space, 1, None)
        seq = self._held.state.watermarks[space]  # what was added since stands in the tail alone
        stale = [info.name for info in index.segment_infos() if info.live < info.rows]
        for name in stale:
            index.merge(new_path(self._store.folder, kind, seq), [name])
        if stale:
            # a set without a file is published too: else the next process would open the old files
            self._store.publish(self._collection, kind, space, described(index, kind, space, seq))
        return len(stale)

    def close(self) -> None:
        """Seals what is worth it; nothing where the collection was dropped. The store must still be open."""
        tails = [self.lexical.tail_size(), *(index.tail_size() for index in self._held.state.vectors.values())]
        if self._writable and max(tails) >= self._close_rows:
            with suppress(NotFound, *_UNWRITABLE):
                self.seal(rows=self._close_rows)
