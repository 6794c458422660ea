"""Memory: what people and agents told, found again. A request names its project; none is the current one here, so that
two clients never move each other."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...errors import InputError, NotFound
from ...knowledge_base import KnowledgeBase
from ...memory.items import MOST_CHARACTERS, MOST_CONTEXT, MOST_NAME
from ...memory_records import (
    ForgetRecord,
    MemoryItemRecord,
    MemoryStatsRecord,
    ProjectsRecord,
    RecallRecord,
    RememberRecord,
    TimelineRecord,
    item_record,
    memory_stats_record,
    projects_record,
    recall_record,
    remember_record,
    timeline_record,
)
from ...memory_types import GENERAL, Kind, NewItem, SourceSpan, Type
from ..operations import Call, Operation, Reply
from ..wire import Text
from .uploads import idempotency_key, room

MOST_ITEMS: Final = 1_000
"""Told in one request."""

Label = Annotated[str, Meta(max_length=MOST_NAME)]
ProjectName = Annotated[str, Meta(max_length=MOST_NAME, description="empty: the general one")]
Seconds = Annotated[float, Meta(ge=-1e11, le=1e11, description="POSIX seconds")]
Now = Annotated[float, Meta(ge=0, le=1e10)]
Offset = Annotated[int, Meta(ge=0, le=1 << 40)]
Long = Annotated[str, Meta(max_length=MOST_CHARACTERS)]


class SourceBody(Struct, forbid_unknown_fields=True):
    """Where it stands: a span of a document of a collection, or of anything with a name (collection empty)."""

    uri: Annotated[str, Meta(min_length=1, max_length=2_048)]
    collection: Annotated[str, Meta(max_length=128)] = ""
    start: Offset = 0
    end: Offset = 0


class ItemBody(Struct, forbid_unknown_fields=True):
    """A fact has `key` and `value`; everything else a `text`."""

    text: Long = ""
    kind: Kind = "knowledge"
    type: Type = "fact"
    key: Label = ""
    value: Long = ""
    project: ProjectName = GENERAL
    at: Seconds | None = None
    who: Label = ""
    participants: Annotated[list[Label], Meta(max_length=100)] = []
    outcome: Annotated[str, Meta(max_length=MOST_CHARACTERS)] = ""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0
    intent: Label = ""
    sources: Annotated[list[SourceBody], Meta(max_length=100)] = []
    context: Annotated[str, Meta(max_length=MOST_CONTEXT, description="what was said just before")] = ""
    idempotency_key: Label = ""

    def item(self, key: str) -> NewItem:
        return NewItem(
            self.text, self.kind, self.type, self.key, self.value, self.project, self.at, self.who,
            tuple(self.participants), self.outcome, self.confidence, self.intent,
            tuple(SourceSpan(s.collection, s.uri, s.start, s.end) for s in self.sources), self.context,
            self.idempotency_key or key,
        )  # fmt: skip


class ItemsBody(Struct, forbid_unknown_fields=True):
    items: Annotated[list[ItemBody], Meta(min_length=1, max_length=MOST_ITEMS)]


class RememberedMany(TypedDict):
    items: Annotated[list[RememberRecord], "in the order they were told"]


class RecallBody(Struct, forbid_unknown_fields=True):
    question: Text
    k: Annotated[int, Meta(ge=1, le=100)] = 10
    kinds: Annotated[list[Kind], Meta(max_length=3)] = []
    types: Annotated[list[Type], Meta(max_length=7)] = []
    project: ProjectName = GENERAL
    all_projects: Annotated[bool, Meta(description="that are not archived")] = False
    since: Seconds | None = None
    until: Seconds | None = None
    now: Annotated[Now | None, Meta(description='what "last week" counts from')] = None
    history: Annotated[bool, Meta(description="also what no longer holds")] = False


class ForgetBody(Struct, forbid_unknown_fields=True):
    """All that fits everything that is given. Without `project`, of the general one."""

    project: ProjectName | None = None
    all_projects: bool = False
    kinds: Annotated[list[Kind], Meta(max_length=3)] = []
    key: Label = ""
    before: Seconds | None = None


class HistoryQuery(Struct, forbid_unknown_fields=True):
    key: Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
    project: ProjectName = GENERAL


class TimelineQuery(Struct, forbid_unknown_fields=True):
    since: Seconds | None = None
    until: Seconds | None = None
    before: Annotated[Seconds | None, Meta(description="`at` of the last item of the page before")] = None
    project: ProjectName = GENERAL
    all_projects: bool = False
    kind: Kind | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class ProjectsQuery(Struct, forbid_unknown_fields=True):
    archived: bool = False


class ProjectBody(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]


class SwitchBody(Struct, forbid_unknown_fields=True):
    name: ProjectName


def remember(call: Call, kb: KnowledgeBase) -> Any:
    return remember_record(_told(call, kb, [call.body], "")[0])


def remember_many(call: Call, kb: KnowledgeBase) -> Any:
    body: ItemsBody = call.body
    return {"items": [remember_record(told) for told in _told(call, kb, body.items, "many")]}


def _told(call: Call, kb: KnowledgeBase, items: Sequence[ItemBody], form: str) -> Any:
    room(call, kb)
    given = idempotency_key(call)
    keys = [""] * len(items)
    if given:
        named = blake2b(f"{form}\0{given}".encode(), digest_size=16).hexdigest()
        keys = [f"http:{named}:{number}" for number in range(len(items))]
    return kb.memory.remember_many([item.item(key) for item, key in zip(items, keys, strict=True)])


def recall(call: Call, kb: KnowledgeBase) -> Any:
    body: RecallBody = call.body
    found = kb.memory.recall(
        body.question, k=body.k, kinds=body.kinds, types=body.types, project=body.project,
        all_projects=body.all_projects, since=body.since, until=body.until, now=body.now, history=body.history,
    )  # fmt: skip
    call.stages = {name: ms for name, ms in found.timings.items() if name != "total"}
    return recall_record(found)


def show(call: Call, kb: KnowledgeBase) -> Any:
    return item_record(kb.memory.get(call.path["item"]))


def forget(call: Call, kb: KnowledgeBase) -> Reply:
    id = call.path["item"]
    if not kb.memory.forget(id):
        raise NotFound("there is no such memory.", "It was forgotten, or never was here.")
    call.record("memory.forget", id)
    return Reply(None, 204)


def forget_matching(call: Call, kb: KnowledgeBase) -> Any:
    body: ForgetBody = call.body
    if body.project is None and not body.kinds and not body.key and body.before is None:
        raise InputError("nothing says what to forget.", "Name a project, a kind, a key or a time.")
    if body.all_projects and (body.project is not None or body.key):
        raise InputError("a project or a key and all projects are two things.", "Leave one of them away.")
    count = kb.memory.forget_matching(
        project=None if body.all_projects else body.project or GENERAL, kinds=body.kinds, key=body.key,
        before=body.before, all_projects=body.all_projects,
    )  # fmt: skip
    call.record("memory.forget", f"{count} items")
    forgotten: ForgetRecord = {"schema_version": 1, "forgotten": count}
    return forgotten


def history(call: Call, kb: KnowledgeBase) -> Any:
    query: HistoryQuery = call.query
    return timeline_record(kb.memory.history(query.key, query.project))


def timeline(call: Call, kb: KnowledgeBase) -> Any:
    query: TimelineQuery = call.query
    return timeline_record(
        kb.memory.timeline(
            since=query.since, until=query.until, project=query.project, all_projects=query.all_projects,
            kinds=() if query.kind is None else (query.kind,), limit=query.limit, before=query.before,
        )
    )


def statistics(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    return memory_stats_record(kb.memory.statistics())


def projects(call: Call, kb: KnowledgeBase) -> Any:
    return projects_record(kb.memory.projects(archived=call.query.archived))


def create_project(call: Call, kb: KnowledgeBase) -> Reply:
    made = kb.memory.create_project(call.body.name)
    call.record("project.create", made.name)
    return Reply(projects_record([made]), 201)


def archive_project(call: Call, kb: KnowledgeBase) -> Any:
    gone = kb.memory.archive_project(call.body.name)
    call.record("project.archive", gone.name)
    return projects_record([gone])


def switch_project(call: Call, kb: KnowledgeBase) -> Any:
    now = kb.memory.switch_project(call.body.name)
    call.record("project.switch", now.name)
    return projects_record([now])


ITEM: Final = {name: {"item": "$response.body#/item/id"} for name in ("showMemory", "forgetMemory")}

OPERATIONS = [
    Operation(
        "POST", "/v1/memory", "remember", "Remember a decision, a fact, an episode.", remember, scope="write",
        body=ItemBody, result=RememberRecord, group="memory", errors=(409, 507), links=ITEM,
        example={"text": "We keep the logs for 30 days.", "type": "decision", "project": "press"},
        description="What repeats something is merged into it; a key's new value replaces the old one, which stays as "
        "history. With Idempotency-Key (or `idempotency_key`) the same is remembered once, however often it is sent.",
    ),
    Operation(
        "POST", "/v1/memory:batch", "rememberMany", "Remember many things at once: all of them, or none.",
        remember_many, scope="write", body=ItemsBody, large=True, result=RememberedMany, group="memory",
        errors=(409, 507),
        example={
            "items": [
                {"kind": "fact", "key": "retry limit", "value": "five"}, {"text": "The pump leaks.", "type": "problem"},
            ]
        },
    ),
    Operation(
        "POST", "/v1/memory:recall", "recall", "Find what was remembered.", recall, lane="search", body=RecallBody,
        result=RecallRecord, group="memory",
        example={"question": "What did we decide about the logs?", "project": "press"},
        description='Time words of the question ("last week", "im März") are understood, counted from `now`.',
    ),
    Operation(
        "POST", "/v1/memory:forget", "forgetMany", "Forget all that fits.", forget_matching, scope="write",
        body=ForgetBody, result=ForgetRecord, group="memory", example={"project": "press", "kinds": ["episode"]},
    ),
    Operation(
        "GET", "/v1/memory/items/{item}", "showMemory", "Show an item.", show, result=MemoryItemRecord,
        conditional=True, group="memory", errors=(404,),
    ),
    Operation(
        "DELETE", "/v1/memory/items/{item}", "forgetMemory", "Forget an item.", forget, scope="write", status=204,
        group="memory", errors=(404,),
    ),
    Operation(
        "GET", "/v1/memory/history", "memoryHistory", "Every value that a key had, newest first.", history,
        query=HistoryQuery, result=TimelineRecord, conditional=True, group="memory",
    ),
    Operation(
        "GET", "/v1/memory/timeline", "timeline", "What happened and was learned, newest first.", timeline,
        query=TimelineQuery, result=TimelineRecord, group="memory", conditional=True,
    ),
    Operation(
        "GET", "/v1/memory/statistics", "memoryStatistics", "What is remembered, counted.", statistics,
        result=MemoryStatsRecord, group="memory",
    ),
    Operation(
        "GET", "/v1/memory/projects", "listProjects", "List projects.", projects, query=ProjectsQuery,
        result=ProjectsRecord, conditional=True, group="memory",
    ),
    Operation(
        "POST", "/v1/memory/projects", "createProject",
        "Make a project; one that exists is no longer archived.", create_project, scope="write", body=ProjectBody,
        result=ProjectsRecord, status=201, group="memory", example={"name": "press"},
    ),
    Operation(
        "POST", "/v1/memory/projects:archive", "archiveProject", "Leave a project out where all are asked.",
        archive_project, scope="write", body=ProjectBody, result=ProjectsRecord, group="memory", errors=(404,),
        example={"name": "press"},
    ),
    Operation(
        "POST", "/v1/memory/projects:switch", "switchProject",
        "Say which project the command line means by the current one.", switch_project, scope="write",
        body=SwitchBody, result=ProjectsRecord, group="memory", errors=(404,), example={"name": "press"},
        description="Requests are not touched by it: each names its `project`, or means the general one.",
    ),
]  # fmt: skip
