"""Settings become a knowledge base: the only place that names concrete classes and reads settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec
import numpy as np

from . import __version__
from .cache.answers import KeptAnswer, decode, encode
from .cache.file import Kept, remove
from .cache.memory import MemoryCache
from .cache.persistent import DiskCache, Persistent, TieredCache
from .embedding.cached import CachedEmbedder, SkimmingEmbedder
from .embedding.kept import KeptEmbedder
from .embedding.turn import DEEPEN_LOCK_FILE, turn
from .embedding_models import EmbeddingModels, default_recipe, model_registry
from .errors import SettingsError, StoreReadOnly
from .graph.deepening import Deepening
from .graph.retrieval import GraphRetrieval
from .ingest.limits import ReadLimits
from .ingest.prepare import PrepareOptions
from .ingest.sources import SourceOptions
from .knowledge_base import KnowledgeBase, Parts
from .language_models import background_model, language_model
from .models import DEFAULT_MODEL, ModelRegistry
from .search.retriever import Retriever, Tuning
from .settings import Settings
from .spaces import Spaces
from .storage.sqlite import SqliteStore
from .text.analysis import ANALYSIS_VERSION

if TYPE_CHECKING:
    from .answer.answerer import Answerer
    from .embedding.workers import EmbeddingWorker
    from .index.sync import CollectionIndex
    from .ingest.sandbox import Sandbox
    from .llm.local import LocalModels
    from .protocols import LLM, Cache, ChatStore, Embedder, Extractor, Queue, Reranker, Vectors

T = TypeVar("T")
Role = Literal["all", "answers", "upkeep"]
"""What a process has a folder open for."""
EVIDENCE_DEPTH = 10
"""Hits from which an answer is made."""
QUERY_VECTORS = 2_000
"""Vectors of questions in memory: 3 MB of 384 numbers each."""
LATELY = 512
"""Vectors of passages that were judged or remembered last, in memory: 1.5 kB each."""
OCR_MEMORY = 1536 << 20
OCR_SECONDS = 120
DAY = 86_400.0


class Once(Generic[T]):
    """Makes a thing at the first call and gives the same one to every later call, from any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


def open_knowledge_base(
    settings: Settings,
    *,
    read_only: bool = False,
    embedder: Embedder | None = None,
    embedders: Sequence[Embedder] = (),
    remember: bool | None = None,
    environ: Mapping[str, str] | None = None,
    registry: ModelRegistry | None = None,
    role: Role = "all",
) -> KnowledgeBase:
    """Opens the knowledge base of `settings.data.folder`; models and reader processes start when first needed.
    `embedder` takes the place of the one that the settings name; `embedders` are those of other spaces that the
    folder's collections use and that only a program can give. In `environ` stand the keys of embedding servers, under
    the names that were recorded. `read_only` writes nothing, and works where nothing
    can be written; with `remember` (default: where not `read_only`) it still keeps answers in cache.db where it can.
    `registry` holds the embedding models that several knowledge bases of one process share (`model_registry`).
    `role`: with "answers", embedding and merging in the background are left to other processes that have the folder
    open; with "upkeep", nothing is made ready for questions.
    Raises StoreError, SettingsError, NotFound where `read_only` finds no data."""
    store = SqliteStore(settings.data.folder, read_only=read_only, free_disk=settings.data.free_disk)
    try:
        remember = not read_only if remember is None else remember
        given = [*([embedder] if embedder is not None else []), *embedders]
        if embedders and embedder is None:
            raise SettingsError("embedders are given without a first one.", "Give `embedder` too.")
        shared = registry or model_registry(settings)
        return KnowledgeBase(_parts(settings, store, read_only, given, remember, environ or {}, shared, role))
    except BaseException:
        store.close()
        raise


def open_queue(settings: Settings) -> Queue:
    """The jobs of `settings.data.folder` and of its tenants. Raises StoreError."""
    from .jobs.queue import SqliteQueue

    jobs = settings.jobs
    return SqliteQueue(
        settings.data.folder,
        most_waiting=jobs.most_waiting,
        attempts=jobs.attempts,
        losses=jobs.losses,
        backoff=(jobs.pause, max(jobs.pause, jobs.longest_pause)),
        keep_seconds=jobs.keep_days * DAY,
        keep_failed_seconds=jobs.keep_failed_days * DAY,
    )


def open_chats(settings: Settings, kb: KnowledgeBase) -> ChatStore:
    """The sessions of `kb`, shared where the settings name a Redis. Whoever asks for them closes them before `kb`. Only
    who chats does: what a server holds for its tenants goes to no Redis. Raises SettingsError."""
    if not settings.chat.redis:
        return kb.chats
    from .storage.chats import SqliteChats
    from .storage.shared_chats import SharedChats

    assert isinstance(kb.chats, SqliteChats)  # noqa: S101 - of the one store there is
    return SharedChats(kb.chats, settings.chat.redis)


def _parts(
    settings: Settings,
    store: SqliteStore,
    read_only: bool,
    given: Sequence[Embedder],
    remember: bool,
    environ: Mapping[str, str],
    registry: ModelRegistry,
    role: Role,
) -> Parts:
    chosen = settings.embedding
    closers: list[Callable[[], None]] = []
    models = EmbeddingModels(settings, registry, closers, environ)
    local = Once(lambda: _local_models(settings, llm))
    llm = Once(lambda: language_model(settings, local(), closers))
    caches = settings.cache
    in_memory = (caches.entries, caches.megabytes, caches.ttl, caches.policy)
    persistent = _persistent(settings, store, remember, closers)
    answers: Cache[bytes, KeptAnswer] = MemoryCache(*in_memory)
    vectors: Cache[bytes, Vectors] = MemoryCache(QUERY_VECTORS, ttl=caches.ttl, policy=caches.policy)
    if persistent is not None:
        answers = TieredCache(answers, DiskCache(persistent, "answer", encode, decode))
        vectors = TieredCache(vectors, DiskCache(persistent, "vector", _vector_bytes, _vector))
    spaces = Spaces(
        store,
        default=default_recipe(settings),
        open_model=models.open,
        space_of=models.space,
        wrapped=lambda load, space: CachedEmbedder(load, space, vectors),
        given=given,
    )

    def made_by(space: str) -> str:
        return _made_by(settings, space, llm())

    def example_cache(embedder: Embedder) -> Embedder:
        return CachedEmbedder(lambda: embedder, embedder.space, vectors, "passage")

    def shipped(embedder: Embedder) -> Embedder:
        ours = registry.space(DEFAULT_MODEL)
        if given or embedder.space != ours:  # only the name of our model's space tells the weights for certain
            return example_cache(embedder)
        return KeptEmbedder(lambda: embedder, ours, registry.vectors_folder())

    def worker(serving: Callable[[], bool]) -> EmbeddingWorker:
        from .embedding.workers import EmbeddingWorker

        return EmbeddingWorker(
            store, spaces.jobs, memory_mb=chosen.memory_mb, share=chosen.build_share, serving=serving
        )

    def open_index(collection: str) -> CollectionIndex:
        from .index.sync import CollectionIndex

        return CollectionIndex(
            store, collection, spaces.followed(collection), structure=settings.search.vector_index,
            components=settings.search.vector_pca, writable=not read_only,
        )  # fmt: skip

    def sandbox() -> Sandbox:
        from .ingest.sandbox import Sandbox

        return Sandbox(prepare, settings.ingest.workers or os.cpu_count() or 1)

    @cache
    def answerer(space: str) -> Answerer:
        from .answer.answerer import Answerer

        return Answerer(
            spaces.embedder(space),
            llm(),
            max_sentences=settings.answer.max_sentences,
            max_tokens=settings.answer.max_tokens,
        )

    def deepening() -> Deepening:
        model = background_model(settings, "graph.model", local, llm, closers)
        if model is None:
            raise SettingsError(
                "no language model reads for the graph.",
                "Set graph.model: answer (the one of answer.model), gateway, a provider's name, gguf:PATH, "
                "ollama:NAME or openai:NAME.",
            )
        taken = partial(turn, store.folder, DEEPEN_LOCK_FILE)
        return Deepening(store, model, taken, batch=settings.graph.batch, rounds=settings.graph.rounds)

    prepare = _prepare_options(settings)
    background = settings.embedding.background and not read_only
    ready = settings.embedding.background and role != "upkeep"
    extractor = Once(lambda: graph_extractor(settings))
    return Parts(
        store=store,
        spaces=spaces,
        worker=None if read_only else worker,
        sandbox=sandbox,
        open_index=open_index,
        retriever=lambda kb: Retriever(
            store,
            kb.index,
            spaces.embedder,
            reranker=_reranker(settings),
            tuning=Tuning(candidates=settings.search.candidates, rerank_depth=settings.search.rerank_candidates),
            fixed_weight=settings.search.dense_weight,
            graph=GraphRetrieval(lambda: kb.graph),
            graph_when=settings.search.graph,
        ),
        answerer=answerer,
        prepare=prepare,
        salt=msgspec.json.encode((prepare.max_tokens, prepare.limits.ocr)),
        source_options=SourceOptions(exclude=settings.ingest.exclude, file_bytes=settings.ingest.file_bytes),
        results=MemoryCache(*in_memory),
        answers=answers,
        persistent=persistent,
        made_by=made_by,
        prewarm=caches.prewarm if ready else 0,
        count_questions=caches.prewarm > 0,
        background=background and role != "answers",
        upkept=role == "answers",
        evidence_depth=EVIDENCE_DEPTH,
        vector_structure=settings.search.vector_index,
        vector_components=settings.search.vector_pca,
        models=registry.installed,
        language_models=local,
        merge_at=settings.memory.merge_at,
        intents=lambda: _intents(settings),
        learned=example_cache if settings.memory.intents else shipped,
        shipped=shipped,
        skimming=lambda embedder: SkimmingEmbedder(partial(spaces.load, embedder.space.id), embedder.space),
        lately=lambda embedder: CachedEmbedder(lambda: embedder, embedder.space, MemoryCache(LATELY), "passage"),
        gleans=Once(lambda: background_model(settings, "memory.model", local, llm, closers)),
        extractor=extractor,
        deepens=None if read_only else Once(deepening),
        background_graph=settings.graph.enabled and background and role != "answers",
        preload=settings.models.preload and background and ready,
        closers=closers,
    )


def _persistent(
    settings: Settings, store: SqliteStore, writable: bool, closers: list[Callable[[], None]]
) -> Persistent | None:
    cache = settings.cache
    if not cache.persistent:
        if writable:
            try:
                remove(store.folder)
            except OSError as error:
                raise StoreReadOnly(
                    f"{error.filename} cannot be removed, as cache.persistent = false asks for.", "Remove it yourself."
                ) from error
        return None
    persistent = Persistent(
        store.folder,
        store,
        entries=cache.disk_entries,
        megabytes=cache.disk_megabytes,
        ttl=cache.ttl,
        policy=cache.policy,
        writable=writable,
    )
    closers.append(persistent.close)
    return persistent


def _made_by(settings: Settings, space: str, llm: LLM | None) -> str:
    """Part of the key of cached answers: all but question and passages that decides what an answer says."""
    from .answer.evidence import CHOICE_VERSION
    from .answer.prompt import VERSION

    answer = settings.answer
    model = "extractive" if llm is None else f"{answer.model} {answer.base_url} {llm.name} {answer.context}"
    if answer.model == "gateway":
        model += repr([(name, p.kind, p.base_url, p.model, p.context) for name, p in settings.providers.items()])
    weights = Path(answer.model.removeprefix("gguf:"))
    if llm is not None and answer.model.startswith("gguf:") and weights.exists():
        status = weights.stat()
        model += f" {status.st_size} {status.st_mtime_ns}"
    versions = (__version__, ANALYSIS_VERSION, VERSION, CHOICE_VERSION)
    return repr((versions, space, model, answer.max_sentences, answer.max_tokens))


def _vector_bytes(vector: Vectors) -> Kept:
    return Kept(vector.astype("<f4").tobytes())


def _vector(data: bytes) -> Vectors:
    return np.frombuffer(data, "<f4")


def _intents(settings: Settings) -> Mapping[str, Sequence[str]]:
    from .intent import examples

    chosen = settings.memory.intents
    return examples.read(Path(chosen)) if chosen else examples.shipped()


def _reranker(settings: Settings) -> Callable[[], Reranker] | None:
    path = settings.search.rerank
    if path is None:
        return None

    def make() -> Reranker:
        from .search.rerank import OnnxReranker

        return OnnxReranker(path, sha256=settings.search.rerank_sha256)

    return Once(make)


def read_limits(settings: Settings) -> ReadLimits:
    """What reading one source may cost."""
    ingest = settings.ingest
    limits = ReadLimits(**{name: getattr(ingest, name) for name in ReadLimits.__slots__ if hasattr(ingest, name)})
    if ingest.ocr:
        # recognition takes 1.1 GiB of address space and 3-4 CPU seconds a page (docs/readers.md)
        limits = replace(
            limits,
            memory_bytes=max(limits.memory_bytes, OCR_MEMORY),
            cpu_seconds=max(limits.cpu_seconds, OCR_SECONDS),
            wall_seconds=max(limits.wall_seconds, OCR_SECONDS),
        )
    return limits


def graph_extractor(settings: Settings) -> Extractor:
    """Raises SettingsError, ModelMissing, ModelMismatch where a model of graph.ner cannot be used."""
    from .graph.extract import RuleExtractor
    from .recognizers import recognizers

    return RuleExtractor(recognizers=recognizers(settings.graph.ner))


def _prepare_options(settings: Settings) -> PrepareOptions:
    return PrepareOptions(limits=read_limits(settings), max_tokens=settings.ingest.chunk_tokens)


def _local_models(settings: Settings, llm: Callable[[], LLM | None]) -> LocalModels:
    from .answer.prompt import beginning
    from .llm.local import FOLDER, LocalModels

    return LocalModels(
        settings.data.folder / FOLDER, memory=settings.models.memory_mb << 20, opening=llm, beginning=beginning()
    )
