"""What the chunks of a collection say, in memory: rows of numbers for each chunk, and the words that the numbers stand
for. Everything else of the graph is computed from this; a chunk that comes or goes costs what it says itself.

    node      what is written the same but for case and white space (`Mention.norm`)
    writing   a node in one way of writing, as one kind, in one language
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..text.analysis import fold
from .codec import Columns
from .resolve_words import abbreviates, stem

MEMBER: Final = np.dtype([("writing", "<i4"), ("mentions", "<i4"), ("weight", "<i4")])
RELATION: Final = np.dtype([("head", "<i4"), ("tail", "<i4"), ("label", "<i4"), ("weight", "<i4")])
ALIAS_LABEL: Final = "("
"""Of a name and another one in brackets behind it."""
_NEW: Final = -1
Rows = NDArray[np.void]


def key_of(norm: str) -> str:
    """Names a node in every process, and says nothing of its letters."""
    return hashlib.blake2b(norm.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Writing:
    node: int
    text: str
    kind: int
    language: str


@dataclass(slots=True)
class Node:
    """`writings` are all that ever were; those with mentions count. `aliases`: how often chunks give another name."""

    norm: str
    key: str
    writings: list[int]
    aliases: dict[str, int] | None = None


class Contents:
    """Not safe from several threads."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.writings: list[Writing] = []
        self.labels: list[str] = [""]
        self.members: dict[int, Rows] = {}
        self.relations: dict[int, Rows] = {}
        self.touched: set[int] = set()
        """Nodes whose writings were counted anew since this was last emptied."""
        self._by_norm: dict[str, int] = {}
        self._by_key: dict[str, int] = {}
        self._by_writing: dict[str, dict[tuple[str, str, int], int]] = {}  # by language; norm, text, kind
        self._node = np.zeros(1024, np.int32)  # by writing
        self._by_label: dict[str, int] = {"": 0}
        self._given: dict[int, tuple[tuple[int, str], ...]] = {}
        self._counts = np.zeros(1024, np.int64)

    def __contains__(self, chunk_id: int) -> bool:
        return chunk_id in self.members

    def put(self, chunk_id: int, said: Columns) -> None:
        """In place of what the chunk said before."""
        self.drop((chunk_id,))
        known = self._by_writing.setdefault(said.language, {})
        writings = [known.get(form, _NEW) for form in said.forms]
        if _NEW in writings:
            writings = [self._writing(known, form, said.language) for form in said.forms]
        numbers = np.array(writings, np.int32)
        count = np.bincount(said.form, minlength=len(numbers)).astype(np.int32)
        weight = np.bincount(said.form, said.weight, minlength=len(numbers)).astype(np.int32)
        members = np.empty(len(numbers), MEMBER)
        members["writing"], members["mentions"], members["weight"] = numbers, count, weight
        at = self._node[numbers]
        relations = np.empty(len(said.head), RELATION)
        if len(said.head):
            labels = np.array([self._label(label) for label in said.labels], np.int32)
            relations["head"], relations["tail"] = at[said.form[said.head]], at[said.form[said.tail]]
            relations["label"], relations["weight"] = labels[said.label], said.strength
        self.members[chunk_id], self.relations[chunk_id] = members, relations
        self._counts[numbers] += count  # each writing stands there once
        self.touched.update(at.tolist())
        if ALIAS_LABEL in said.labels:
            self._take_aliases(chunk_id, said, at)

    def drop(self, chunk_ids: Iterable[int]) -> None:
        """Ids that are not there are passed over."""
        for chunk_id in chunk_ids:
            members = self.members.pop(chunk_id, None)
            if members is None:
                continue
            del self.relations[chunk_id]
            self._counts[members["writing"]] -= members["mentions"]
            self.touched.update(self._node[members["writing"]].tolist())
            for node, alias in self._given.pop(chunk_id, ()):
                aliases = self.nodes[node].aliases
                assert aliases is not None  # noqa: S101 - was counted when the chunk came
                aliases[alias] -= 1
                if not aliases[alias]:
                    del aliases[alias]

    def node_of_norm(self, norm: str) -> int | None:
        return self._by_norm.get(norm)

    def node_of_key(self, key: str) -> int | None:
        return self._by_key.get(key)

    def alive(self, node: int) -> list[int]:
        """The writings that a chunk has."""
        return [number for number in self.nodes[node].writings if self._counts[number]]

    def best(self, node: int) -> Writing:
        """How the node is mostly written; equally often, the first in order."""
        alive = self.alive(node)
        if len(alive) == 1:
            return self.writings[alive[0]]
        ordered = [(-int(self._counts[n]), self.writings[n].text, self.writings[n].kind, n) for n in alive]
        return self.writings[min(ordered)[-1]]

    def language(self, node: int) -> str:
        return min(self.writings[number].language for number in self.alive(node))

    def kinds(self, node: int) -> set[int]:
        return {self.writings[number].kind for number in self.alive(node)}

    def counts(self) -> NDArray[np.int64]:
        """Mentions by writing."""
        return self._counts[: len(self.writings)]

    def nodes_by_writing(self) -> NDArray[np.int32]:
        return self._node[: len(self.writings)]

    def _writing(self, known: dict[tuple[str, str, int], int], form: tuple[str, str, int], language: str) -> int:
        number = known.get(form)
        if number is not None:
            return number
        norm, text, kind = form
        node = self._by_norm.get(norm)
        if node is None:
            node = self._by_norm[norm] = len(self.nodes)
            key = key_of(norm)
            self._by_key[key] = node
            self.nodes.append(Node(norm, key, []))
        number = known[form] = len(self.writings)
        self.writings.append(Writing(node, text, kind, language))
        self.nodes[node].writings.append(number)
        if number == len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
            self._node = np.concatenate((self._node, np.zeros_like(self._node)))
        self._node[number] = node
        return number

    def _label(self, label: str) -> int:
        number = self._by_label.setdefault(label, len(self.labels))
        if number == len(self.labels):
            self.labels.append(label)
        return number

    def _take_aliases(self, chunk_id: int, said: Columns, at: NDArray[np.int32]) -> None:
        """Initials in brackets behind the name, or the name behind its initials."""
        bracket = said.labels.index(ALIAS_LABEL)
        given: list[tuple[int, str]] = []
        for place in np.flatnonzero(said.label == bracket).tolist():
            one, other = int(said.form[said.head[place]]), int(said.form[said.tail[place]])
            a, b = said.forms[one][1], said.forms[other][1]
            if abbreviates(a, b) or abbreviates(b, a):
                given.append((int(at[one]), b))
        for node, alias in given:
            aliases = self.nodes[node].aliases
            if aliases is None:
                aliases = self.nodes[node].aliases = {}
            aliases[alias] = aliases.get(alias, 0) + 1
        if given:
            self._given[chunk_id] = tuple(given)


def stem_key(norm: str, language: str) -> str:
    """What terms share that differ in their endings alone."""
    return " ".join(stem(word, language or "de") for word in fold(norm).split())
