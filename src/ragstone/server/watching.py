"""The outermost layer of the server: each request is counted, timed, traced, logged in one line, and has an id.

Told are the route's pattern, never the path or query as they came: they hold names and questions of people.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from ..observe import spans
from ..observe.instruments import FIRST_BYTES, IN_FLIGHT, REQUEST_SECONDS, REQUESTS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ID_HEADER: Final = b"x-request-id"
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
OTHER: Final = "other"
"""What is no route; one word, as anybody can ask for any path."""
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
GONE: Final = 499
"""Told as status where the client went away before there was one."""

BUSY: Final = 503
"""Refused, not failed: counted, and no line in the log for each of a flood."""

log = logging.getLogger(__name__)


def middleware(app: App) -> App:
    """`app`, watched. It finds the id of the request in `spans.REQUEST_ID`: that of the client where it has a plain
    form. What answers puts an operation with a `path` into the scope."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = _Request(scope)
        token = spans.REQUEST_ID.set(request.id)
        IN_FLIGHT.add(1.0)
        try:
            with spans.inside(request.span):
                await app(scope, receive, request.sending(send))
        except BaseException as error:
            request.error = type(error).__name__
            raise
        finally:
            IN_FLIGHT.add(-1.0)
            request.ended(scope)
            spans.REQUEST_ID.reset(token)

    return watched


class _Request:
    """One on its way."""

    def __init__(self, scope: Scope) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(ID_HEADER, b"")
        self.id = given.decode("ascii") if _ID.fullmatch(given) else secrets.token_hex(8)
        self.method = scope["method"] if scope["method"] in METHODS else OTHER
        self.status = 0
        self.error = ""
        self._started = time.perf_counter()
        self._first = 0.0
        parent = {name: headers[name.encode()].decode("latin-1") for name in _PARENT if name.encode() in headers}
        self.span = spans.start(f"{self.method} {OTHER}", kind="server", remote=parent)

    def sending(self, send: Send) -> Send:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._first = time.perf_counter() - self._started
                self.status = message["status"]
            await send(message)

        return told

    def ended(self, scope: Scope) -> None:
        seconds = time.perf_counter() - self._started
        route = getattr(scope.get("operation"), "path", None) or OTHER
        status = self.status or (500 if self.error and self.error != "CancelledError" else GONE)
        REQUESTS.add(1.0, route, self.method, str(status))
        REQUEST_SECONDS.observe(seconds, route)
        if self.status:
            FIRST_BYTES.observe(self._first, route)
        failed = self.error or (str(status) if status >= 500 else "")
        self.span.set(
            {
                "http.request.method": self.method,
                "http.route": route,
                "http.response.status_code": status,
                "ragstone.request_id": self.id,
            }
        )
        self.span.end(failed)
        log.log(
            logging.WARNING if status >= 500 and status != BUSY else logging.INFO,
            "%s %s %d %.1f ms", self.method, route, status, seconds * 1000.0,
            extra={
                "fields": {
                    "method": self.method, "route": route, "status": status, "milliseconds": round(seconds * 1000.0, 1)
                }
            },
        )  # fmt: skip


_PARENT: Final = ("traceparent", "tracestate")
