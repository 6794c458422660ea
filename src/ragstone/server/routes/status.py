"""Budget, and the state of data and process."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from ... import language_models
from ...knowledge_base import KnowledgeBase
from ...records import CollectionRecord, collection_record
from ..operations import Call, Operation


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
        "GET", "/v1/budget", "budget", "What models may cost and did.", budget, result=BudgetList, group="server",
    ),
    Operation(
        "GET", "/v1/status", "status", "State of the data and of this process.", status, result=Status,
        group="server",
    ),
]  # fmt: skip
