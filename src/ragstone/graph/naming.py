"""The entity that somebody means by a name."""

from __future__ import annotations

from typing import Final

from ..errors import InputError, NotFound
from ..graph_types import Entity
from .graph import KnowledgeGraph
from .mentions import norm

NEAR: Final = 5
"""Names that are told where none fits."""


def called(graph: KnowledgeGraph, name: str, collection: str) -> Entity:
    """The one that has this id, or this name in some form. Raises NotFound with names that are like it, InputError
    where several are called so."""
    near = graph.find(name, collection=collection, limit=4 * NEAR)
    folded = norm(name)
    found = [one for one in near if folded in map(norm, (one.name, *one.aliases))]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"{one.id} ({one.kind}, {one.chunks} passages)" for one in found)
        raise InputError(f"several entities are called {name!r}.", f"Name one by its id: {listed}.")
    try:
        return graph.entity(name, collection=collection)
    except NotFound:
        hint = "`ragstone graph status` tells whether passages wait to be read."
        if near:
            hint = f"Did you mean {', '.join(one.name for one in near[:NEAR])}?"
        raise NotFound(f"there is no entity {name!r} in {collection}.", hint) from None
