"""Which nodes are one entity: names, identifiers, standards, headings and definitions as resolution says, terms that
differ in their endings alone with each other. A function of what the chunks say and of the decisions made by hand; a
change costs what the nodes cost that it touches.

An entity is named for ever by the smallest key of its resolved nodes, or of its terms where it has no resolved one.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFound
from ..graph_types import GraphDecision
from .codec import KINDS
from .contents import Contents
from .resolve import Explanation, around, explain, resolved
from .resolve_clusters import Decision
from .resolve_forms import Form, compare, hashed, numbers
from .resolve_words import stem_key
from .sealed import NO_NODE, Ints, Keys

RESOLVED: Final = frozenset(KINDS.index(kind) for kind in ("name", "identifier", "standard", "heading", "definition"))
"""Kinds whose nodes are compared with others."""
_RESOLVED_BITS: Final = sum(1 << kind for kind in RESOLVED)
_DEAD: Final = 0
"""In place of the number of a stem."""


class Sharing:
    """Which nodes have a number: sealed tables, and what changed since."""

    def __init__(self, numbers: Keys, nodes: Ints) -> None:
        self._numbers = numbers
        self._nodes = nodes
        self._own: dict[int, tuple[int, ...]] = {}  # of nodes for which the tables count no more
        self._added: dict[int, tuple[int, ...]] = {}

    def of(self, number: int) -> list[int]:
        key = np.uint64(number)
        first = int(np.searchsorted(self._numbers, key))
        found = []
        while first < len(self._numbers) and self._numbers[first] == key:
            node = int(self._nodes[first])
            if node not in self._own:
                found.append(node)
            first += 1
        return [*found, *self._added.get(number, ())]

    def put(self, node: int, numbers: tuple[int, ...]) -> None:
        for number in self._own.get(node, ()):
            rest = tuple(other for other in self._added[number] if other != node)
            if rest:
                self._added[number] = rest
            else:
                del self._added[number]
        self._own[node] = numbers
        for number in numbers:
            self._added[number] = (*self._added.get(number, ()), node)

    def tables(self) -> tuple[Keys, Ints]:
        """As they are now, by number."""
        own = np.fromiter(self._own, np.int64, len(self._own))
        kept = ~np.isin(self._nodes, own)
        more = [(number, node) for node, some in self._own.items() for number in some]
        all_numbers = np.concatenate([self._numbers[kept], np.array([number for number, _ in more], np.uint64)])
        all_nodes = np.concatenate([self._nodes[kept], np.array([node for _, node in more], np.int32)])
        order = np.argsort(all_numbers, kind="stable")
        return all_numbers[order], all_nodes[order]


class Entities:
    """Not safe from several threads."""

    def __init__(self, contents: Contents) -> None:
        sealed = contents.sealed
        self._contents = contents
        self._forms: dict[int, Form | None] = {}  # of nodes whose form is not the sealed one
        self._form_writing, self._form_language = sealed.form_writing, sealed.form_language
        self._blocks = Sharing(sealed.block_number, sealed.block_node)
        self._stems: dict[int, int] = {}
        self._stem = sealed.stem
        self._classes = Sharing(sealed.class_stem, sealed.class_node)
        self._numbers: dict[int, tuple[int, ...]] = {}  # of some nodes, while all are resolved
        self._root = sealed.root
        self._groups: dict[int, frozenset[int]] = {}  # by root, where they are not the sealed ones
        self.decisions: Sequence[GraphDecision] = ()
        """Those that were taken last."""
        self._decided: dict[str, tuple[Decision, ...]] = {}
        self._held_decisions: frozenset[Decision] = frozenset()
        self._take(Decision(*one) for one in sealed.decisions)

    def decide(self, decisions: Iterable[GraphDecision]) -> None:
        """All that hold now."""
        self.decisions = tuple(decisions)
        held = frozenset(Decision(d.kind, d.a, d.b, d.order) for d in self.decisions)
        changed = held ^ self._held_decisions
        if not changed:
            return
        known = (self._contents.node_of_key(key) for one in changed for key in (one.a, one.b))
        nodes = {node for node in known if node is not None}
        dirty = around(self, (node for node in nodes if self._held(node) is not None))
        self._take(held)
        self._contents.touched |= nodes  # what something was decided about is resolved
        self._follow(dirty | nodes)

    def follow(self) -> None:
        """Takes over what was touched since."""
        self._follow(set())

    def roots(self) -> Ints:
        """By node: the one that its entity is named after; -1 where no chunk has it."""
        self._grow()
        return self._root[: self._contents.nodes]

    def groups(self) -> dict[int, frozenset[int]]:
        """By root, nodes of the entities that are not the sealed ones; none of those that are no more."""
        return self._groups

    def group(self, root: int) -> Collection[int]:
        held = self._groups.get(root)
        if held is not None:
            return held
        sealed = self._contents.sealed
        if root < sealed.nodes:
            return tuple(sealed.group_node[sealed.group_starts[root] : sealed.group_starts[root + 1]].tolist())
        return (root,) if self._root[root] == root else ()

    def explain(self, a: str, b: str) -> Explanation:
        """Of two keys. Raises NotFound."""
        nodes = [self._contents.node_of_key(key) for key in (a, b)]
        found = [node for node in nodes if node is not None and self._root[node] != NO_NODE]
        if len(found) < 2:
            raise NotFound(f"no text names {b if found else a}.", "Find entities by name: `ragstone graph find NAME`.")
        if all(self._held(node) is not None for node in found):
            return explain(self, *found)
        likeness = compare(self._as_form(found[0]), self._as_form(found[1]))
        same = bool(self._root[found[0]] == self._root[found[1]])
        return Explanation(same, likeness.similarity, likeness.reasons, False, ())

    # ------------------------------------------------------------------ resolve.Forms
    def form(self, node: int) -> Form:
        found = self._held(node)
        assert found is not None  # noqa: S101 - asked for resolved nodes alone
        return found

    def numbers(self, node: int) -> tuple[int, ...]:
        known = self._numbers.get(node)
        return numbers(self.form(node)) if known is None else known

    def sharing(self, number: int) -> Collection[int]:
        return self._blocks.of(number)

    def node_of_key(self, key: str) -> int | None:
        node = self._contents.node_of_key(key)
        return node if node is not None and self._held(node) is not None else None

    def decided(self, key: str) -> Collection[Decision]:
        return self._decided.get(key, ())

    # ------------------------------------------------------------------ inside
    def _take(self, decisions: Iterable[Decision]) -> None:
        self._held_decisions = frozenset(decisions)
        by_key: dict[str, list[Decision]] = {}
        for decision in self._held_decisions:
            for key in (decision.a, decision.b):
                by_key.setdefault(key, []).append(decision)
        self._decided = {key: tuple(some) for key, some in by_key.items()}

    def _follow(self, dirty: set[int]) -> None:
        """`dirty`: resolved nodes whose groups are to be made again."""
        touched = self._contents.touched
        self._grow()
        changed = {node: form for node in touched if (form := self._made(node)) != self._held(node)}
        dirty |= around(self, (node for node in changed if self._held(node) is not None))
        stems: set[int] = set()
        for node, form in changed.items():
            self._forms[node] = form
            self._blocks.put(node, numbers(form) if form is not None else ())
        for node in touched:
            stem = self._stem_now(node)
            if stem != self._stem_of(node) or node in changed:
                stems |= {stem, self._stem_of(node)}
                self._stems[node] = stem
                self._classes.put(node, (stem,) if stem else ())
        for found in resolved(self, (node for node in dirty | changed.keys() if self._held(node) is not None)):
            for node in found.nodes:
                self._set_root(node, found.nodes[0])
                stems.add(self._stem_of(node))
        for node in touched:
            if not self._stem_of(node):
                self._set_root(node, NO_NODE)
        for stem in stems - {_DEAD}:
            self._settle_terms(self._classes.of(stem))
        touched.clear()

    def _settle_terms(self, members: Iterable[int]) -> None:
        ordered = sorted(members, key=self._contents.key)
        terms = [node for node in ordered if self._held(node) is None]
        if terms:
            anchor = next((node for node in ordered if self._held(node) is not None), None)
            root = terms[0] if anchor is None else int(self._root[anchor])
            for node in terms:
                self._set_root(node, root)

    def _set_root(self, node: int, root: int) -> None:
        before = int(self._root[node])
        if before == root:
            return
        if before != NO_NODE:
            self._groups[before] = frozenset(self.group(before)) - {node}
        if root != NO_NODE:
            self._groups[root] = frozenset(self.group(root)) | {node}
        if not self._root.flags.writeable:  # mapped
            self._root = self._root.copy()
        self._root[node] = root

    def _held(self, node: int) -> Form | None:
        """As which the node is resolved; None where it is not."""
        if node in self._forms:
            return self._forms[node]
        if node >= len(self._form_writing) or self._form_writing[node] == NO_NODE:
            return None
        contents = self._contents
        return Form(
            contents.key(node), contents.writing(int(self._form_writing[node])).text,
            contents.languages[self._form_language[node]], tuple(sorted(contents.sealed.aliases.get(node, ()))),
        )  # fmt: skip

    def _made(self, node: int) -> Form | None:
        """The same, as the contents are now."""
        alive = self._contents.alive(node)
        if not alive:
            return None
        resolved_ = any(self._contents.writing(number).kind in RESOLVED for number in alive)
        return self._as_form(node) if resolved_ or self._contents.key(node) in self._decided else None

    def _as_form(self, node: int) -> Form:
        contents = self._contents
        name = contents.writing(contents.best(node)).text
        return Form(contents.key(node), name, self._language(node), tuple(sorted(contents.aliases(node))))

    def _language(self, node: int) -> str:
        return min(self._contents.writing(number).language for number in self._contents.alive(node))

    def _stem_of(self, node: int) -> int:
        held = self._stems.get(node)
        return held if held is not None else int(self._stem[node]) if node < len(self._stem) else _DEAD

    def _stem_now(self, node: int) -> int:
        if not self._contents.alive(node):
            return _DEAD
        return stem_number(self._contents.norm(node), self._language(node))

    def _grow(self) -> None:
        count = self._contents.nodes
        if count > len(self._root):
            more = np.full(max(1_024, count // 4, count - len(self._root)), NO_NODE, np.int32)
            self._root = np.concatenate((self._root, more))

    # ------------------------------------------------------------------ all at once
    def resolve_all(self, decisions: Iterable[GraphDecision]) -> None:
        """The same as `follow` and `decide`, for contents that were just read and are to be sealed: groups are not
        kept. Nothing was resolved before."""
        contents = self._contents
        count, writings = contents.nodes, contents.writings
        self._take(Decision(d.kind, d.a, d.b, d.order) for d in decisions)
        alive = np.flatnonzero(contents.counts[:writings])
        owner = contents.node_of[alive]
        _, came_kinds, came_spoken = contents.came_writings()
        kinds = np.concatenate((contents.sealed.writing_kind, np.frombuffer(bytes(came_kinds), np.uint8)))[alive]
        spoken = np.concatenate((contents.sealed.writing_language, np.frombuffer(bytes(came_spoken), np.uint8)))[alive]
        by_name = sorted(range(len(contents.languages)), key=contents.languages.__getitem__)
        rank = np.argsort(np.array(by_name, np.int64))
        bits = np.zeros(count, np.int64)
        np.bitwise_or.at(bits, owner, np.left_shift(1, kinds.astype(np.int64)))
        first = np.full(count, len(by_name), np.int64)
        np.minimum.at(first, owner, rank[spoken])
        several = np.bincount(owner, minlength=count) > 1
        single = np.zeros(count, np.int64)
        single[owner] = alive
        wanted = (bits & _RESOLVED_BITS) != 0
        named = [node for key in self._decided if (node := contents.node_of_key(key)) is not None and bits[node]]
        wanted[named] = True
        self._form_writing = np.full(count, NO_NODE, np.int32)
        self._form_language = np.zeros(count, np.uint8)
        found, nodes = array("Q"), array("i")
        for node in np.flatnonzero(wanted).tolist():
            number = contents.best(node) if several[node] else int(single[node])
            self._form_writing[node], self._form_language[node] = number, by_name[first[node]]
            aliases = tuple(sorted(contents.aliases(node)))
            language = contents.languages[by_name[first[node]]]
            form = Form("", contents.writing(number).text, language, aliases)
            if aliases:  # else it follows from the tables
                self._forms[node] = Form(contents.key(node), form.name, language, aliases)
            some = numbers(form)
            found.extend(some)
            nodes.extend((node,) * len(some))
        self._blocks = _sharing(found, nodes)
        shared = set(_shared(*self._blocks.tables()).tolist())
        for number, node in zip(found, nodes, strict=True):
            if node in shared:
                self._numbers[node] = (*self._numbers.get(node, ()), number)
        found, nodes = array("Q"), array("i")
        for node in np.flatnonzero(bits).tolist():
            found.append(stem_number(contents.norm(node), contents.languages[by_name[first[node]]]))
            nodes.append(node)
        self._stem = np.zeros(count, np.uint64)
        self._stem[np.frombuffer(nodes, np.int32)] = np.frombuffer(found, np.uint64)
        self._classes = _sharing(found, nodes)
        self._root = np.where(bits != 0, np.arange(count), NO_NODE).astype(np.int32)
        for entity in resolved(self, {*shared, *named}):
            self._root[list(entity.nodes)] = entity.nodes[0]
        self._numbers.clear()
        self._settle_all_terms()
        contents.touched.clear()

    def _settle_all_terms(self) -> None:
        stems, nodes = self._classes.tables()
        several = np.isin(nodes, _shared(stems, nodes))
        stems, nodes = stems[several], nodes[several]
        high, low = self._contents.key_numbers()
        term = self._form_writing[nodes] == NO_NODE
        order = np.lexsort((low[nodes], high[nodes], term, stems))
        stems, nodes, term = stems[order], nodes[order], term[order]
        first = np.flatnonzero(np.concatenate((stems[:1] == stems[:1], stems[1:] != stems[:-1])))
        roots = np.repeat(self._root[nodes[first]], np.diff(np.append(first, len(nodes))))
        self._root[nodes[term]] = roots[term]

    def sealed_decisions(self) -> tuple[tuple[Literal["merge", "split"], str, str, int], ...]:
        return tuple(sorted((d.kind, d.a, d.b, d.order) for d in self._held_decisions))

    def tables(self) -> tuple[Ints, NDArray[np.uint8], tuple[Keys, Ints], Keys, tuple[Keys, Ints]]:
        """By node, form_writing, form_language, and stem as `Sealed` has them; blocks and classes with nodes."""
        contents = self._contents
        count = contents.nodes
        writing, language = np.full(count, NO_NODE, np.int32), np.zeros(count, np.uint8)
        stem = np.zeros(count, np.uint64)
        writing[: len(self._form_writing)] = self._form_writing
        language[: len(self._form_language)] = self._form_language
        stem[: len(self._stem)] = self._stem
        named = np.flatnonzero(writing != NO_NODE)
        gone = named[contents.counts[writing[named]] == 0]  # another writing of the same text may be there
        for node in {*self._forms, *gone.tolist()}:
            form = self._held(node)
            writing[node] = NO_NODE if form is None else contents.best(node)
            language[node] = 0 if form is None else contents.languages.index(form.language)
        for node, number in self._stems.items():
            stem[node] = number
        return writing, language, self._blocks.tables(), stem, self._classes.tables()


def stem_number(norm: str, language: str) -> int:
    """Of a node that a chunk has."""
    return hashed(stem_key(norm, language) or norm) or 1


def _sharing(numbers: array[int], nodes: array[int]) -> Sharing:
    found = np.array(numbers, np.uint64)
    order = np.argsort(found, kind="stable")
    return Sharing(found[order], np.array(nodes, np.int32)[order])


def _shared(numbers: Keys, nodes: Ints) -> Ints:
    """The nodes that have a number in common with others. `numbers` rise."""
    if not len(numbers):
        return nodes
    same = np.concatenate(([False], numbers[1:] == numbers[:-1]))
    return np.unique(nodes[same | np.append(same[1:], False)])
