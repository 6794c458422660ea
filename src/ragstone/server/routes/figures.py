"""Figures for Prometheus and for the page's charts, and a profile of the process."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from msgspec import Meta, Struct

from .. import exposition
from ..flame import lines
from ..operations import Call, Operation, Reply
from ..sampling import MOST_SECONDS, sample


class ProfileQuery(Struct, forbid_unknown_fields=True):
    seconds: Annotated[float, Meta(gt=0, le=MOST_SECONDS)] = 10.0
    idle: bool = False


async def metrics(call: Call) -> Reply:
    """Who may sign in without a key on this machine may look without one too."""
    service = call.service
    if not service.loopback:
        service.admit(call.headers, call.scope, PROFILE)
    text = await asyncio.to_thread(service.metrics.render)
    return Reply(text.encode(), 200, media_type=exposition.CONTENT_TYPE)


async def series(call: Call) -> Reply:
    return Reply(await asyncio.to_thread(call.service.metrics.series))


async def profile(call: Call) -> Reply:
    query: ProfileQuery = call.query
    stacks = await asyncio.to_thread(sample, query.seconds, idle=query.idle)
    return Reply(lines(stacks).encode(), 200, media_type="text/plain; charset=utf-8")


PROFILE = Operation(
    "GET", "/v1/profile", "profile", "What the threads of one process do, sampled: lines of stack and count.", profile,
    scope="admin", lane="loop", query=ProfileQuery, media_type="text/plain", result=str, default_tenant=True,
    group="server", errors=(409,),
)  # fmt: skip

OPERATIONS = [
    Operation(
        "GET", "/metrics", "metrics", "Figures of all processes for Prometheus. Off loopback it takes an admin key.",
        metrics, scope=None, lane="loop", media_type="text/plain", result=str, group="server", errors=(401, 403),
    ),
    Operation(
        "GET", "/v1/metrics/series", "series", "The last hour in steps of five seconds, and what is amiss now.", series,
        scope="admin", lane="loop", result=dict[str, Any], default_tenant=True, group="server",
    ),
    PROFILE,
]  # fmt: skip
