"""What a knowledge base is made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..answer.answerer import Answerer
from ..cache.answers import KeptAnswer
from ..cache.persistent import Persistent
from ..embedding.workers import EmbeddingWorker
from ..graph.deepening import Deepening
from ..index.sync import CollectionIndex
from ..index.vector_codes import Structure
from ..ingest.prepare import PrepareOptions
from ..ingest.sandbox import Sandbox
from ..ingest.sources import SourceOptions
from ..protocols import LLM, Cache, Embedder, Extractor, Store
from ..search.retriever import Retriever
from ..spaces import Spaces
from ..types import ModelStatus, SearchResult

if TYPE_CHECKING:
    from .knowledge_base import KnowledgeBase


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
    source_options: SourceOptions
    results: Cache[Hashable, SearchResult]
    answers: Cache[bytes, KeptAnswer]
    persistent: Persistent | None
    made_by: Callable[[str], str]
    """All that decides how an answer is made from passages, by the same space."""
    prewarm: int
    count_questions: bool
    background: bool
    upkept: bool
    """Other processes write the indexes' files, and this one opens them."""
    evidence_depth: int
    vector_structure: Structure
    vector_components: int
    models: Callable[[], list[dict[str, Any]]]
    language_models: Callable[[], LanguageModels]
    merge_at: float
    """Similarity from which on something told repeats what is remembered."""
    intents: Callable[[], Mapping[str, Sequence[str]]]
    """Intents and their examples."""
    learned: Callable[[Embedder], Embedder]
    """The same embedder, which keeps the vectors of what it embeds: for the examples of `intents`."""
    shipped: Callable[[Embedder], Embedder]
    """The same for texts that come with Ragstone: kept for all data folders of the machine."""
    skimming: Callable[[Embedder], Embedder]
    """The same embedder for passages that are judged and not kept."""
    lately: Callable[[Embedder], Embedder]
    """The same embedder, which remembers the passages that it embedded last."""
    gleans: Callable[[], LLM | None]
    """The language model with which `learn` finds more."""
    extractor: Callable[[], Extractor]
    """What reads chunks for the knowledge graph."""
    deepens: Callable[[], Deepening] | None
    """What has a language model read them. Raises SettingsError where there is none."""
    background_graph: bool
    """Whether it does so as soon as they are there."""
    preload: bool
    """Whether the language models are loaded as soon as the knowledge base is opened."""
    closers: Sequence[Callable[[], None]] = ()
    """Read when the knowledge base closes: what was opened meanwhile adds to it."""
