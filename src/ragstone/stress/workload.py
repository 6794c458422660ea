"""Random work on a knowledge base: the same for the same seed and the same state."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Final

from .. import spaces
from ..assemble import open_knowledge_base
from ..errors import InputError, NotFound
from ..index import vector_codes
from ..index.sealing import indexer_lock, remove_orphans, trim_log
from ..knowledge_base import KnowledgeBase
from ..settings import Settings, at
from ..storage import writer
from ..testing import HashEmbedder
from ..types import MetadataValue, Progress
from .history import Journal
from .recollections import Recollecting
from .texts import mark, text

MAIN: Final = "main"
SIDE: Final = "side"
"""The collection that is dropped now and then."""
DIMENSION: Final = 8
OTHER_DIMENSION: Final = 12
"""Of the space that is added, switched to and dropped now and then."""
CHUNK_TOKENS: Final = 32
USUAL: Final = 9
"""Operations of a workload that does not administer."""
_KEPT: Final = 30
"""Log entries that trimming leaves."""

Item = tuple[str, str, str, dict[str, MetadataValue]]


def settings(folder: Path) -> Settings:
    chosen = at(folder)
    return replace(
        chosen,
        ingest=replace(chosen.ingest, chunk_tokens=CHUNK_TOKENS),
        embedding=replace(chosen.embedding, background=False),
    )


def open_folder(folder: Path) -> KnowledgeBase:
    """The knowledge base of a stress test: short chunks, embedders that need no model, nothing in the background.
    Raises StoreError."""
    return open_knowledge_base(
        settings(folder), embedder=HashEmbedder(DIMENSION), embedders=[HashEmbedder(OTHER_DIMENSION)]
    )


@contextmanager
def small_limits() -> Iterator[None]:
    """Inside, a short run meets what lies beyond limits: the write-ahead log is copied into the database after few
    pages, vectors are removed in batches that a small space has several of, and small segments get codes and lists.
    Those hold so few rows that searches still score all."""
    limits: tuple[tuple[ModuleType, dict[str, int]], ...] = (
        (writer, {"LOG_PAGES": 60, "LOG_PAGES_FORCED": 240}),
        (spaces, {"DROPPED": 4}),
        (vector_codes, {"EXACT_ROWS": 16, "LISTED_ROWS": 40}),
    )
    before = [(module, {name: vars(module)[name] for name in small}) for module, small in limits]
    for module, small in limits:
        vars(module).update(small)
    try:
        yield
    finally:
        for module, usual in before:
            vars(module).update(usual)


class Workload:
    """`step` does one random operation and keeps the journal. `prefix` begins the uris of documents that only this
    workload changes; `shared` are uris that others change as well. `population` is about how many documents of its
    own there will be."""

    def __init__(
        self,
        kb: KnowledgeBase,
        journal: Journal,
        chance: random.Random,
        *,
        prefix: str = "/",
        shared: Iterable[str] = (),
        population: int = 120,
        administers: bool = True,
    ) -> None:
        """`administers`: this workload also rebuilds, trims, tidies and drops, which it may do only where the others
        expect it."""
        self._kb = kb
        self._journal = journal
        self._chance = chance
        self._prefix = prefix
        self._shared = list(shared)
        self._population = population
        self._recollecting = Recollecting(kb, journal, chance, prefix)
        self._known: dict[str, set[str]] = {MAIN: set(), SIDE: set()}
        for collection, uris in self._known.items():
            if collection in kb.store.collections():
                uris.update(uri for uri in kb.store.known(collection) if uri.startswith(prefix))
        usual: list[tuple[Callable[[], None], int]] = [
            (self.put, 30), (self.remove, 14), (self.embed, 10), (self.seal, 10), (self.look, 10),
            (self.tell, 12), (self._recollecting.forget, 5), (self.extract, 6), (self.decide, 3),
        ]  # fmt: skip
        rare: list[tuple[Callable[[], None], int]] = [
            (self.trim, 4), (self.tidy, 3), (self.rebuild, 2), (self.purge, 2), (self.drop, 3), (self.change_spaces, 8),
        ]  # fmt: skip
        self._operations = usual + (rare if administers else [])

    def step(self) -> None:
        """Raises RagstoneError where the operation fails; the journal knows."""
        operations, weights = zip(*self._operations, strict=True)
        self._chance.choices(operations, weights)[0]()

    def everything(self) -> None:
        """Every operation, so that every point of the write path is reached."""
        for _ in range(4):
            self.put()
            self.put(SIDE)
            self.tell()
            self.embed()
            self.extract()
            self.decide()
            self.remove()
            self.seal()
        if len(self._operations) > USUAL and MAIN in self._kb.store.collections():
            for _ in range(2):
                for change in (self._add_space, self.embed, self._switch, self._rollback, self._drop_space):
                    self._tried(change)
        for operation, _ in self._operations:
            operation()

    # ------------------------------------------------------------------ operations
    def put(self, collection: str | None = None) -> None:
        """New documents, or new versions of known ones."""
        collection = collection or (SIDE if self._chance.random() < 0.15 else MAIN)
        known = sorted(self._known[collection])
        uris: dict[str, None] = {}
        for _ in range(self._chance.randint(1, 4)):
            if self._shared and self._chance.random() < 0.3:
                uris[self._chance.choice(self._shared)] = None
            elif known and (self._chance.random() < 0.3 or len(known) >= self._population):
                uris[self._chance.choice(known)] = None
            else:
                uris[f"{self._prefix}{self._chance.getrandbits(40):010x}"] = None
        versions = {uri: self._chance.getrandbits(40) for uri in uris}
        request = self._journal.begin(collection, versions)

        def acknowledge(step: Progress) -> None:
            if step.state in ("added", "updated", "unchanged"):
                self._journal.done(request, [step.item])
                self._known[collection].add(step.item)

        with self._journal.failing(request):
            self._kb.add_texts(
                [item(uri, version) for uri, version in versions.items()], collection=collection, progress=acknowledge
            )

    def remove(self) -> None:
        known = sorted(self._known[MAIN]) + self._shared
        crowded = len(known) > self._population
        uris = self._chance.sample(known, min(len(known), self._chance.randint(1, 8 if crowded else 3)))
        if MAIN not in self._kb.store.collections():
            return
        stored = self._kb.store.known(MAIN)
        uris = [uri for uri in uris if uri in stored]
        if not uris:
            return
        request = self._journal.begin(MAIN, dict.fromkeys(uris), whole=True)
        try:
            with self._journal.failing(request):
                self._kb.remove(uris, collection=MAIN)
                self._journal.done(request, uris)
                self._known[MAIN].difference_update(uris)
        except NotFound:
            if not self._shared:  # another process was faster
                raise

    def drop(self) -> None:
        if SIDE not in self._kb.store.collections() or self._shared:  # others may be using it
            return
        uris = list(self._kb.store.known(SIDE))
        request = self._journal.begin(SIDE, dict.fromkeys(uris), whole=True)
        with self._journal.failing(request):
            self._kb.drop_collection(SIDE)
            self._journal.done(request, uris)
            self._known[SIDE].clear()

    def tell(self) -> None:
        """Knowledge stands on documents that are there and that nobody else removes meanwhile."""
        stored = self._kb.store.known(MAIN) if MAIN in self._kb.store.collections() else {}
        self._recollecting.tell(sorted(uri for uri in stored if uri.startswith(self._prefix)), MAIN)

    def embed(self) -> None:
        if MAIN in self._kb.store.collections():
            began = time.monotonic()
            self._kb.embed_pending(collection=MAIN)
            self._journal.embedded(MAIN, began)

    def extract(self) -> None:
        if MAIN in self._kb.store.collections():
            self._kb.graph.build(MAIN)

    def decide(self) -> None:
        """Something by hand about two entities; others may have decided otherwise, or removed their texts."""
        if MAIN not in self._kb.store.collections():
            return
        entities = self._kb.graph.view(MAIN).entities
        held = self._kb.graph.decisions(MAIN)
        with suppress(InputError):
            if held and self._chance.random() < 0.4:
                self._kb.graph.withdraw(held[0].a, held[0].b, collection=MAIN)
            elif len(entities) > 1:
                one, other = self._chance.sample(range(len(entities)), 2)
                self._kb.graph.merge(entities[one].id, entities[other].id, collection=MAIN)

    def change_spaces(self) -> None:
        """A random change of roles. What is refused is refused for a reason: others change them too."""
        if MAIN in self._kb.store.collections():
            changes = (self._add_space, self._switch, self._switch, self._rollback, self._prefer, self._drop_space)
            self._tried(self._chance.choice(changes))

    def _tried(self, change: Callable[[], object]) -> None:
        with suppress(InputError):
            change()

    def _add_space(self) -> None:
        dimension = OTHER_DIMENSION if self._active() == _space(DIMENSION) else DIMENSION
        self._kb.add_space(HashEmbedder(dimension), collection=MAIN, wait=self._chance.random() < 0.5)

    def _switch(self) -> None:
        self._kb.switch_space(collection=MAIN, partial=self._chance.random() < 0.2)

    def _rollback(self) -> None:
        self._kb.rollback_space(collection=MAIN)

    def _prefer(self) -> None:
        other = [s.space for s in self._kb.spaces(MAIN) if s.role not in ("active", "dropping")]
        self._kb.prefer_space(other[0] if other and self._chance.random() < 0.7 else None, collection=MAIN)

    def _drop_space(self) -> None:
        for status in self._kb.spaces(MAIN):
            if status.role != "active":
                self._kb.drop_space(status.space, collection=MAIN)

    def _active(self) -> str:
        return self._kb.spaces(MAIN)[0].space

    def seal(self) -> None:
        for name in self._kb.store.collections():
            index = self._kb.index(name)
            index.refresh()
            index.seal(rows=1)
            if self._chance.random() < 0.3:
                index.consolidate()
            self._kb.graph.seal(name, changed=1)

    def rebuild(self) -> None:
        self._kb.rebuild()

    def purge(self) -> None:
        self._kb.purge()

    def trim(self) -> None:
        with indexer_lock(self._kb.store.folder) as held:
            if held:
                trim_log(self._kb.store, slack=_KEPT)

    def tidy(self) -> None:
        with indexer_lock(self._kb.store.folder) as held:
            if held:
                remove_orphans(self._kb.store, grace_seconds=0)

    def look(self) -> None:
        """What this process had acknowledged is found by its next search, and what it removed is not."""
        uris = sorted(uri for uri in self._known[MAIN] if uri.startswith(self._prefix))
        if not uris:
            return
        uri = self._chance.choice(uris)
        try:
            version = version_of(self._kb, MAIN, uri)
        except NotFound:
            self._journal.problem(f"{uri} was acknowledged and is not there")
            return
        if uri not in found(self._kb, MAIN, mark(uri, version)):
            self._journal.problem(f"{uri} is not found by its word in the process that added it")


def _space(dimension: int) -> str:
    return HashEmbedder(dimension).space.id


def item(uri: str, version: int) -> Item:
    """A document for `KnowledgeBase.add_texts`."""
    return uri, f"Document {uri}", text(uri, version), {"version": version}


def version_of(kb: KnowledgeBase, collection: str, uri: str) -> int:
    """As its metadata say. Raises NotFound."""
    return int(kb.store.document(collection, uri).metadata["version"])


def found(kb: KnowledgeBase, collection: str, word: str, *, cache: bool = False) -> set[str]:
    """uris of the documents that a search for the word gives."""
    result = kb.search(word, collections=[collection], mode="lexical", k=100, highlights=False, cache=cache)
    return {hit.chunk.uri for hit in result.hits}
