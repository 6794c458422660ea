"""The vector spaces of collections: another one beside those that are searched, and which are searched.

Changes of roles are those of `Spaces`; the indexes of this process follow them at once.
"""

from __future__ import annotations

from ..errors import NotFound
from ..memory_types import not_memory
from ..protocols import Embedder
from ..types import ProgressCallback, Recipe, SpaceStatus
from .running import Running


def add(
    running: Running, model: Recipe | Embedder, collection: str, progress: ProgressCallback | None, *, wait: bool
) -> SpaceStatus:
    running.parts.store.revision(not_memory(collection))
    space = running.parts.spaces.add(collection, model)
    running.index(collection).refresh()
    if wait and running.parts.worker is not None:
        running.worker().run(collection, only=space.id, progress=progress, wait_for_others=True)
        running.after_write(collection, removed=False)
    else:
        running.wake()
    return _status(running, collection, space.id)


def switch(running: Running, space: str | None, collection: str, *, partial: bool) -> SpaceStatus:
    return _changed(running, collection, running.parts.spaces.switch(not_memory(collection), space, partial=partial).id)


def rollback(running: Running, collection: str) -> SpaceStatus:
    return _changed(running, collection, running.parts.spaces.rollback(not_memory(collection)).id)


def prefer(running: Running, space: str | None, collection: str) -> SpaceStatus:
    return _changed(running, collection, running.parts.spaces.prefer(not_memory(collection), space).id)


def drop(running: Running, space: str, collection: str, progress: ProgressCallback | None) -> list[SpaceStatus]:
    running.parts.spaces.drop(not_memory(collection), space, progress)
    running.index(collection).refresh()
    return running.parts.spaces.statuses(collection)


def _changed(running: Running, collection: str, space: str) -> SpaceStatus:
    running.index(collection).refresh()
    running.wake()
    return _status(running, collection, space)


def _status(running: Running, collection: str, space: str) -> SpaceStatus:
    for status in running.parts.spaces.statuses(collection):
        if status.space == space:
            return status
    raise NotFound(f"{space} was dropped from {collection} meanwhile.", "Another process did it; add it again.")
