"""Entities by a name that somebody types."""

from __future__ import annotations

from collections.abc import Iterable

from .resolve_forms import misspelled
from .view import GraphView

_LEAST_INSIDE = 3
"""Letters of a name that is looked for inside of others."""


def find(view: GraphView, name: str, limit: int) -> list[int]:
    """Numbers of entities: those that have the folded form `name`, then those with one that begins with it, that holds
    it, that is one letter away. Reads every form once: 30 ms for 500,000."""
    found: dict[int, None] = dict.fromkeys(view.forms.get(name, ()))
    if not name or len(found) >= limit:
        return list(found)[:limit]
    begins: set[int] = set()
    holds: set[int] = set()
    alike: set[int] = set()
    words = name.split()
    for form in view.forms:
        if form.startswith(name):
            begins.update(view.forms[form])
        elif len(name) >= _LEAST_INSIDE and all(word in form for word in words):
            holds.update(view.forms[form])
        elif abs(len(form) - len(name)) <= 1 and form[0] == name[0] and misspelled(form, name):
            alike.update(view.forms[form])
    for group in (begins, holds, alike):
        if len(found) < limit:
            found |= dict.fromkeys(_most_mentioned(view, group - found.keys()))
    return list(found)[:limit]


def _most_mentioned(view: GraphView, numbers: Iterable[int]) -> list[int]:
    entities = {number: view.entities[number] for number in numbers}
    return sorted(entities, key=lambda n: (-entities[n].chunks, -entities[n].mentions, entities[n].id))
