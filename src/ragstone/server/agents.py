"""MCP over HTTP: the same tools as on stdio, with the keys, tenants, lanes and quotas of the API.

Who asks is known before the body is read; what comes of a request is bound to its key, and a session to the key that
opened it. The MCP package is imported when the first client comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from starlette.types import Message

from ..errors import NotFound, RagstoneError
from ..knowledge_base import KnowledgeBase
from ..types import AnswerEvent, Mode
from .operations import Call, Operation, reply_headers
from .problems import explained
from .routes.asking import answer_events
from .routes.uploads import admit_upload, room
from .wire import AskBody

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from ..mcp.reach import Fault, LaneName

T = TypeVar("T")

PATH: Final = "/mcp"
CALL: Final = "ragstone.call"
"""Where a request's scope has its call."""
MESSAGE_BYTES: Final = 8 << 20
SESSION_SECONDS: Final = 1_800.0
"""Without a request."""
MOST_SESSIONS: Final = 10_000
SESSIONS_PER_MINUTE: Final = 60
"""That one key may open: with how long they last, no key takes all that there are."""


class TenantReach:
    """What the key of one request reaches."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def writable(self) -> bool:
        return self._call.who.key.allows("write")

    async def run(self, lane: LaneName, work: Callable[[KnowledgeBase], T]) -> T:
        service, call = self._call.service, self._call
        threads = service.bridge.search if lane == "search" else service.bridge.work
        deadline = time.monotonic() + service.deadline
        return await threads.run(lambda: cast("T", service.with_data(call, lambda _, kb: work(kb))), deadline)

    def ask(
        self, question: str, collections: Sequence[str] | None, mode: Mode
    ) -> AsyncGenerator[AnswerEvent | Mapping[str, Any], None]:
        body = AskBody(question, list(collections) if collections is not None else None, mode=mode)
        return cast("AsyncGenerator[AnswerEvent | Mapping[str, Any], None]", answer_events(self._call, body))

    def may_add(self, kb: KnowledgeBase, collection: str) -> None:
        admit_upload(self._call, kb, collection)

    def room(self, kb: KnowledgeBase) -> None:
        room(self._call, kb)

    def record(self, action: str, target: str) -> None:
        self._call.record(action, target)

    def fault(self, error: Exception) -> Fault:
        told = explained(error, self._call.request_id)
        return {
            "code": told["code"], "detail": told["detail"], "hint": told["hint"],
            "retryable": isinstance(error, RagstoneError) and error.retryable, "id": told["id"],
        }  # fmt: skip


class Agents:
    """Answers MCP clients. Sessions live in one process: with several, each request stands alone, and a client ends a
    call early by closing its stream."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._wanted = asyncio.Event()
        self._ready: asyncio.Future[StreamableHTTPSessionManager] = asyncio.get_running_loop().create_future()

    async def live(self) -> None:
        """A task of the server's life: begins when somebody asks."""
        await self._wanted.wait()
        try:
            manager = await asyncio.to_thread(_manager, self._alone)
        except ModuleNotFoundError as error:
            missing = NotFound(f"MCP needs {error.name}.", "Tell whoever runs the server: pip install 'ragstone[mcp]'")
            self._ready.set_exception(missing)
            return
        async with manager.run():
            self._ready.set_result(manager)
            await asyncio.Event().wait()

    async def answer(self, call: Call) -> None:
        """Raises NotFound where the package is not installed, TooManyRequests where a key opens too many sessions."""
        self._wanted.set()
        manager = await asyncio.shield(self._ready)
        from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
        from mcp.server.auth.provider import AccessToken
        from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS

        asked = call.headers.get("mcp-protocol-version")
        shakes_hands = asked is None or asked in HANDSHAKE_PROTOCOL_VERSIONS
        if self._alone and shakes_hands and "mcp-session-id" not in call.headers:
            call.service.rates.take("sessions", call.who.id, SESSIONS_PER_MINUTE)
        key = call.who.key
        owner = AccessToken(token="", client_id=key.id, scopes=list(key.scopes), subject=key.tenant)
        scope = {**call.scope, "user": AuthenticatedUser(owner), CALL: call}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                given = {name.lower() for name, _ in headers}
                message = {**message, "headers": [*headers, *(h for h in reply_headers(call) if h[0] not in given)]}
            await call.send(message)

        await manager.handle_request(scope, call.receive, send)


@contextlib.asynccontextmanager
async def answering_agents(*, alone: bool) -> AsyncGenerator[Agents, None]:
    agents = Agents(alone=alone)
    living = asyncio.create_task(agents.live())
    try:
        yield agents
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living


def _manager(alone: bool) -> StreamableHTTPSessionManager:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from ..mcp.surface import surface

    return StreamableHTTPSessionManager(
        surface(lambda context: TenantReach(cast("Any", context.request).scope[CALL])),
        stateless=not alone,
        max_request_body_size=MESSAGE_BYTES,
        session_idle_timeout=SESSION_SECONDS if alone else None,
        max_sessions=MOST_SESSIONS,
    )


async def agents(call: Call) -> None:
    await call.service.agents.answer(call)


OPERATIONS = [
    Operation("POST", PATH, "mcp", "Model Context Protocol.", agents, lane="loop", upload=True, described=False),
    Operation("DELETE", PATH, "endMcp", "End an MCP session.", agents, lane="loop", upload=True, described=False),
]
