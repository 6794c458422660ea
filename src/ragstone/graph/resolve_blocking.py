"""Which forms are compared at all: those that share a key, and in blocks with many members neighbours in the alphabet
(the sorted neighbourhood method). So work grows with the number of forms, and candidates are a function of the set of
forms alone, in whatever order they came and went."""

from __future__ import annotations

from bisect import bisect_left, insort
from hashlib import blake2b
from typing import Final

from .resolve_forms import Form, canonical, joined
from .resolve_words import acronym, ends, initials

ALL_PAIRS: Final = 24
"""Members up to which every pair of a block is compared."""
WINDOW: Final = 6
"""Neighbours on either side in larger blocks."""
_EDGE: Final = 5
_REMEMBERED: Final = 50_000

Member = tuple[str, str]
"""What a block is sorted by (beginning of a name, or its end backwards), and the form's id."""


def keys(form: Form) -> dict[str, str]:
    """Blocks of a form, and what it is sorted by in each."""
    letters = joined(form.name)
    found = {f"words {' '.join(canonical(form.name, form.language))}": letters, f"letters {letters}": letters}
    for alias in form.aliases:
        found[f"letters {joined(alias)}"] = letters
    if len(letters) > _EDGE:
        found[f"begins {letters[:_EDGE]}"] = letters
        found[f"ends {letters[-_EDGE:]}"] = letters[::-1]
    if short := acronym(form.name):
        found[f"initials {short}"] = letters
        found |= {f"acronym {short[0]}{letter}": letters for letter in short[1:]}
    elif outer := ends(form.name):
        found[f"acronym {outer}"] = letters
    for short in initials(form.name):
        found[f"initials {short}"] = letters
    return found


class Blocks:
    """Members by key, sorted; of most blocks, which have one, that alone."""

    def __init__(self) -> None:
        self._members: dict[int, Member | list[Member]] = {}
        self._places: dict[str, list[tuple[int, Member]]] = {}  # of the last that came: they are asked for next

    def add(self, id_: str, form: Form) -> set[str]:
        """Other ids that may have lost candidates by that."""
        lost: set[str] = set()
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        places = self._places[id_] = _places(id_, form)
        for key, member in places:
            block = self._members.get(key)
            if block is None:
                self._members[key] = member
                continue
            if isinstance(block, tuple):
                block = self._members[key] = [block]
            if len(block) == ALL_PAIRS:
                lost.update(other for _, other in block)
            insort(block, member)
            if len(block) > ALL_PAIRS:
                lost.update(_near(block, member))
        return lost - {id_}

    def remove(self, id_: str, form: Form) -> set[str]:
        """Other ids that may have gained candidates by that."""
        gained: set[str] = set()
        for key, member in self._places.pop(id_, None) or _places(id_, form):
            block = self._members[key]
            if isinstance(block, tuple) or len(block) == 1:
                del self._members[key]
                continue
            if len(block) > ALL_PAIRS:
                gained.update(_near(block, member))
            del block[bisect_left(block, member)]
            if len(block) == ALL_PAIRS:
                gained.update(other for _, other in block)
        return gained - {id_}

    def candidates(self, id_: str, form: Form) -> set[str]:
        """Of two ids each is a candidate of the other, or neither."""
        found: set[str] = set()
        for key, member in self._places.pop(id_, None) or _places(id_, form):
            block = self._members[key]
            if not isinstance(block, tuple):
                found.update(_near(block, member))
        return found - {id_}


def _near(block: list[Member], member: Member) -> list[str]:
    if len(block) <= ALL_PAIRS:
        return [id_ for _, id_ in block]
    place = bisect_left(block, member)
    return [id_ for _, id_ in block[max(0, place - WINDOW) : place + WINDOW + 1]]


def _places(id_: str, form: Form) -> list[tuple[int, Member]]:
    """The number of each block of a form, of 62 bits, and its place there."""
    forwards, backwards = (joined(form.name), id_), None
    found: list[tuple[int, Member]] = []
    for key, order in keys(form).items():
        if order == forwards[0]:
            found.append((_number(key), forwards))
        else:
            backwards = backwards or (order, id_)
            found.append((_number(key), backwards))
    return found


def _number(key: str) -> int:
    """The same in every process, so that blocks are."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") >> 2
