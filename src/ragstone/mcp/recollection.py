"""Tools over memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import NotFound
from ..memory_types import MemoryItem, Project, SourceSpan
from . import shapes
from .documents import moment
from .reach import ToolCall
from .shapes import NOTICE

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase


async def remember(call: ToolCall) -> shapes.RememberedResult:
    given: shapes.RememberArguments = call.arguments
    kind = given.kind or ("fact" if given.key or given.value else "knowledge")
    sources = [SourceSpan(given.source_collection, given.source)] if given.source else []

    def tell(kb: KnowledgeBase) -> shapes.RememberedResult:
        call.reach.room(kb)
        told = kb.memory.remember(
            given.text, kind=kind, type=given.type, key=given.key, value=given.value, project=given.project,
            at=moment(given.at), who=given.who, participants=given.participants, outcome=given.outcome,
            confidence=given.confidence, sources=sources, idempotency_key=given.idempotency_key,
        )  # fmt: skip
        return {
            "outcome": told.outcome,
            "similarity": round(told.similarity, 4),
            "contradicted": list(told.contradicted),
            "item": _item(told.item),
            "notice": NOTICE,
        }

    return await call.reach.run("work", tell)


async def recall(call: ToolCall) -> shapes.RecallResult:
    given: shapes.RecallArguments = call.arguments
    found = await call.reach.run(
        "search",
        lambda kb: kb.memory.recall(
            given.question, k=given.k, kinds=given.kinds, types=given.types, project=given.project,
            all_projects=given.all_projects, since=moment(given.since), until=moment(given.until),
            history=given.history,
        ),
    )  # fmt: skip
    return {
        "hits": [{"score": round(hit.score, 4), "item": _item(hit.item)} for hit in found.hits],
        "answerable": round(found.answerable, 4),
        "since": None if found.since is None else rfc3339(found.since),
        "until": None if found.until is None else rfc3339(found.until),
        "notes": list(found.notes),
        "notice": NOTICE,
    }


async def forget(call: ToolCall) -> shapes.ForgottenResult:
    given: shapes.ForgetArguments = call.arguments

    def go(kb: KnowledgeBase) -> shapes.ForgottenResult:
        ids = list(dict.fromkeys(given.ids))
        missing = [id_ for id_ in ids if not kb.memory.forget(id_)]
        if len(missing) == len(ids):
            raise NotFound("none of these ids is in memory.", "recall and timeline give ids.")
        for id_ in ids:
            if id_ not in missing:
                call.reach.record("memory.forget", id_)
        return {"forgotten": len(ids) - len(missing), "missing": missing}

    return await call.reach.run("work", go)


async def timeline(call: ToolCall) -> shapes.TimelineResult:
    given: shapes.TimelineArguments = call.arguments
    items = await call.reach.run(
        "search",
        lambda kb: kb.memory.timeline(
            since=moment(given.since), until=moment(given.until), project=given.project,
            all_projects=given.all_projects, kinds=given.kinds, limit=given.limit,
        ),
    )  # fmt: skip
    return {"items": [_item(item) for item in items], "notice": NOTICE}


async def list_projects(call: ToolCall) -> shapes.ProjectsResult:
    given: shapes.ListProjectsArguments = call.arguments
    return _projects(await call.reach.run("search", lambda kb: kb.memory.projects(archived=given.archived)))


async def change_project(call: ToolCall) -> shapes.ProjectsResult:
    given: shapes.ProjectArguments = call.arguments

    def change(kb: KnowledgeBase) -> Project:
        act = {
            "create": kb.memory.create_project,
            "switch": kb.memory.switch_project,
            "archive": kb.memory.archive_project,
        }[given.action]
        done = act(given.name)
        call.reach.record(f"project.{given.action}", given.name)
        return done

    return _projects([await call.reach.run("work", change)])


def rfc3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
"""What a date can name."""


def _projects(found: Sequence[Project]) -> shapes.ProjectsResult:
    return {
        "projects": [
            {"name": one.name, "items": one.items, "current": one.current, "archived": one.archived} for one in found
        ]
    }


def _item(item: MemoryItem) -> shapes.Item:
    return {
        "id": item.id, "kind": item.kind, "type": item.type, "text": item.text, "project": item.project,
        "key": item.key, "value": item.value, "at": rfc3339(item.at), "who": item.who, "outcome": item.outcome,
        "confidence": item.confidence, "state": item.state, "told": item.told, "replaced_by": item.replaced_by,
        "contradicts": list(item.contradicts),
        "sources": [{"collection": s.collection, "uri": s.uri, "start": s.start, "end": s.end} for s in item.sources],
    }  # fmt: skip
