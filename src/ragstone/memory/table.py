"""What a process holds of every item in memory: enough to choose whom a recall may find, and who stands beside whom.

Fifty bytes an item. It follows the rows by the revision that wrote them and the operation log for what is gone.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..memory_types import KINDS, MEMORY, SESSION_SECONDS, STATES
from ..protocols import Ids, MemoryRow, Store
from ..text.turns import LONG

EPISODE: Final = KINDS.index("episode")
VALID: Final = STATES.index("valid")
STALE: Final = STATES.index("stale")
_CHANGES = 2_000
FEW: Final = 256
"""New rows up to which they are put into order one by one."""

Small = NDArray[np.int16]
Times = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """One row an item, by rising chunk id."""

    chunk: Ids
    document: Ids
    project: NDArray[np.int32]
    kind: Small
    type: Small
    state: Small
    who: NDArray[np.int32]
    characters: NDArray[np.int32]
    at: Times
    told_at: Times

    def taken(self, rows: NDArray[np.int64] | Mask) -> Columns:
        return Columns(*(getattr(self, name)[rows] for name in self.__slots__))

    def joined(self, other: Columns) -> tuple[Columns, NDArray[np.int64]]:
        """Rows of both, and where each of them stands: first those of this one, then the other's."""
        both = Columns(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        )
        count = len(both.chunk)
        if (np.diff(both.chunk[max(0, len(self.chunk) - 1) :]) > 0).all():  # what is new has the highest ids
            return both, np.arange(count)
        order = np.argsort(both.chunk, kind="stable")
        places = np.empty(count, dtype=np.int64)
        places[order] = np.arange(count)
        return both.taken(order), places


class Table:
    """Followed by one thread at a time, read by others as it was `shown` to them; what `columns`, `next` and `session`
    give is not changed afterwards."""

    def __init__(self) -> None:
        self.names: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self._version = -1
        self._seq = -1
        self._counted: tuple[int, tuple[str, ...]] = (0, ())
        self._clear()

    def _clear(self) -> None:
        self.columns = self._columns([])
        self.speakers: dict[int, str] = {}
        self._order = np.empty(0, dtype=np.int64)
        self.next = np.empty(0, dtype=np.int64)
        self.session = np.empty(0, dtype=np.int64)

    def refresh(self, store: Store, revision: int) -> None:
        """Brings the rows up to a revision that was read before."""
        if revision == self._version:
            return
        last = store.last_seq()
        first = self._version < 0 or self._seq < store.first_seq() - 1 or self._seq > last
        gone = set() if first else self._gone(store)
        rows = store.memory.rows(-1 if first else self._version)
        new = self._columns(rows)
        if first:
            self.columns = new.taken(np.argsort(new.chunk))
            self._arrange(self._sorted(self._short()))
        elif rows or gone:
            held = self.columns
            keep = ~np.isin(held.document, new.document) & ~np.isin(held.chunk, np.fromiter(gone, np.int64, len(gone)))
            self.columns, places = (held if keep.all() else held.taken(keep)).joined(new)
            count = int(keep.sum())
            stayed = self._order[keep[self._order]]
            self._arrange(self._with(places[(np.cumsum(keep) - 1)[stayed]], places[count:]))
        self._seq = last
        self._version = revision

    def _gone(self, store: Store) -> set[int]:
        gone: set[int] = set()
        since = self._seq
        while changes := store.changes(since, _CHANGES, MEMORY):
            gone.update(change.chunk_id for change in changes if change.op == "delete")
            since = changes[-1].seq
        return gone

    def _columns(self, rows: Sequence[MemoryRow]) -> Columns:
        who = [self._number(row[9]) for row in rows]
        columns: list[Sequence[float | str]] = list(zip(*rows, strict=True)) or [()] * 11
        document, chunk, project, kind, type_, state, at, told_at = columns[:8]
        return Columns(
            np.array(chunk, np.int64), np.array(document, np.int64), np.array(project, np.int32),
            np.array(kind, np.int16), np.array(type_, np.int16), np.array(state, np.int16), np.array(who, np.int32),
            np.array(columns[10], np.int32), np.array(at, np.float64), np.array(told_at, np.float64),
        )  # fmt: skip

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def _short(self, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Rows of the episodes that sessions are made of: a long one is a session by itself."""
        rows = np.arange(len(self.columns.chunk)) if among is None else among
        short: NDArray[np.int64] = rows[(self.columns.kind[rows] == EPISODE) & (self.columns.characters[rows] <= LONG)]
        return short

    def _sorted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        held = self.columns
        order: NDArray[np.int64] = rows[np.lexsort((held.document[rows], held.at[rows], held.project[rows]))]
        return order

    def _with(self, ordered: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
        """Few new rows are put into their places among those that are in order, so that not all are sorted again."""
        rows = self._sorted(self._short(new))
        if len(rows) > FEW:
            return self._sorted(np.concatenate([ordered, rows]))
        places = [bisect_left(ordered, self._key(row), key=self._key) for row in rows.tolist()]
        put: NDArray[np.int64] = np.insert(ordered, places, rows)
        return put

    def _key(self, row: int) -> tuple[int, float, int]:
        held = self.columns
        return int(held.project[row]), float(held.at[row]), int(held.document[row])

    def _arrange(self, order: NDArray[np.int64]) -> None:
        """From the rows of short episodes by project and time: who said what is there; for each row the row of the next
        episode of its session (-1: none), and a number of its session (-1 for what is no episode, or a long one)."""
        held = self.columns
        count = len(held.chunk)
        self._order = order
        speaking = np.flatnonzero(np.bincount(held.who)).tolist()
        self.speakers = {number: self.names[number] for number in speaking if number}
        self.next, self.session = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        if not len(order):
            return
        follows = (np.diff(held.project[order]) == 0) & (np.diff(held.at[order]) <= SESSION_SECONDS)
        self.session[order] = np.concatenate([[0], np.cumsum(~follows)])
        self.next[order[:-1][follows]] = order[1:][follows]

    def shown(self, store: Store) -> Table:
        """As it stands now, for a thread that reads while another follows the log."""
        self.languages(store)  # so that no reader counts for itself
        return copy.copy(self)

    def languages(self, store: Store) -> tuple[str, ...]:
        """Of the items, the most frequent first; counted again when their number changed by a hundredth."""
        count = len(self.columns.chunk)
        if abs(count - self._counted[0]) * 100 > self._counted[0]:
            counts = store.languages(MEMORY)
            self._counted = count, tuple(sorted((la for la in counts if la), key=lambda la: (-counts[la], la)))
        return self._counted[1]

    def rows_of(self, chunks: Ids) -> NDArray[np.int64]:
        """Row of each chunk, -1 where there is none."""
        held = self.columns.chunk
        if not len(held):
            return np.full(len(chunks), -1, np.int64)
        rows = np.minimum(np.searchsorted(held, chunks), len(held) - 1)
        return np.where(held[rows] == chunks, rows, -1)
