"""What the chunks of a collection say: rows of numbers for each chunk, and the words that the numbers stand for. What
was there when the graph was sealed stays in its tables; what came since is held beside them, and a chunk that comes or
goes costs what it says itself.

    node      what is written the same but for case and white space (`Mention.norm`)
    writing   a node in one way of writing, as one kind, in one language
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .codec import Brief, Columns
from .generic import GeneralWords
from .packed import least, starts_of
from .resolve import digest_of, key_of
from .resolve_words import abbreviates
from .sealed import NO_NODE, Ints, Keys, Longs, Sealed, nothing

ALIAS_LABEL: Final = "("
"""Of a name and another one in brackets behind it."""
_SPARE: Final = 1_024
_SMALL: Final = 1 << 16
_COUNTED: Final = ("form", "weight", "head", "tail", "label", "strength")
_NO_NAMES: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Writing:
    node: int
    text: str
    kind: int
    language: str


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one chunk says: the writings that it mentions, each once, and relations between places among them."""

    writing: Ints
    mentions: NDArray[np.integer]
    weight: NDArray[np.integer]
    head: NDArray[np.integer]
    tail: NDArray[np.integer]
    label: NDArray[np.integer]
    strength: NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """What some chunks say, one behind the other, with how many members and relations each has."""

    chunks: Longs
    members: Longs
    relations: Longs
    said: Said


class Contents:
    """Written by one thread; others may look nodes and writings up meanwhile: these keep their numbers, and are only
    ever added to."""

    def __init__(self, sealed: Sealed | None = None) -> None:
        self.sealed = sealed = sealed or nothing()
        self.came: dict[int, Said] = {}
        """By chunk: what is not in the sealed tables."""
        self.gone: set[int] = set()
        """Places of sealed chunks that are no more, or say something else."""
        self.touched: set[int] = set()
        """Nodes whose writings were counted anew since this was last emptied."""
        self.counts = sealed.writing_count
        """Mentions by writing; may be longer than that."""
        self.node_of = sealed.writing_node
        """Node by writing, in the same way."""
        self.general = GeneralWords()
        self.labels = [sealed.labels[at] for at in range(len(sealed.labels))] or [""]
        self._by_label = {label: at for at, label in enumerate(self.labels)}
        self._languages = list(sealed.languages)
        self._writings = len(sealed.writing_node)
        self.packed: list[Packed] = []
        """Of chunks that were read for the first time, see `take`."""
        self._norms: list[str] = []  # of nodes that came
        self._by_key: dict[str, int] = {}  # of some of these, made when a key is looked for
        self._key_numbers = (sealed.key_high, sealed.key_low)
        self._making = threading.Lock()  # readers of frames look for keys
        self._by_norm: dict[str, int] = {}
        self._texts: list[str] = []  # of writings that came
        self._kinds = bytearray()
        self._spoken = bytearray()
        self._first = array("i")  # of nodes that came: their first writing
        self._more: dict[int, tuple[int, ...]] = {}  # by node: other writings that came
        self._known: dict[str, dict[tuple[str, str, int], int]] = {}  # by language; norm, text, kind
        self._given: dict[int, tuple[tuple[int, str], ...]] = {}  # of chunks that came
        self._aliases: dict[int, dict[str, int]] = {}  # of nodes for which they changed

    def __contains__(self, chunk_id: int) -> bool:
        return chunk_id in self.came or ((at := self.sealed.place(chunk_id)) is not None and at not in self.gone)

    @property
    def nodes(self) -> int:
        return self.sealed.nodes + len(self._norms)

    @property
    def writings(self) -> int:
        return self._writings

    @property
    def languages(self) -> list[str]:
        return self._languages

    def put(self, chunk_id: int, said: Columns) -> None:
        """In place of what the chunk said before."""
        self.drop((chunk_id,))
        known = self._known.setdefault(said.language, {})
        writings = [known.get(form, -1) for form in said.forms]
        if -1 in writings:
            writings = [self._writing(known, form, said.language) for form in said.forms]
        numbers = np.array(writings, np.int32)
        count = np.bincount(said.form, minlength=len(numbers)).astype(np.int32)
        weight = np.bincount(said.form, said.weight, minlength=len(numbers)).astype(np.int32)
        labels = np.array([self._label(label) for label in said.labels], np.int32)
        place = np.uint16 if len(numbers) <= _SMALL else np.int32
        self.came[chunk_id] = Said(
            numbers, count, weight, said.form[said.head].astype(place), said.form[said.tail].astype(place),
            labels[said.label] if len(said.label) else np.zeros(0, np.int32), said.strength.astype(np.uint16),
        )  # fmt: skip
        self._own_counts()
        self.counts[numbers] += count  # each writing stands there once
        at = self.node_of[numbers]
        self.touched.update(at.tolist())
        if ALIAS_LABEL in said.labels:
            self._take_aliases(chunk_id, said, at)

    def drop(self, chunk_ids: Iterable[int]) -> None:
        """Ids that are not there are passed over."""
        for chunk_id in chunk_ids:
            said = self.said(chunk_id)
            if said is None:
                continue
            self._own_counts()
            self.counts[said.writing] -= said.mentions
            self.touched.update(self.node_of[said.writing].tolist())
            for node, alias in self._given_by(chunk_id):
                names = self._aliases.setdefault(node, dict(self.aliases(node)))
                names[alias] -= 1
                if not names[alias]:
                    del names[alias]
            if self.came.pop(chunk_id, None) is None:
                place = self.sealed.place(chunk_id)
                assert place is not None  # noqa: S101 - it said something
                self.gone.add(place)
            self._given.pop(chunk_id, None)

    def take(self, chunks: Iterable[tuple[int, Brief]]) -> None:
        """What chunks say, of which nothing was known, in a few arrays: of 100,000 chunks, an object for each would be
        larger than what it holds. Until all is sealed, none of them can be dropped, and none is found."""
        ids: list[int] = []
        writings: list[int] = []
        labels: list[int] = []
        sizes: list[tuple[int, int, int, int]] = []
        columns: dict[str, list[NDArray[np.integer]]] = {name: [] for name in _COUNTED}
        for chunk_id, said in chunks:  # none is held: the cyclic collector would look at each of their forms
            known = self._known.setdefault(said.language, {})
            numbers = [known.get(form, -1) for form in said.forms]
            if -1 in numbers:
                for place, number in enumerate(numbers):
                    if number < 0:
                        numbers[place] = self._writing(known, said.forms[place], said.language)
            if ALIAS_LABEL in said.labels:
                self._take_aliases(chunk_id, said, self.node_of[np.array(numbers, np.int32)])
            ids.append(chunk_id)
            writings += numbers
            labels += map(self._label, said.labels)
            sizes.append((len(numbers), len(said.form), len(said.head), len(said.labels)))
            for name, some in columns.items():
                some.append(getattr(said, name))
        if not ids:
            return
        forms, mentions, ties, names = np.array(sizes, np.int64).T
        whole = {name: np.concatenate(some) for name, some in columns.items()}
        first = starts_of(forms)[:-1]
        form = whole["form"] + np.repeat(first, mentions)
        count = np.bincount(form, minlength=len(writings))
        weight = np.bincount(form, whole["weight"], len(writings)).astype(np.int32)
        base = np.repeat(starts_of(mentions)[:-1], ties)
        head, tail = (form[whole[end] + base] - np.repeat(first, ties) for end in ("head", "tail"))
        label = np.array(labels, np.int32)[whole["label"] + np.repeat(starts_of(names)[:-1], ties)]
        numbers_ = np.array(writings, np.int32)
        self._own_counts()
        np.add.at(self.counts, numbers_, count.astype(np.int32))
        told = Said(numbers_, *map(least, (count, weight, head, tail, label, whole["strength"])))
        self.packed.append(Packed(np.array(ids, np.int64), forms, ties, told))

    def pack(self) -> None:
        """Puts what came where `take` puts it."""
        chunks = sorted(self.came)
        if chunks:
            some = [self.came.pop(chunk) for chunk in chunks]
            sizes = np.array([len(one.writing) for one in some], np.int64)
            ties = np.array([len(one.head) for one in some], np.int64)
            together = (np.concatenate([getattr(one, name) for one in some]) for name in Said.__slots__)
            self.packed.append(Packed(np.array(chunks, np.int64), sizes, ties, Said(*together)))

    def forget_words(self) -> None:
        """Frees what only `take` needs. Nothing can be put or taken after that."""
        self._known.clear()
        self._by_norm.clear()

    def said(self, chunk_id: int) -> Said | None:
        """None where the chunk is not there."""
        came = self.came.get(chunk_id)
        if came is not None:
            return came
        place = self.sealed.place(chunk_id)
        return None if place is None or place in self.gone else sealed_said(self.sealed, place)

    # ------------------------------------------------------------------ nodes and writings
    def norm(self, node: int) -> str:
        sealed = self.sealed
        return sealed.norms[node] if node < sealed.nodes else self._norms[node - sealed.nodes]

    def key(self, node: int) -> str:
        """Names a node in every process."""
        return self.sealed.key(node) if node < self.sealed.nodes else key_of(self._norms[node - self.sealed.nodes])

    def node_of_norm(self, norm: str) -> int | None:
        node = self._by_norm.get(norm)
        if node is None and self.sealed.nodes:
            node = self.sealed.node_of_key(key_of(norm))
        return node

    def nodes_of_norms(self, norms: Sequence[str]) -> Longs:
        """NO_NODE where there is none."""
        came = np.array([self._by_norm.get(norm, NO_NODE) for norm in norms], np.int64)
        return np.where(came >= 0, came, self.sealed.nodes_of([digest_of(norm) for norm in norms]))

    def node_of_key(self, key: str) -> int | None:
        self._make_keys()
        node = self._by_key.get(key)
        return self.sealed.node_of_key(key) if node is None else node

    def writing(self, number: int) -> Writing:
        sealed, place = self.sealed, number - len(self.sealed.writing_node)
        if place < 0:
            language = self._languages[sealed.writing_language[number]]
            kind = int(sealed.writing_kind[number])
            return Writing(int(sealed.writing_node[number]), sealed.texts[number], kind, language)
        language = self._languages[self._spoken[place]]
        return Writing(int(self.node_of[number]), self._texts[place], self._kinds[place], language)

    def writings_of(self, node: int) -> list[int]:
        """All that ever were; those with mentions count."""
        sealed = self.sealed
        if node >= sealed.nodes:
            return [self._first[node - sealed.nodes], *self._more.get(node, ())]
        return [*self.sealed_writings(node), *self._more.get(node, ())]

    def sealed_writings(self, node: int) -> range:
        return range(self.sealed.first_writing[node], self.sealed.first_writing[node + 1])

    def alive(self, node: int) -> list[int]:
        """The writings that a chunk has."""
        return [number for number in self.writings_of(node) if self.counts[number]]

    def best(self, node: int) -> int:
        """How the node is mostly written; equally often, the first in order. The node is alive."""
        alive = self.alive(node)
        if len(alive) == 1:
            return alive[0]
        found = [(-int(self.counts[n]), w.text, w.kind, w.language, n) for n in alive for w in (self.writing(n),)]
        return min(found)[-1]

    def aliases(self, node: int) -> Mapping[str, int]:
        """Other names that chunks give for it, and how often."""
        held = self._aliases.get(node)
        return self.sealed.aliases.get(node, _NO_NAMES) if held is None else held

    def given(self) -> list[tuple[int, int, str]]:
        """Chunk, node and other name, by chunk, of all chunks that are there."""
        sealed = self.sealed
        dead = {int(sealed.chunks[place]) for place in self.gone}
        found = [
            (chunk, int(sealed.given_node[at]), sealed.given_alias[at])
            for at, chunk in enumerate(sealed.given_chunk.tolist())
            if chunk not in dead
        ]
        found += [(chunk, node, alias) for chunk, names in self._given.items() for node, alias in names]
        return sorted(found, key=lambda one: one[0])

    def came_writings(self) -> tuple[list[str], bytearray, bytearray]:
        """Text, kind and language (places) of those that are not in the sealed tables."""
        return self._texts, self._kinds, self._spoken

    def came_norms(self) -> list[str]:
        return self._norms

    def key_numbers(self) -> tuple[Keys, NDArray[np.uint32]]:
        """Of all nodes: high, low, as `Sealed` has them."""
        if len(self._key_numbers[0]) < self.nodes:
            came = b"".join(map(digest_of, self._norms))
            fresh = np.frombuffer(came, ">u4").reshape(-1, 3).astype(np.uint64)
            self._key_numbers = (
                np.concatenate([self.sealed.key_high, fresh[:, 0] << np.uint64(32) | fresh[:, 1]]),
                np.concatenate([self.sealed.key_low, fresh[:, 2].astype(np.uint32)]),
            )
        return self._key_numbers

    def _writing(self, known: dict[tuple[str, str, int], int], form: tuple[str, str, int], language: str) -> int:
        number = known.get(form)
        if number is not None:
            return number
        norm, text, kind = form
        node = self.node_of_norm(norm)
        if node is None:
            node = self._by_norm[norm] = self.nodes
            self._norms.append(norm)
        elif node < self.sealed.nodes:
            wanted = Writing(node, text, kind, language)
            found = next((number for number in self.sealed_writings(node) if self.writing(number) == wanted), None)
            if found is not None:
                known[form] = found
                return found
        number = known[form] = self._writings
        if number >= len(self.node_of):
            spare = np.zeros(max(_SPARE, number // 4), np.int32)
            self.node_of = np.concatenate((self.node_of, spare))
            self.counts = np.concatenate((self.counts, spare))
        self.node_of[number] = node
        self._writings += 1
        self._texts.append(text)
        self._kinds.append(kind)
        self._spoken.append(self._language(language))
        if node - self.sealed.nodes == len(self._first):
            self._first.append(number)
        else:
            self._more[node] = (*self._more.get(node, ()), number)
        return number

    def _own_counts(self) -> None:
        if not self.counts.flags.writeable:  # mapped
            self.counts = self.counts.copy()

    def _make_keys(self) -> None:
        if len(self._by_key) < len(self._norms):
            with self._making:
                for at in range(len(self._by_key), len(self._norms)):
                    self._by_key[key_of(self._norms[at])] = self.sealed.nodes + at

    def _language(self, language: str) -> int:
        if language not in self._languages:
            self._languages.append(language)
        return self._languages.index(language)

    def _label(self, label: str) -> int:
        number = self._by_label.setdefault(label, len(self.labels))
        if number == len(self.labels):
            self.labels.append(label)
        return number

    def _given_by(self, chunk_id: int) -> Collection[tuple[int, str]]:
        if chunk_id in self.came:
            return self._given.get(chunk_id, ())
        sealed = self.sealed
        first, last = np.searchsorted(sealed.given_chunk, (chunk_id, chunk_id + 1)).tolist()
        return [(int(sealed.given_node[at]), sealed.given_alias[at]) for at in range(first, last)]

    def _take_aliases(self, chunk_id: int, said: Columns | Brief, at: Ints) -> None:
        """Initials in brackets behind the name, or the name behind its initials."""
        bracket = said.labels.index(ALIAS_LABEL)
        given: list[tuple[int, str]] = []
        for place in np.flatnonzero(said.label == bracket).tolist():
            one, other = int(said.form[said.head[place]]), int(said.form[said.tail[place]])
            a, b = said.forms[one][1], said.forms[other][1]
            if abbreviates(a, b) or abbreviates(b, a):
                given.append((int(at[one]), b))
        for node, alias in given:
            names = self._aliases.setdefault(node, dict(self.aliases(node)))
            names[alias] = names.get(alias, 0) + 1
        if given:
            self._given[chunk_id] = tuple(given)


def sealed_said(sealed: Sealed, place: int) -> Said:
    members = slice(sealed.member_starts[place], sealed.member_starts[place + 1])
    relations = slice(sealed.relation_starts[place], sealed.relation_starts[place + 1])
    return Said(
        sealed.member_writing[members], sealed.member_mentions[members], sealed.member_weight[members],
        sealed.relation_head[relations], sealed.relation_tail[relations], sealed.relation_label[relations],
        sealed.relation_weight[relations],
    )  # fmt: skip
