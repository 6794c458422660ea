"""The vocabulary: every value that crosses a module boundary, frozen and slotted.

Offsets (`start`, `end`) count Python characters (Unicode code points) of `Document.text`;
`text[start:end]` is the span. Pages and lines count from 1. Times are POSIX seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

MetadataValue = str | int | float | bool
Metadata = Mapping[str, MetadataValue]
Mode = Literal["hybrid", "lexical", "dense", "mixed", "graph", "global"]
"""hybrid: words and vectors. mixed: hybrid with what the knowledge graph leads to, where that helps. graph: what the
graph leads to, in its order. global: what the whole collection is about, one passage for each of its communities."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page (PDF page, slide, sheet): it covers `text[start:end]`. Pages are in order and do not overlap."""

    number: int
    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: `level` 1 is the outermost, `start` is where its section begins (the heading line included)."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes to be read, and what is known of them. `uri` is an absolute path or any other stable name."""

    uri: str
    data: bytes
    media_type: str = ""
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a reader gives: plain text and where things are in it. `language` is ISO 639-1 or ""."""

    text: str
    title: str = ""
    media_type: str = "text/plain"
    language: str = ""
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """Where page or section changes inside a chunk: what they are from `at` on, in characters from its start."""

    at: int
    page: int | None
    section: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk before it is stored. Chunks of a document follow each other without gap or overlap, so the
    concatenation of their texts is the document's text. `page`, `line` and `section` are those of the first visible
    character; `turns`, rising, tell where others begin."""

    start: int
    end: int
    page: int | None = None
    line: int = 1
    section: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """Index terms of one text: `keys`, the 64-bit key of each term (text/analysis.py: `term_key`), little-endian, one
    after the other, in order with repeats; and `length`, the number of token positions (alternative forms at one
    position count once), which BM25 normalises by."""

    keys: bytes
    length: int

    def __post_init__(self) -> None:
        """Raises ValueError: what a parser worker says is checked where it is decoded."""
        if len(self.keys) % 8 or not 0 <= self.length < 1 << 32:
            raise ValueError("these are not the terms of a text")

    def __add__(self, other: Terms) -> Terms:
        return Terms(self.keys + other.keys, self.length + other.length)


@dataclass(frozen=True, slots=True)
class PreparedChunk:
    """A chunk ready for the store. `content_hash` (16 bytes) covers context and text: equal hash means equal
    index terms and equal embedding. `context` is title and heading path, which is indexed with the text."""

    span: ChunkSpan
    text: str
    context: str
    content_hash: bytes
    terms: Terms


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready for the store. `content_hash` (32 bytes, BLAKE2b) is that of the source bytes together
    with everything else that decides the result (metadata, reader and chunker version)."""

    uri: str
    content_hash: bytes
    size: int
    modified: float
    title: str
    media_type: str
    language: str
    metadata: Metadata
    pages: tuple[Page, ...]
    chunks: tuple[PreparedChunk, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document without its text (`Store.document_text` gives that)."""

    id: int
    collection: str
    uri: str
    title: str
    media_type: str
    language: str
    metadata: Metadata
    content_hash: bytes
    size: int
    characters: int
    chunks: int
    modified: float
    added: float
    pages: tuple[Page, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored chunk with what a hit shows of its document."""

    id: int
    document_id: int
    collection: str
    uri: str
    title: str
    media_type: str
    language: str
    ordinal: int
    start: int
    end: int
    page: int | None
    line: int
    section: tuple[str, ...]
    text: str
    context: str
    content_hash: bytes
    metadata: Metadata
    turns: tuple[Turn, ...] = ()

    def place(self, offset: int) -> tuple[int | None, int, tuple[str, ...]]:
        """Page, line and section of an offset in the document's text that lies in this chunk."""
        at = offset - self.start
        turn = next((t for t in reversed(self.turns) if t.at <= at), None)
        page, section = (self.page, self.section) if turn is None else (turn.page, turn.section)
        first = len(self.text) - len(self.text.lstrip())
        return page, self.line + self.text.count("\n", first, max(first, at)), section


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the operation log. `add`: the chunk exists (if its row still does); `delete`: it is gone;
    `embed`: it has a vector now in `space`; `extract`: what it mentions is known now, or known anew."""

    seq: int
    collection: str
    op: Literal["add", "delete", "embed", "extract"]
    chunk_id: int
    space: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which chunks may be found. Fields combine with AND; inside a tuple with OR. `path` are globs over the uri
    (`*` stays inside a folder, `**` crosses folders). Times are POSIX seconds of the source's modification."""

    path: tuple[str, ...] = ()
    media_type: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    metadata: tuple[tuple[str, MetadataValue], ...] = ()
    modified_after: float | None = None
    modified_before: float | None = None

    def __bool__(self) -> bool:
        return self != Filter()


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What a hit's score is made of. `None`: that part did not run or did not see the chunk. `lexical` is BM25,
    `dense` the cosine, `rerank` the cross-encoder's score. Where several spaces were searched, `dense` is on one scale
    (search/nearest.py)."""

    lexical: float | None = None
    dense: float | None = None
    rerank: float | None = None
    graph: float | None = None
    """Share of the time of a walk through the graph, the most visited chunk having 1."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `highlights` are spans in the document's text where words of the question stand."""

    chunk: Chunk
    score: float
    parts: ScoreParts
    highlights: tuple[tuple[int, int], ...] = ()
    reason: str = ""
    """The way through the graph that led here: "A —restarts→ B, page 12"."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`timings` are milliseconds by stage. `notes` say what was left out and why (no vectors yet, deadline).
    `complete` is False where that was for want of time. `spaces` names for each collection the vector spaces that its
    hits were found in, the preferred one first; none where only words were searched."""

    query: str
    hits: tuple[Hit, ...]
    revision: int
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()
    complete: bool = True
    spaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Citation:
    """A span of a document that supports a sentence of an answer. `number` is what `[n]` in the text refers to."""

    number: int
    uri: str
    title: str
    page: int | None
    line: int
    section: tuple[str, ...]
    start: int
    end: int
    text: str
    score: float
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, `citations` are numbers. `support` in [0, 1]; unsupported sentences have no
    citations and `supported` False."""

    text: str
    citations: tuple[int, ...]
    support: float
    supported: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a model call; `estimated` when the server did not report them. `cached_tokens` are those of the prompt
    that the server had computed before."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` carries `[n]` after each supported sentence. `answered` is False when nothing found supports an
    answer; then `text` says so in the question's language. `model` is "extractive" or the model's name. `complete` is
    False where a deadline or a failing model left something out: asked again, the answer may be another."""

    question: str
    text: str
    language: str
    answered: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    model: str
    usage: Usage
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """A step of a streamed answer: `stage` (name in `text`), `token` (more text, and the citations of all of it so
    far), `final` (`answer` is set)."""

    kind: Literal["stage", "token", "final"]
    text: str = ""
    answer: Answer | None = None
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt to a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


Purpose = Literal["chat", "extraction", "classification"]
"""What a call of a language model is for. "chat" is somebody waiting; the others are work in the background."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who pays for a call: each name counts against the budget of that key, person and team; "" is nobody's."""

    key: str = ""
    person: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of a language model may use, what it is for, and for whom.

    `max_tokens`: of the answer. `deadline`: `time.monotonic()` seconds. `schema`: a JSON Schema of the answer; where a
    provider cannot enforce one, the caller still has to check. `conversation`: calls of one conversation share a
    prompt's beginning, so a local server keeps it in one slot.
    """

    max_tokens: int
    deadline: float | None = None
    schema: Mapping[str, object] | None = None
    purpose: Purpose = "chat"
    caller: Caller = Caller()
    conversation: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed completion; the last one carries `usage` and `finish` ("stop", "length"), and `model`, who
    wrote it, where one of several did."""

    text: str = ""
    finish: str = ""
    usage: Usage | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A language model on this machine, as it stands now. Sizes are bytes; `size` is that of its weights, `ram` and
    `vram` what it takes while loaded. `last_used` and `expires` (when it will be unloaded) are POSIX seconds, None
    where nobody tells. `prompt_tokens` of which `cached_tokens` had been computed before, and `calls`, count since it
    was loaded; `saved` are bytes of conversations on the disk."""

    name: str
    kind: Literal["gguf", "ollama"]
    loaded: bool
    size: int = 0
    ram: int = 0
    vram: int = 0
    context: int = 0
    slots: int = 1
    last_used: float | None = None
    expires: float | None = None
    load_seconds: float | None = None
    conversations: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    saved: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens that did not have to be computed."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space. Vectors of two spaces are never compared, even where the dimensions agree."""

    model: str
    revision: str
    dimension: int
    normalised: bool = True
    prefix: str = ""
    quantisation: str = "none"

    @property
    def id(self) -> str:
        """One string that is equal exactly when every field is."""
        norm = "unit" if self.normalised else "raw"
        return f"{self.model}@{self.revision}/{self.dimension}/{norm}/{self.prefix}/{self.quantisation}"


SpaceRole = Literal["active", "preferred", "building", "kept", "dropping"]
"""What a collection uses a space for. `active` is searched; `preferred` is searched together with it and wins where a
chunk has a vector there; `building` gets vectors and is not searched; `kept` was active and stays for going back;
`dropping` is being removed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the embedder of a space is made, for whoever opens the folder. `packaged`: `model` by its name in the
    registry. `file`: an ONNX model at `path`. `endpoint`: a server; its key is in the environment variable
    `api_key_env`. `given`: by a program, which has to give it again. An empty field says: as the model has it."""

    kind: Literal["packaged", "file", "endpoint", "given"]
    model: str
    path: str = ""
    sha256: str = ""
    pooling: Literal["mean", "cls", "none"] = "mean"
    max_tokens: int = 512
    dimension: int = 0
    query_prefix: str = ""
    passage_prefix: str = ""
    endpoint: str = ""
    protocol: Literal["openai", "ollama"] = "openai"
    api_key_env: str = ""


@dataclass(frozen=True, slots=True)
class SpaceUse:
    """That a collection uses a space. `revision` of the collection and time (`since`) gave it this role."""

    space: Space
    role: SpaceRole
    recipe: Recipe
    revision: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space of a collection as `KnowledgeBase.spaces` tells it. `recorded` is False for the one that the settings
    name and that holds nothing yet."""

    collection: str
    space: str
    role: SpaceRole
    recipe: Recipe
    chunks: int
    embedded: int
    waiting: int
    revision: int
    since: float
    recorded: bool


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache holds now, and what became of it since the process began."""

    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


FileState = Literal["added", "updated", "unchanged", "failed", "skipped", "removed"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one source. `reason` and `code` (an error class's code) are set when failed or skipped."""

    uri: str
    state: FileState
    chunks_added: int = 0
    chunks_removed: int = 0
    characters: int = 0
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Everything reported here as added, updated or removed is durable and searchable."""

    files: tuple[FileReport, ...]
    bytes_read: int
    seconds: float
    revision: int

    def count(self, state: FileState) -> int:
        return sum(1 for f in self.files if f.state == state)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of long work. `total` is None while it is not known."""

    stage: Literal[
        "discover", "read", "store", "embed", "index", "rebuild", "verify", "export", "import",
        "backup", "restore", "check", "stress", "eval", "bench", "drop", "compare", "learn", "graph", "deepen",
    ]  # fmt: skip
    done: int
    total: int | None
    item: str = ""
    state: str = ""


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    name: str
    documents: int
    chunks: int
    characters: int
    revision: int
    embedded: int
    waiting: int
    space: str
    languages: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`problems` is empty exactly when store and derived indexes agree. `checked` counts by kind."""

    checked: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent, at `path`; `uri` names its document, `media_type` is what the sender says it is."""

    path: Path
    uri: str
    media_type: str = ""


JobState = Literal["queued", "running", "done", "failed", "cancelled"]
"""`queued`: waits, for its first attempt or for the next. `failed`: given up, kept to be looked at and run again."""
ENDED: Final = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is: `done` of `total` (None: nobody knows) in the present stage."""

    stage: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why an attempt ended without a result. `code` is that of the error, or `WorkerDied`, `Cancelled`."""

    code: str
    message: str
    hint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """Work that was promised. `payload` and `result` are JSON objects; `files` names uploads that it needs. `version`
    rises with every change of any job. `not_before`: when the next attempt is due. `attempts` were begun,
    `losses` of them ended because their worker died. `failures`: the reasons, the last ones last."""

    id: str
    number: int
    tenant: str
    kind: str
    state: JobState
    priority: int
    payload: Mapping[str, Any]
    files: tuple[str, ...]
    progress: JobProgress
    result: Mapping[str, Any] | None
    failures: tuple[JobFailure, ...]
    created: float
    started: float | None
    ended: float | None
    not_before: float
    attempts: int
    losses: int
    worker: str
    cancelling: bool
    version: int


@dataclass(frozen=True, slots=True)
class JobLease:
    """The right to work on a job until another worker has it: `fence` is larger in each later lease of the job."""

    job: Job
    worker: str
    fence: int
    seconds: float
