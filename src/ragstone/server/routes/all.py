"""Every operation of the server."""

from __future__ import annotations

from typing import Any

from .. import agents, openai_api
from ..openapi import document
from ..operations import Call, Operation, Reply, encode
from . import (
    accounts,
    asking,
    collections,
    compare,
    documents,
    fetched,
    figures,
    graph,
    graph_decisions,
    graph_export,
    graph_jobs,
    graph_map,
    health,
    jobs,
    learning,
    login,
    memory,
    page,
    page_images,
    search,
    spaces,
    status,
    uploads,
)


async def openapi(call: Call) -> Reply:
    return Reply(encode(document(call.service.operations)), 200)


OPERATIONS: tuple[Operation, ...] = (
    *search.OPERATIONS,
    *asking.OPERATIONS,
    *collections.OPERATIONS,
    *uploads.OPERATIONS,
    *fetched.OPERATIONS,
    *documents.OPERATIONS,
    *page_images.OPERATIONS,
    *graph.OPERATIONS,
    *graph_map.OPERATIONS,
    *graph_decisions.OPERATIONS,
    *graph_jobs.OPERATIONS,
    *graph_export.OPERATIONS,
    *jobs.OPERATIONS,
    *memory.OPERATIONS,
    *learning.OPERATIONS,
    *openai_api.OPERATIONS,
    *spaces.OPERATIONS,
    *agents.OPERATIONS,
    *status.OPERATIONS,
    *compare.OPERATIONS,
    *accounts.OPERATIONS,
    *login.OPERATIONS,
    *health.OPERATIONS,
    *figures.OPERATIONS,
    *page.OPERATIONS,
    Operation(
        "GET", "/v1/openapi.json", "openapi", "This description.", openapi, lane="loop", result=dict[str, Any],
        group="server",
    ),
)  # fmt: skip
