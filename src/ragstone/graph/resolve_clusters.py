"""Forms that pairs hold together become entities: the surest pairs first, what was decided by hand before all, and
no chains: two groups join only where members that no pair joined do not contradict it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

WITNESSES: Final = 4
"""Members of either group that are asked; small groups are asked whole (complete linkage)."""
CONTRADICTED: Final = 0.5
"""Two groups do not join where a pair of their witnesses is below this: more likely different than the same."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about two forms, named by their keys. Where decisions contradict each other, also through
    third forms, the one with the higher `order` wins; merges in a circle say nothing new."""

    kind: Literal["merge", "split"]
    a: str
    b: str
    order: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A pair that joined two groups. `similarity` is None where it was decided by hand."""

    a: str
    b: str
    similarity: float | None


def cluster(
    ids: Iterable[str],
    pairs: Mapping[Pair, float],
    decisions: Sequence[Decision],
    similarity: Callable[[str, str], float],
) -> list[tuple[tuple[str, ...], tuple[Link, ...]]]:
    """Groups with the links that made them. Depends on the sets alone: not on the order of `ids`, `pairs` or
    `decisions`. `decisions` speak of ids here."""
    groups = _Groups(ids)
    ordered = sorted(decisions, key=lambda d: (-d.order, d.kind, *sorted((d.a, d.b))))
    for decision in ordered:
        a, b = sorted((decision.a, decision.b))
        if decision.kind == "split":
            groups.keep_apart(a, b)
        elif groups.may_join(a, b):
            groups.join(Link(a, b, None))
    for (a, b), value in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        if groups.may_join(a, b) and groups.agree(a, b, similarity):
            groups.join(Link(min(a, b), max(a, b), value))
    return groups.result()


class _Joined:
    """Sets of forms that grow by joining two."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._root = {id_: id_ for id_ in ids}
        self.members = {id_: [id_] for id_ in self._root}

    def find(self, id_: str) -> str:
        while self._root[id_] != id_:
            self._root[id_] = self._root[self._root[id_]]
            id_ = self._root[id_]
        return id_

    def join(self, a: str, b: str) -> tuple[str, str]:
        """The root that stays, the smaller one of equal sets, and the one that went. The smallest forms come first."""
        one, other = self.find(a), self.find(b)
        if (len(self.members[one]), other) < (len(self.members[other]), one):
            one, other = other, one
        self._root[other] = one
        mine, theirs = self.members[one], self.members.pop(other)
        self.members[one] = sorted(mine[:WITNESSES] + theirs[:WITNESSES]) + mine[WITNESSES:] + theirs[WITNESSES:]
        return one, other


class _Groups:
    """`_parts` are held together by pairs alone: what was merged by hand is no witness against what is like one of
    both, so that all forms of two entities stay together when they are merged."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._groups = _Joined(ids)
        self._parts = _Joined(self._groups.members)
        self._links: dict[str, list[Link]] = {id_: [] for id_ in self._groups.members}
        self._enemies: dict[str, set[str]] = {}

    def keep_apart(self, a: str, b: str) -> None:
        one, other = self._groups.find(a), self._groups.find(b)
        if one != other:
            self._enemies.setdefault(one, set()).add(b)
            self._enemies.setdefault(other, set()).add(a)

    def may_join(self, a: str, b: str) -> bool:
        one, other = self._groups.find(a), self._groups.find(b)
        return one != other and all(self._groups.find(enemy) != other for enemy in self._enemies.get(one, ()))

    def agree(self, a: str, b: str, similarity: Callable[[str, str], float]) -> bool:
        one, other = (self._parts.members[self._parts.find(id_)] for id_ in (a, b))
        return all(
            similarity(x, y) >= CONTRADICTED
            for x in one[:WITNESSES] for y in other[:WITNESSES] if (x, y) != (a, b) and (y, x) != (a, b)
        )  # fmt: skip

    def join(self, link: Link) -> None:
        if link.similarity is not None:
            self._parts.join(link.a, link.b)
        one, other = self._groups.join(link.a, link.b)
        self._links[one] += [*self._links.pop(other), link]
        self._enemies.setdefault(one, set()).update(self._enemies.pop(other, ()))

    def result(self) -> list[tuple[tuple[str, ...], tuple[Link, ...]]]:
        return [(tuple(sorted(members)), tuple(self._links[root])) for root, members in self._groups.members.items()]
