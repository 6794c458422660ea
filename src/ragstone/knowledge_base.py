"""The one object that every surface talks to: documents in, hits and cited answers out."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import msgspec

from .answer.answerer import Answerer
from .answer.conversation import Conversation
from .cache.answers import KeptAnswer, evidence_key, keep
from .cache.file import digest
from .cache.persistent import Persistent
from .embedding.background import BackgroundEmbedding
from .embedding.precedence import PRECEDENCE
from .embedding.turn import GRAPH_LOCK_FILE, turn
from .embedding.workers import EmbeddingWorker
from .errors import DiskFull, InputError, ModelError, NotFound, RagstoneError, StoreError
from .graph.building import BackgroundGraph, GraphBuilder
from .graph.deepening import Deepening
from .graph.graph import KnowledgeGraph
from .index.indexer import Indexer
from .index.sealing import explained, purge_files
from .index.sync import CollectionIndex
from .index.vector_codes import Structure
from .ingest import pipeline, sources
from .ingest.names import MEMBER, uri_of
from .ingest.prepare import PrepareOptions, prepare_parsed, source_hash
from .ingest.sandbox import Sandbox
from .intent.classifier import IntentClassifier
from .learn.gleaning import Gleaning, GleaningLearner
from .learn.judging import Judge
from .learn.learner import Learner
from .learn.turns import Turn
from .memory.memory import Memory, Surroundings
from .memory_types import MEMORY, not_memory
from .observe import spans
from .observe.instruments import ANSWER_STAGES, ANSWERS, SEARCH_STAGES, SEARCHES, UNANSWERED, looked_up, stages
from .protocols import LLM, Cache, ChatStore, Embedder, Extractor, Guard, Store
from .search.retriever import Retriever
from .spaces import Spaces
from .storage.backup import IDENTITY, KEPT, BackupReport, backup
from .storage.layout import CONVERSATIONS, own_bytes
from .storage.originals import Originals
from .storage.purge import purge_database
from .text.globs import has_magic, path_matcher
from .text.language import detect_query
from .transfer import export_documents, import_documents
from .types import (
    Answer,
    AnswerEvent,
    CollectionStatus,
    Document,
    Filter,
    Hit,
    IngestReport,
    Metadata,
    Mode,
    ModelStatus,
    ParsedDocument,
    ProgressCallback,
    Recipe,
    SearchResult,
    SpaceStatus,
    Upload,
    VerifyReport,
)

DEFAULT_COLLECTION = "default"
STATES_KEPT = 64
"""Sets of collections whose state is remembered between two questions."""
PERSISTENT_KINDS = ("answer", "vector")
"""Of values in cache.db."""
SERVING_SECONDS = 5.0
"""After a question, while which this process counts as answering."""
_State = tuple[tuple[str, tuple[int, int], tuple[str, ...]], ...]
"""For each collection the revision and log entry that its indexes stand at, and the spaces that are searched."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a knowledge base is made of; `assemble` chooses the classes. Callables are called when first needed."""

    store: Store
    spaces: Spaces
    worker: Callable[[Callable[[], bool]], EmbeddingWorker] | None
    """From whether questions are being answered."""
    sandbox: Callable[[], Sandbox]
    open_index: Callable[[str], CollectionIndex]
    retriever: Callable[[KnowledgeBase], Retriever]
    answerer: Callable[[str], Answerer]
    """By the space whose model judges passages."""
    prepare: PrepareOptions
    salt: bytes
    source_options: sources.SourceOptions
    results: Cache[Hashable, SearchResult]
    answers: Cache[bytes, KeptAnswer]
    persistent: Persistent | None
    made_by: Callable[[str], str]
    """All that decides how an answer is made from passages, by the same space."""
    prewarm: int
    count_questions: bool
    background: bool
    evidence_depth: int
    vector_structure: Structure
    vector_components: int
    models: Callable[[], list[dict[str, Any]]]
    language_models: Callable[[], LanguageModels]
    merge_at: float
    """Similarity from which on something told repeats what is remembered."""
    intents: Callable[[], Mapping[str, Sequence[str]]]
    """Intents and their examples."""
    remembered: Callable[[Embedder], Embedder]
    """The same embedder, which keeps the vectors of passages that it embeds: for examples."""
    gleans: Callable[[], LLM | None]
    """The language model with which `learn` finds more."""
    extractor: Callable[[], Extractor] | None
    """What reads chunks for the knowledge graph."""
    deepens: Callable[[], Deepening] | None
    """What has a language model read them. Raises SettingsError where there is none."""
    background_graph: bool
    """Whether it does so as soon as they are there."""
    preload: bool
    """Whether the language models are loaded as soon as the knowledge base is opened."""
    closers: Sequence[Callable[[], None]] = ()
    """Read when the knowledge base closes: what was opened meanwhile adds to it."""


class LanguageModels(Protocol):
    """The language models of this machine that may answer."""

    def status(self) -> list[ModelStatus]: ...

    def load(self) -> list[tuple[str, float]]:
        """Name and seconds of loading of each that was not loaded. Raises ModelError."""
        ...

    def unload(self) -> None:
        """Frees their memory, but for what other processes use."""
        ...

    def end(self, conversation: str) -> None: ...

    def forget(self, *, erase: bool = False) -> None:
        """Documents were removed: nothing computed from prompts may be used again; with `erase` it is gone at once."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search as it was asked for, but for its filter and deadline."""

    query: str
    collections: tuple[str, ...] | None
    k: int
    mode: Mode
    diversity: float | None
    one_per_document: bool
    highlights: bool
    space: str | None = None


class KnowledgeBase:
    """Thread-safe. Use as a context manager, or call `close`. Several processes may open the same folder."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._originals = Originals(parts.store.folder)
        self._indexes: dict[str, CollectionIndex] = {}
        self._lock = threading.RLock()
        self._retriever = parts.retriever(self)
        self._sandbox: Sandbox | None = None
        self._worker: EmbeddingWorker | None = None
        self._background: BackgroundEmbedding | None = None
        if parts.background and parts.worker is not None:
            self._background = BackgroundEmbedding(parts.store, self._embedding, parts.spaces.finish_drops)
        self._background_graph: BackgroundGraph | None = None
        if parts.background_graph:
            self._background_graph = BackgroundGraph(parts.store, lambda: self._graph_builder)
        self._asked_at = -SERVING_SECONDS
        self._indexer: Indexer | None = None
        self._states: dict[tuple[str, ...] | None, tuple[int, _State]] = {}
        self._closing = threading.Event()
        self._prewarming: threading.Thread | None = None
        if parts.prewarm and parts.persistent is not None:
            self._prewarming = threading.Thread(target=self._prewarm, name="ragstone-prewarm", daemon=True)
            self._prewarming.start()
        self._preloading: threading.Thread | None = None
        if parts.preload:
            self._preloading = threading.Thread(target=self._preload, name="ragstone-preload", daemon=True)
            self._preloading.start()

    # ------------------------------------------------------------------ documents in
    def add(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Metadata | None = None,
        progress: ProgressCallback | None = None,
        remember: bool = True,
    ) -> IngestReport:
        """Files, folders and globs. What the report names as added or updated is durable and can be found by its
        words; vectors follow (in the background, or by `embed_pending`). With `remember`, folders are followed by
        `sync`. A file that cannot be read is reported and the rest goes on. Raises NotFound, StoreError; ModelError
        before anything is read."""
        given = [os.fspath(path) for path in paths]
        if not given:
            raise InputError("there is nothing to add.", "Name a file or a folder.")
        found = list(sources.discover(given, self._parts.source_options))
        self._parts.spaces.require(collection)  # known now, not after an hour of reading
        self._store.create_collection(collection)
        with PRECEDENCE.adding():
            report = pipeline.ingest(
                self._store, self._reader(), found, collection, progress=progress, metadata=metadata,
                salt=self._parts.salt, max_bytes=self._parts.source_options.file_bytes,
            )  # fmt: skip
        if remember:
            for path in given:
                if Path(path).is_dir():
                    pipeline.remember(self._store, collection, path, metadata or {})
        self._after_write(collection, removed=_removes(report))
        return report

    def add_uploads(
        self,
        uploads: Iterable[Upload],
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Metadata | None = None,
        progress: ProgressCallback | None = None,
        guard: Guard | None = None,
        uris: Sequence[str] | None = None,
    ) -> IngestReport:
        """Files under names of their own. As `add` otherwise; what `guard` raises ends it. With `uris`, those of all
        uploads, no other documents are looked up. Raises StoreError."""
        self._parts.spaces.require(collection)
        found = (
            sources.Source(os.fspath(u.path), u.uri, os.fspath(u.path.parent), media_type=u.media_type) for u in uploads
        )
        with PRECEDENCE.adding():
            report = pipeline.ingest(
                self._store, self._reader(), found, collection, progress=progress, metadata=metadata,
                salt=self._parts.salt, max_bytes=self._parts.source_options.file_bytes, guard=guard, uris=uris,
            )  # fmt: skip
        self._after_write(collection, removed=_removes(report))
        return report

    def add_texts(
        self,
        texts: Iterable[tuple[str, str, str, Metadata]],
        *,
        collection: str = DEFAULT_COLLECTION,
        progress: ProgressCallback | None = None,
        guard: Guard | None = None,
        uris: Sequence[str] | None = None,
    ) -> IngestReport:
        """Documents that are text already: (uri, title, text, metadata). Durable and searchable on return. One that
        cannot be stored (not valid Unicode) is reported and the rest goes on. `guard` and `uris` as in `add_uploads`.
        """
        self._store.create_collection(collection)
        options = self._parts.prepare

        def prepared(item: tuple[str, str, str, Metadata]) -> pipeline.Ready:
            uri, title, text, metadata = item
            data = text.encode("utf-8", "surrogatepass")
            head = repr((title, sorted(metadata.items()))).encode("utf-8", "surrogatepass")
            content_hash = source_hash(head + b"\0" + data, options)
            parsed = ParsedDocument(text=text, title=title, metadata=metadata)
            size = len(data)
            return pipeline.Ready(
                uri, content_hash, size, lambda: prepare_parsed(uri, parsed, content_hash, size, 0.0, options)
            )

        with PRECEDENCE.adding():
            report = pipeline.ingest_prepared(
                self._store, (prepared(item) for item in texts), collection, progress=progress, guard=guard, uris=uris
            )
        self._after_write(collection, removed=_removes(report))
        return report

    def warm_reader(self) -> None:
        """The next file does not wait for a reading process to start. Raises ReadError."""
        self._reader().warm()

    def embed_pending(
        self,
        *,
        collection: str | None = None,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
    ) -> int:
        """Embeds every chunk that has no vector yet, newest first, in every space that its collection uses, and returns
        how many vectors it made. Can be interrupted at any moment, or by `stop`: what is done stays done."""
        if self._parts.worker is None:
            return 0
        worker, made = self._embedding(), 0
        for name in self._store.every_collection() if collection is None else self._named(collection):
            made += worker.run(name, progress=progress, stop=stop, foreground=True, wait_for_others=True)
            self._parts.spaces.finish_drops(name)
        return made

    def embed_soon(self) -> None:
        """What waits for a vector is embedded in the background from now on, where this process does that."""
        if self._background is not None:
            self._background.wake()

    def sync(self, *, collection: str | None = None, progress: ProgressCallback | None = None) -> IngestReport:
        """Brings the collection (or all) to the state of the folders that were added: new and changed files are
        read, vanished ones removed. A folder that is gone itself is reported and nothing of it is removed."""
        reports = []
        for name in self._named(collection):
            reports.append(
                pipeline.sync(
                    self._store, self._reader(), name, self._parts.source_options, progress=progress,
                    salt=self._parts.salt,
                )
            )  # fmt: skip
            self._after_write(name, removed=_removes(reports[-1]))
        return pipeline.joined(reports)

    def watch(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        collection: str = DEFAULT_COLLECTION,
        progress: ProgressCallback | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[IngestReport]:
        """Adds the folders, then follows them until `stop` is set; one report for each settled group of changes."""
        following = sources.watch([os.fspath(p) for p in paths], self._parts.source_options, stop=stop)
        next(following, None)  # the watch stands before the folders are read: no change falls in between
        yield self.add(paths, collection=collection, progress=progress)
        for change in following:
            report = pipeline.apply_changes(
                self._store, self._reader(), collection, change, self._parts.source_options, progress=progress,
                salt=self._parts.salt,
            )  # fmt: skip
            self._after_write(collection, removed=_removes(report))
            yield report

    def remove(self, patterns: Sequence[str], *, collection: str = DEFAULT_COLLECTION) -> list[str]:
        """Removes documents by uri, path, folder or glob; returns the uris. Raises NotFound where a pattern fits
        nothing (then nothing is removed)."""
        known = self._store.known(not_memory(collection))
        chosen: dict[str, None] = {}
        for pattern in patterns:
            matching = _matching(pattern, known)
            if not matching:
                raise NotFound(f"nothing in {collection!r} matches {pattern!r}.", "See `ragstone list`.")
            chosen.update(dict.fromkeys(matching))
        removed = self._store.delete(collection, list(chosen))
        self._originals.forget(collection, removed)
        for pattern in patterns:
            if "\0" not in pattern:
                self._store.remove_root(collection, uri_of(os.path.abspath(pattern)))  # noqa: PTH100 - as it was given
        self._after_write(collection, removed=bool(removed))
        return removed

    def remove_documents(
        self, uris: Sequence[str], *, collection: str = DEFAULT_COLLECTION, guard: Guard | None = None
    ) -> list[str]:
        """Removes the documents of exactly these uris; returns those that were there. What `guard` raises ends it.
        Raises NotFound where there is no such collection."""
        removed = self._store.delete(not_memory(collection), uris, guard=guard)
        self._originals.forget(collection, removed)
        self._after_write(collection, removed=bool(removed))
        return removed

    def drop_collection(self, name: str) -> None:
        """Removes a collection with all its documents. Raises NotFound, InputError."""
        self._store.drop_collection(not_memory(name))
        self._originals.forget_collection(name)
        with self._lock:
            index = self._indexes.pop(name, None)
        if index is not None:
            index.close()
        self.graph.forget(name)
        self._settle(removed=True)

    # ------------------------------------------------------------------ answers out
    def search(
        self,
        query: str,
        *,
        collections: Sequence[str] | None = None,
        k: int = 10,
        filter: Filter | None = None,
        mode: Mode = "hybrid",
        diversity: float | None = None,
        one_per_document: bool = False,
        highlights: bool = True,
        deadline: float | None = None,
        cache: bool = True,
        space: str | None = None,
    ) -> SearchResult:
        """The best k chunks. A repeated question is answered from memory only while the indexes stand exactly
        where they stood. `space` (its id) is searched in place of those that are searched else. Raises QueryError,
        NotFound, DeadlineExceeded."""
        asked = _Asked(
            query, None if collections is None else tuple(collections), k, mode, diversity, one_per_document,
            highlights, space,
        )  # fmt: skip
        if self._parts.count_questions and self._parts.persistent is not None and cache and not filter:
            self._parts.persistent.asked(msgspec.json.encode(asked).decode())
        return self._search(asked, filter, deadline, cache=cache)

    def _search(
        self, asked: _Asked, filter: Filter | None = None, deadline: float | None = None, *, cache: bool = True
    ) -> SearchResult:
        self._asked_at = time.monotonic()
        started = time.perf_counter()
        if cache:
            state = self._state(asked.collections)
            # repr, because a filter for draft=True equals one for draft=1 but means something else
            key = (state, asked, repr(filter))
            held = self._parts.results.get(key)
            looked_up("results", held)
            if held is not None:
                SEARCHES.observe(time.perf_counter() - started, "yes")
                return held
        names = self._chosen(asked.collections)
        with _searching(asked.mode, asked.k) as made:
            result = self._retriever.search(
                [asked.query], names, k=asked.k, filter=filter, mode=asked.mode, diversity=asked.diversity,
                one_per_document=asked.one_per_document, highlights=asked.highlights, deadline=deadline,
                space=asked.space,
            )[0]  # fmt: skip
            made.append(result)
        SEARCHES.observe(time.perf_counter() - started, "no")
        # kept only if nothing was written meanwhile, so that the key describes what the result was made of, and
        # only if nothing was left out for a deadline
        if cache and result.complete and state == self._standing(names):
            self._parts.results.put(key, result)
        return result

    def _state(self, collections: tuple[str, ...] | None) -> _State:
        """Where the indexes stand once they have seen every write that was acknowledged. As long as the store's
        version is the one that was read before they were last brought up to date, nothing needs to be asked."""
        version = self._store.data_version()
        held = self._states.get(collections)
        if held is not None and held[0] == version:
            return held[1]
        names = self._chosen(collections)
        for name in names:
            self.index(name).refresh()
        state = self._standing(names)
        if len(self._states) >= STATES_KEPT:
            self._states.clear()
        self._states[collections] = (version, state)
        return state

    def state_tag(self, collections: Sequence[str] | None = None, *, refresh: bool = False) -> str | None:
        """Names the state that a search would be made in: equal tags mean equal results. Microseconds, and None where
        indexes have to be brought up to date first, unless `refresh` does that. Raises NotFound."""
        chosen = None if collections is None else tuple(collections)
        if refresh:
            return _tag(self._state(chosen))
        held = self._states.get(chosen)
        return None if held is None or held[0] != self._store.data_version() else _tag(held[1])

    def _standing(self, names: Sequence[str]) -> _State:
        indexes = [(name, self.index(name)) for name in names]
        return tuple((name, i.at(), tuple(dense.space.id for dense in i.dense())) for name, i in indexes)

    def search_batch(
        self,
        queries: Sequence[str],
        *,
        collections: Sequence[str] | None = None,
        k: int = 10,
        filter: Filter | None = None,
        mode: Mode = "hybrid",
        diversity: float | None = None,
    ) -> list[SearchResult]:
        """Many questions at once: embedded together. Same results as `search` one by one."""
        self._asked_at = time.monotonic()
        with _searching(mode, k) as made:
            made += self._retriever.search(
                queries, self._chosen(collections), k=k, filter=filter, mode=mode, diversity=diversity
            )
        for result in made:
            SEARCHES.observe(result.timings["total"] / 1000.0, "no")
        return made

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        filter: Filter | None = None,
        deadline: float | None = None,
        cache: bool = True,
        conversation: Conversation | None = None,
        mode: Mode = "hybrid",
    ) -> Answer:
        """An answer whose every sentence names the spans that support it. `deadline` is `time.monotonic()` seconds.
        With `conversation`, a generating model answers it as the next question, and computes only what is new.
        Raises QueryError, NotFound, DeadlineExceeded."""
        final = None
        for event in self.ask_stream(
            question, collections=collections, filter=filter, deadline=deadline, cache=cache,
            conversation=conversation, mode=mode,
        ):  # fmt: skip
            final = event.answer or final
        if final is None:
            raise InputError("the answer ended without a result.")
        return final

    def ask_stream(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        filter: Filter | None = None,
        deadline: float | None = None,
        cache: bool = True,
        conversation: Conversation | None = None,
        mode: Mode = "hybrid",
    ) -> Iterator[AnswerEvent]:
        """Stages and tokens as they come; the last event is `final`. An answer that was made before from exactly the
        passages that a search gives now comes again, as one token; its timings then name `cache`. Inside a
        conversation every answer is made anew, because it depends on what was said."""
        span, began, started = spans.start("ask"), spans.now(), time.perf_counter()
        events = self._answering(question, collections, filter, deadline, cache, conversation, mode)
        for event in spans.following(span, events):
            if event.answer is not None:
                _answered(span, began, time.perf_counter() - started, event.answer)
            yield event

    def _answering(
        self,
        question: str,
        collections: Sequence[str] | None,
        filter: Filter | None,
        deadline: float | None,
        cache: bool,
        conversation: Conversation | None,
        mode: Mode,
    ) -> Iterator[AnswerEvent]:
        yield AnswerEvent("stage", "search")
        started = time.perf_counter()
        found = self.search(
            question, collections=collections, filter=filter, k=self._parts.evidence_depth, mode=mode,
            highlights=False, deadline=deadline, cache=cache,
        )  # fmt: skip
        language = detect_query(question, ("de", "en"))
        searched = _milliseconds(started)
        space = self._parts.spaces.active(self._chosen(collections)[0]).id
        if conversation is not None:
            self._check(conversation)
        keyed = found.hits if cache and conversation is None else None
        key = None if keyed is None else self._answer_key(question, language, space, keyed, mode)
        if key is not None:
            kept = self._parts.answers.get(key)
            looked_up("answers", kept)
            if kept is not None:
                timings = {"search": searched, "cache": _milliseconds(started) - searched}
                notes = (*found.notes, *kept.answer.notes)
                yield AnswerEvent("stage", "cache")
                yield AnswerEvent("token", kept.answer.text, citations=kept.answer.citations)
                yield AnswerEvent("final", answer=replace(kept.answer, timings=timings, notes=notes))
                return
        events = self._parts.answerer(space).stream(
            question, found.hits, language=language, deadline=deadline, conversation=conversation,
            survey=mode == "global",
        )  # fmt: skip
        for event in events:
            if event.answer is None:
                yield event
                continue
            if key is not None and event.answer.complete and found.complete:
                self._parts.answers.put(key, keep(event.answer, found.hits))
            timings = {"search": found.timings["total"], **event.answer.timings}
            notes = (*found.notes, *event.answer.notes)
            yield AnswerEvent("final", answer=replace(event.answer, timings=timings, notes=notes))

    def _check(self, conversation: Conversation) -> None:
        """A conversation does not go on from a passage that was removed meanwhile."""
        wanted = {(hit.chunk.id, hit.chunk.content_hash) for hit in conversation.earlier.hits}
        if wanted - {(chunk.id, chunk.content_hash) for chunk in self._store.chunks([id for id, _ in wanted])}:
            conversation.restart()

    def end(self, conversation: Conversation) -> None:
        """It is over: what a local model kept for its next question is removed."""
        conversation.restart()
        self._parts.language_models().end(conversation.id)

    def _preload(self) -> None:
        """Loads what will answer before somebody asks."""
        try:
            self._parts.language_models().load()
        except RagstoneError as error:
            log.warning("the language model was not loaded ahead: %s", error)  # the first question tells as well

    def _answer_key(
        self, question: str, language: str, space: str, hits: Sequence[Hit], mode: Mode
    ) -> bytes | None:
        """None where a model server that has to say what it runs does not answer."""
        try:
            made_by = self._parts.made_by(space) + (repr([hit.highlights for hit in hits]) if mode == "global" else "")
            return evidence_key(question, language, made_by, hits)
        except ModelError:
            return None

    def _prewarm(self) -> None:
        """Searches for the most frequent questions, and brings their answers into memory where they are kept; none is
        made anew, because a model may cost money."""
        persistent = self._parts.persistent
        for request in persistent.frequent(self._parts.prewarm) if persistent is not None else ():
            if self._closing.is_set():
                return
            try:
                asked = msgspec.json.decode(request, type=_Asked)
                found = self._search(asked)
                if (asked.k, asked.highlights) == (self._parts.evidence_depth, False):
                    space = self._parts.spaces.active(self._chosen(asked.collections)[0]).id
                    language = detect_query(asked.query, ("de", "en"))
                    key = self._answer_key(asked.query, language, space, found.hits, asked.mode)
                    if key is not None:
                        self._parts.answers.get(key)
            except (RagstoneError, msgspec.MsgspecError) as error:
                log.debug("a question was not prepared: %s", error)  # whoever asks it hears of what is wrong

    # ------------------------------------------------------------------ what is there
    def documents(self, collection: str = DEFAULT_COLLECTION, filter: Filter | None = None) -> list[Document]:
        return list(self._store.documents(not_memory(collection), filter))

    def document(self, uri: str, collection: str = DEFAULT_COLLECTION) -> Document:
        """By uri, or by path, or by the end of a uri where only one document ends so. Raises NotFound."""
        known = self._store.known(not_memory(collection))
        matching = [uri] if uri in known else _matching(uri, known)
        if not matching:
            matching = [u for u in known if u.endswith("/" + uri)]
        if len(matching) != 1:
            what = "no document is" if not matching else f"{len(matching)} documents are"
            raise NotFound(f"{what} called {uri!r} in {collection!r}.", "`ragstone list` shows what is there.")
        return self._store.document(collection, matching[0])

    def document_by_id(self, id: int) -> Document:
        """Raises NotFound."""
        found = self._store.documents_by_id([id])
        if not found or found[0].collection == MEMORY:
            raise NotFound("there is no such document.", "It was removed, or never was here; list the documents.")
        return found[0]

    def text(self, uri: str, collection: str = DEFAULT_COLLECTION) -> str:
        """The document's text, to which every offset refers."""
        return self._store.document_text(self.document(uri, collection).id)

    def collections(self) -> list[CollectionStatus]:
        return [self.collection(name) for name in self._store.collections()]

    def collection(self, name: str) -> CollectionStatus:
        """Raises NotFound."""
        documents = characters = chunks = 0
        for document in self._store.documents(not_memory(name)):
            documents += 1
            characters += document.characters
            chunks += document.chunks
        space = self._parts.spaces.active(name).id
        waiting = self._store.count_pending(name, space)
        return CollectionStatus(
            name, documents, chunks, characters, self._store.revision(name), chunks - waiting, waiting, space,
            self._store.languages(name),
        )  # fmt: skip

    def waiting(self, collections: Sequence[str] | None = None) -> int:
        """Chunks that have no vector yet, in milliseconds whatever there is. Raises NotFound."""
        names = self._store.every_collection() if collections is None else self._chosen(collections)
        return sum(self._store.count_pending(name, self._parts.spaces.active(name).id) for name in names)

    def status(self) -> dict[str, Any]:
        """Everything `ragstone status` shows, as plain values."""
        import psutil

        persistent = self._parts.persistent
        caches = {"results": _counts(self._parts.results), "answers": _counts(self._parts.answers)}
        if persistent is not None:
            for kind in PERSISTENT_KINDS:
                entries, size = persistent.size(kind)
                caches[f"{kind}s on disk"] = {"entries": entries, "bytes": size}
            caches["questions on disk"] = {"entries": persistent.questions()}
        folder = self._store.folder
        return {
            "folder": str(folder),
            "bytes": own_bytes(folder),
            "state": self.writing(),
            "collections": [msgspec.to_builtins(c) for c in self.collections()],
            "segments": {
                name: [
                    {
                        "kind": s.kind, "space": s.space, "name": s.name, "rows": s.rows, "bytes": s.size,
                        **explained(s, folder, self._parts.vector_structure, self._parts.vector_components),
                    }
                    for s in self._store.segments(name)
                ]
                for name in self._store.collections()
            },
            "roots": {name: self._store.roots(name) for name in self._store.collections()},
            "caches": caches,
            "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        }  # fmt: skip

    def writing(self) -> str:
        """"writable", or "read-only: " and why."""
        try:
            self._store.require_room()
        except DiskFull:
            return "read-only: disk nearly full"
        return "writable" if os.access(self._store.folder, os.W_OK) else "read-only: the folder cannot be written"

    def models(self) -> list[dict[str, Any]]:
        return self._parts.models()

    def frequent_questions(self, count: int) -> list[str]:
        """What was asked most often; nothing where questions are not counted (setting cache.prewarm)."""
        persistent = self._parts.persistent
        requests = persistent.frequent(count) if persistent is not None else []
        return list(dict.fromkeys(msgspec.json.decode(request, type=_Asked).query for request in requests))

    # ------------------------------------------------------------------ spaces
    def spaces(self, collection: str | None = None) -> list[SpaceStatus]:
        """The vector spaces of a collection (or all), the active one first. Raises NotFound, ModelError."""
        return [status for name in self._named(collection) for status in self._parts.spaces.statuses(name)]

    def add_space(
        self,
        model: Recipe | Embedder,
        *,
        collection: str = DEFAULT_COLLECTION,
        wait: bool = True,
        progress: ProgressCallback | None = None,
    ) -> SpaceStatus:
        """Builds another space beside those that are searched. With `wait` it returns when every chunk has its vector;
        interrupted, or without, whatever process embeds goes on. Raises NotFound, ModelError, StoreError."""
        self._store.revision(not_memory(collection))
        space = self._parts.spaces.add(collection, model)
        self.index(collection).refresh()
        if wait and self._parts.worker is not None:
            self._embedding().run(collection, only=space.id, progress=progress, wait_for_others=True)
            self._after_write(collection, removed=False)
        elif self._background is not None:
            self._background.wake()
        return self._space(collection, space.id)

    def switch_space(
        self, space: str | None = None, *, collection: str = DEFAULT_COLLECTION, partial: bool = False
    ) -> SpaceStatus:
        """Searches are made in this space from now on, in every process; the former one is kept. None: the only one
        that is being built. Raises InputError where chunks have no vector there yet: with `partial` it is preferred
        instead."""
        return self._changed(collection, self._parts.spaces.switch(not_memory(collection), space, partial=partial).id)

    def rollback_space(self, *, collection: str = DEFAULT_COLLECTION) -> SpaceStatus:
        """The space that was active before is active again; the present one is kept. Nothing is embedded: `waiting`
        tells how many chunks are found by words only for now. Raises InputError where none is kept."""
        return self._changed(collection, self._parts.spaces.rollback(not_memory(collection)).id)

    def prefer_space(self, space: str | None, *, collection: str = DEFAULT_COLLECTION) -> SpaceStatus:
        """Searches are made in this space as well, and a chunk that has a vector there is ranked by it; None: in the
        active one alone."""
        return self._changed(collection, self._parts.spaces.prefer(not_memory(collection), space).id)

    def drop_space(
        self, space: str, *, collection: str = DEFAULT_COLLECTION, progress: ProgressCallback | None = None
    ) -> list[SpaceStatus]:
        """Removes a space that is not active, with its vectors; gives those that are left."""
        self._parts.spaces.drop(not_memory(collection), space, progress)
        self.index(collection).refresh()
        return self._parts.spaces.statuses(collection)

    def _changed(self, collection: str, space: str) -> SpaceStatus:
        self.index(collection).refresh()
        if self._background is not None:
            self._background.wake()
        return self._space(collection, space)

    def _space(self, collection: str, space: str) -> SpaceStatus:
        for status in self._parts.spaces.statuses(collection):
            if status.space == space:
                return status
        raise NotFound(f"{space} was dropped from {collection} meanwhile.", "Another process did it; add it again.")

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

    # ------------------------------------------------------------------ memory
    @cached_property
    def memory(self) -> Memory:
        """What was learned: facts, episodes and knowledge, in the same store."""
        spaces = self._parts.spaces
        return Memory(
            Surroundings(
                self._store, self.index, lambda: spaces.recorded(MEMORY), spaces.embedder,
                lambda removed: self._after_write(MEMORY, removed=removed),
            ),
            merge_at=self._parts.merge_at,
        )  # fmt: skip

    @cached_property
    def intents(self) -> IntentClassifier:
        """Tells what a turn wants; made of the examples of `memory.intents`. Raises InputError, ModelError."""
        embedder = self._default_embedder()
        return IntentClassifier(embedder, self._parts.intents(), learned=self._parts.remembered(embedder))

    def _default_embedder(self) -> Embedder:
        spaces = self._parts.spaces
        return spaces.embedder(spaces.default().id)

    @cached_property
    def _judge(self) -> Judge:
        embedder = self._default_embedder()
        return Judge(embedder, learned=self._parts.remembered(embedder))

    def learner(
        self,
        name: str,
        *,
        project: str | None = None,
        elsewhere: str | None = None,
        with_intents: bool = True,
        progress: ProgressCallback | None = None,
        heard: Callable[[Turn], None] | None = None,
    ) -> Learner:
        """Learns the stream `name` into memory, see `Learner`. Without intents, no sentence is embedded for learning:
        words alone decide."""

        def wanted(texts: Sequence[str]) -> list[str]:
            return [found.name if found.in_scope else "" for found in self.intents.classify_many(texts)]

        def judge(texts: Sequence[str]) -> list[Mapping[str, float]]:
            return self._judge(texts)

        return Learner(
            name, remember=self.memory.remember_many, state=self._store, project=project,
            elsewhere=elsewhere, intents=wanted if with_intents else None, judge=judge if with_intents else None,
            progress=progress, heard=heard,
        )  # fmt: skip

    def gleaner(
        self,
        name: str,
        *,
        project: str | None = None,
        elsewhere: str | None = None,
        admit: Callable[[], None] = lambda: None,
    ) -> Gleaning | None:
        """Reads a transcript behind the learner of the same `name`, with the model of `memory.model`; None without
        one. `admit`: see `GleaningLearner`. Raises SettingsError, ModelError."""
        llm = self._parts.gleans()
        if llm is None:
            return None
        told = self.memory.remember_many
        return Gleaning(
            GleaningLearner(
                name, llm=llm, admit=admit, remember=told, state=self._store, project=project, elsewhere=elsewhere
            )
        )

    # ------------------------------------------------------------------ chats
    @property
    def chats(self) -> ChatStore:
        """Sessions of chats, in the same store."""
        return self._store.chats

    # ------------------------------------------------------------------ care
    def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Compares the store, every index and the log; `problems` is empty when all agree."""
        checked: dict[str, int] = {"collections": 0}
        problems = list(self._store.check())
        for name in self._store.every_collection():
            report = self.index(name).verify(progress=progress)
            extractions, wrong = self.graph.verify(name)
            checked["extractions"] = checked.get("extractions", 0) + extractions
            problems.extend(f"{name}: {problem}" for problem in wrong)
            checked["collections"] += 1
            for kind, count in report.checked.items():
                checked[kind] = checked.get(kind, 0) + count
            problems.extend(f"{name}: {problem}" for problem in report.problems)
        return VerifyReport(checked, tuple(problems))

    def rebuild(self, *, progress: ProgressCallback | None = None) -> None:
        """Builds every index anew from the store, beside the old ones, and swaps."""
        for name in self._store.every_collection():
            self.index(name).rebuild(progress=progress)
            self.graph.rebuild(name)
        self._parts.results.clear()

    def purge_caches(self) -> None:
        """Forgets every result, answer, vector of a question and counted question, in memory and down to the bytes in
        cache.db, and what local models computed from prompts. Raises StoreError."""
        self._parts.results.clear()
        self._parts.answers.clear()
        self._parts.language_models().forget(erase=True)
        if self._parts.persistent is not None:
            self._parts.persistent.purge()

    def export(
        self, path: str | os.PathLike[str], *, collection: str | None = None, progress: ProgressCallback | None = None
    ) -> int:
        """Writes documents with text and positions as JSON lines; returns how many."""
        return export_documents(self._store, Path(path), self._named(collection), progress)

    def import_(self, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None) -> int:
        """Reads what `export` wrote; returns the number of documents. Raises NotFound, DamagedFile."""
        count, names = import_documents(self._store, Path(path), progress)
        for name in names:
            self._after_write(name, removed=True)  # what was there is replaced
        return count

    def purge(self) -> int:
        """Takes the bytes of everything that was removed off the disk: out of the indexes, the database, its log and
        caches; returns by how many bytes the data folder shrank. Interrupted, it can be called again. Backups are
        not touched. Raises StoreBusy, DiskFull."""
        before = own_bytes(self._store.folder)
        for name in self._store.every_collection():
            with suppress(NotFound):  # dropped meanwhile
                self._parts.spaces.finish_drops(name)
                self.index(name).purge()
        purge_files(self._store)
        self._originals.sweep(self._store)
        shutil.rmtree(self._store.folder / CONVERSATIONS, ignore_errors=True)
        self.purge_caches()
        purge_database(self._store.folder, needed=pipeline.needed_metadata(self._store))
        return max(0, before - own_bytes(self._store.folder))

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        keep: int = KEPT,
        anew: bool = False,
        check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> BackupReport:
        """Adds a generation to the folder of backups `path` while everything goes on, and keeps the newest `keep`.
        `anew` stores every page again; `check` reads the parts stored before. Raises InputError, StoreError."""
        if self._store.get_state(IDENTITY) is None:
            self._store.set_state(IDENTITY, secrets.token_hex(16))
        return backup(self._store.folder, Path(path), keep=keep, anew=anew, check=check, progress=progress)

    def close(self) -> None:
        """Stops background work, seals what is worth sealing, and lets go of every file and process, also of the
        rest where one of them fails."""
        self._closing.set()
        for background in (self._background, self._background_graph):
            if background is not None:
                background.stop()
        for thread in (self._prewarming, self._preloading):
            if thread is not None:
                thread.join()
        if self._indexer is not None:
            self._indexer.stop()
        with self._lock:
            indexes, self._indexes = list(self._indexes.values()), {}
        with ExitStack() as stack:  # the last one first
            stack.callback(self._store.close)
            for close in self._parts.closers:
                stack.callback(close)
            if self._sandbox is not None:
                stack.callback(self._sandbox.close)
            for index in indexes:
                stack.callback(index.close)

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def graph(self) -> KnowledgeGraph:
        """What the documents mention and how it belongs together."""
        builder = None if self._parts.extractor is None else lambda: self._graph_builder
        return KnowledgeGraph(self._store, builder, self.embedder, self._parts.deepens)

    # ------------------------------------------------------------------ inside
    @cached_property
    def _graph_builder(self) -> GraphBuilder:
        assert self._parts.extractor is not None  # noqa: S101 - callers asked
        taken = partial(turn, self._store.folder, GRAPH_LOCK_FILE)
        return GraphBuilder(self._store, self._parts.extractor, taken, self._serving)

    @property
    def store(self) -> Store:
        """For measuring and tools."""
        return self._store

    def embedder(self, space: str | None = None) -> Embedder:
        """The embedding model of a space, or of collections that use none yet; loaded when it is first needed. Raises
        ModelError."""
        return self._parts.spaces.embedder(space or self._parts.spaces.default().id)

    def model(self, space: str) -> Embedder:
        """The same without the cache before it, for measuring."""
        return self._parts.spaces.load(space)

    def index(self, collection: str) -> CollectionIndex:
        """The indexes of one collection, opened once. Raises NotFound."""
        with self._lock:
            held = self._indexes.get(collection)
            if held is None:
                self._store.revision(collection)
                held = self._indexes[collection] = self._parts.open_index(collection)
                if self._parts.background and self._indexer is None:
                    self._indexer = Indexer(self._open_indexes, on_error=_report)
                    self._indexer.start()
                    if self._background is not None:
                        self._background.start()
                if self._background_graph is not None:
                    self._background_graph.start()
            return held

    def _open_indexes(self) -> list[CollectionIndex]:
        with self._lock:
            return list(self._indexes.values())

    def _reader(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                self._sandbox = self._parts.sandbox()
            return self._sandbox

    def _named(self, collection: str | None) -> list[str]:
        if collection is None:
            return self._store.collections()
        self._store.revision(not_memory(collection))
        return [collection]

    def _chosen(self, collections: Sequence[str] | None) -> list[str]:
        if collections is None:
            names = self._store.collections()
            if not names:
                raise NotFound("there are no documents yet.", "Add some with `ragstone add PATH`.")
            return names
        return [name for chosen in collections for name in self._named(chosen)]

    def _after_write(self, collection: str, *, removed: bool) -> None:
        self._settle(removed=removed)
        index = self.index(collection)
        index.refresh()
        try:
            index.seal(quick=self._indexer is not None)  # which does the rest
        except StoreError as error:
            _report(error)
        if self._background is not None:
            self._background.wake()

    def _embedding(self) -> EmbeddingWorker:
        with self._lock:
            if self._worker is None:
                assert self._parts.worker is not None  # noqa: S101 - callers asked
                self._worker = self._parts.worker(self._serving)
            return self._worker

    def _serving(self) -> bool:
        return time.monotonic() - self._asked_at < SERVING_SECONDS

    def _settle(self, *, removed: bool) -> None:
        """What is gone from the store goes from the cache on disk as well, and from the slots of local models. It is
        never served; and where it cannot be removed now, the next write, of any process, removes it."""
        if removed:
            self._parts.language_models().forget()
        if self._parts.persistent is not None:
            try:
                self._parts.persistent.settle()
            except StoreError as error:
                log.warning("deleted passages wait to be removed from cache.db: %s", error)


@contextmanager
def _searching(mode: Mode, k: int) -> Iterator[list[SearchResult]]:
    """Counts and tells the searches that the body adds to the list, stage by stage."""
    span, began = spans.start("search", {"ragstone.mode": mode, "ragstone.k": k}), spans.now()
    made: list[SearchResult] = []
    error = ""
    try:
        with spans.inside(span):
            yield made
    except RagstoneError as failed:
        error = failed.code
        raise
    finally:
        for result in made:
            stages(SEARCH_STAGES, result.timings)
            spans.stages(span, result.timings, began=began)
        span.set({"ragstone.searches": len(made), "ragstone.hits": sum(len(result.hits) for result in made)})
        span.end(error)


def _answered(span: spans.Span, began: int, seconds: float, answer: Answer) -> None:
    """Counts an answer by how it was made."""
    kind = "cached" if "cache" in answer.timings else "generated" if "first token" in answer.timings else "extractive"
    if not answer.answered:
        UNANSWERED.add(1.0)
    ANSWERS.observe(seconds, kind)
    stages(ANSWER_STAGES, answer.timings, without=("search",))
    after = {stage: ms for stage, ms in answer.timings.items() if stage not in ("search", "first token")}
    spans.stages(span, after, began=began + int(answer.timings.get("search", 0.0) * 1e6))
    span.set({"ragstone.kind": kind, "ragstone.answered": answer.answered, "ragstone.citations": len(answer.citations)})


def _tag(state: _State) -> str:
    return digest([repr(state).encode()]).hex()


def _removes(report: IngestReport) -> bool:
    """Whether any text that was there is gone."""
    return any(file.chunks_removed or file.state == "removed" for file in report.files)


def _counts(cache: Cache[Any, Any]) -> dict[str, float]:
    seen = cache.statistics()
    return {
        "entries": seen.entries, "bytes": seen.bytes, "hits": seen.hits, "misses": seen.misses,
        "evictions": seen.evictions, "hit_rate": seen.hit_rate,
    }  # fmt: skip


def _milliseconds(since: float) -> float:
    return (time.perf_counter() - since) * 1000.0


def _report(error: RagstoneError) -> None:
    """Sealing only moves rows to files; what failed is tried again and nothing is lost, but a person should know."""
    log.warning("sealing waits: %s", error)


def _matching(pattern: str, known: Iterable[str]) -> list[str]:
    """uris that equal the pattern or the path that it is, lie in that folder or archive, or fit it as a glob
    (text/globs.py). A glob with folders in it begins where the caller stands, unless with `/` or `**`."""
    names = [pattern]
    if "\0" not in pattern:
        names += [uri_of(os.path.abspath(pattern)), uri_of(sources.resolved(pattern))]  # noqa: PTH100 - with links
    inside = tuple(name.rstrip("/") + end for name in names[1:] for end in ("/", MEMBER))
    exact = [uri for uri in known if uri in names or uri.startswith(inside)]
    if exact or not has_magic(pattern):
        return exact
    anywhere = "/" not in pattern or pattern.startswith(("/", "**")) or "://" in pattern
    fits = path_matcher(pattern if anywhere else names[1])
    return [uri for uri in known if fits(uri)]
