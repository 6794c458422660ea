"""Which nodes are one entity: names, identifiers, standards, headings and definitions as the Resolver says, terms that
differ in their endings alone with each other. A function of what the chunks say and of the decisions made by hand; a
change costs what the nodes cost that it touches.

An entity is named for ever by the smallest key of its resolved nodes, or of its terms where it has no resolved one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFound
from ..graph_types import GraphDecision
from ..protocols import Embedder
from .codec import KINDS
from .contents import Contents, stem_key
from .resolve import Explanation, Resolver
from .resolve_clusters import Decision
from .resolve_forms import Form, compare

RESOLVED: Final = frozenset(KINDS.index(kind) for kind in ("name", "identifier", "standard", "heading", "definition"))
"""Kinds whose nodes are compared with others (3 kB of memory each)."""
_NONE: Final = -1


class Entities:
    """Not safe from several threads."""

    def __init__(self, contents: Contents, embedder: Callable[[], Embedder] | None) -> None:
        self._contents = contents
        self._resolver = Resolver(embedder)
        self._forms: dict[str, Form] = {}
        self._decisions: dict[tuple[str, str], GraphDecision] = {}
        self._decided: set[str] = set()
        self._stems: list[str] = []  # by node; "" where it stands in no class
        self._classes: dict[str, set[int]] = {}
        self._root = np.full(1024, _NONE, np.int32)

    @property
    def decisions(self) -> Sequence[GraphDecision]:
        return tuple(self._decisions.values())

    def decide(self, decisions: Iterable[GraphDecision]) -> None:
        """All that hold now. Raises ModelError."""
        held = {(d.a, d.b): d for d in decisions}
        if held == self._decisions:
            return
        gone = self._decisions.keys() - held.keys()
        new = [d for pair, d in held.items() if self._decisions.get(pair) != d]
        keys = {key for pair in gone | {(d.a, d.b) for d in new} for key in pair}
        self._decided = {key for pair in held for key in pair}
        nodes = {node for key in keys if (node := self._contents.node_of_key(key)) is not None}
        self._contents.touched |= nodes  # what something was decided about is resolved
        self.follow()
        for a, b in gone:
            with suppress(NotFound):  # a call that failed got as far as that
                self._resolver.withdraw(a, b)
        self._resolver.decide([Decision(d.kind, d.a, d.b, d.order) for d in new])
        self._decisions = held
        self._regroup(())

    def follow(self) -> None:
        """Takes over what was touched since. Raises ModelError; then calling again goes on."""
        touched = self._contents.touched
        self._grow()
        gone: list[str] = []
        new: list[Form] = []
        classes: set[str] = set()
        for node in touched:
            key = self._contents.nodes[node].key
            form = self._form(node)
            held = self._forms.get(key)
            if form is None and held is not None:
                gone.append(key)
                del self._forms[key]
            elif form is not None and form != held:
                new.append(form)
                self._forms[key] = form
            alive = bool(self._contents.alive(node))
            stem = stem_key(self._contents.nodes[node].norm, self._contents.language(node)) if alive else ""
            classes |= {stem, self._stems[node]}
            self._classify(node, stem)
        try:
            self._resolver.remove(gone)
        finally:  # what failed is made up for by the next call of either
            self._resolver.add(new)
        self._regroup(classes)
        touched.clear()

    def roots(self) -> NDArray[np.int32]:
        """By node: the one that its entity is named after; -1 where no chunk has it."""
        return self._root[: len(self._contents.nodes)]

    def explain(self, a: str, b: str) -> Explanation:
        """Of two keys. Raises NotFound, ModelError."""
        if a in self._forms and b in self._forms:
            return self._resolver.explain(a, b)
        nodes = [self._contents.node_of_key(key) for key in (a, b)]
        found = [node for node in nodes if node is not None and self._root[node] != _NONE]
        if len(found) < 2:
            raise NotFound(f"no text names {b if found else a}.", "Find entities by name: `ragstone graph find NAME`.")
        likeness = compare(self._as_form(found[0]), self._as_form(found[1]))
        return Explanation(
            bool(self._root[found[0]] == self._root[found[1]]), likeness.similarity, likeness.reasons, False, ()
        )

    def _form(self, node: int) -> Form | None:
        """As which the node is resolved; None where it is not."""
        kinds = self._contents.kinds(node)
        if not kinds or not (kinds & RESOLVED or self._contents.nodes[node].key in self._decided):
            return None
        return self._as_form(node)

    def _as_form(self, node: int) -> Form:
        best, said = self._contents.best(node), self._contents.nodes[node]
        return Form(
            said.key, best.text, KINDS[best.kind], self._contents.language(node),
            aliases=tuple(sorted(said.aliases or ())),
        )  # fmt: skip

    def _classify(self, node: int, stem: str) -> None:
        old = self._stems[node]
        if old == stem:
            return
        if old:
            self._classes[old].discard(node)
            if not self._classes[old]:
                del self._classes[old]
        if stem:
            self._classes.setdefault(stem, set()).add(node)
        self._stems[node] = stem

    def _regroup(self, classes: Iterable[str]) -> None:
        """Roots of what the resolver grouped anew and of the terms beside it."""
        nodes, again = self._contents, set(classes)
        for resolved in self._resolver.regrouped():
            root = nodes.node_of_key(resolved.keys[0])
            for key in resolved.keys:
                node = nodes.node_of_key(key)
                if node is not None and root is not None:  # forms are made from nodes
                    self._root[node] = root
                    again.add(self._stems[node])
        again.discard("")
        for node in nodes.touched:
            if not self._stems[node]:
                self._root[node] = _NONE
        for stem in again:
            members = sorted(self._classes.get(stem, ()), key=lambda node: nodes.nodes[node].key)
            terms = [node for node in members if nodes.nodes[node].key not in self._forms]
            if terms:
                anchor = next((node for node in members if nodes.nodes[node].key in self._forms), terms[0])
                self._root[terms] = self._root[anchor] if anchor != terms[0] else anchor

    def _grow(self) -> None:
        count = len(self._contents.nodes)
        self._stems += [""] * (count - len(self._stems))
        if count > len(self._root):
            more = np.full(max(count, 2 * len(self._root)) - len(self._root), _NONE, np.int32)
            self._root = np.concatenate((self._root, more))
