"""The ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from .. import assemble, embedding_models
from ..errors import RagstoneError, SettingsError
from ..knowledge_base import KnowledgeBase
from ..settings import Settings, at
from .agents import answering_agents
from .changes import Changes
from .operations import handle
from .routes.all import OPERATIONS
from .service import ServerParts, Service
from .tracing import tracing
from .watching import middleware

FLUSH_SECONDS = 5.0
TRIM_SECONDS = 3_600.0

log = logging.getLogger(__name__)


def server_parts(settings: Settings, environ: dict[str, str]) -> ServerParts:
    """Embedding models are shared by all tenants of the process. Where there are workers, the processes that answer
    leave upkeep to them."""
    answering = embedding_models.model_registry(settings, settings.server.workers)
    upkeep = embedding_models.model_registry(settings)

    def opener(role: assemble.Role) -> Callable[[Path], KnowledgeBase]:
        registry = upkeep if role == "upkeep" else answering
        return lambda folder: assemble.open_knowledge_base(
            at(folder, settings), environ=environ, registry=registry, role=role
        )

    return ServerParts(
        settings,
        opener("answers" if settings.server.job_workers else "all"),
        opener("upkeep"),
        lambda: assemble.open_queue(settings),
    )


def create_app(parts: ServerParts) -> ASGIApp:
    """Opens its data when the server starts and closes them when it has stopped."""
    return _Application(parts)


class _Application:
    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._service: Service | None = None
        self._watched = middleware(self._handle)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._service is not None  # noqa: S101 - who calls looked
        await handle(self._service, scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            raise RuntimeError(f"nobody speaks {scope['type']} here")
        if self._service is None:
            raise RuntimeError("the application was not started")
        return await self._watched(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._service = service = await asyncio.to_thread(partial(Service, self._parts, OPERATIONS))
        except RagstoneError as error:
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        service.changes = Changes(service.queue)
        try:
            with tracing(self._parts.settings.tracing):
                alone = self._parts.settings.server.workers == 1
                async with service.metrics.running(), answering_agents(alone=alone) as service.agents:
                    flushing = asyncio.create_task(_flush(service))
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    flushing.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await flushing
                await asyncio.to_thread(service.close)
        except SettingsError as error:
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        return await send({"type": "lifespan.shutdown.complete"})


async def _flush(service: Service) -> None:
    """Writes now and then what need not be written at once, and forgets what is old."""
    trimmed = float("-inf")
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        try:
            await asyncio.to_thread(service.accounts.flush)
            if time.monotonic() - trimmed >= TRIM_SECONDS:
                trimmed = time.monotonic()
                await asyncio.to_thread(service.accounts.trim_audit, service.settings.server.audit_days)
                await asyncio.to_thread(service.accounts.trim_logins)
        except RagstoneError as error:
            log.warning("the last use of keys was not written: %s", error)
