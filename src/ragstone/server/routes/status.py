"""Spaces, budget, and the state of data and process."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta, Struct

from ... import language_models
from ...knowledge_base import KnowledgeBase
from ...records import CollectionRecord, collection_record
from ...types import SpaceStatus
from ..operations import Call, Operation


class SpaceItem(TypedDict):
    collection: str
    space: Annotated[str, "id: model, revision, dimension, normalisation, prefix, quantisation"]
    role: Annotated[str, "active, preferred, building, kept or dropping"]
    model: str
    chunks: int
    embedded: int
    waiting: int


class SpaceList(TypedDict):
    items: list[SpaceItem]


class BudgetItem(TypedDict):
    budget: str
    limit: Annotated[float | None, "US dollars; null: none"]
    spent: float
    held: Annotated[float, "for calls that run now"]
    left: float | None
    renews: Annotated[float, "seconds since 1970 (UTC)"]


class BudgetList(TypedDict):
    items: list[BudgetItem]


class LaneItem(TypedDict):
    name: str
    busy: Annotated[int, "requests that run or wait in this process"]


class ServerItem(TypedDict):
    lanes: list[LaneItem]
    tenants_open: int


class Status(TypedDict):
    bytes: Annotated[int, "of the tenant's data on disk"]
    state: str
    collections: list[CollectionRecord]
    caches: dict[str, dict[str, float]]
    memory_mb: Annotated[float, "of this process"]
    server: ServerItem


class SpaceChange(Struct, forbid_unknown_fields=True):
    """`rollback` takes no space."""

    action: Literal["switch", "rollback", "prefer", "drop"]
    space: Annotated[str, Meta(max_length=1_000)] | None = None
    collection: Annotated[str, Meta(min_length=1, max_length=128)] = "default"


def spaces(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    return {"items": [_space(s) for s in kb.spaces()]}


def change_space(call: Call, kb: KnowledgeBase) -> Any:
    body: SpaceChange = call.body
    kb.collection(body.collection)
    if body.action == "rollback":
        kb.rollback_space(collection=body.collection)
    elif body.action == "prefer":
        kb.prefer_space(body.space, collection=body.collection)
    elif body.action == "switch":
        kb.switch_space(body.space, collection=body.collection)
    else:
        kb.drop_space(body.space or "", collection=body.collection)
    call.record(f"space.{body.action}", body.collection)
    return {"items": [_space(s) for s in kb.spaces(body.collection)]}


def _space(status: SpaceStatus) -> SpaceItem:
    return {
        "collection": status.collection,
        "space": status.space,
        "role": status.role,
        "model": status.recipe.model,
        "chunks": status.chunks,
        "embedded": status.embedded,
        "waiting": status.waiting,
    }


def budget(call: Call, kb: KnowledgeBase) -> Any:
    return {"items": language_models.budget_figures(call.service.settings, kb.store.folder)}


def status(call: Call, kb: KnowledgeBase) -> Any:
    """What the command `status` tells but for the folder and what lies in it, which no client has to know."""
    whole = kb.status()
    service = call.service
    return {
        "bytes": whole["bytes"],
        "state": whole["state"].partition(":")[0],
        "collections": [collection_record(c) for c in kb.collections()],
        "caches": whole["caches"],
        "memory_mb": whole["memory_mb"],
        "server": {
            "lanes": [{"name": lane.name, "busy": lane.busy} for lane in service.bridge.lanes()],
            "tenants_open": service.tenants.opened(),
        },
    }


OPERATIONS = [
    Operation(
        "GET", "/v1/spaces", "listSpaces", "The vector spaces of every collection.", spaces, result=SpaceList,
        group="spaces",
    ),
    Operation(
        "POST", "/v1/spaces", "changeSpace", "Switch to another space, go back, prefer or drop one.", change_space,
        scope="admin", body=SpaceChange, result=SpaceList, group="spaces", errors=(404,),
        example={"action": "rollback", "collection": "default"},
    ),
    Operation(
        "GET", "/v1/budget", "budget", "What models may cost and did.", budget, result=BudgetList, group="server",
    ),
    Operation(
        "GET", "/v1/status", "status", "State of the data and of this process.", status, result=Status,
        group="server",
    ),
]  # fmt: skip
