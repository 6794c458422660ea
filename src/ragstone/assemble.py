"""Settings become a knowledge base: the only place that names concrete classes and reads settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import numpy as np

from . import __version__
from .cache.answers import KeptAnswer, decode, encode
from .cache.file import Kept, remove
from .cache.memory import MemoryCache
from .cache.persistent import DiskCache, Persistent, TieredCache
from .embedding.cached import CachedEmbedder
from .embedding.session import Device
from .errors import SettingsError, StoreReadOnly
from .ingest.limits import ReadLimits
from .ingest.prepare import PrepareOptions
from .ingest.sources import SourceOptions
from .knowledge_base import KnowledgeBase, Parts
from .models import LocalModel, ModelRegistry
from .search.retriever import Retriever, Tuning
from .settings import Settings
from .storage.sqlite import SqliteStore
from .text.analysis import ANALYSIS_VERSION

if TYPE_CHECKING:
    from .answer.answerer import Answerer
    from .embedding.workers import EmbeddingWorker
    from .index.sync import CollectionIndex
    from .ingest.sandbox import Sandbox
    from .protocols import LLM, Cache, Embedder, Reranker, Vectors
    from .types import Space

T = TypeVar("T")

EVIDENCE_DEPTH = 10
"""Hits from which an answer is made."""
QUERY_VECTORS = 2_000
"""Vectors of questions in memory: 3 MB of 384 numbers each."""
OCR_MEMORY = 1536 << 20
OCR_SECONDS = 120


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
    remember: bool | None = None,
) -> KnowledgeBase:
    """Opens the knowledge base of `settings.data.folder`; models and reader processes start when first needed.
    `embedder` takes the place of the one that the settings name. `read_only` writes nothing, and works where nothing
    can be written; with `remember` (default: where not `read_only`) it still keeps answers in cache.db where it can.
    Raises StoreError, SettingsError, NotFound where `read_only` finds no data."""
    store = SqliteStore(settings.data.folder, read_only=read_only, free_disk=settings.data.free_disk)
    try:
        remember = not read_only if remember is None else remember
        return KnowledgeBase(_parts(settings, store, read_only, embedder, remember))
    except BaseException:
        store.close()
        raise


def _parts(
    settings: Settings, store: SqliteStore, read_only: bool, given: Embedder | None, remember: bool
) -> Parts:
    chosen = settings.embedding
    device = Device(chosen.provider, chosen.gpu_memory_mb)
    registry = ModelRegistry(threads=chosen.threads, device=device, precision=chosen.precision)
    model = _model(settings)
    closers: list[Callable[[], None]] = []
    loaded = Once(lambda: given or _embedder(settings, registry, model, closers))
    llm = Once(lambda: _llm(settings, closers))
    caches = settings.cache
    in_memory = (caches.entries, caches.megabytes, caches.ttl, caches.policy)
    persistent = _persistent(settings, store, remember, closers)
    answers: Cache[bytes, KeptAnswer] = MemoryCache(*in_memory)
    vectors: Cache[bytes, Vectors] = MemoryCache(QUERY_VECTORS, ttl=caches.ttl, policy=caches.policy)
    if persistent is not None:
        answers = TieredCache(answers, DiskCache(persistent, "answer", encode, decode))
        vectors = TieredCache(vectors, DiskCache(persistent, "vector", _vector_bytes, _vector))
    embedder = Once(lambda: given or CachedEmbedder(loaded, space, vectors))

    def space() -> Space:
        return loaded().space if given or chosen.endpoint else registry.space(model)

    def made_by() -> str:
        return _made_by(settings, space(), llm())

    def worker() -> EmbeddingWorker:
        from .embedding.workers import EmbeddingWorker

        return EmbeddingWorker(store, embedder(), memory_mb=chosen.memory_mb)

    def open_index(collection: str) -> CollectionIndex:
        from .index.sync import CollectionIndex

        structure = settings.search.vector_index
        return CollectionIndex(store, collection, [space()], structure=structure, writable=not read_only)

    def sandbox() -> Sandbox:
        from .ingest.sandbox import Sandbox

        return Sandbox(prepare, settings.ingest.workers or os.cpu_count() or 1)

    def answerer() -> Answerer:
        from .answer.answerer import Answerer

        return Answerer(
            embedder(), llm(), max_sentences=settings.answer.max_sentences, max_tokens=settings.answer.max_tokens
        )

    prepare = _prepare_options(settings)
    return Parts(
        store=store,
        space=lambda: space().id,
        embedder=embedder,
        worker=None if read_only else Once(worker),
        sandbox=sandbox,
        open_index=open_index,
        retriever=lambda kb: Retriever(
            store,
            kb.index,
            embedder,
            space=lambda: space().id,
            reranker=_reranker(settings),
            tuning=Tuning(candidates=settings.search.candidates, rerank_depth=settings.search.rerank_candidates),
            fixed_weight=settings.search.dense_weight,
        ),
        answerer=Once(answerer),
        prepare=prepare,
        salt=msgspec.json.encode((prepare.max_tokens, prepare.limits.ocr)),
        source_options=SourceOptions(exclude=settings.ingest.exclude, file_bytes=settings.ingest.file_bytes),
        results=MemoryCache(*in_memory),
        answers=answers,
        persistent=persistent,
        made_by=made_by,
        prewarm=caches.prewarm if settings.embedding.background else 0,
        count_questions=caches.prewarm > 0,
        background=settings.embedding.background and not read_only,
        evidence_depth=EVIDENCE_DEPTH,
        vector_structure=settings.search.vector_index,
        models=registry.installed,
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


def _made_by(settings: Settings, space: Space, llm: LLM | None) -> str:
    """Part of the key of cached answers: all but question and passages that decides what an answer says."""
    from .answer.prompt import VERSION

    answer = settings.answer
    model = "extractive" if llm is None else f"{answer.model} {answer.base_url} {llm.name} {answer.context}"
    weights = Path(answer.model.removeprefix("gguf:"))
    if llm is not None and answer.model.startswith("gguf:") and weights.exists():
        status = weights.stat()
        model += f" {status.st_size} {status.st_mtime_ns}"
    return repr((__version__, ANALYSIS_VERSION, VERSION, space.id, model, answer.max_sentences, answer.max_tokens))


def _vector_bytes(vector: Vectors) -> Kept:
    return Kept(vector.astype("<f4").tobytes())


def _vector(data: bytes) -> Vectors:
    return np.frombuffer(data, "<f4")


def _model(settings: Settings) -> str | LocalModel:
    chosen = settings.embedding
    if chosen.path is None:
        return chosen.model
    return LocalModel(
        chosen.path,
        sha256=chosen.sha256,
        dimension=chosen.dimension,
        max_tokens=chosen.max_tokens,
        pooling=chosen.pooling,
        query_prefix=chosen.query_prefix or "",
        passage_prefix=chosen.passage_prefix or "",
    )


def _embedder(
    settings: Settings, registry: ModelRegistry, model: str | LocalModel, closers: list[Callable[[], None]]
) -> Embedder:
    chosen = settings.embedding
    if not chosen.endpoint:
        return registry.load(model)
    from .embedding.remote import RemoteEmbedder

    remote = RemoteEmbedder(
        chosen.endpoint,
        chosen.model,
        protocol=chosen.protocol,
        api_key=chosen.api_key,
        dimension=chosen.dimension,
        max_tokens=chosen.max_tokens,
        query_prefix=chosen.query_prefix or "",
        passage_prefix=chosen.passage_prefix or "",
    )
    closers.append(remote.close)
    return remote


def _reranker(settings: Settings) -> Callable[[], Reranker] | None:
    path = settings.search.rerank
    if path is None:
        return None

    def make() -> Reranker:
        from .search.rerank import OnnxReranker

        return OnnxReranker(path, sha256=settings.search.rerank_sha256)

    return Once(make)


def _prepare_options(settings: Settings) -> PrepareOptions:
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
    return PrepareOptions(limits=limits, max_tokens=ingest.chunk_tokens)


def _llm(settings: Settings, closers: list[Callable[[], None]]) -> LLM | None:
    """The setting answer.model is "extractive", "auto", or KIND:NAME."""
    from .llm import OLLAMA_URL, find_llm

    answer = settings.answer
    kind, _, name = answer.model.partition(":")
    shared: dict[str, Any] = {"api_key": answer.api_key, "context": answer.context}
    if answer.model == "extractive":
        return None
    if answer.model == "auto":
        found = find_llm("auto", base_url=answer.base_url, **shared)
    elif kind == "ollama" and name:
        base_url = answer.base_url or OLLAMA_URL
        found = find_llm("ollama", model=name, base_url=base_url, keep_alive=answer.keep_alive, **shared)
    elif kind == "openai" and name:
        found = find_llm("openai", model=name, base_url=answer.base_url, **shared)
    elif kind == "gguf" and name:
        state = settings.data.folder / "llama.json"
        found = find_llm("llama", gguf=Path(name), threads=answer.threads, context=answer.context, state=state)
    else:
        raise SettingsError(
            f"answer.model = {answer.model!r} is not a way to answer.",
            "Write extractive, auto, ollama:NAME, openai:NAME or gguf:PATH.",
        )
    if found is not None:
        closers.append(found.close)
    return found
