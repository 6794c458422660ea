"""Entity resolution: forms come and go, and which of them are one entity follows, with reasons.

The entities are a function of the set of forms and of the decisions made by hand; not of the order in which they came,
nor of what was there and is gone. A change costs what its own blocks and groups cost. How likely two forms are the
same says `resolve_forms`, which are compared `resolve_blocking`, how pairs become groups `resolve_clusters`.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import InputError, NotFound
from ..protocols import Embedder, Vectors
from ..text.centre import Centre
from .resolve_blocking import Blocks
from .resolve_clusters import Decision, Link, Pair, cluster
from .resolve_forms import Form, Likeness, Outline, Reason, asks_meaning, compare, may_agree, outline

THRESHOLD: Final = 0.93
"""Evidence of 13 to 1 that two forms are the same (docs/decisions/0030)."""
_REMEMBERED: Final = 500_000
_REMEMBERED_VECTORS: Final = 20_000
_BATCH: Final = 128


@dataclass(frozen=True, slots=True)
class Resolved:
    """An entity: `id` comes from the smallest key of its forms; `name` is how most of them are written; `links`: the
    pairs of keys that made it."""

    id: str
    name: str
    keys: tuple[str, ...]
    aliases: tuple[str, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two forms are one entity or are not. `path`: the links from one to the other, where others stand between."""

    same: bool
    similarity: float
    reasons: tuple[Reason, ...]
    by_hand: bool
    path: tuple[Link, ...]

    def __str__(self) -> str:
        because = "; ".join(f"{r.what}{f' ({r.about})' if r.about else ''} {r.odds:+.1f}" for r in self.reasons)
        if self.by_hand:
            because = "decided by hand"
        elif self.same and len(self.path) > 1:
            because = f"{len(self.path)} pairs lead from one to the other; alone: {because}"
        return f"{'same' if self.same else 'different'}: {because}; similarity {self.similarity:.2f}"


class Resolver:
    """Safe from several threads. Memory: about 3 kB for each different form."""

    def __init__(
        self, embedder: Callable[[], Embedder] | None = None, *, threshold: float = THRESHOLD,
        decisions: Iterable[Decision] = (),
    ) -> None:
        """`embedder` is asked for once, when the first contexts have to be told apart; a model registry loads one model
        once for all resolvers of the process. Without it contexts are compared by their words."""
        if not 0.5 <= threshold <= 1:
            raise InputError(f"a threshold of {threshold} is not between 0.5 and 1.", "0.93 is the default.")
        self._threshold = threshold
        self._load = embedder
        self._meaning: tuple[Embedder, Centre] | None = None
        self._vectors: dict[str, Vectors] = {}
        self._lock = threading.RLock()
        self._forms: dict[str, Form] = {}  # by key
        self._decisions: dict[Pair, Decision] = {}
        self._decided: dict[str, set[Pair]] = {}  # by key
        self._nodes: dict[str, dict[str, Form]] = {}  # forms that are equal but for the key, by what they share
        self._node: dict[str, str] = {}
        self._blocks = Blocks()
        self._outlines: dict[str, Outline] = {}  # by node
        self._links: dict[str, dict[str, float]] = {}  # by node; where there are any
        self._known: dict[Pair, Likeness] = {}  # of names that may agree
        self._dirty: set[str] = set()  # nodes that may have candidates which they were not compared with
        self._loose: set[str] = set()  # nodes with links to what is no candidate any more, perhaps
        self._again: set[str] = set()  # nodes whose groups are to be made again
        self._group: dict[str, _Group] = {}  # by node
        self._regrouped: dict[str, None] = {}  # keys of groups made since they were asked for
        self.compared = 0
        """Pairs of forms that were compared so far."""
        self._take(decisions)

    def __len__(self) -> int:
        return len(self._forms)

    def add(self, forms: Iterable[Form]) -> None:
        """A form with a known key takes the place of that one. Raises ModelError."""
        with self._lock:
            given = {form.key: form for form in forms}
            new = {key: form for key, form in given.items() if self._forms.get(key) != form}
            self._change([key for key in new if key in self._forms], new.values())

    def remove(self, keys: Iterable[str]) -> None:
        """Keys that are not there are passed over. Raises ModelError."""
        with self._lock:
            self._change([key for key in dict.fromkeys(keys) if key in self._forms], ())

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Merges and splits by hand. They hold for forms that come later too, and are kept when forms go. A later
        decision on the same pair replaces the former. Raises InputError, ModelError."""
        with self._lock:
            given = list(decisions)
            self._take(given)
            # a form that something was decided about is a node of its own
            keys = dict.fromkeys(key for d in given for key in (d.a, d.b) if key in self._forms)
            forms = [self._forms[key] for key in keys]
            self._change(list(keys), forms)

    def withdraw(self, a: str, b: str) -> None:
        """Takes back what was decided about a pair. Raises NotFound, ModelError."""
        with self._lock:
            pair = _pair(a, b)
            if pair not in self._decisions:
                raise NotFound(f"nothing was decided about {a} and {b}.")
            forms = [self._forms[key] for key in pair if key in self._forms]
            del self._decisions[pair]
            for key in pair:
                self._decided[key].discard(pair)
                if not self._decided[key]:
                    del self._decided[key]
            self._change([form.key for form in forms], forms)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(sorted(self._decisions.values(), key=lambda d: (d.order, d.a, d.b)))

    def entities(self) -> list[Resolved]:
        """Ordered by id. Raises ModelError."""
        with self._lock:
            self._settle()
            found = {group.resolved.id: group.resolved for group in self._group.values()}
            return [found[id_] for id_ in sorted(found)]

    def regrouped(self) -> list[Resolved]:
        """The entities that were made anew since this was last asked for, in no order. Raises ModelError."""
        with self._lock:
            self._settle()
            keys, self._regrouped = self._regrouped, {}
            found = {id(group): group for key in keys if key in self._node for group in (self._group[self._node[key]],)}
            return [group.resolved for group in found.values()]

    def entity(self, key: str) -> Resolved:
        """The entity of a form. Raises NotFound, ModelError."""
        with self._lock:
            self._settle()
            return self._group[self._at(key)].resolved

    def explain(self, a: str, b: str) -> Explanation:
        """Raises NotFound, ModelError."""
        with self._lock:
            self._settle()
            one, other = self._at(a), self._at(b)
            group = self._group[one]
            same = group is self._group[other]
            # links name one key for all forms of a node
            path = _path(group.resolved.links, min(self._nodes[one]), min(self._nodes[other])) if same else ()
            likeness = self._compare(one, other)
            by_hand = any(link.similarity is None for link in path) if same else _pair(a, b) in self._decisions
            return Explanation(same, likeness.similarity, likeness.reasons, by_hand, path)

    def _at(self, key: str) -> str:
        if key not in self._node:
            raise NotFound(f"there is no form {key!r}.")
        return self._node[key]

    def _take(self, decisions: Iterable[Decision]) -> None:
        given = list(decisions)
        for decision in given:
            if decision.a == decision.b and decision.kind == "split":
                raise InputError(f"{decision.a} cannot be split from itself.", "Name two forms of the entity.")
        for decision in given:
            if decision.a == decision.b:
                continue
            pair = _pair(decision.a, decision.b)
            known = self._decisions.get(pair)
            if known is None or (known.order, known.kind) <= (decision.order, decision.kind):
                self._decisions[pair] = replace(decision, a=pair[0], b=pair[1])
            for key in pair:
                self._decided.setdefault(key, set()).add(pair)

    def _change(self, gone: Sequence[str], new: Iterable[Form]) -> None:
        dirty, again = self._dirty, self._again
        for key in gone:
            form = self._forms.pop(key)
            node = self._node.pop(key)
            again.update(self._group[node].nodes if node in self._group else ())
            del self._nodes[node][key]
            if not self._nodes[node]:
                del self._nodes[node], self._outlines[node]
                dirty |= self._blocks.remove(node, form)
                for other in list(self._links.get(node, ())):
                    self._unlink(node, other)
                self._group.pop(node, None)
        for form in new:
            node = _signature(form, own=form.key in self._decided)
            self._forms[form.key] = form
            self._node[form.key] = node
            again.add(node)
            if node not in self._nodes:
                self._nodes[node] = {}
                self._outlines[node] = outline(form, form.language)
                dirty.add(node)
                self._loose |= self._blocks.add(node, form)
            self._nodes[node][form.key] = form
        self._settle()

    def _settle(self) -> None:
        """What a failure of the model left undone is done by the next call. Raises ModelError."""
        if self._dirty or self._again or self._loose:
            self._again |= self._compare_again(self._dirty & self._nodes.keys())
            self._dirty.clear()
            self._loose.clear()
            self._group_again(self._again & self._nodes.keys())
            self._again.clear()

    def _compare_again(self, dirty: set[str]) -> set[str]:
        """Nodes whose links are others now. Most pairs are told apart by their outlines."""
        changed: set[str] = set()
        likely: list[Pair] = []
        for node in dirty:
            for other in self._blocks.candidates(node, self._form(node)):
                if (other not in dirty or node < other) and other not in self._links.get(node, ()):
                    self.compared += 1
                    if self._may_agree(*_pair(node, other)):
                        likely.append(_pair(node, other))
        self._embed(likely)
        for node in self._loose & self._links.keys():
            for other in self._links[node].keys() - self._blocks.candidates(node, self._form(node)):
                self._unlink(node, other)
                changed |= {node, other}
        for a, b in likely:
            value = self._compare(a, b).similarity
            if value >= self._threshold:
                self._links.setdefault(a, {})[b] = self._links.setdefault(b, {})[a] = value
                changed |= {a, b}
        return changed

    def _unlink(self, a: str, b: str) -> None:
        for one, other in ((a, b), (b, a)):
            del self._links[one][other]
            if not self._links[one]:
                del self._links[one]

    def _may_agree(self, a: str, b: str) -> bool:
        one, other = self._outlines[a], self._outlines[b]
        if one.language != other.language:  # the first one's language counts, where it is known
            language = one.language or other.language
            one = one if one.language == language else outline(self._form(a), language)
            other = outline(self._form(b), language) if other.language != language else other
        return may_agree(one, other)

    def _alike(self, a: str, b: str) -> float:
        """Similarity; 0 where the names are surely others."""
        a, b = _pair(a, b)
        return self._compare(a, b).similarity if self._may_agree(a, b) else 0.0

    def _compare(self, a: str, b: str) -> Likeness:
        pair = _pair(a, b)
        known = self._known.get(pair)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            cosine = self._cosine if self._load is not None else None
            known = self._known[pair] = compare(self._form(pair[0]), self._form(pair[1]), cosine)
        return known

    def _form(self, node: str) -> Form:
        return next(iter(self._nodes[node].values()))

    def _embed(self, pairs: Iterable[Pair]) -> None:
        """The contexts that will be asked for, in one batch."""
        if self._load is None:
            return
        texts: dict[str, None] = {}
        for a, b in sorted(pair for pair in pairs if pair not in self._known):
            one, other = self._form(a), self._form(b)
            if asks_meaning(one, other):
                texts |= dict.fromkeys((_around(one), _around(other)))
        self._embed_texts([text for text in texts if text not in self._vectors])

    def _embed_texts(self, texts: Sequence[str]) -> None:
        if not texts or self._load is None:
            return
        if self._meaning is None:
            embedder = self._load()
            self._meaning = embedder, Centre(embedder)
        if len(self._vectors) + len(texts) > _REMEMBERED_VECTORS:
            self._vectors.clear()
        embedder, centre = self._meaning
        for first in range(0, len(texts), _BATCH):
            batch = texts[first : first + _BATCH]
            self._vectors.update(zip(batch, centre.away(embedder.embed(batch, "passage")), strict=True))

    def _cosine(self, a: Form, b: Form) -> float:
        texts = [_around(a), _around(b)]
        if any(text not in self._vectors for text in texts):
            self._embed_texts(texts)
        # rounded: with some models a vector moves in its last decimals with the texts that are embedded beside it
        return round(float(self._vectors[texts[0]] @ self._vectors[texts[1]]), 2)

    def _group_again(self, nodes: set[str]) -> None:
        seen: set[str] = set()
        for start in sorted(nodes):
            if start in seen:
                continue
            if start not in self._links and len(self._nodes[start]) == 1 and not self._decided_with(start):
                form = self._form(start)  # most are alone
                alone = Resolved(_digest(form.key), form.name, (form.key,), (), ())
                self._group[start] = _Group((start,), alone)
                self._regrouped[form.key] = None
                continue
            component = self._component(start)
            seen |= component
            pairs = {(a, b): value for a in component for b, value in self._links.get(a, {}).items() if a < b}
            for members, links in cluster(
                component, pairs, self._decided_among(component), self._alike
            ):
                group = _Group(members, self._resolved(members, links))
                self._group.update(dict.fromkeys(members, group))
                self._regrouped |= dict.fromkeys(group.resolved.keys)

    def _component(self, start: str) -> set[str]:
        found, open_ = {start}, [start]
        while open_:
            node = open_.pop()
            near = set(self._links.get(node, ()))
            if len(self._nodes[node]) == 1:  # others hold no form that something was decided about
                near.update(self._node[key] for key in self._decided_with(node) if key in self._node)
            open_ += near - found
            found |= near
        return found

    def _decided_with(self, node: str) -> set[str]:
        return {key for own in self._nodes[node] for pair in self._decided.get(own, ()) for key in pair}

    def _decided_among(self, component: set[str]) -> list[Decision]:
        pairs: set[Pair] = set()
        for node in component:
            if len(self._nodes[node]) == 1:
                pairs |= self._decided.get(next(iter(self._nodes[node])), set())
        there = [self._decisions[pair] for pair in pairs if pair[0] in self._node and pair[1] in self._node]
        return [replace(d, a=self._node[d.a], b=self._node[d.b]) for d in there]

    def _resolved(self, nodes: Sequence[str], links: Sequence[Link]) -> Resolved:
        written: Counter[str] = Counter()
        keys: list[str] = []
        for node in nodes:
            forms = self._nodes[node]
            keys += forms
            written[self._form(node).name] += len(forms)
        names = sorted(written, key=lambda name: (-written[name], -len(name), name))
        first = {node: min(self._nodes[node]) for link in links for node in (link.a, link.b)}
        return Resolved(
            id=_digest(min(keys)),
            name=names[0],
            keys=tuple(sorted(keys)),
            aliases=tuple(sorted(names[1:])),
            links=tuple(sorted((replace(k, a=first[k.a], b=first[k.b]) for k in links), key=lambda k: (k.a, k.b))),
        )


@dataclass(frozen=True, slots=True)
class _Group:
    nodes: tuple[str, ...]
    resolved: Resolved


def _pair(a: str, b: str) -> Pair:
    return (a, b) if a <= b else (b, a)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _signature(form: Form, own: bool) -> str:
    """Forms that have it in common are compared once. `own`: it shares it with none."""
    shared = (form.name, form.kind, form.language, form.context, sorted(form.neighbours), form.aliases)
    return _digest(repr((*shared, form.key) if own else shared))


def _around(form: Form) -> str:
    """The context without the name, which both would have in common."""
    return re.sub(re.escape(form.name), " ", form.context, flags=re.IGNORECASE)


def _path(links: Sequence[Link], a: str, b: str) -> tuple[Link, ...]:
    """The links of a tree that lead from one of its keys to another."""
    near: dict[str, list[tuple[str, Link]]] = {}
    for link in links:
        near.setdefault(link.a, []).append((link.b, link))
        near.setdefault(link.b, []).append((link.a, link))
    ways: dict[str, tuple[Link, ...]] = {a: ()}
    open_ = [a]
    while open_ and b not in ways:
        here = open_.pop()
        for other, link in near.get(here, ()):
            if other not in ways:
                ways[other] = (*ways[here], link)
                open_.append(other)
    return ways.get(b, ())
