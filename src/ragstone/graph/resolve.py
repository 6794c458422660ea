"""Entity resolution: which forms are one entity, with reasons.

The entities are a function of the set of forms and of the decisions made by hand; not of the order in which they came,
nor of what was there and is gone. Forms that share a number (`resolve_forms.numbers`), or that something was decided
about, stand in one component; a change costs what its own components cost. Nothing is held here: who keeps the forms
says which share a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .resolve_clusters import Decision, Link, Pair, cluster
from .resolve_forms import Form, Reason, compare

THRESHOLD: Final = 0.93
"""Evidence of 13 to 1 that two forms are the same (docs/decisions/0030)."""
ALL_PAIRS: Final = 24
"""Forms of one number up to which every pair is compared."""
WINDOW: Final = 6
"""Neighbours in the order of keys that are compared where there are more."""


class Forms(Protocol):
    """What is resolved. Forms are named by numbers of the caller's own; `Form.key` orders them."""

    def form(self, node: int) -> Form: ...
    def numbers(self, node: int) -> tuple[int, ...]:
        """`resolve_forms.numbers` of its form."""
        ...

    def sharing(self, number: int) -> Collection[int]:
        """The forms that have a number among theirs."""
        ...

    def node_of_key(self, key: str) -> int | None:
        """None where there is no such form."""
        ...

    def decided(self, key: str) -> Collection[Decision]:
        """Decisions about a form."""
        ...


@dataclass(frozen=True, slots=True)
class Resolved:
    """An entity: its forms in the order of their keys, of which the first names it; `links`: the pairs of keys that
    made it."""

    keys: tuple[str, ...]
    nodes: tuple[int, ...]
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


def resolved(forms: Forms, nodes: Iterable[int]) -> Iterator[Resolved]:
    """The entities of every component in which one of `nodes` stands, in no order."""
    seen: set[int] = set()
    for start in nodes:
        if start not in seen:
            members, shared = _component(forms, start)
            seen |= members.keys()
            yield from _entities(forms, members, shared)


def explain(forms: Forms, a: int, b: int) -> Explanation:
    one, other = forms.form(a), forms.form(b)
    entity = next(found for found in resolved(forms, (a,)) if a in found.nodes)
    same = b in entity.nodes
    path = _path(entity.links, one.key, other.key) if same else ()
    likeness = compare(*sorted((one, other), key=lambda form: form.key))
    decided = any({one.key, other.key} == {d.a, d.b} for d in forms.decided(one.key))
    by_hand = any(link.similarity is None for link in path) if same else decided
    return Explanation(same, likeness.similarity, likeness.reasons, by_hand, path)


def around(forms: Forms, nodes: Iterable[int]) -> set[int]:
    """What stands in one component with one of them."""
    found: set[int] = set()
    for node in nodes:
        if node not in found:
            found |= _component(forms, node)[0].keys()
    return found


def digest_of(text: str) -> bytes:
    """12 bytes that name a form in every process, and say nothing of its letters."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def key_of(text: str) -> str:
    """The digest as people and files have it."""
    return digest_of(text).hex()


def _component(forms: Forms, start: int) -> tuple[dict[int, Form], dict[int, Collection[int]]]:
    """Its forms, and those of each number that several share."""
    members: dict[int, Form] = {}
    shared: dict[int, Collection[int]] = {}
    open_ = [start]
    while open_:
        node = open_.pop()
        if node in members:
            continue
        form = members[node] = forms.form(node)
        for number in forms.numbers(node):
            if number not in shared:
                shared[number] = forms.sharing(number)
                open_ += shared[number]
        for decision in forms.decided(form.key):
            other = forms.node_of_key(decision.b if decision.a == form.key else decision.a)
            if other is not None:
                open_.append(other)
    return members, {number: nodes for number, nodes in shared.items() if len(nodes) > 1}


def _entities(forms: Forms, members: Mapping[int, Form], shared: Mapping[int, Collection[int]]) -> Iterator[Resolved]:
    if len(members) == 1:  # most are alone
        ((node, form),) = members.items()
        yield Resolved((form.key,), (node,), ())
        return
    by_key = {form.key: node for node, form in members.items()}
    known: dict[Pair, float] = {}

    def alike(a: str, b: str) -> float:
        pair = (a, b) if a <= b else (b, a)
        if pair not in known:
            known[pair] = compare(members[by_key[pair[0]]], members[by_key[pair[1]]]).similarity
        return known[pair]

    likely: dict[Pair, float] = {}
    for nodes in shared.values():
        keys = sorted(members[node].key for node in nodes)
        reach = len(keys) if len(keys) <= ALL_PAIRS else WINDOW
        for place, a in enumerate(keys):
            values = {(a, b): alike(a, b) for b in keys[place + 1 : place + 1 + reach]}
            likely |= {pair: value for pair, value in values.items() if value >= THRESHOLD}
    decisions = {decision: None for key in by_key for decision in forms.decided(key)}
    there = [d for d in decisions if d.a in by_key and d.b in by_key]
    for found, links in cluster(by_key, likely, there, alike):
        ordered = tuple(sorted(links, key=lambda link: (link.a, link.b)))
        yield Resolved(found, tuple(by_key[key] for key in found), ordered)


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
