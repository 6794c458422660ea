"""The JSON of memory, as the command line prints it and servers send it. Times are POSIX seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

from .memory_types import MemoryItem, MemoryStatistics, Project, Recall, Remembered
from .records import SCHEMA_VERSION


class MemorySourceRecord(TypedDict):
    collection: str
    uri: str
    start: Annotated[int, "offset of the span's first character in the document's text"]
    end: Annotated[int, "offset after its last character"]


class MemoryItemRecord(TypedDict):
    id: str
    kind: Annotated[str, "fact, episode or knowledge"]
    type: Annotated[str, "of knowledge: decision, fact, pattern, problem, solution, preference or question; else empty"]
    text: str
    project: Annotated[str, "empty: the general one"]
    key: Annotated[str, "of a fact"]
    value: Annotated[str, "of a fact"]
    at: Annotated[float, "when it happened or was said"]
    valid_from: float
    valid_to: Annotated[float | None, "null: it holds"]
    who: str
    participants: list[str]
    outcome: str
    confidence: Annotated[float, "0 to 1"]
    intent: str
    sources: list[MemorySourceRecord]
    told: Annotated[int, "how often it was told; repetitions are merged"]
    told_at: Annotated[float, "when it was told last"]
    state: Annotated[str, "valid, replaced, contradicted or stale"]
    replaced_by: Annotated[str, "id of the item with the next value of the key"]
    contradicts: Annotated[list[str], "ids of items that say the contrary"]
    created: float
    changed: float


class RememberRecord(TypedDict):
    """`remember`."""

    schema_version: int
    outcome: Annotated[str, "added, merged, replaced (the key had another value) or unchanged"]
    similarity: Annotated[float, "of what it was merged into; 0 where it was not"]
    contradicted: Annotated[list[str], "ids of items that no longer hold because of it"]
    item: MemoryItemRecord


class RecallHitRecord(TypedDict):
    rank: Annotated[int, "from 1"]
    score: Annotated[float, "what the order follows, 0 to 1"]
    why: Annotated[dict[str, float], "parts of the score: words, meaning, neighbours, session, who, time, fresh"]
    item: MemoryItemRecord


class RecallRecord(TypedDict):
    """`recall`."""

    schema_version: int
    question: str
    hits: list[RecallHitRecord]
    since: Annotated[float | None, "what the question's time words were understood as"]
    until: float | None
    answerable: Annotated[float, "how likely memory holds what is asked for, 0 to 1"]
    timings: Annotated[dict[str, float], "milliseconds by stage"]
    notes: list[str]


class ForgetRecord(TypedDict):
    """`forget`."""

    schema_version: int
    forgotten: Annotated[int, "items"]


class TimelineRecord(TypedDict):
    """`timeline` and `memory history`: newest first."""

    schema_version: int
    items: list[MemoryItemRecord]


class ProjectRecord(TypedDict):
    name: Annotated[str, "empty: the general one"]
    items: int
    created: float
    archived: bool
    current: bool


class ProjectsRecord(TypedDict):
    """`memory projects`, `memory create`, `memory switch` and `memory archive`."""

    schema_version: int
    projects: list[ProjectRecord]


class MemoryStatsRecord(TypedDict):
    """`memory stats`."""

    schema_version: int
    items: int
    by_kind: dict[str, int]
    by_type: dict[str, int]
    by_state: dict[str, int]
    told: Annotated[int, "everything that was told"]
    merged: Annotated[int, "of it, what repeated something"]
    stale: Annotated[float, "share of items"]
    contradictions: Annotated[int, "pairs"]
    projects: int
    recalls: Annotated[int, "questions of this process"]
    found: Annotated[int, "of them, those that memory is likely to answer"]
    hit_rate: float | None
    bytes: Annotated[int, "of texts, vectors and rows"]


def item_record(item: MemoryItem) -> MemoryItemRecord:
    return {
        "id": item.id, "kind": item.kind, "type": item.type, "text": item.text, "project": item.project,
        "key": item.key, "value": item.value, "at": item.at, "valid_from": item.valid_from, "valid_to": item.valid_to,
        "who": item.who, "participants": list(item.participants), "outcome": item.outcome,
        "confidence": item.confidence, "intent": item.intent,
        "sources": [{"collection": s.collection, "uri": s.uri, "start": s.start, "end": s.end} for s in item.sources],
        "told": item.told, "told_at": item.told_at, "state": item.state, "replaced_by": item.replaced_by,
        "contradicts": list(item.contradicts), "created": item.created, "changed": item.changed,
    }  # fmt: skip


def remember_record(told: Remembered) -> RememberRecord:
    return {
        "schema_version": SCHEMA_VERSION, "outcome": told.outcome, "similarity": told.similarity,
        "contradicted": list(told.contradicted), "item": item_record(told.item),
    }  # fmt: skip


def recall_record(found: Recall) -> RecallRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "question": found.question,
        "hits": [
            {"rank": rank, "score": hit.score, "why": dict(hit.why), "item": item_record(hit.item)}
            for rank, hit in enumerate(found.hits, 1)
        ],
        "since": found.since,
        "until": found.until,
        "answerable": found.answerable,
        "timings": dict(found.timings),
        "notes": list(found.notes),
    }


def timeline_record(items: Sequence[MemoryItem]) -> TimelineRecord:
    return {"schema_version": SCHEMA_VERSION, "items": [item_record(item) for item in items]}


def projects_record(projects: Sequence[Project]) -> ProjectsRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "projects": [
            {"name": p.name, "items": p.items, "created": p.created, "archived": p.archived, "current": p.current}
            for p in projects
        ],
    }


def memory_stats_record(counts: MemoryStatistics) -> MemoryStatsRecord:
    return {
        "schema_version": SCHEMA_VERSION, "items": counts.items, "by_kind": dict(counts.by_kind),
        "by_type": dict(counts.by_type), "by_state": dict(counts.by_state), "told": counts.told,
        "merged": counts.merged, "stale": counts.stale, "contradictions": counts.contradictions,
        "projects": counts.projects, "recalls": counts.recalls, "found": counts.found, "hit_rate": counts.hit_rate,
        "bytes": counts.bytes,
    }  # fmt: skip
