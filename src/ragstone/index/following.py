"""The indexes of one collection, kept at the state of the store.

Opening reads the published segments, checks them, and follows the operation log from their watermark; a set that is
missing, damaged, of another space, ahead of the store or behind the log is made again from the store, and `notes` say
so. Applying a change is idempotent and always reads the chunk's present state from the store, so it does not matter
where below the present a follower begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import StoreDamaged
from ..protocols import Segment, Store
from ..types import Change, Chunk, Space, SpaceUse, Terms
from .from_store import FromStore
from .lexical import Bm25Index
from .sealing import SEGMENTS, Sealable, dead_ids
from .vector_codes import Structure
from .vectors import FlatVectorIndex

SEAL_LAG = 20_000
"""Log entries above the watermark after which a set is published anew, however small its tail."""
BATCH = 2_000
TRIES = 5


@dataclass(slots=True)
class State:
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


class Following:
    """Safe for several threads. `state` is replaced as a whole under `lock`. `remade` are spaces ("" lexical) whose
    published set is not what is held, `postponed` those whose merge was left to the next seal that is not quick;
    `published` is the set that was opened or written last."""

    def __init__(
        self,
        store: Store,
        collection: str,
        spaces: Sequence[Space],
        structure: Structure,
        components: int,
        terms_of: Callable[[Chunk], Terms],
    ) -> None:
        """Raises NotFound where the collection does not exist."""
        self._store = store
        self._collection = collection
        self._spaces = tuple(spaces)
        self._version = -1
        self.lock = threading.RLock()  # guards the state while changes are applied
        self.notes: list[str] = []
        self.rows = FromStore(store, collection, structure, components, terms_of, self.notes)
        self.remade: set[str] = set()
        self.postponed: set[str] = set()
        self.published: tuple[tuple[str, bytes], ...] = ()
        self.state = self.open()
        self.refresh()

    def refresh(self) -> None:
        """Raises NotFound where the collection was dropped, StoreError."""
        # Read first: what is committed after this moment changes the version again.
        version = self._store.data_version()
        if version == self._version:
            return
        with self.lock:
            if version != self._version:
                self.follow()
                self._version = version

    def follow(self) -> None:
        """Applies the log to its end. The caller holds the lock."""
        for _ in range(TRIES):
            # Under writes without a pause this stays the revision of a moment ago: results are never older than it.
            revision = self._store.revision(self._collection)
            last = self._store.last_seq()
            self._follow_uses()
            while changes := self._changes(self.state.seq):
                self._apply(self.state, changes)
                if len(changes) < BATCH:
                    break
            self.state.seq = max(self.state.seq, last)
            self.state.revision = revision
            if self._store.revision(self._collection) == revision:
                break

    def _follow_uses(self) -> None:
        """Spaces that are new here are read from the store, others are forgotten; the caller holds the lock. A search
        that is under way keeps the indexes that it has."""
        state, uses = self.state, tuple(self._store.space_uses(self._collection))
        if uses == state.uses:
            return
        vectors, watermarks = {}, {"": state.watermarks[""]}
        for space in self.followed(uses):
            if space.id in state.vectors:
                vectors[space.id], watermarks[space.id] = state.vectors[space.id], state.watermarks[space.id]
            else:
                vectors[space.id], watermarks[space.id] = self._vectors_of_new(space), state.seq
                self.remade.add(space.id)
        self.state = replace(state, vectors=vectors, watermarks=watermarks, uses=uses)
        self.remade &= watermarks.keys()
        self.postponed &= watermarks.keys()

    def _vectors_of_new(self, space: Space) -> FlatVectorIndex:
        """Of a space that was just added, nothing needs to be looked for: searches wait meanwhile."""
        before = self._store.revision(self._collection)
        count = self._store.count_pending(self._collection, space.id)
        empty = count == len(self._store.chunk_ids(self._collection))
        if empty and self._store.revision(self._collection) == before:  # of one moment
            return self.rows.new_vectors(space)  # what is embedded from here on stands in the log
        return self.rows.vectors(space)

    def followed(self, uses: Sequence[SpaceUse]) -> list[Space]:
        return [use.space for use in uses if use.role != "dropping"] if uses else list(self._spaces)

    def _changes(self, since: int) -> list[Change]:
        changes = self._store.changes(since, BATCH, self._collection)
        # Asked after reading: what is missing now may have been missing in what was read.
        if since < self._store.first_seq() - 1:
            self.state = self.open()
            return self._changes(self.state.seq)
        return changes

    def _apply(self, state: State, changes: Sequence[Change]) -> None:
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
            self.rows.add_terms(state.lexical, list(added))
        for space, index in state.vectors.items():
            if embedded[space]:
                self.rows.add_vectors(index, sorted(embedded[space]))
        if deleted:
            state.lexical.delete(deleted)
            for index in state.vectors.values():
                index.delete(deleted)
        state.seq = state.changed = changes[-1].seq

    def open(self) -> State:
        """The published segments, or what the store gives where they are not fit to serve."""
        for _ in range(TRIES):
            published = self._store.segments(self._collection)
            state, problems = self._opened(published)
            found = self.identity(published, state)
            if not problems or self.identity(self._store.segments(self._collection), state) == found:
                break
            # Replaced while we opened it, and the old files removed.
        self.published = found
        self.remade = set(problems)
        for space, problem in problems.items():
            if problem:
                self.notes.append(f"{problem} Made again from the store.")
            watermark = self._store.last_seq()
            if space == "":
                state.lexical = self.rows.lexical()
            else:
                state.vectors[space] = self.rows.vectors(state.vectors[space].space)
            state.watermarks[space] = watermark
        state.seq = state.changed = min(state.watermarks.values())
        return state

    def _opened(self, published: Sequence[Segment]) -> tuple[State, dict[str, str]]:
        """The indexes, and for each set ("" or its space) that has to be made again the reason."""
        uses = tuple(self._store.space_uses(self._collection))
        spaces = self.followed(uses)
        groups = self._groups(published, [space.id for space in spaces])
        vectors = {space.id: self.rows.new_vectors(space) for space in spaces}
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
        return State(lexical, vectors, watermarks, 0, 0, uses), problems

    def adopt(self) -> bool:
        """Takes files that other processes published in the place of rows in memory and of older files; nothing that is
        found changes by it. False where they do not fit what is held. Raises StoreError."""
        self.refresh()
        state = self.state
        published = self._store.segments(self._collection)
        found = self.identity(published, state)
        if found == self.published:
            return True
        groups = self._groups(published, state.vectors)
        first = self._store.first_seq()
        if any(group and group[0].watermark > state.seq for group in groups.values()):
            return False  # of a moment that is not followed yet
        if any(not groups[space] or groups[space][0].watermark < first - 1 for space in self.remade):
            return False  # what was wrong with them still is
        for space, group in groups.items():
            index: Sealable = state.vectors[space] if space else state.lexical
            if not index.replace([(self._store.folder / SEGMENTS / s.name, s.checksum) for s in group]):
                return False
            state.watermarks[space] = group[0].watermark if group else 0
            self.remade.discard(space)
        self.published = found
        return True

    def note_published(self) -> None:
        """What is published now is what is held."""
        self.published = self.identity(self._store.segments(self._collection), self.state)

    def _groups(self, published: Sequence[Segment], spaces: Iterable[str]) -> dict[str, list[Segment]]:
        """The files of each set ("" or its space)."""
        groups: dict[str, list[Segment]] = {"": [], **{space: [] for space in spaces}}
        for segment in published:
            if segment.kind == "lexical" or (segment.kind == "vector" and segment.space in groups):
                groups[segment.space if segment.kind == "vector" else ""].append(segment)
        return groups

    def identity(self, segments: Sequence[Segment], state: State) -> tuple[tuple[str, bytes], ...]:
        ours = state.vectors.keys()
        return tuple(sorted((s.name, s.checksum) for s in segments if s.kind == "lexical" or s.space in ours))


def _open_segments(index: Bm25Index | FlatVectorIndex, store: Store, group: Sequence[Segment]) -> None:
    for segment in group:
        index.open_segment(store.folder / SEGMENTS / segment.name, segment.checksum, dead_ids(segment))
