"""Entities that say nothing of the texts that name them: "years", "people", "Teil".

A common noun without a modifier that texts of every kind speak of (`data/general_words.txt`), and these texts not much
more than others. By how often alone, the terms that a collection is about would be the first to go.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .codec import KINDS
from .resolve import key_of

if TYPE_CHECKING:
    from .contents import Contents
    from .viewing import Frame

KEY: Final = 8.0
"""How many times more often than texts at large a collection names a general word that it is about. `Beispiel`, `Zeit`
and `Position` in manuals on PLC: 2 to 4; `Wert` and `Eingang` there 29 and 43; `years`, `life` in articles on films 2
to 4, `children` 14."""
_TERM: Final = KINDS.index("term")


@cache
def general_words() -> Mapping[str, float]:
    """By folded word, its share of what passages name."""
    text = (files("ragstone.graph") / "data" / "general_words.txt").read_text(encoding="utf-8")
    return {word: float(share) / 1e4 for word, share in map(str.split, text.splitlines())}


class GeneralWords:
    """The nodes of general words among contents, and their writings. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[_Row] | None = None
        self._seen = 0
        self._table = np.zeros((0, 4))

    def table(self, contents: Contents) -> NDArray[np.float64]:
        """Rows of writing, node, whether it is a plain noun there (capitals all through make it an abbreviation), and
        the share of the word at large."""
        with self._lock:
            if self._rows is None:
                self._rows = [
                    row
                    for word, share in general_words().items()
                    if (node := contents.sealed.node_of_key(key_of(word))) is not None
                    for row in _rows(contents, node, share, contents.sealed_writings(node))
                ]
                self._seen = len(contents.sealed.writing_node)
            for number in range(self._seen, last := contents.writings):
                node = int(contents.node_of[number])
                share = general_words().get(contents.norm(node))
                if share is not None:
                    self._rows += _rows(contents, node, share, [number])
            if self._seen < last or len(self._table) != len(self._rows):
                self._seen = last
                self._table = np.array(self._rows, np.float64).reshape(-1, 4)
            return self._table


def generic(frame: Frame) -> NDArray[np.bool_]:
    """bool[n] by entity of the frame."""
    found = np.zeros(len(frame.root), np.bool_)
    table = frame.contents.general.table(frame.contents)
    table = table[(table[:, 0] < len(frame.counts)) & (table[:, 1] < len(frame.root))]
    writing, node = table[:, :2].astype(np.int64).T
    count = frame.counts[writing].astype(np.float64)
    alive = (count > 0) & (frame.root[node] >= 0)
    node, count, plain, at_large = node[alive], count[alive], table[alive, 2], table[alive, 3]
    nodes, first, at = np.unique(node, return_index=True, return_inverse=True)
    entities, of = np.unique(frame.root[nodes], return_inverse=True)
    nouns = np.bincount(of[at], count * plain, len(entities)) > 0.5 * np.bincount(of[at], count, len(entities))
    usual = np.bincount(of, at_large[first], len(entities))
    share = frame.entity_chunks[entities] / max(1, int(frame.entity_chunks.sum()))
    found[entities[nouns & (share < KEY * usual)]] = True
    return found


_Row = tuple[int, int, bool, float]


def _rows(contents: Contents, node: int, share: float, writings: list[int] | range) -> list[_Row]:
    rows = []
    for number in writings:
        writing = contents.writing(number)
        rows.append((number, node, writing.kind == _TERM and not writing.text.isupper(), share))
    return rows
