"""Entities by a name that somebody types."""

from __future__ import annotations

from collections.abc import Iterable

from .resolve_forms import misspelled
from .viewing import Frame

_LEAST_INSIDE = 3
"""Letters of a name that is looked for inside of others."""


def find(frame: Frame, name: str, limit: int) -> list[int]:
    """Entities of the frame: those that have the folded form `name`, then those with one that begins with it, that
    holds it, that is one letter away. Reads every form once."""
    exact = frame.number_of_norm(name)
    found: dict[int, None] = {} if exact < 0 else {exact: None}
    if not name or len(found) >= limit:
        return list(found)[:limit]
    begins: set[int] = set()
    holds: set[int] = set()
    alike: set[int] = set()
    words = name.split()
    for entity, form in frame.forms():
        if form.startswith(name):
            begins.add(entity)
        elif len(name) >= _LEAST_INSIDE and all(word in form for word in words):
            holds.add(entity)
        elif abs(len(form) - len(name)) <= 1 and form[0] == name[0] and misspelled(form, name):
            alike.add(entity)
    for group in (begins, holds, alike):
        if len(found) < limit:
            found |= dict.fromkeys(_most_mentioned(frame, group - found.keys()))
    return list(found)[:limit]


def _most_mentioned(frame: Frame, numbers: Iterable[int]) -> list[int]:
    entities = {number: frame.entity(number) for number in numbers}
    return sorted(entities, key=lambda n: (-entities[n].chunks, -entities[n].mentions, entities[n].id))
