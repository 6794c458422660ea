"""The JSON that `--json` prints. `docs/json.md` is generated from the types below and the tests hold outputs to them.

A field is added without notice; one that goes or changes its meaning raises SCHEMA_VERSION. Offsets count Unicode
code points of the document's text, pages and lines count from 1, times are POSIX seconds, timings milliseconds.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from ..graph_records import RECORDS as GRAPH_RECORDS
from ..learn_records import IntentRecord, LearnRecord, TrajectoryRecord
from ..memory_records import ForgetRecord as ForgetRecord
from ..memory_records import MemoryStatsRecord, ProjectsRecord, RecallRecord, RememberRecord, TimelineRecord
from ..records import SCHEMA_VERSION as SCHEMA_VERSION
from ..records import AnswerRecord as AnswerRecord
from ..records import CollectionRecord as CollectionRecord
from ..records import DocumentRecord as DocumentRecord
from ..records import SearchRecord as SearchRecord
from ..records import answer_record as answer_record
from ..records import collection_record as collection_record
from ..records import document_record as document_record
from ..records import search_record as search_record
from ..types import FileReport, IngestReport, ModelStatus
from .chat_records import ChatCommandRecord, ChatRecord, ChatSessionsRecord


class ErrorDetail(TypedDict):
    code: Annotated[str, "class of the error (errors.py), `UsageError` or `Interrupted`"]
    message: Annotated[str, "what happened"]
    hint: Annotated[str, "what to do about it; may be empty"]
    exit_code: Annotated[int, "the process's exit code"]


class ErrorRecord(TypedDict):
    """Any command that fails, on stderr."""

    schema_version: int
    error: ErrorDetail


class FileRecord(TypedDict):
    uri: str
    state: Annotated[str, "added, updated, unchanged, failed, skipped or removed"]
    chunks_added: int
    chunks_removed: int
    characters: int
    reason: Annotated[str, "why it failed or was skipped"]
    code: Annotated[str, "class of the error (errors.py)"]


class IngestRecord(TypedDict):
    """`add`, `sync`, and a line for each group of changes of `watch`."""

    schema_version: int
    collection: Annotated[str | None, "null: all"]
    files: list[FileRecord]
    counts: Annotated[dict[str, int], "files by state"]
    embedded: Annotated[int, "chunks that got a vector in this run"]
    bytes: Annotated[int, "bytes read"]
    seconds: Annotated[float, "until all was durable and searchable; embedding is not in it"]
    revision: int


class ListRecord(TypedDict):
    """`list`."""

    schema_version: int
    documents: list[DocumentRecord]


class ShowRecord(TypedDict):
    """`show`. `text` is the whole text, or what `--page` or `--span` chose, from `start` to `end`."""

    schema_version: int
    document: DocumentRecord
    start: int
    end: int
    text: str


class RemoveRecord(TypedDict):
    """`remove`."""

    schema_version: int
    collection: str
    removed: Annotated[list[str], "uris; with --all, the collection's"]


class StatusRecord(TypedDict):
    """`status`."""

    schema_version: int
    folder: str
    bytes: Annotated[int, "of the whole data folder on disk"]
    state: Annotated[str, "`writable`, or `read-only: ` and why"]
    collections: list[CollectionRecord]
    segments: Annotated[
        dict[str, list[dict[str, str | int]]],
        "sealed index files by collection: kind, space, name, rows, bytes, how it is searched (search) and why",
    ]
    roots: Annotated[dict[str, list[str]], "folders that `sync` follows, by collection"]
    caches: Annotated[
        dict[str, dict[str, float]],
        "entries and bytes of each cache; for those of this process (results, answers) also hits, misses, evictions "
        "and hit_rate",
    ]
    memory_mb: Annotated[float, "resident memory of this process"]


class VerifyRecord(TypedDict):
    """`verify`. Exit code 5 where there are problems."""

    schema_version: int
    clean: bool
    checked: Annotated[dict[str, int], "how many of each kind were compared"]
    problems: list[str]


class TransferRecord(TypedDict):
    """`export` and `import`."""

    schema_version: int
    path: str
    documents: int
    embedded: Annotated[int, "chunks that got a vector after an import"]


class DoneRecord(TypedDict):
    """`rebuild`."""

    schema_version: int
    seconds: float


class PurgeRecord(TypedDict):
    """`purge`."""

    schema_version: int
    freed: Annotated[int, "bytes by which the data folder shrank"]
    bytes: Annotated[int, "of the whole data folder on disk"]
    seconds: float


class BackupRecord(TypedDict):
    """`backup`."""

    schema_version: int
    path: str
    generation: Annotated[int, "number of the new generation"]
    bytes: Annotated[int, "what a restore gives back: database and index files"]
    stored: Annotated[int, "bytes that were new"]
    generations: Annotated[list[int], "those that are there now, rising"]
    removed: Annotated[list[int], "those that were too old"]
    seconds: float


class GenerationRecord(TypedDict):
    generation: int
    created: Annotated[float, "seconds since 1970 (UTC)"]
    bytes: Annotated[int, "what a restore gives back: database and index files"]
    schema: Annotated[int, "number of the database's schema"]
    version: Annotated[str, "of Ragstone, that wrote it"]
    problems: Annotated[list[str], "what is wrong with it; looked for with --check only"]


class BackupsRecord(TypedDict):
    """`backup --list`, and with `--check` what is wrong. Exit code 5 where a generation is damaged."""

    schema_version: int
    path: str
    generations: list[GenerationRecord]
    unreadable: Annotated[list[int], "generations whose manifest is damaged"]


class RestoreRecord(TypedDict):
    """`restore`."""

    schema_version: int
    path: str
    folder: Annotated[str, "the data folder"]
    generation: int
    created: Annotated[float, "seconds since 1970 (UTC)"]
    bytes: int
    documents: int
    seconds: float


class ModelsRecord(TypedDict):
    """`models list`, or `models` alone."""

    schema_version: int
    models: Annotated[list[dict[str, object]], "one object for each known embedding model"]


class LanguageModelRecord(TypedDict):
    name: str
    kind: Annotated[str, "gguf (a process of Ragstone's own) or ollama"]
    loaded: bool
    size: Annotated[int, "bytes of the weights"]
    ram: Annotated[int, "bytes it takes while loaded"]
    vram: Annotated[int, "bytes of a GPU's memory"]
    context: Annotated[int, "window of one call in tokens; 0: not known before it is loaded"]
    slots: Annotated[int, "calls it works on at once"]
    last_used: float | None
    expires: Annotated[float | None, "when it is unloaded unless it is used"]
    load_seconds: Annotated[float | None, "what loading took the last time"]
    conversations: Annotated[int, "conversations that have a slot now"]
    calls: Annotated[int, "since it was loaded"]
    prompt_tokens: Annotated[int, "tokens of their prompts"]
    cached_tokens: Annotated[int, "of these, tokens that had been computed before"]
    hit_rate: Annotated[float, "cached_tokens / prompt_tokens"]
    saved: Annotated[int, "bytes of conversations on the disk"]


class ModelStatusRecord(TypedDict):
    """`models status`."""

    schema_version: int
    models: list[LanguageModelRecord]


class PreloadedRecord(TypedDict):
    name: str
    seconds: Annotated[float, "of loading; 0: it was loaded"]


class PreloadRecord(TypedDict):
    """`models preload`."""

    schema_version: int
    models: list[PreloadedRecord]


class SettingRecord(TypedDict):
    key: str
    value: Annotated[object, "secrets that are set are shown as ***"]
    origin: Annotated[str, '"default", "FILE: section.key", "environment NAME" or "flag"']


class ConfigRecord(TypedDict):
    """`config show`."""

    schema_version: int
    file: Annotated[str | None, "the TOML file that was read"]
    settings: list[SettingRecord]


class PathRecord(TypedDict):
    """`config path` and `config init`."""

    schema_version: int
    path: Annotated[str | None, "null: no settings file is in force"]


class CheckRecord(TypedDict):
    name: str
    state: Annotated[str, "ok, note, mended or failed"]
    detail: str
    hint: str


class DoctorRecord(TypedDict):
    """`doctor`. Exit code 1 where a check failed."""

    schema_version: int
    checks: list[CheckRecord]


class LatencyRecord(TypedDict):
    p50: float
    p95: float


class SpaceRecord(TypedDict):
    collection: str
    space: Annotated[str, "id: model, revision, dimension, normalisation, prefix, quantisation"]
    role: Annotated[str, "active, preferred, building, kept or dropping"]
    model: Annotated[str, "name of the model"]
    source: Annotated[str, "path or address of the model, or packaged, or given (by a program)"]
    chunks: Annotated[int, "of the collection"]
    embedded: Annotated[int, "chunks with a vector in this space"]
    waiting: Annotated[int, "chunks without one"]
    revision: Annotated[int, "of the collection, that gave the space its role"]
    since: float
    recorded: Annotated[bool, "false: the space of the settings, in which nothing was embedded yet"]


class SpacesRecord(TypedDict):
    """`spaces list`, `add`, `switch`, `rollback`, `prefer`, `drop`: the spaces as they are now, the active first."""

    schema_version: int
    spaces: list[SpaceRecord]


FiguresRecord = TypedDict("FiguresRecord", {"ndcg@10": float, "recall@10": float, "recall@100": float, "mrr": float})


class JudgedRecord(TypedDict):
    questions: Annotated[int, "with at least one relevant document"]
    old: FiguresRecord
    new: FiguresRecord
    difference: Annotated[float, "of nDCG@10, new - old"]
    low: Annotated[float, "95 % interval of the difference"]
    high: float


ComparedRecord = TypedDict(
    "ComparedRecord",
    {
        "overlap@10": Annotated[float, "share of the first ten hits that both spaces give"],
        "agreement@10": Annotated[float, "mean overlap at the depths 1 to 10"],
        "least_agreeing": Annotated[list[str], "questions whose hits differ most"],
        "judged": Annotated[JudgedRecord | None, "null without judgments"],
    },
)


class JudgeRecord(TypedDict):
    """`spaces judge`."""

    schema_version: int
    collection: str
    old: Annotated[str, "id of the active space"]
    new: Annotated[str, "id of the space that is compared with it"]
    questions: int
    waiting: Annotated[int, "chunks without a vector in the new space"]
    latency_ms: Annotated[dict[str, LatencyRecord], "of a new question, by space"]
    modes: Annotated[dict[str, ComparedRecord], "dense and hybrid"]
    recommendation: str


ModeRecord = TypedDict(
    "ModeRecord",
    {
        "ndcg@10": float,
        "recall@10": float,
        "recall@100": float,
        "mrr": float,
        "latency_ms": LatencyRecord,
        "stage_p50_ms": dict[str, float],
    },
)


class MeasuredRecord(TypedDict):
    """What every measurement says of itself."""

    schema_version: int
    version: str
    commit: str
    time: Annotated[int, "POSIX seconds"]
    machine: Annotated[dict[str, str | int | float], "processor, cores, memory_gb, system, python"]


class EvaluationRecord(MeasuredRecord):
    """`eval DIR`."""

    corpus: Annotated[str, "folder and file name"]
    questions: Annotated[str, "file name"]
    queries: Annotated[int, "questions with at least one relevant document"]
    documents: int
    chunks: int
    space: str
    seconds: Annotated[dict[str, float], "until searchable, until embedded"]
    modes: Annotated[dict[str, ModeRecord], "lexical, dense and hybrid"]


class NamesRecord(TypedDict):
    texts: int
    characters: int
    seconds: Annotated[float, "of one core, for the whole extraction"]
    marked: Annotated[int, "names that were marked"]
    found: Annotated[int, "names that were found"]
    precision: Annotated[float, "of spans with the same start and end, whatever their type"]
    recall: float
    f1: float


class RelatedRecord(TypedDict):
    texts: int
    characters: int
    seconds: float
    related: Annotated[int, "pairs of entities that were marked as related, direction and label aside"]
    recall: Annotated[float, "share of them that an edge joins"]
    recall_labelled: Annotated[float, "share of them that an edge with a label joins"]
    entities_found: Annotated[float, "share of the marked entities with a node"]
    per_text: Annotated[
        dict[str, float],
        "nodes, edges, labelled_edges; marked entities, entity_pairs (all there could be), those of them that are "
        "joined (entity_pairs_joined) and related",
    ]


class GraphEvaluationRecord(MeasuredRecord):
    """`eval graph DIR`."""

    extractor: Annotated[str, "version of the extraction"]
    folder: str
    mentions: Annotated[dict[str, NamesRecord], "by file"]
    relations: Annotated[dict[str, RelatedRecord], "by file, where relations are marked"]


class MatchRecord(TypedDict):
    threshold: float
    precision: float
    recall: float
    f1: float


class MatchedSetRecord(TypedDict):
    set: Annotated[str, "folder"]
    records: int
    pairs: int
    same: Annotated[int, "pairs that match"]
    precision: float
    recall: float
    f1: float
    supervised: Annotated[float | None, "F1 of Ditto, trained on this set; null: another set"]
    curve: list[MatchRecord]


class MatchedMeanRecord(TypedDict):
    precision: float
    recall: float
    f1: float
    curve: list[MatchRecord]


class LeftOutRecord(TypedDict):
    precision: float
    recall: float
    f1: float
    curve: list[MatchRecord]
    sets: dict[str, dict[str, float]]
    weights: Annotated[dict[str, dict[str, float]], "learned without the set"]


class EntitiesRecord(MeasuredRecord):
    """`eval entities`."""

    space: str
    part: Annotated[str, "train, valid or test"]
    threshold: float
    sets: list[MatchedSetRecord]
    mean: Annotated[MatchedMeanRecord, "over sets"]
    left_out: Annotated[LeftOutRecord | None, "with weights learned from the other sets' train pairs; null: not asked"]


class AnswersRecord(MeasuredRecord):
    """`eval answers`."""

    set: Annotated[str, "folder and file name"]
    questions: int
    answerable: int
    answered: Annotated[float | None, "share of answerable questions that were answered"]
    grounded: Annotated[float | None, "share of answerable questions whose cited spans contain a gold answer"]
    citations_per_answer: float | None
    unanswerable: int
    refused: Annotated[float | None, "share of unanswerable questions that were not answered"]
    latency_ms: LatencyRecord
    missed: Annotated[list[str], "ids of answerable questions without a gold answer in the cited spans"]


class BenchRecord(TypedDict):
    """`bench run`."""

    schema_version: int
    version: str
    commit: Annotated[str, "of the checkout, or empty"]
    time: int
    machine: Annotated[dict[str, str | int | float], "processor, cores, memory_gb, system, python"]
    chunks: Annotated[int, "chunks of the searched collection"]
    scenarios: Annotated[dict[str, dict[str, object]], "figures by part; the last word of a name is the unit"]


class ComparisonRow(TypedDict):
    name: str
    old: float
    new: float
    change: Annotated[float, "(new - old) / old"]
    regressed: bool


class ComparisonRecord(TypedDict):
    """`bench compare`. Exit code 1 where a figure regressed."""

    schema_version: int
    tolerance: float
    regressed: bool
    rows: list[ComparisonRow]


class StressFailureRecord(TypedDict):
    seed: int
    cycle: Annotated[int, "`--seed` and `--only-cycle` repeat it"]
    what: Annotated[str, "the fault that was made"]
    problems: Annotated[list[str], "what did not hold afterwards"]


class StressRecord(TypedDict):
    """`stress`. Exit code 1 where a cycle failed."""

    schema_version: int
    test: Annotated[str, "crash, power, disk, flip, multi, churn, budget, jobs, api, tenants or mcp"]
    seed: int
    cycles: Annotated[int, "that ran"]
    seconds: float
    figures: Annotated[dict[str, float], "what happened, by name"]
    failures: list[StressFailureRecord]
    folder: Annotated[str | None, "the data, where it was kept"]


class StandingRecord(TypedDict):
    budget: Annotated[str, "as in settings and in `budget set`: `month`, `team sales day`"]
    scope: Annotated[str, "all, team, person or key"]
    name: Annotated[str, "of the team, person or key; `*`: each that has none of its own; empty for all"]
    period: Annotated[str, "day or month"]
    of: Annotated[str, "the day or month that runs, in UTC: 2026-11-21 or 2026-11"]
    limit: Annotated[float | None, "US dollars; null: it only counts"]
    source: Annotated[str, "where the limit is from: settings, set (`budget set`), or empty"]
    spent: Annotated[float, "US dollars"]
    held: Annotated[float, "reserved for calls that run"]
    lost: Annotated[float, "counted as used because a power cut took the record of it"]
    left: Annotated[float | None, "US dollars; null: no limit"]
    renews: Annotated[float, "POSIX seconds"]


class BudgetRecord(TypedDict):
    """`budget show`, and `budget set` after it wrote."""

    schema_version: int
    budgets: list[StandingRecord]


class SpentRecord(TypedDict):
    group: Annotated[str, "day, month, model …, by `--by`; empty: nobody's"]
    calls: int
    refused: Annotated[int, "calls that a budget refused"]
    prompt_tokens: int
    cached_tokens: Annotated[int, "of the prompt tokens"]
    completion_tokens: int
    cost: Annotated[float, "US dollars"]
    uncertain: Annotated[float, "of the cost: charged at its bound, because nobody knows what was used"]


class BudgetHistoryRecord(TypedDict):
    """`budget history`."""

    schema_version: int
    by: str
    since: Annotated[str, "first day, UTC"]
    groups: list[SpentRecord]


class CompareRecord(TypedDict):
    """`compare run` and `compare report`; report.json holds the same without `schema_version`."""

    schema_version: int
    version: str
    commit: Annotated[str, "of the checkout, or empty"]
    time: Annotated[int, "when it began, POSIX seconds"]
    machine: Annotated[dict[str, str | int | float], "processor, cores, memory_gb, system, python"]
    sets: Annotated[list[str], "where the questions are from"]
    setup: Annotated[dict[str, object], "models, repeats, seed, max_tokens, passages, threads, prompts (a hash)"]
    complete: Annotated[bool, "false: interrupted, some answers are missing"]
    answers: Annotated[int, "that count: of questions that every model has answered or failed on in that round"]
    rated: Annotated[bool, "whether quality is people's ratings, not automatic scores"]
    questions: Annotated[list[dict[str, object]], "id, question, tier, language; by model the answer and its scores"]
    models: Annotated[
        list[dict[str, object]],
        "by model: quality (mean, low, high), automatic scores, ratings, first token, tokens/s, seconds, load, switch, "
        "memory, cpu, failures, quality by tier and language; seconds and bytes",
    ]
    pairs: Annotated[list[dict[str, object]], "head to head: wins, losses, ties, rate with a 95 % interval"]
    decision: Annotated[dict[str, object], "weights, points of each model by criterion, totals with intervals"]
    recommendation: Annotated[dict[str, object], "decided, best, and the text"]
    before: Annotated[list[dict[str, object]] | None, "with --before: figures before and after"]
    before_origin: Annotated[dict[str, object] | None, "commit, time, machine and setup of the older report"]


class RateRecord(TypedDict):
    """`compare rate`."""

    schema_version: int
    rater: str
    rated: Annotated[int, "answers this rater has rated"]
    answers: Annotated[int, "answers there are to rate"]


class ProfileRecord(TypedDict):
    """`profile`."""

    schema_version: int
    file: Annotated[str, "the flame graph"]
    seconds: float
    samples: Annotated[int, "stacks of threads that did something"]
    top: Annotated[list[dict[str, object]], "name and samples of the functions that were seen innermost most often"]


class DemoRecord(TypedDict):
    """`demo`."""

    schema_version: int
    ingest: IngestRecord
    answers: list[AnswerRecord]


class ServeRecord(TypedDict):
    """`serve`, once it listens."""

    schema_version: int
    url: Annotated[str, "address of the page; on loopback it signs the browser in"]
    token_file: Annotated[str, "file with the token for programs; empty off loopback"]


class KeyRecord(TypedDict):
    id: str
    name: str
    tenant: str
    scopes: list[str]
    created: float
    expires: float | None
    used: Annotated[float | None, "to half a minute"]
    revoked: float | None


class KeysRecord(TypedDict):
    """`keys list`, `create` and `revoke`."""

    schema_version: int
    keys: list[KeyRecord]
    key: Annotated[str, "the new key itself, shown this once; else empty"]


class TenantRecord(TypedDict):
    id: str
    name: str
    created: float


class TenantsRecord(TypedDict):
    """`tenants list`, `create` and `remove`."""

    schema_version: int
    tenants: list[TenantRecord]


class MergingPoint(TypedDict):
    merged: int
    unjudged: Annotated[int, "merges of which nobody has said whether they are right; in no other count"]
    precision: float | None
    recall: float | None


class MergingCurvePoint(MergingPoint):
    threshold: Annotated[float, "similarity from which on something repeats"]


class MergingRecord(MeasuredRecord):
    """`eval merging`."""

    sets: Annotated[list[str], "folder and file name"]
    items: int
    repetitions: int
    threshold: Annotated[float, "the default one"]
    curve: list[MergingCurvePoint]
    all: Annotated[MergingPoint, "at the default threshold"]
    held_out: Annotated[MergingPoint, "of the half that the likeness was not fitted on"]


class MemoryEvaluationRecord(MeasuredRecord):
    """`eval memory`."""

    set: Annotated[str, "folder name"]
    turns: int
    items: int
    merged: int
    questions: Annotated[int, "with evidence among what was said"]
    by_kind: Annotated[dict[str, dict[str, float]], "questions, ndcg@10, recall@10 by the set's kind of question"]
    by_conversation: Annotated[dict[str, dict[str, float]], "the same by conversation"]
    unanswerable: int
    answerable_auc: Annotated[float | None, "null: the set has no question without an answer"]
    latency_ms: Annotated[dict[str, float], "p50 and p95 of a recall without embedding the question"]


class HopsRecord(MeasuredRecord):
    """`eval hops`."""

    set: Annotated[str, "folder name"]
    questions: Annotated[int, "with evidence"]
    recall: Annotated[
        dict[str, dict[str, dict[str, dict[str, float]]]],
        "recall@10 by mode (hybrid, mixed, graph), kind of question and part (all, tune, held): questions, recall",
    ]
    stage_ms: Annotated[dict[str, float], "p50 and p95 of what mixed adds to hybrid"]


RECORDS: tuple[type, ...] = (
    SearchRecord,
    AnswerRecord,
    ChatRecord,
    ChatCommandRecord,
    ChatSessionsRecord,
    IngestRecord,
    ListRecord,
    ShowRecord,
    RemoveRecord,
    LearnRecord,
    IntentRecord,
    TrajectoryRecord,
    RememberRecord,
    RecallRecord,
    ForgetRecord,
    TimelineRecord,
    ProjectsRecord,
    MemoryStatsRecord,
    *GRAPH_RECORDS,
    StatusRecord,
    VerifyRecord,
    DoneRecord,
    TransferRecord,
    PurgeRecord,
    BackupRecord,
    BackupsRecord,
    RestoreRecord,
    ModelsRecord,
    ConfigRecord,
    PathRecord,
    DoctorRecord,
    EvaluationRecord,
    MemoryEvaluationRecord,
    HopsRecord,
    MergingRecord,
    GraphEvaluationRecord,
    EntitiesRecord,
    AnswersRecord,
    BenchRecord,
    ComparisonRecord,
    StressRecord,
    BudgetRecord,
    BudgetHistoryRecord,
    CompareRecord,
    RateRecord,
    ProfileRecord,
    DemoRecord,
    ServeRecord,
    KeysRecord,
    TenantsRecord,
    ErrorRecord,
)


def ingest_record(report: IngestReport, collection: str | None, embedded: int) -> IngestRecord:
    counts: dict[str, int] = {}
    for file in report.files:
        counts[file.state] = counts.get(file.state, 0) + 1
    return {
        "schema_version": SCHEMA_VERSION,
        "collection": collection,
        "files": [_file(f) for f in report.files],
        "counts": counts,
        "embedded": embedded,
        "bytes": report.bytes_read,
        "seconds": report.seconds,
        "revision": report.revision,
    }


def _file(file: FileReport) -> FileRecord:
    return {
        "uri": file.uri,
        "state": file.state,
        "chunks_added": file.chunks_added,
        "chunks_removed": file.chunks_removed,
        "characters": file.characters,
        "reason": file.reason,
        "code": file.code,
    }


def model_record(status: ModelStatus) -> LanguageModelRecord:
    return {
        "name": status.name,
        "kind": status.kind,
        "loaded": status.loaded,
        "size": status.size,
        "ram": status.ram,
        "vram": status.vram,
        "context": status.context,
        "slots": status.slots,
        "last_used": status.last_used,
        "expires": status.expires,
        "load_seconds": status.load_seconds,
        "conversations": status.conversations,
        "calls": status.calls,
        "prompt_tokens": status.prompt_tokens,
        "cached_tokens": status.cached_tokens,
        "hit_rate": status.hit_rate,
        "saved": status.saved,
    }


class JobProgressRecord(TypedDict):
    stage: str
    done: int
    total: Annotated[int | None, "null: nobody knows"]
    note: str


class JobFailureRecord(TypedDict):
    code: Annotated[str, "class of the error (errors.py), `WorkerDied` or `Cancelled`"]
    message: str
    hint: str
    at: float


class JobDetail(TypedDict):
    id: str
    tenant: str
    kind: Annotated[str, "ingest, texts, remove, rebuild, space, graph or purge"]
    state: Annotated[str, "queued, running, done, failed or cancelled"]
    cancelling: Annotated[bool, "true: it runs, and its worker was told to end"]
    priority: int
    created: float
    started: Annotated[float | None, "the last attempt"]
    ended: float | None
    not_before: Annotated[float, "when the next attempt is due; 0: at once"]
    attempts: int
    losses: Annotated[int, "times that its worker died"]
    progress: JobProgressRecord
    failures: list[JobFailureRecord]
    result: Annotated[dict[str, object] | None, "what was done, by kind; `files` are as in `add`"]


class JobRecord(TypedDict):
    """`jobs show`, `jobs cancel` and `jobs retry`."""

    schema_version: int
    job: JobDetail


class JobsRecord(TypedDict):
    """`jobs list`; `jobs work` tells what it did."""

    schema_version: int
    jobs: list[JobDetail]
    counts: Annotated[dict[str, int], "jobs by state"]


class LoadRecord(TypedDict):
    """`stress load`. Exit code 1 where an answer was an error."""

    schema_version: int
    rate: Annotated[float, "requests due in a second"]
    seconds: Annotated[float, "until the last answer"]
    mix: Annotated[list[float], "weights of search, ask and upload"]
    fresh: bool
    machine_load: Annotated[list[float], "of the machine that sends, mean of a minute: at the beginning and the end"]
    statuses: Annotated[dict[str, int], "answers by status; `none`: no answer"]
    figures: Annotated[dict[str, dict[str, float]], "by kind of request; latencies in milliseconds since it was due"]
    by_second: Annotated[list[dict[str, float]], "the same of the requests that were due in each second"]
