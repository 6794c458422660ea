"""What a process holds of one collection: its indexes, kept at the state of the store.

Opening reads the published segments, checks them, and follows the operation log from their watermark; a set that is
missing, damaged, of another space, ahead of the store or behind the log is made again from the store, and `notes` say
so. `refresh` follows the log, so that every write that any process has had acknowledged is seen by the next search.
Applying a change is idempotent and always reads the chunk's present state from the store, so it does not matter where
below the present a follower begins.

`seal` writes the tails to files, for the next process to open; it changes where rows are kept, never what is found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..errors import DiskFull, NotFound, StoreBusy, StoreDamaged, StoreReadOnly
from ..faults import reach
from ..protocols import CollectionView, Ids, Segment, Store, VectorIndex
from ..types import Change, Chunk, Progress, ProgressCallback, Space, SpaceUse, Terms, VerifyReport
from .comparison import chunk_terms, compare
from .lexical import Bm25Index
from .sealing import (
    POLICIES,
    SEGMENTS,
    Sealable,
    dead_ids,
    described,
    indexer_lock,
    new_path,
    remove_orphans,
    segments_at_rest,
    segments_to_merge,
    trim_log,
)
from .vector_codes import Structure
from .vectors import FlatVectorIndex

SEAL_ROWS = 2_000
"""Rows of a tail that are worth a file while the process goes on."""
CLOSE_ROWS = 256
"""Rows of a tail that are worth a file when it ends: fewer are followed from the log in milliseconds."""
SEAL_LAG = 20_000
"""Log entries above the watermark after which a set is published anew, however small its tail."""
REBUILT_ROWS = 100_000
"""Rows of one file while all are made again from the store; bounds the memory that takes."""
QUICK_ROWS = 100_000
"""Largest merge that a quick seal does: less than two seconds."""
SEARCHED = ("preferred", "active")
"""Roles of the spaces that a search reads, in this order."""
_BATCH = 2_000
_TEXTS = 500
_TRIES = 5
_REBUILD_WAIT_SECONDS = 60.0
_UNWRITABLE = (StoreReadOnly, DiskFull, StoreBusy)


@dataclass(slots=True)
class _State:
    """Indexes that stand at log position `seq`; `changed` is the last entry of this collection that was applied.
    `uses` are those of the collection, none where the spaces that were given are followed."""

    lexical: Bm25Index
    vectors: dict[str, FlatVectorIndex]
    watermarks: dict[str, int]  # by space; "" is the lexical set
    seq: int
    changed: int
    uses: tuple[SpaceUse, ...]
    revision: int = 0

    def lags(self, space: str) -> bool:
        """Whether following the log from that set's watermark has become long, and would find anything."""
        watermark = self.watermarks[space]
        return self.changed > watermark and self.seq - watermark >= SEAL_LAG


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
        self._spaces = tuple(spaces)
        self._structure = structure
        self._components = components
        self._seal_rows = seal_rows
        self._close_rows = close_rows
        self._writable = writable
        self._terms_of = terms_of
        self._lock = threading.RLock()  # guards the state while changes are applied
        self._sealing = threading.Lock()  # one seal or rebuild at a time in this process; taken before _lock
        self._notes: list[str] = []
        self._remade: set[str] = set()  # spaces ("" lexical) whose published set is not what we hold
        self._postponed: set[str] = set()  # spaces whose merge was left to the next seal that is not quick
        self._published: tuple[tuple[str, bytes], ...] = ()
        self._version = -1
        self._state = self._open()
        self.refresh()
        if self._remade:
            self._seal_quietly()

    @property
    def lexical(self) -> Bm25Index:
        return self._state.lexical

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found wrong with the published segments, and what was done about it."""
        return tuple(self._notes)

    def vectors(self, space: str) -> VectorIndex | None:
        index = self._state.vectors.get(space)
        return index if index is not None and index.size() else None

    def dense(self, space: str | None = None) -> tuple[VectorIndex, ...]:
        state = self._state  # one moment: roles and indexes are replaced together
        if space is not None:
            if space not in state.vectors:
                raise NotFound(f"{self._collection!r} does not use the space {space!r}.", "See `ragstone spaces list`.")
            return (state.vectors[space],)
        searched = [use.space.id for role in SEARCHED for use in state.uses if use.role == role]
        return tuple(state.vectors[id_] for id_ in searched or list(state.vectors)[:1])

    def at(self) -> tuple[int, int]:
        """(revision, seq of the last change that was applied). Waits while changes are being applied: when two calls
        around a search give the same, the search saw one state."""
        with self._lock:
            return self._state.revision, self._state.changed

    def refresh(self) -> None:
        """Raises NotFound where the collection was dropped, StoreError."""
        # Read first: what is committed after this moment changes the version again.
        version = self._store.data_version()
        if version == self._version:
            return
        with self._lock:
            if version != self._version:
                self._follow()
                self._version = version

    # ------------------------------------------------------------------ following the log

    def _follow(self) -> None:
        """Applies the log to its end. The caller holds the lock."""
        for _ in range(_TRIES):
            # Under writes without a pause this stays the revision of a moment ago: results are never older than it.
            revision = self._store.revision(self._collection)
            last = self._store.last_seq()
            self._follow_uses()
            while changes := self._changes(self._state.seq):
                self._apply(self._state, changes)
                if len(changes) < _BATCH:
                    break
            self._state.seq = max(self._state.seq, last)
            self._state.revision = revision
            if self._store.revision(self._collection) == revision:
                break

    def _follow_uses(self) -> None:
        """Spaces that are new here are read from the store, others are forgotten; the caller holds the lock. A search
        that is under way keeps the indexes that it has."""
        state, uses = self._state, tuple(self._store.space_uses(self._collection))
        if uses == state.uses:
            return
        vectors, watermarks = {}, {"": state.watermarks[""]}
        for space in self._followed(uses):
            if space.id in state.vectors:
                vectors[space.id], watermarks[space.id] = state.vectors[space.id], state.watermarks[space.id]
            else:
                vectors[space.id], watermarks[space.id] = self._vectors_of_new(space), state.seq
                self._remade.add(space.id)
        self._state = replace(state, vectors=vectors, watermarks=watermarks, uses=uses)
        self._remade &= watermarks.keys()
        self._postponed &= watermarks.keys()

    def _vectors_of_new(self, space: Space) -> FlatVectorIndex:
        """Of a space that was just added, nothing needs to be looked for: searches wait meanwhile."""
        before = self._store.revision(self._collection)
        count = self._store.count_pending(self._collection, space.id)
        empty = count == len(self._store.chunk_ids(self._collection))
        if empty and self._store.revision(self._collection) == before:  # of one moment
            return self._new_vectors(space)  # what is embedded from here on stands in the log
        return self._vectors_of_store(space)

    def _followed(self, uses: Sequence[SpaceUse]) -> list[Space]:
        return [use.space for use in uses if use.role != "dropping"] if uses else list(self._spaces)

    def _changes(self, since: int) -> list[Change]:
        changes = self._store.changes(since, _BATCH, self._collection)
        # Asked after reading: what is missing now may have been missing in what was read.
        if since < self._store.first_seq() - 1:
            self._state = self._open()
            return self._changes(self._state.seq)
        return changes

    def _apply(self, state: _State, changes: Sequence[Change]) -> None:
        added: dict[int, None] = {}
        deleted: list[int] = []
        embedded: dict[str, dict[int, None]] = {space: {} for space in state.vectors}
        for change in changes:
            if change.op == "add":
                added[change.chunk_id] = None
            elif change.op == "embed":
                if change.space in embedded:
                    embedded[change.space][change.chunk_id] = None
            elif change.op == "delete":
                deleted.append(change.chunk_id)
                added.pop(change.chunk_id, None)
                for ids in embedded.values():
                    ids.pop(change.chunk_id, None)
        # What is new comes first: a search in between may name a chunk that is gone, which it notices when it reads the
        # texts, but it never misses both versions of a document.
        if added:
            self._add_terms(state.lexical, list(added))
        for space, index in state.vectors.items():
            if embedded[space]:
                self._add_vectors(index, sorted(embedded[space]))
        if deleted:
            state.lexical.delete(deleted)
            for index in state.vectors.values():
                index.delete(deleted)
        state.seq = state.changed = changes[-1].seq

    def _add_terms(self, index: Bm25Index, ids: list[int]) -> None:
        terms = self._store.terms(ids)
        missing = [chunk_id for chunk_id in ids if chunk_id not in terms]
        # Without a row as well: removed meanwhile, and its `delete` follows in the log.
        terms |= {chunk.id: self._terms_of(chunk) for chunk in self._store.chunks(missing)}
        present = [chunk_id for chunk_id in ids if chunk_id in terms]
        index.add(present, [terms[chunk_id] for chunk_id in present])

    def _add_vectors(self, index: FlatVectorIndex, wanted: Sequence[int]) -> None:
        ids, vectors = self._store.embeddings(index.space.id, wanted)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            self._notes.append(f"{len(ids) - int(finite.sum())} vectors are not finite numbers and were left out")
            ids, vectors = ids[finite], vectors[finite]
        if not len(ids):
            return
        # A text may have been embedded again, with another result.
        order = np.argsort(ids)
        ids, vectors = ids[order], vectors[order]
        held, rows = index.stored(ids)
        same = (rows == vectors[np.isin(ids, held)].astype(np.float16)).all(axis=1)
        index.delete(held[~same].tolist())
        index.add(ids.tolist(), vectors)

    # ------------------------------------------------------------------ opening

    def _open(self) -> _State:
        """The published segments, or what the store gives where they are not fit to serve."""
        for _ in range(_TRIES):
            published = self._store.segments(self._collection)
            state, problems = self._opened(published)
            found = self._identity(published, state)
            if not problems or self._identity(self._store.segments(self._collection), state) == found:
                break
            # Replaced while we opened it, and the old files removed.
        self._published = found
        self._remade = set(problems)
        for space, problem in problems.items():
            if problem:
                self._notes.append(f"{problem} Made again from the store.")
            watermark = self._store.last_seq()
            if space == "":
                state.lexical = self._lexical_of_store()
            else:
                state.vectors[space] = self._vectors_of_store(state.vectors[space].space)
            state.watermarks[space] = watermark
        state.seq = state.changed = min(state.watermarks.values())
        return state

    def _opened(self, published: Sequence[Segment]) -> tuple[_State, dict[str, str]]:
        """The indexes, and for each set ("" or its space) that has to be made again the reason."""
        uses = tuple(self._store.space_uses(self._collection))
        spaces = self._followed(uses)
        groups: dict[str, list[Segment]] = {"": [], **{space.id: [] for space in spaces}}
        for segment in published:
            if segment.kind == "lexical" or segment.space in groups:
                groups[segment.space if segment.kind == "vector" else ""].append(segment)
        vectors = {space.id: self._new_vectors(space) for space in spaces}
        lexical = Bm25Index()
        problems: dict[str, str] = {}
        first, last = self._store.first_seq(), self._store.last_seq()
        watermarks = {}
        for space, group in groups.items():
            watermarks[space] = group[0].watermark if group else 0
            if watermarks[space] > last:
                problems[space] = f"{group[0].name}: the index is ahead of the store."
            elif watermarks[space] < first - 1:
                # Without a file there is nothing wrong: the space is new here, or the collection small and old.
                problems[space] = f"{group[0].name}: the index is older than the operation log." if group else ""
            else:
                try:
                    _open_segments(vectors[space] if space else lexical, self._store, group)
                except StoreDamaged as error:
                    problems[space] = error.message
        return _State(lexical, vectors, watermarks, 0, 0, uses), problems

    def _new_vectors(self, space: Space) -> FlatVectorIndex:
        return FlatVectorIndex(space, structure=self._structure, components=self._components)

    def _lexical_of_store(self, step: Callable[[Bm25Index, int, int], None] | None = None) -> Bm25Index:
        index = Bm25Index()
        for done, total, ids in self._blocks(_TEXTS):
            chunks = self._store.chunks(ids.tolist())
            index.add([chunk.id for chunk in chunks], [self._terms_of(chunk) for chunk in chunks])
            if step:
                step(index, done, total)
        return index

    def _vectors_of_store(
        self, space: Space, step: Callable[[FlatVectorIndex, int, int], None] | None = None
    ) -> FlatVectorIndex:
        index = self._new_vectors(space)
        for done, total, ids in self._blocks(_BATCH):
            self._add_vectors(index, ids.tolist())
            if step:
                step(index, done, total)
        return index

    def _blocks(self, size: int) -> Iterator[tuple[int, int, Ids]]:
        ids = self._store.chunk_ids(self._collection)
        for first in range(0, len(ids), size):
            yield min(first + size, len(ids)), len(ids), ids[first : first + size]

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
        if not self._writable or not any(segments_at_rest(i.segment_infos()) for i in self._state.vectors.values()):
            return False
        self._store.require_room()
        with self._sealing, indexer_lock(self._store.folder) as held:
            if not held:
                return False
            self._adopt()
            published = False
            for space in list(self._state.vectors):
                published |= self._consolidate_set(space)
            if published:
                self._tidy()
            return published

    def _consolidate_set(self, space: str) -> bool:
        index = self._state.vectors.get(space)
        names = segments_at_rest(index.segment_infos()) if index is not None else []
        if index is None or not names:
            return False
        seq = self._state.watermarks[space]  # the tail stays where it is
        index.merge(new_path(self._store.folder, "vector", seq), names)
        reach("seal.merged")
        self._store.publish(self._collection, "vector", space, described(index, "vector", space, seq))
        reach("seal.published")
        return True

    def _tidy(self) -> None:
        """After something was published. The caller holds the indexer lock."""
        self._published = self._identity(self._store.segments(self._collection), self._state)
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
            for space in list(self._state.watermarks):
                published |= self._seal_set(space, rows, most)
            if published:
                self._tidy()
            return published

    def _worth_sealing(self, quick: bool) -> bool:
        """Without asking the store, because this is called after every write."""
        state = self._state
        tails = [state.lexical.tail_size(), *(index.tail_size() for index in state.vectors.values())]
        lags = any(state.lags(space) for space in state.watermarks)
        return max(tails) >= self._seal_rows or lags or bool(self._remade) or bool(self._postponed and not quick)

    def _adopt(self) -> None:
        """Opens what another process published since, so that its work is not done again. The caller holds the
        indexer lock: nobody publishes now."""
        with self._lock:
            self.refresh()
            published = self._store.segments(self._collection)
            # also a file that was written and could not be published: to everybody else it is an orphan
            indexes: list[Sealable] = [self._state.lexical, *self._state.vectors.values()]
            used = {info.name for index in indexes for info in index.segment_infos()}
            ours = {name for name, _ in self._published} | used
            vanished = [name for name in ours if not (self._store.folder / SEGMENTS / name).exists()]
            if self._identity(published, self._state) != self._published or (vanished and not self._remade):
                self._state = self._open()
                self._follow()

    def _seal_set(self, space: str, rows: int, most: int | None) -> bool:
        state = self._state
        if space not in state.watermarks:
            return False  # dropped meanwhile
        index: Sealable = state.vectors[space] if space else state.lexical
        kind: Literal["lexical", "vector"] = "vector" if space else "lexical"
        with self._lock:
            seq = state.seq
        due = space in self._remade or state.lags(space) or (space in self._postponed and most is None)
        tail = index.tail_size()
        if tail and (tail >= rows or due):
            index.seal(new_path(self._store.folder, kind, seq))
            reach("seal.written")
        elif not due:
            return False
        published = self._store.segments(self._collection)
        if not index.segment_infos() and not any((s.kind, s.space) == (kind, space) for s in published):
            state.watermarks[space] = seq
            self._remade.discard(space)
            return False  # empty, and known to be
        self._postponed.discard(space)
        if self._merge(index, kind, seq, most):
            self._postponed.add(space)
        self._store.publish(self._collection, kind, space, described(index, kind, space, seq))
        reach("seal.published")
        state.watermarks[space] = seq
        self._remade.discard(space)
        return True

    def _merge(self, index: Sealable, kind: Literal["lexical", "vector"], seq: int, most: int | None) -> bool:
        """Whether a merge was left out because it is too large."""
        while names := segments_to_merge(infos := index.segment_infos(), POLICIES[kind]):
            if most is not None and sum(info.live for info in infos if info.name in names) > most:
                return True
            index.merge(new_path(self._store.folder, kind, seq), names)
            reach("seal.merged")
        return False

    def _seal_quietly(self) -> None:
        # Where nothing can be written (now) all is served the same; the next process makes the index again.
        with suppress(*_UNWRITABLE):
            self.seal()

    def _identity(self, segments: Sequence[Segment], state: _State) -> tuple[tuple[str, bytes], ...]:
        ours = state.vectors.keys()
        return tuple(sorted((s.name, s.checksum) for s in segments if s.kind == "lexical" or s.space in ours))

    # ------------------------------------------------------------------ care

    def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Compares ids, terms and vectors with the store, and the files with their checksums. What other processes
        write meanwhile is taken into account."""
        for _ in range(_TRIES):
            self.refresh()
            before = self.at()
            state = self._state
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

            lexical = self._lexical_of_store(step("lexical"))
            self._merge(lexical, "lexical", seq, None)
            vectors = {}
            self.refresh()
            uses = self._state.uses
            for of in self._followed(uses):
                vectors[of.id] = self._vectors_of_store(of, step("vector"))
                self._merge(vectors[of.id], "vector", seq, None)
            state = _State(lexical, vectors, dict.fromkeys(("", *vectors), seq), seq, seq, uses)
            self._store.publish(self._collection, "lexical", "", described(lexical, "lexical", "", seq))
            reach("rebuild.lexical")
            for space, index in vectors.items():
                self._store.publish(self._collection, "vector", space, described(index, "vector", space, seq))
            with self._lock:
                self._state = state
                self._remade.clear()
                self._published = self._identity(self._store.segments(self._collection), state)
                self._follow()
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
            for space in list(self._state.watermarks):
                written += self._purge_set(space)
            for segment in self._store.segments(self._collection):
                if segment.kind == "vector" and segment.space not in self._state.vectors:
                    self._store.publish(self._collection, "vector", segment.space, [])
            self._published = self._identity(self._store.segments(self._collection), self._state)
            return written

    def _purge_set(self, space: str) -> int:
        if space not in self._state.watermarks:
            return 0  # dropped meanwhile
        index: Sealable = self._state.vectors[space] if space else self._state.lexical
        kind: Literal["lexical", "vector"] = "vector" if space else "lexical"
        if space in self._remade:
            self._seal_set(space, 1, None)
        seq = self._state.watermarks[space]  # what was added since stands in the tail alone
        stale = [info.name for info in index.segment_infos() if info.live < info.rows]
        for name in stale:
            index.merge(new_path(self._store.folder, kind, seq), [name])
        if stale:
            # a set without a file is published too: else the next process would open the old files
            self._store.publish(self._collection, kind, space, described(index, kind, space, seq))
        return len(stale)

    def close(self) -> None:
        """Seals what is worth it; nothing where the collection was dropped. The store must still be open."""
        tails = [self.lexical.tail_size(), *(index.tail_size() for index in self._state.vectors.values())]
        if self._writable and max(tails) >= self._close_rows:
            with suppress(NotFound, *_UNWRITABLE):
                self.seal(rows=self._close_rows)


def _open_segments(index: Bm25Index | FlatVectorIndex, store: Store, group: Sequence[Segment]) -> None:
    for segment in group:
        index.open_segment(store.folder / SEGMENTS / segment.name, segment.checksum, dead_ids(segment))
