"""Whether the server lives, is ready, and which one it is."""

from __future__ import annotations

from typing import Any, TypedDict

from ... import __version__
from ...knowledge_base import KnowledgeBase
from ..operations import Call, Operation, Reply


class Health(TypedDict):
    status: str


class Version(TypedDict):
    version: str
    api: str


async def health(call: Call) -> Reply:  # noqa: ARG001 - every operation has one shape
    return Reply({"status": "alive"})


async def ready(call: Call) -> Reply:
    """The default tenant's data are open and can be written to."""
    service = call.service

    def check() -> None:
        service.accounts.check()
        with service.tenants.use("default") as kb:
            kb.store.require_room()
            for name in kb.store.collections():
                kb.index(name)

    await service.bridge.work.run(check, call.deadline)
    return Reply({"status": "ready"})


def version(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    return {"version": __version__, "api": "v1"}


OPERATIONS = [
    Operation(
        "GET", "/health", "health", "Whether the process answers.", health, scope=None, lane="loop", result=Health,
        group="server",
    ),
    Operation(
        "GET", "/ready", "ready", "Whether the data are open and can be written.", ready, scope=None, lane="loop",
        result=Health, errors=(503, 507), group="server",
    ),
    Operation(
        "GET", "/v1/version", "version", "Which server this is.", version, lane="search", result=Version,
        group="server",
    ),
]  # fmt: skip
