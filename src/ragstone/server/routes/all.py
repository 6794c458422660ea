"""Every operation of the server."""

from __future__ import annotations

from typing import Any

from .. import openai_api
from ..openapi import document
from ..operations import Call, Operation, Reply, encode
from . import accounts, asking, collections, documents, figures, health, jobs, page, search, status, uploads


async def openapi(call: Call) -> Reply:
    return Reply(encode(document(call.service.operations)), 200)


OPERATIONS: tuple[Operation, ...] = (
    *search.OPERATIONS,
    *asking.OPERATIONS,
    *collections.OPERATIONS,
    *uploads.OPERATIONS,
    *documents.OPERATIONS,
    *jobs.OPERATIONS,
    *openai_api.OPERATIONS,
    *status.OPERATIONS,
    *accounts.OPERATIONS,
    *health.OPERATIONS,
    *figures.OPERATIONS,
    *page.OPERATIONS,
    Operation(
        "GET", "/v1/openapi.json", "openapi", "This description.", openapi, lane="loop", result=dict[str, Any],
        group="server",
    ),
)  # fmt: skip
