"""The spaces that collections use: which embedder belongs to which, and how their roles change.

    add       building   gets vectors in the background, is not searched
    prefer    preferred  searched together with the active one, wins where it has a vector
    switch    active     the one that is searched; the former one is kept
    rollback             the kept one and the active one change places
    drop      dropping   its vectors are removed; then it is forgotten

A change of roles is one transaction of the store and raises the collection's revision: every process sees it at its
next search, and no cache holds a result of before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from .embedding.workers import Job
from .errors import InputError, ModelMismatch, ModelMissing, NotFound
from .protocols import ChangeSpaces, Embedder, Store
from .types import Progress, ProgressCallback, Recipe, Space, SpaceRole, SpaceStatus, SpaceUse

DROPPED = 2_000
"""Vectors removed in one transaction, so that other writers get in between."""


class Spaces:
    """Safe for several threads. `default` tells how the embedder of the settings is made; `open_model` makes one,
    `space_of` tells its space, if it can without loading anything; `wrapped` puts a cache before it. `given` are
    embedders of a program; the first takes the place of the settings' one."""

    def __init__(
        self,
        store: Store,
        *,
        default: Recipe,
        open_model: Callable[[Recipe], Embedder],
        space_of: Callable[[Recipe], Space],
        wrapped: Callable[[Callable[[], Embedder], Space], Embedder],
        given: Sequence[Embedder] = (),
    ) -> None:
        self._store = store
        self._default = default
        self._open_model = open_model
        self._space_of = space_of
        self._wrapped = wrapped
        self._given = {embedder.space.id: embedder for embedder in given}
        self._first = given[0].space if given else None
        self._embedders: dict[str, Embedder] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ which embedder
    def default(self) -> Space:
        """Of a collection that uses none yet. Raises ModelError."""
        return self._first or self._space_of(self._default)

    def active(self, collection: str) -> Space:
        """What the collection is searched in. Raises NotFound, ModelError."""
        uses = self._store.space_uses(collection)
        return uses[0].space if uses else self.default()

    def require(self, collection: str) -> None:
        """Raises ModelError where a collection, which may be new, could not be opened for want of a model."""
        if collection in self._store.every_collection():
            self.active(collection)
        else:
            self.default()

    def followed(self, collection: str) -> list[Space]:
        """What to follow while no use is recorded. Where one is, the settings' model need not be there."""
        return [] if self._store.space_uses(collection) else [self.default()]

    def embedder(self, space: str) -> Embedder:
        """The embedder of a space, with its cache before it; the model is loaded when it is first needed. Raises
        ModelMissing where nothing tells how to make it."""
        held = self._embedders.get(space)
        if held is None:
            of, recipe = self._recipe(space)
            with self._lock:
                held = self._embedders.setdefault(space, self._wrapped(lambda: self._load(of, recipe), of))
        return held

    def load(self, space: str) -> Embedder:
        """The model itself. Raises ModelError."""
        return self._load(*self._recipe(space))

    def _load(self, space: Space, recipe: Recipe) -> Embedder:
        if space.id in self._given:
            return self._given[space.id]
        if recipe.kind == "given":
            raise ModelMissing(
                f"the vectors of {space.id} were made by an embedder that a program gave.",
                "Give it again (embedder=…), or add another space with `ragstone spaces add MODEL` and switch to it.",
            )
        found = self._open_model(recipe)
        if found.space.id != space.id:
            raise ModelMismatch(
                f"the model for the space {space.id} makes vectors of {found.space.id} now.",
                "Bring the former model back, or add this one as a space of its own: `ragstone spaces add MODEL`.",
            )
        return found

    def _recipe(self, space: str) -> tuple[Space, Recipe]:
        if space in self._given:
            return self._given[space].space, _given(self._given[space])
        for name in self._store.every_collection():
            for use in self._store.space_uses(name):
                if use.space.id == space:
                    return use.space, use.recipe
        found = self.default()
        if found.id == space:
            return found, self._default
        raise ModelMissing(f"nothing tells how to make vectors of the space {space!r}.", "See `ragstone spaces list`.")

    # ------------------------------------------------------------------ what is to be embedded
    def jobs(self, collection: str) -> list[Job]:
        """Of one collection: what is searched first, then what is built and kept. The first call for a collection
        that holds something records the space of the settings as its active one."""
        uses = self._store.space_uses(collection)
        if not uses:
            default = self.default()
            if not self._store.count_pending(collection, default.id):
                return []
            uses = self._store.change_spaces(collection, self._recorded)
        return [
            Job(use.space.id, lambda id_=use.space.id: self.embedder(id_), use.role not in ("active", "preferred"))  # type: ignore[misc]
            for use in uses
            if use.role != "dropping"
        ]

    def recorded(self, collection: str) -> Space:
        """What the collection is searched in, recorded as such from now on. Raises NotFound, ModelError."""
        uses = self._store.space_uses(collection) or self._store.change_spaces(collection, self._recorded)
        return uses[0].space

    def _recorded(self, uses: Sequence[SpaceUse], _waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
        space = self.default()
        recipe = _given(self._given[space.id]) if space.id in self._given else self._default
        return uses or [SpaceUse(space, "active", recipe)]

    def statuses(self, collection: str) -> list[SpaceStatus]:
        """Raises NotFound, ModelError."""
        uses = self._store.space_uses(collection)
        found = uses or self._recorded([], lambda _: 0)
        chunks = len(self._store.chunk_ids(collection))
        waiting = [
            0 if use.role == "dropping" else self._store.count_pending(collection, use.space.id) for use in found
        ]
        return [
            SpaceStatus(
                collection, use.space.id, use.role, use.recipe, chunks,
                0 if use.role == "dropping" else chunks - left, left, use.revision, use.since, bool(uses),
            )
            for use, left in zip(found, waiting, strict=True)
        ]  # fmt: skip

    # ------------------------------------------------------------------ changing roles
    def add(self, collection: str, model: Recipe | Embedder) -> Space:
        """The collection builds this space from now on. One that it has keeps its role, with this recipe; one that was
        being dropped is built again. Raises ModelError, NotFound."""
        if isinstance(model, Recipe):
            space, recipe = self._space_of(model), model
        else:
            space, recipe = model.space, _given(model)
            self._given[space.id] = model

        def change(uses: Sequence[SpaceUse], waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
            known = {use.space.id: use for use in self._recorded(uses, waiting)}
            before = known.get(space.id)
            role: SpaceRole = before.role if before is not None and before.role != "dropping" else "building"
            known[space.id] = SpaceUse(space, role, recipe)
            return list(known.values())

        self._store.change_spaces(collection, change)
        with self._lock:
            self._embedders.pop(space.id, None)  # it may have another recipe now
        return space

    def switch(self, collection: str, wanted: str | None, *, partial: bool) -> Space:
        """Raises InputError where chunks wait for a vector in the new space: with `partial` it becomes the preferred
        one instead. The model is tried first. Raises ModelError, NotFound."""
        target = _chosen(self._store.space_uses(collection), wanted, ("building", "preferred"), collection)
        self.load(target.space.id).embed(["?"], "query")

        def change(uses: Sequence[SpaceUse], waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
            use = _chosen(uses, target.space.id, (), collection)
            left = waiting(use.space.id)
            if left and not partial:
                raise InputError(
                    f"{left} chunks have no vector in {use.space.id} yet.",
                    "Run `ragstone spaces add` again and wait, or switch with --partial: then it is searched together "
                    "with the active one.",
                )
            return _promoted(uses, use, "preferred" if left else "active")

        self._store.change_spaces(collection, change)
        return target.space

    def rollback(self, collection: str) -> Space:
        """The space that was active last is active again, as it stands. Raises InputError where none is kept."""

        def change(uses: Sequence[SpaceUse], _waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
            kept = [use for use in uses if use.role == "kept"]
            if not kept:
                raise InputError(f"{collection!r} keeps no former space.", "There is nothing to go back to.")
            return _promoted(uses, max(kept, key=lambda use: (use.revision, use.since)), "active")

        return self._store.change_spaces(collection, change)[0].space

    def prefer(self, collection: str, wanted: str | None) -> Space:
        """The space is searched together with the active one from now on, also while it is being built; None: none is,
        and the one that was is only built. Gives the preferred space, or the active one."""

        def change(uses: Sequence[SpaceUse], _waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
            if wanted is None:
                return [replace(use, role="building") if use.role == "preferred" else use for use in uses]
            use = _chosen(uses, wanted, (), collection)
            if use.role == "active":
                raise InputError(f"{use.space.id} is active.", "Prefer another space, or switch first.")
            return _promoted(uses, use, "preferred")

        if wanted is not None:
            target = _chosen(self._store.space_uses(collection), wanted, (), collection)
            self.load(target.space.id).embed(["?"], "query")
        uses = self._store.change_spaces(collection, change) or self._recorded([], lambda _: 0)
        return next((use.space for use in uses if use.role == "preferred"), uses[0].space)

    def drop(self, collection: str, wanted: str, progress: ProgressCallback | None = None) -> Space:
        """Removes the space and its vectors, in batches; interrupted, it goes on at the next call, or when anything
        is embedded or purged. Raises InputError for the active one."""
        target = _chosen(self._store.space_uses(collection), wanted, (), collection, dropping=True)

        def change(uses: Sequence[SpaceUse], _waiting: Callable[[str], int]) -> Sequence[SpaceUse]:
            use = _chosen(uses, target.space.id, (), collection, dropping=True)
            if use.role == "active":
                raise InputError(
                    f"{use.space.id} is what {collection!r} is searched in.", "Switch to another space first."
                )
            return [replace(u, role="dropping") if u.space.id == use.space.id else u for u in uses]

        self._store.change_spaces(collection, change)
        self.finish_drops(collection, progress)
        return target.space

    def finish_drops(self, collection: str, progress: ProgressCallback | None = None) -> None:
        """Removes what is left of spaces that are being dropped."""
        for use in self._store.space_uses(collection):
            if use.role == "dropping":
                done, after = 0, self._store.drop_vectors(use.space.id, b"", DROPPED)
                while after:
                    done += DROPPED
                    if progress:
                        progress(Progress("drop", done, None, use.space.id))
                    after = self._store.drop_vectors(use.space.id, after, DROPPED)
                self._store.change_spaces(collection, _without(use.space.id))


def _without(space: str) -> ChangeSpaces:
    return lambda uses, _: [use for use in uses if use.space.id != space or use.role != "dropping"]


def _promoted(uses: Sequence[SpaceUse], target: SpaceUse, role: SpaceRole) -> list[SpaceUse]:
    """`target` has the role; who had it before is kept (active) or only built (preferred)."""
    behind: SpaceRole = "kept" if role == "active" else "building"
    return [
        replace(use, role=role if use.space.id == target.space.id else behind if use.role == role else use.role)
        for use in uses
    ]


def _chosen(
    uses: Sequence[SpaceUse],
    wanted: str | None,
    usual: Sequence[SpaceRole],
    collection: str,
    *,
    dropping: bool = False,
) -> SpaceUse:
    """The use that is meant: by id, by the model's name, by the beginning of either, or None: the only one with a
    `usual` role. Raises NotFound, InputError."""
    there = [use for use in uses if dropping or use.role != "dropping"]
    if wanted is None:
        found = [use for use in there if use.role in usual]
    else:
        found = [use for use in there if wanted in (use.space.id, use.space.model, use.recipe.model)]
        found = found or [use for use in there if use.space.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(use.space.id for use in (found or there)) or "none"
    if found:
        raise InputError(f"several spaces of {collection!r} are meant: {names}.", "Name one.")
    what = f"{collection!r} uses no space {wanted!r}" if wanted else f"no space of {collection!r} is being built"
    raise NotFound(f"{what}; it uses {names}.", "Add one with `ragstone spaces add MODEL`.")


def _given(embedder: Embedder) -> Recipe:
    return Recipe("given", embedder.space.model, dimension=embedder.space.dimension)
