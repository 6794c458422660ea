"""Every seam of the system on one page.

Ids are chunk ids: signed 64-bit, given by the store, never reused. `Ids` are int64[n]; `Vectors` float32[n, d],
rows of unit length unless the space says otherwise. Scores are float32[n], larger is better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .chat_types import ChatAnswer, ChatSession, ChatTurn
from .graph_types import Extraction, GraphDecision, GraphFailure
from .memory_types import MemoryItem, NewItem, Outcome
from .types import (
    CacheStatistics,
    Call,
    Change,
    Chunk,
    Delta,
    Document,
    Filter,
    Job,
    JobFailure,
    JobLease,
    JobProgress,
    JobState,
    Message,
    ModelStatus,
    PreparedDocument,
    Space,
    SpaceUse,
    Terms,
)

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
Vectors = NDArray[np.float32]

Role = Literal["query", "passage"]

K = TypeVar("K", contravariant=True)
V = TypeVar("V")


class Cache(Protocol[K, V]):
    """Bounded, safe from several threads, and never wrong: a key holds the state of everything that its value was made
    from, so what is found was true when it was asked for. `get` and `put` neither raise nor wait for a write to a
    disk: what cannot be kept is not kept."""

    def get(self, key: K) -> V | None: ...

    def put(self, key: K, value: V) -> None: ...

    def clear(self) -> None:
        """Forgets every value; the counts go on."""
        ...

    def statistics(self) -> CacheStatistics: ...


class Embedder(Protocol):
    """Turns texts into vectors of one space."""

    @property
    def space(self) -> Space: ...

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """float32[len(texts), space.dimension]. Safe to call from several threads at once. Texts longer than the
        model's window are embedded in windows and averaged: nothing is dropped silently."""
        ...


class Reranker(Protocol):
    def score(self, query: str, texts: Sequence[str]) -> Scores: ...


class Extractor(Protocol):
    """Finds what a chunk mentions and how it belongs together. `version` changes whenever the same text would give
    something else; what comes out depends on the arguments alone."""

    @property
    def version(self) -> str: ...

    def extract(self, text: str, language: str | None = None, headings: Sequence[str] = ()) -> Extraction: ...


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """Chunks that a question and its first hits lead to in the graph: `chunks` rise, the best of `scores` is 1.
    `linked`: how many entities the question names, `names`: their forms, case folded. `revision`: of the collection,
    that the graph was made of."""

    chunks: Ids
    scores: Scores
    linked: int
    names: tuple[str, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Theme:
    """A community that a question is about. `share`: of what was asked for, the best has the largest. `spans`: its
    sentences, the nearest to its centre first: chunk, and start and end in the chunk's text."""

    name: str
    entities: int
    share: float
    spans: tuple[tuple[int, int, int], ...]


class GraphSearch(Protocol):
    """What a search asks of the knowledge graph of a collection. Raises NotFound, StoreError."""

    def reach(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], *, named: bool
    ) -> Reached | None:
        """None while the graph is brought up to date after a write. `hits`: chunks that were found without the graph,
        the best first; they may be none. Without `named`, what the first ones lead to, they themselves left out; with
        it, what they and the entities of the question do."""
        ...

    def themes(
        self, collection: str, question: str, language: str, hits: tuple[Ids, Scores], count: int
    ) -> tuple[list[Theme], int]:
        """The communities that the question, its `hits` and the whole collection are about, the `count` of the largest
        share; and the revision of the graph."""
        ...

    def reasons(
        self, collection: str, question: str, language: str, first: Sequence[int], chunks: Sequence[Chunk]
    ) -> list[str]:
        """For each of `chunks` the way that leads there from the question or from `first`, the best hits:
        "A —restarts→ B, page 12"; "" where there is none."""
        ...


class LLM(Protocol):
    """A language model that continues a conversation. `context` is its window in tokens."""

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int: ...

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        """Deltas as they come; the last has `finish` and `usage`. Closing the iterator stops the model.
        Raises ModelUnavailable, DeadlineExceeded."""
        ...

    def close(self) -> None: ...


class LocalLLM(LLM, Protocol):
    """A model whose memory is this machine's: it takes seconds to load, and others may have to go for it."""

    @property
    def lanes(self) -> int:
        """Calls that it works on at the same time."""
        ...

    def load(self, messages: Sequence[Message] = ()) -> float:
        """Loads it and computes the beginning of prompts, `messages`; returns the seconds that loading took, 0.0
        where it was loaded. Raises ModelError."""
        ...

    def unload(self) -> bool:
        """Frees its memory; False where another process uses it now."""
        ...

    def end(self, conversation: str) -> None:
        """A conversation is over: what was kept for its next question is removed."""
        ...

    def status(self) -> ModelStatus:
        """How it stands; starts and loads nothing. Raises ModelError."""
        ...


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """A question as index terms. Each group is one token of the question with its alternative forms (stem in each
    language of the collection, compound parts, folded umlauts) as (term, weight); a chunk scores the best
    weighted form of each group, and the sum over groups."""

    groups: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Owners:
    """Which document each chunk of a collection belongs to: `documents[i]` is that of `chunks[i]`; `chunks` rises."""

    chunks: Ids
    documents: Ids


class LexicalIndex(Protocol):
    """BM25 over one collection: sealed segments (files, memory-mapped) and a tail in memory."""

    def add(self, ids: Sequence[int], terms: Sequence[Terms]) -> None:
        """Adds to the tail. An id that is already there is ignored (applying a change twice is harmless)."""
        ...

    def delete(self, ids: Iterable[int]) -> None:
        """Unknown ids are ignored."""
        ...

    def search(self, query: QueryTerms, k: int, allow: Ids | None = None) -> tuple[Ids, Scores]:
        """Best k, by falling score, then by rising id. Only ids in `allow` (sorted) where given."""
        ...

    def rarity(self, terms: Sequence[str]) -> Scores:
        """Inverse document frequency of each term over the live chunks; of one that no chunk has, the largest."""
        ...

    def search_documents(
        self, query: QueryTerms, k: int, owners: Owners, allow: Ids | None = None
    ) -> tuple[Ids, Scores]:
        """The same over whole documents: frequencies and lengths of a document are those of its chunks together.
        Gives document ids; only of documents with a chunk in `allow` where given. Chunks that `owners` does not name
        do not count."""
        ...

    def ids(self) -> Ids: ...

    def sample(self) -> Ids:
        """Some ids, all where there are few, spread over all: which ones follows from the live ids alone, and a write
        changes few of them."""
        ...

    def tail_size(self) -> int: ...


class VectorIndex(Protocol):
    """Nearest neighbours by inner product in one space of one collection: sealed segments and a tail."""

    @property
    def space(self) -> Space: ...

    def add(self, ids: Sequence[int], vectors: Vectors) -> None: ...

    def delete(self, ids: Iterable[int]) -> None: ...

    def search(self, query: Vectors, k: int, allow: Ids | None = None) -> list[tuple[Ids, Scores]]:
        """`query` is float32[q, d]; one (ids, exact inner products) per row, by falling score, then rising id."""
        ...

    def ids(self) -> Ids:
        """Sorted."""
        ...

    def size(self) -> int: ...

    def tail_size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed index file. `checksum` is BLAKE2b-128 of its bytes; `dead` are ids deleted since it was written.
    `space` is "" for lexical segments. The set of segments of a (collection, kind, space) stands at `watermark`."""

    kind: Literal["lexical", "vector"]
    space: str
    name: str
    checksum: bytes
    size: int
    rows: int
    watermark: int
    dead: bytes = b""


@dataclass(frozen=True, slots=True)
class PutResult:
    """`state` "unchanged" means that nothing was written."""

    uri: str
    state: Literal["added", "updated", "unchanged"]
    document_id: int
    chunks_added: int
    chunks_removed: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a source, to skip it when it did not change."""

    content_hash: bytes
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Pending:
    """A chunk that has no vector yet. `text` is what is embedded: context and text."""

    chunk_id: int
    content_hash: bytes
    text: str


Guard = Callable[[], None]
"""Called inside a write transaction, when no other process can write to that store. What it raises undoes the
transaction, and reaches the caller."""

ChangeSpaces = Callable[[Sequence[SpaceUse], Callable[[str], int]], Sequence[SpaceUse]]
"""From the uses of a collection and a function that counts what waits in a space to the new uses. Raises to refuse."""


class Store(Protocol):
    """The truth. Every method is safe from several threads, and several processes may use one data folder.
    A write is durable when it returns (fsync). Each write transaction that changes a collection raises its
    revision by one and appends to the operation log in the same transaction."""

    # collections
    def collections(self) -> list[str]:
        """Those of documents."""
        ...

    def every_collection(self) -> list[str]:
        """Those of documents, and that of memory where something was remembered."""
        ...

    def create_collection(self, name: str) -> None:
        """No effect where it exists. Raises InputError for a bad name."""
        ...

    def drop_collection(self, name: str) -> None: ...
    def revision(self, collection: str) -> int:
        """0 for an empty collection. Raises NotFound."""
        ...

    # documents
    def put(
        self, collection: str, documents: Sequence[PreparedDocument], *, guard: Guard | None = None
    ) -> list[PutResult]:
        """One transaction for all. Chunks whose content hash stays keep their ids; only the difference is
        deleted and added. Raises StoreReadOnly, DiskFull, StoreBusy."""
        ...

    def delete(self, collection: str, uris: Sequence[str], *, guard: Guard | None = None) -> list[str]:
        """Removes documents and all that stood on them alone; returns the uris that were there."""
        ...

    def known(self, collection: str, uris: Iterable[str] | None = None) -> dict[str, Known]:
        """By uri: all documents, or those of `uris` and the members of archives of these uris. Raises NotFound."""
        ...

    def document(self, collection: str, uri: str) -> Document:
        """Raises NotFound."""
        ...

    def documents(self, collection: str, filter: Filter | None = None) -> Iterator[Document]: ...
    def documents_by_id(self, ids: Sequence[int]) -> list[Document]:
        """In the order asked; ids that no longer exist are left out."""
        ...

    def document_page(
        self, collection: str, limit: int, *, after: str = "", language: str = "", contains: str = ""
    ) -> list[Document]:
        """The first `limit` by uri whose uri is greater than `after`; `contains` is looked for in uri and title,
        without regard to the case of ASCII letters. Raises NotFound."""
        ...

    def document_text(self, document_id: int) -> str: ...

    # chunks
    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """In the order asked; ids that no longer exist are left out. One read."""
        ...

    def document_chunks(self, document_id: int) -> list[Chunk]: ...
    def whole_documents(self, ids: Sequence[int]) -> list[tuple[int, int, str, str]]:
        """Of those of the documents that are one chunk: id, the chunk's id, collection and title, by rising id."""
        ...

    def chunk_ids(self, collection: str, filter: Filter | None = None) -> Ids:
        """Sorted."""
        ...

    def owners(self, collection: str) -> Owners:
        """Chunks and their documents."""
        ...

    def languages(self, collection: str) -> dict[str, int]:
        """Chunks by language."""
        ...

    # operation log
    def last_seq(self) -> int: ...
    def changes(self, since: int, limit: int, collection: str | None = None) -> list[Change]:
        """Entries with seq > since, rising."""
        ...

    def first_seq(self) -> int:
        """Smallest seq still in the log (last_seq + 1 where it is empty): a follower that stands before
        first_seq - 1 must open the sealed segments again."""
        ...

    def trim_log(self, below: int) -> None:
        """Forgets entries with seq < below, and the terms that were kept for chunks whose `add` they are."""
        ...

    def data_version(self) -> int:
        """Changes whenever any process committed; microseconds."""
        ...

    def terms(self, ids: Sequence[int]) -> dict[int, Terms]:
        """Index terms kept with log entries, for the ids that still have them."""
        ...

    # vectors
    def pending(self, collection: str, space: str, limit: int) -> list[Pending]:
        """Newest first."""
        ...

    def count_pending(self, collection: str, space: str) -> int: ...
    def put_embeddings(self, space: str, embeddings: Mapping[bytes, bytes]) -> int:
        """content hash → float16 little-endian bytes. Logs an `embed` change for every chunk with that hash;
        hashes that no chunk has any more are dropped, and so are those that no collection wants: one that uses
        spaces wants no other. Returns the number of chunks."""
        ...

    def embeddings(self, space: str, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """Those of `ids` that have a vector, in the order asked."""
        ...

    # spaces that a collection uses
    def space_uses(self, collection: str) -> list[SpaceUse]:
        """The active one first. None where no use was recorded: then every space may have vectors."""
        ...

    def change_spaces(self, collection: str, change: ChangeSpaces) -> list[SpaceUse]:
        """Replaces the uses by what `change` makes of them, in one transaction, and returns them. Exactly one is active
        and at most one preferred. A new use finds what was embedded in its space before; one that becomes `dropping`
        waits for no vectors and has no segments any more."""
        ...

    def drop_vectors(self, space: str, after: bytes, limit: int) -> bytes:
        """Removes those that no collection wants of the next `limit` vectors, by hash, after `after`; returns the last
        hash looked at, empty at the end. b"" begins."""
        ...

    # sealed segments
    def segments(self, collection: str) -> list[Segment]: ...
    def publish(
        self, collection: str, kind: Literal["lexical", "vector"], space: str, segments: Sequence[Segment]
    ) -> None:
        """Replaces the set of segments of that kind and space in one transaction. Does nothing for a space that the
        collection does not use, where it has uses."""
        ...

    # sources that `sync` and `watch` follow, and small named values
    def roots(self, collection: str) -> list[str]: ...
    def add_root(self, collection: str, path: str) -> None: ...
    def remove_root(self, collection: str, path: str) -> None: ...
    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...

    def require_room(self) -> None:
        """Raises DiskFull where less space is free than is to be left so. Asked by every write that adds, and before
        files are written."""
        ...

    @property
    def memory(self) -> MemoryStore: ...

    @property
    def chats(self) -> ChatStore: ...

    @property
    def graph(self) -> GraphStore: ...

    def check(self) -> list[str]:
        """Problems of the database itself (integrity, foreign keys, coverage of texts by chunks)."""
        ...

    @property
    def folder(self) -> Path: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Alike:
    """A text of knowledge, by its hash, of the same project: `similarity` from the threshold of merging on, or
    `contrary`."""

    text: bytes
    similarity: float = 0.0
    contrary: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in which an item of knowledge was told; `vector` is that of the text alone in `space` (float16, little
    endian), b"" where only the item's chunk has it."""

    hash: bytes
    text: str
    space: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Telling:
    """Something told, ready for the store. `document` is the item as a document, `vectors` its vectors by space
    (float16, little endian). `words` is a hash of its words, `folded_key` and `folded_value` are what facts are
    compared by. `text`: a hash of the text to the letter; `alone`: vectors by space of the text without its context, of
    knowledge; `likenesses`: texts told before that say the same or the contrary. `item` names its project."""

    item: NewItem
    document: PreparedDocument
    words: bytes
    folded_key: str
    folded_value: str
    vectors: Mapping[str, bytes]
    text: bytes
    alone: Mapping[str, bytes] = field(default_factory=dict)
    likenesses: tuple[Alike, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a telling: the id of the item that holds it, and how like it is to that one's words where it was
    merged."""

    id: str
    outcome: Outcome
    similarity: float = 0.0
    contradicted: tuple[str, ...] = ()


MemoryRow = tuple[int, int, int, int, int, int, float, float, int, str, int]
"""document, chunk, project, kind, type, state, at, told_at, version, who, characters."""


@dataclass(frozen=True, slots=True)
class MemoryCounts:
    """`groups`: (kind, type, state, items, tellings); `fresh`: (type, told_at) of knowledge that holds."""

    groups: tuple[tuple[int, int, int, int, int], ...]
    fresh: tuple[tuple[int, float], ...]
    contradictions: int
    bytes: int


class MemoryStore(Protocol):
    """What is remembered, in the same database: every write is one transaction of the store, with its log entries and
    its revision of the collection `memory_types.MEMORY`."""

    def remember(self, tellings: Sequence[Telling], *, at_revision: int | None = None) -> list[Told] | None:
        """None, and nothing is written, where the collection is not at that revision any more: look for repetitions
        again. Exact repetitions, values of keys and idempotency keys are looked up inside the transaction."""
        ...

    def forget(self, ids: Sequence[str]) -> int:
        """How many were there."""
        ...

    def items(self, document_ids: Sequence[int]) -> list[MemoryItem]:
        """In the order asked; those that no longer exist are left out."""
        ...

    def wordings(self, document_ids: Sequence[int]) -> dict[int, list[Wording]]:
        """Of items of knowledge, in the order in which they were told first."""
        ...

    def find(self, ids: Sequence[str]) -> list[int]:
        """Document ids of items; unknown ones are left out."""
        ...

    def previous(self, project: str, at: float) -> str:
        """What an episode at that moment is told after: see `memory_sessions.py`. "" where a session begins."""
        ...

    def rows(self, since_version: int) -> list[MemoryRow]:
        """Of items that changed after that revision of the collection; -1: all."""
        ...

    def history(self, project: str, folded_key: str) -> list[int]:
        """Document ids, newest first."""
        ...

    def projects(self) -> list[tuple[str, float, bool, int]]:
        """name, created, archived, items."""
        ...

    def project_ids(self) -> list[tuple[int, str, bool]]:
        """id, name, archived; quick."""
        ...

    def make_project(self, name: str) -> None:
        """And the collection, where it is not there yet."""
        ...

    def archive_project(self, name: str, archived: bool) -> bool:
        """Whether there is such a project."""
        ...

    def counts(self) -> MemoryCounts: ...


class ChatStore(Protocol):
    """Sessions of chats, by id. What returned is durable. Every method raises NotFound for a session that was
    forgotten, and StoreError."""

    def sessions(self) -> list[ChatSession]:
        """The one used last first."""
        ...

    def begin(self, name: str) -> ChatSession:
        """Raises Conflict where the name is taken, InputError where it cannot be one."""
        ...

    def turns(self, session: str) -> list[ChatTurn]:
        """In the order they were asked."""
        ...

    def questions(self, most: int) -> list[str]:
        """Of all sessions, each once, the latest first."""
        ...

    def ask(self, session: str, question: str) -> ChatTurn: ...

    def answer(self, turn: str, answer: ChatAnswer) -> bool:
        """Whether it was stored: not where a passage that it was made from was removed meanwhile."""
        ...

    def forget(self, session: str) -> int:
        """With its turns; how many there were."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Unread:
    """A chunk that nothing was extracted from yet. `language` is that of its document, "" where not known."""

    chunk_id: int
    content_hash: bytes
    context: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was extracted, as `graph/codec.py` writes it; or nothing, and the `error` that kept it from being so."""

    data: bytes
    error: str = ""


class GraphStore(Protocol):
    """What the knowledge graph is made from, in the same database. `layer`: 0 is what rules find, 1 a language model.
    Every method raises NotFound where the collection is not there, and StoreError."""

    def waiting(
        self, collection: str, layer: int, version: str, limit: int, *, before: int | None = None, after: int = 0
    ) -> list[Unread]:
        """Chunks with an id between `after` and `before` whose text that version has not read, newest first."""
        ...

    def count_waiting(self, collection: str, layer: int, version: str) -> int: ...
    def count_failed(self, collection: str, layer: int) -> int: ...

    def count_read(self, collection: str, layer: int) -> int:
        """Chunks from which something was extracted, by whatever version, even if it was nothing."""
        ...

    def forget_failed(self, collection: str, layer: int) -> None:
        """Chunks from which nothing could be extracted wait again."""
        ...

    def failures(self, collection: str, layer: int, limit: int) -> list[GraphFailure]:
        """Chunks that cannot be extracted from, newest first."""
        ...

    def put(self, layer: int, version: str, found: Mapping[bytes, Extracted]) -> int:
        """By content hash. Logs an `extract` change for every chunk with that hash; hashes that no chunk has any more
        are dropped. Returns the number of chunks."""
        ...

    def extractions(self, ids: Sequence[int], layer: int) -> list[tuple[int, bytes]]:
        """Those of the chunks that have one, in the order asked; empty where extraction failed."""
        ...

    def decisions(self, collection: str) -> list[GraphDecision]:
        """By rising order."""
        ...

    def decide(
        self, collection: str, kind: Literal["merge", "split"], pairs: Sequence[tuple[str, str]], who: str
    ) -> None:
        """One transaction. Replaces what was decided about the pairs."""
        ...

    def withdraw(self, collection: str, a: str, b: str) -> None:
        """Raises NotFound."""
        ...


class CollectionView(Protocol):
    """What a search reads of one collection: both indexes, standing at one point of the operation log."""

    @property
    def lexical(self) -> LexicalIndex: ...

    def vectors(self, space: str) -> VectorIndex | None:
        """None where no chunk has a vector in that space yet."""
        ...

    def dense(self, space: str | None = None) -> tuple[VectorIndex, ...]:
        """What a search reads, of one moment: the index of the preferred space where there is one, then of the active
        one. With `space`, that one alone. Raises NotFound where the collection does not use it."""
        ...

    def refresh(self) -> None:
        """Applies every change that any process has had acknowledged. Microseconds when there is none."""
        ...

    def at(self) -> tuple[int, int]:
        """(revision, log seq) that the indexes stand at; equal values mean equal search results."""
        ...


class Queue(Protocol):
    """Jobs that survive every process. Safe from several threads and processes. A method that changes something returns
    once that is durable.

    A lease is lost when it was not renewed in time or when its process ended, and the job then goes to another worker.
    Whoever lost a lease gets LeaseLost from every method that takes it, and nothing changes."""

    def put(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        tenant: str = "",
        priority: int = 0,
        idempotency_key: str = "",
        fingerprint: bytes = b"",
        lanes: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> Job:
        """A new job; or, where this tenant used the key before, the job from then. Jobs of one tenant that share a lane
        run one after the other, in the order of `put`. `files` name uploads that are kept until the job has ended.
        Raises Conflict where the key was used with another kind or `fingerprint`, QueueFull."""
        ...

    def take(
        self, kinds: Sequence[str], lease_seconds: float, *, wait: float = 0.0, stop: Event | None = None
    ) -> JobLease | None:
        """The next job of these kinds: by falling priority, then the tenant that waited longest, then in order. Waits
        up to `wait` seconds for one, but not once `stop` is set (`wake` makes it look)."""
        ...

    def heartbeat(self, lease: JobLease, progress: JobProgress | None = None) -> Job:
        """Renews the lease. A job that is `cancelling` is to be given up with `fail`."""
        ...

    def holds(self, lease: JobLease) -> bool:
        """Whether no other worker has had the job since. A read, to be asked inside the transaction that writes what
        the job does."""
        ...

    def finish(self, lease: JobLease, result: Mapping[str, Any], *, progress: JobProgress | None = None) -> Job: ...

    def fail(self, lease: JobLease, failure: JobFailure, *, retryable: bool, after: float | None = None) -> Job:
        """The attempt ended. The job is queued again where that makes sense (not before `after` seconds, where given),
        cancelled where that was asked for, else failed."""
        ...

    def give_back(self, lease: JobLease) -> Job:
        """The worker stops: the attempt does not count, another worker makes it."""
        ...

    def cancel(self, id: str, *, tenant: str | None = None) -> Job:
        """Ends a job that waits; tells the worker of one that runs. No effect on one that ended. With `tenant`, here
        and below, a job of another one is NotFound."""
        ...

    def retry(self, id: str, *, tenant: str | None = None) -> Job:
        """Runs a failed or cancelled job again, as if it was put now. Raises Conflict where it is not one, or its files
        are gone."""
        ...

    def get(self, id: str, *, tenant: str | None = None) -> Job:
        """Raises NotFound."""
        ...

    def list(
        self,
        *,
        tenant: str | None = None,
        states: Sequence[JobState] = (),
        kinds: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        """Newest first, with numbers below `before`."""
        ...

    def counts(self, *, tenant: str | None = None) -> dict[JobState, int]:
        """Of every state."""
        ...

    def oldest(self, *, tenant: str | None = None) -> float | None:
        """When the job was put that waits longest; None where none waits."""
        ...

    def wait(self, id: str, since: int, timeout: float, *, tenant: str | None = None) -> Job:
        """The job, as soon as its version is above `since` or it has ended, or after `timeout` seconds as it is."""
        ...

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback`, on a thread of the queue, soon after any process changed any job; gives what ends that."""
        ...

    def wake(self) -> None:
        """Makes everybody look who waits in this process."""
        ...

    def wanted(self, file: str) -> bool:
        """Whether a job still needs the upload."""
        ...

    def tidy(self) -> int:
        """Forgets jobs that ended long ago; returns how many."""
        ...

    def close(self) -> None: ...
