"""The one object that every surface talks to: its methods, what they promise, and who keeps the promise."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from ..answer.conversation import Conversation
from ..graph.graph import KnowledgeGraph
from ..index.sync import CollectionIndex
from ..intent.classifier import IntentClassifier
from ..learn.gleaning import Gleaning
from ..learn.learner import Learner
from ..learn.turns import Turn
from ..memory.memory import Memory
from ..memory_types import not_memory
from ..protocols import ChatStore, Embedder, Guard, Store
from ..storage.backup import KEPT, BackupReport
from ..types import (
    Answer,
    AnswerEvent,
    CollectionStatus,
    Document,
    Filter,
    IngestReport,
    Metadata,
    Mode,
    ModelStatus,
    ProgressCallback,
    Recipe,
    SearchResult,
    SpaceStatus,
    Upload,
    VerifyReport,
)
from . import inventory, keeping, vector_spaces
from .adding import Adding, Text
from .ahead import Ahead
from .asking import Asking, Question
from .learning import Learning
from .names import DEFAULT_COLLECTION, called, fixed, named, with_id
from .parts import Parts
from .running import Running
from .searching import Asked, Searching

AnyPath = str | os.PathLike[str]


class KnowledgeBase:
    """Thread-safe. Use as a context manager, or call `close`. Several processes may open the same folder."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._running = Running(parts, lambda: self._searching.serving(), lambda name: self.graph.seal(name))
        self._adding = Adding(parts, self._running)
        self._searching = Searching(parts, self._running.index, parts.retriever(self))
        self._asking = Asking(parts, self._searching)
        self._learning = Learning(parts, self._running)
        self._ahead = Ahead(parts, self._searching, self._asking)
        self._ahead.start()

    # ------------------------------------------------------------------ documents in
    def add(
        self, paths: Sequence[AnyPath], *, collection: str = DEFAULT_COLLECTION, metadata: Metadata | None = None,
        progress: ProgressCallback | None = None, remember: bool = True,
    ) -> IngestReport:  # fmt: skip
        """Files, folders and globs. What the report names as added or updated is durable and can be found by its
        words; vectors follow (in the background, or by `embed_pending`). With `remember`, folders are followed by
        `sync`. A file that cannot be read is reported and the rest goes on. Raises NotFound, StoreError; ModelError
        before anything is read."""
        given = [os.fspath(path) for path in paths]
        return self._adding.files(given, collection, metadata, progress, remember=remember)

    def add_uploads(
        self, uploads: Iterable[Upload], *, collection: str = DEFAULT_COLLECTION, metadata: Metadata | None = None,
        progress: ProgressCallback | None = None, guard: Guard | None = None, uris: Sequence[str] | None = None,
    ) -> IngestReport:  # fmt: skip
        """Files under names of their own. As `add` otherwise; what `guard` raises ends it. With `uris`, those of all
        uploads, no other documents are looked up. Raises StoreError."""
        return self._adding.uploads(uploads, collection, metadata, progress, guard, uris)

    def add_texts(
        self, texts: Iterable[Text], *, collection: str = DEFAULT_COLLECTION, progress: ProgressCallback | None = None,
        guard: Guard | None = None, uris: Sequence[str] | None = None,
    ) -> IngestReport:  # fmt: skip
        """Documents that are text already: (uri, title, text, metadata). Durable and searchable on return. One that
        cannot be stored (not valid Unicode) is reported and the rest goes on. `guard` and `uris` as in `add_uploads`.
        """
        return self._adding.texts(texts, collection, progress, guard, uris)

    def warm_reader(self) -> None:
        """The next file does not wait for a reading process to start. Raises ReadError."""
        self._adding.reader().warm()

    def embed_pending(
        self, *, collection: str | None = None, progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
    ) -> int:  # fmt: skip
        """Embeds every chunk that has no vector yet, newest first, in every space that its collection uses, and returns
        how many vectors it made. Can be interrupted at any moment, or by `stop`: what is done stays done."""
        names = self._store.every_collection() if collection is None else named(self._store, collection)
        return self._running.embed_pending(names, progress, stop)

    def embed_soon(self) -> None:
        """What waits for a vector is embedded in the background from now on, where this process does that."""
        self._running.wake()

    def sync(self, *, collection: str | None = None, progress: ProgressCallback | None = None) -> IngestReport:
        """Brings the collection (or all) to the state of the folders that were added: new and changed files are
        read, vanished ones removed. A folder that is gone itself is reported and nothing of it is removed."""
        return self._adding.sync(collection, progress)

    def watch(
        self, paths: Sequence[AnyPath], *, collection: str = DEFAULT_COLLECTION,
        progress: ProgressCallback | None = None, stop: threading.Event | None = None,
    ) -> Iterator[IngestReport]:  # fmt: skip
        """Adds the folders, then follows them until `stop` is set; one report for each settled group of changes."""
        return self._adding.watch([os.fspath(path) for path in paths], collection, progress, stop)

    def remove(self, patterns: Sequence[str], *, collection: str = DEFAULT_COLLECTION) -> list[str]:
        """Removes documents by uri, path, folder or glob; returns the uris. Raises NotFound where a pattern fits
        nothing (then nothing is removed)."""
        return self._adding.remove(patterns, collection)

    def remove_documents(
        self, uris: Sequence[str], *, collection: str = DEFAULT_COLLECTION, guard: Guard | None = None
    ) -> list[str]:
        """Removes the documents of exactly these uris; returns those that were there. What `guard` raises ends it.
        Raises NotFound where there is no such collection."""
        return self._adding.remove_exactly(uris, collection, guard)

    def drop_collection(self, name: str) -> None:
        """Removes a collection with all its documents. Raises NotFound, InputError."""
        self._adding.drop(name)
        self.graph.forget(name)
        self._running.settle(removed=True)

    # ------------------------------------------------------------------ answers out
    def search(
        self, query: str, *, collections: Sequence[str] | None = None, k: int = 10, filter: Filter | None = None,
        mode: Mode = "hybrid", diversity: float | None = None, one_per_document: bool = False, highlights: bool = True,
        deadline: float | None = None, cache: bool = True, space: str | None = None,
    ) -> SearchResult:  # fmt: skip
        """The best k chunks. A repeated question is answered from memory only while the indexes stand exactly
        where they stood. `space` (its id) is searched in place of those that are searched else. Raises QueryError,
        NotFound, DeadlineExceeded."""
        asked = Asked(query, fixed(collections), k, mode, diversity, one_per_document, highlights, space)
        return self._searching.search(asked, filter, deadline, cache=cache)

    def search_batch(
        self, queries: Sequence[str], *, collections: Sequence[str] | None = None, k: int = 10,
        filter: Filter | None = None, mode: Mode = "hybrid", diversity: float | None = None,
    ) -> list[SearchResult]:  # fmt: skip
        """Many questions at once: embedded together. Same results as `search` one by one."""
        return self._searching.batch(queries, collections, k, filter, mode, diversity)

    def state_tag(self, collections: Sequence[str] | None = None, *, refresh: bool = False) -> str | None:
        """Names the state that a search would be made in: equal tags mean equal results. Microseconds, and None where
        indexes have to be brought up to date first, unless `refresh` does that. Raises NotFound."""
        return self._searching.state_tag(fixed(collections), refresh=refresh)

    def ask(
        self, question: str, *, collections: Sequence[str] | None = None, filter: Filter | None = None,
        deadline: float | None = None, cache: bool = True, conversation: Conversation | None = None,
        mode: Mode = "hybrid",
    ) -> Answer:  # fmt: skip
        """An answer whose every sentence names the spans that support it. `deadline` is `time.monotonic()` seconds.
        With `conversation`, a generating model answers it as the next question, and computes only what is new.
        Raises QueryError, NotFound, DeadlineExceeded."""
        return self._asking.answer(Question(question, fixed(collections), filter, deadline, cache, conversation, mode))

    def ask_stream(
        self, question: str, *, collections: Sequence[str] | None = None, filter: Filter | None = None,
        deadline: float | None = None, cache: bool = True, conversation: Conversation | None = None,
        mode: Mode = "hybrid",
    ) -> Iterator[AnswerEvent]:  # fmt: skip
        """Stages and tokens as they come; the last event is `final`. An answer that was made before from exactly the
        passages that a search gives now comes again, as one token; its timings then name `cache`. Inside a
        conversation every answer is made anew, because it depends on what was said."""
        return self._asking.stream(Question(question, fixed(collections), filter, deadline, cache, conversation, mode))

    def end(self, conversation: Conversation) -> None:
        """It is over: what a local model kept for its next question is removed."""
        self._asking.end(conversation)

    # ------------------------------------------------------------------ what is there
    def documents(self, collection: str = DEFAULT_COLLECTION, filter: Filter | None = None) -> list[Document]:
        return list(self._store.documents(not_memory(collection), filter))

    def document(self, uri: str, collection: str = DEFAULT_COLLECTION) -> Document:
        """By uri, or by path, or by the end of a uri where only one document ends so. Raises NotFound."""
        return called(self._store, uri, collection)

    def document_by_id(self, id: int) -> Document:
        """Raises NotFound."""
        return with_id(self._store, id)

    def text(self, uri: str, collection: str = DEFAULT_COLLECTION) -> str:
        """The document's text, to which every offset refers."""
        return self._store.document_text(self.document(uri, collection).id)

    def collections(self) -> list[CollectionStatus]:
        return [self.collection(name) for name in self._store.collections()]

    def collection(self, name: str) -> CollectionStatus:
        """Raises NotFound."""
        return inventory.collection_status(self._parts, name)

    def waiting(self, collections: Sequence[str] | None = None) -> int:
        """Chunks that have no vector yet, in milliseconds whatever there is. Raises NotFound."""
        return inventory.waiting(self._parts, collections)

    def status(self) -> dict[str, Any]:
        """Everything `ragstone status` shows, as plain values."""
        return inventory.status(self._parts)

    def writing(self) -> str:
        """"writable", or "read-only: " and why."""
        return inventory.writing(self._store)

    def models(self) -> list[dict[str, Any]]:
        return self._parts.models()

    def frequent_questions(self, count: int) -> list[str]:
        """What was asked most often; nothing where questions are not counted (setting cache.prewarm)."""
        return list(dict.fromkeys(asked.query for asked in self._searching.frequent(count)))

    # ------------------------------------------------------------------ spaces
    def spaces(self, collection: str | None = None) -> list[SpaceStatus]:
        """The vector spaces of a collection (or all), the active one first. Raises NotFound, ModelError."""
        names = named(self._store, collection)
        return [status for name in names for status in self._parts.spaces.statuses(name)]

    def add_space(
        self, model: Recipe | Embedder, *, collection: str = DEFAULT_COLLECTION, wait: bool = True,
        progress: ProgressCallback | None = None,
    ) -> SpaceStatus:  # fmt: skip
        """Builds another space beside those that are searched. With `wait` it returns when every chunk has its vector;
        interrupted, or without, whatever process embeds goes on. Raises NotFound, ModelError, StoreError."""
        return vector_spaces.add(self._running, model, collection, progress, wait=wait)

    def switch_space(
        self, space: str | None = None, *, collection: str = DEFAULT_COLLECTION, partial: bool = False
    ) -> SpaceStatus:
        """Searches are made in this space from now on, in every process; the former one is kept. None: the only one
        that is being built. Raises InputError where chunks have no vector there yet: with `partial` it is preferred
        instead."""
        return vector_spaces.switch(self._running, space, collection, partial=partial)

    def rollback_space(self, *, collection: str = DEFAULT_COLLECTION) -> SpaceStatus:
        """The space that was active before is active again; the present one is kept. Nothing is embedded: `waiting`
        tells how many chunks are found by words only for now. Raises InputError where none is kept."""
        return vector_spaces.rollback(self._running, collection)

    def prefer_space(self, space: str | None, *, collection: str = DEFAULT_COLLECTION) -> SpaceStatus:
        """Searches are made in this space as well, and a chunk that has a vector there is ranked by it; None: in the
        active one alone."""
        return vector_spaces.prefer(self._running, space, collection)

    def drop_space(
        self, space: str, *, collection: str = DEFAULT_COLLECTION, progress: ProgressCallback | None = None
    ) -> list[SpaceStatus]:
        """Removes a space that is not active, with its vectors; gives those that are left."""
        return vector_spaces.drop(self._running, space, collection, progress)

    # ------------------------------------------------------------------ language models
    def model_status(self) -> list[ModelStatus]:
        """How the language models of this machine that may answer stand now; starts and loads nothing. Raises
        ModelError."""
        return self._parts.language_models().status()

    def load_models(self) -> list[tuple[str, float]]:
        """Loads them, so that the first question does not wait for it; name and seconds of each that was not there.
        Raises ModelError."""
        return self._parts.language_models().load()

    def unload_models(self) -> None:
        """Frees their memory, but for what other processes use; conversations are saved. Raises ModelError."""
        self._parts.language_models().unload()

    # ------------------------------------------------------------------ memory, chats, graph
    @property
    def memory(self) -> Memory:
        """What was learned: facts, episodes and knowledge, in the same store."""
        return self._learning.memory

    @property
    def intents(self) -> IntentClassifier:
        """Tells what a turn wants; made of the examples of `memory.intents`. Raises InputError, ModelError."""
        return self._learning.intents

    def learner(
        self, name: str, *, project: str | None = None, elsewhere: str | None = None, with_intents: bool = True,
        progress: ProgressCallback | None = None, heard: Callable[[Turn], None] | None = None,
    ) -> Learner:  # fmt: skip
        """Learns the stream `name` into memory, see `Learner`. Without intents, no sentence is embedded for learning:
        words alone decide."""
        return self._learning.learner(name, project, elsewhere, progress, heard, with_intents=with_intents)

    def gleaner(
        self, name: str, *, project: str | None = None, elsewhere: str | None = None,
        admit: Callable[[], None] = lambda: None,
    ) -> Gleaning | None:  # fmt: skip
        """Reads a transcript behind the learner of the same `name`, with the model of `memory.model`; None without
        one. `admit`: see `GleaningLearner`. Raises SettingsError, ModelError."""
        return self._learning.gleaner(name, project, elsewhere, admit)

    @property
    def chats(self) -> ChatStore:
        """Sessions of chats, in the same store."""
        return self._store.chats

    @cached_property
    def graph(self) -> KnowledgeGraph:
        """What the documents mention and how it belongs together."""
        builder = None if self._parts.worker is None else lambda: self._running.graph_builder
        return KnowledgeGraph(self._store, self._parts.extractor, builder, self._parts.deepens)

    # ------------------------------------------------------------------ care
    def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Compares the store, every index and the log; `problems` is empty when all agree."""
        return keeping.verify(self._running, self.graph, progress)

    def rebuild(self, *, progress: ProgressCallback | None = None) -> None:
        """Builds every index anew from the store, beside the old ones, and swaps."""
        keeping.rebuild(self._running, self.graph, progress)

    def purge_caches(self) -> None:
        """Forgets every result, answer, vector of a question and counted question, in memory and down to the bytes in
        cache.db, and what local models computed from prompts. Raises StoreError."""
        keeping.purge_caches(self._parts)

    def export(self, path: AnyPath, *, collection: str | None = None, progress: ProgressCallback | None = None) -> int:
        """Writes documents with text and positions as JSON lines; returns how many."""
        return keeping.export(self._running, Path(path), collection, progress)

    def import_(self, path: AnyPath, *, progress: ProgressCallback | None = None) -> int:
        """Reads what `export` wrote; returns the number of documents. Raises NotFound, DamagedFile."""
        return keeping.import_(self._running, Path(path), progress)

    def purge(self) -> int:
        """Takes the bytes of everything that was removed off the disk: out of the indexes, the database, its log and
        caches; returns by how many bytes the data folder shrank. Interrupted, it can be called again. Backups are
        not touched. Raises StoreBusy, DiskFull."""
        return keeping.purge(self._running, self.graph, self._adding)

    def backup(
        self, path: AnyPath, *, keep: int = KEPT, anew: bool = False, check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> BackupReport:  # fmt: skip
        """Adds a generation to the folder of backups `path` while everything goes on, and keeps the newest `keep`.
        `anew` stores every page again; `check` reads the parts stored before. Raises InputError, StoreError."""
        return keeping.backup(self._running, Path(path), keep, progress, anew=anew, check=check)

    def close(self) -> None:
        """Stops background work, seals what is worth sealing, and lets go of every file and process, also of the
        rest where one of them fails."""
        self._ahead.stop()
        self._running.stop()
        with ExitStack() as stack:  # the last one first
            for close in (self._store.close, *self._parts.closers, self._adding.close, self._running.close):
                stack.callback(close)
            if "graph" in self.__dict__:
                stack.callback(self.graph.close)

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ for measuring and tools
    @property
    def store(self) -> Store:
        return self._store

    def index(self, collection: str) -> CollectionIndex:
        """The indexes of one collection, opened once. Raises NotFound."""
        return self._running.index(collection)

    def embedder(self, space: str | None = None) -> Embedder:
        """The embedding model of a space, or of collections that use none yet; loaded when it is first needed. Raises
        ModelError."""
        return self._parts.spaces.embedder(space or self._parts.spaces.default().id)

    def model(self, space: str) -> Embedder:
        """The same without the cache before it."""
        return self._parts.spaces.load(space)
