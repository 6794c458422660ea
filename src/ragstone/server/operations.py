"""What an operation of the API is, and what happens around each: find it by method and path, check the key, count it,
read the body, decode it once, run it in a lane, send the answer. In this order: nothing is read for whom may not ask.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from ..errors import DeadlineExceeded, InputError, NotFound, TooLarge
from ..observe.spans import REQUEST_ID
from . import compression
from .accounts import Scope
from .auth import Principal
from .problems import problem

if TYPE_CHECKING:
    from .service import Service

Headers = list[tuple[bytes, bytes]]
COMPRESSED_FROM: Final = 1_024
"""Bytes; a smaller answer fits one packet as it is."""
LANES = Literal["search", "answer", "work", "loop"]
DESCRIBED: Final = "GET /v1/openapi.json describes it."

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode


class MethodNotAllowed(InputError):
    http_status = 405

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__("this address does not take that method.", f"It takes {', '.join(sorted(allowed))}.")
        self.allowed = allowed


@dataclass(slots=True)
class Reply:
    """`body`: bytes as they are, or a value that is encoded as JSON; None: none."""

    body: Any = None
    status: int = 200
    headers: Headers = field(default_factory=list)
    media_type: str = "application/json"


@dataclass(slots=True)
class Call:
    """One request whose key was checked. `query` and `body` are what the operation says they are."""

    service: Service
    principal: Principal | None
    operation: Operation
    path: Mapping[str, str]
    headers: Mapping[str, str]
    scope: AsgiScope
    receive: Receive
    send: Send
    request_id: str
    deadline: float
    started: float
    query: Any = None
    body: Any = None
    raw: bytes = b""
    extra: Headers = field(default_factory=list)
    stages: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds, for the header Server-Timing."""

    @property
    def who(self) -> Principal:
        if self.principal is None:
            raise TypeError(f"{self.operation.path} is open to anybody")
        return self.principal

    @property
    def tenant(self) -> str:
        return self.who.tenant

    @property
    def address(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""

    def record(self, action: str, target: str = "") -> None:
        """In the audit log; durable on return."""
        self.service.accounts.record(self.tenant, self.who.id, action, target, self.address)


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` is called in a thread of `lane` with the tenant's knowledge base, and gives a value or a Reply; in the lane
    `loop` it is a coroutine that gives a Reply, or None where it sent its answer itself. `scope` None: open to anybody.
    `query`, `body`, `result` are types that msgspec knows; the OpenAPI document is made of them."""

    method: str
    path: str
    name: str
    summary: str
    run: Callable[..., Any]
    scope: Scope | None = "read"
    lane: LANES = "work"
    query: type[msgspec.Struct] | None = None
    body: Any = None
    result: Any = None
    status: int = 200
    media_type: str = "application/json"
    """Of the answer; several stand with ", " between them."""
    large: bool = False
    """The body may be as large as an upload."""
    upload: bool = False
    """The body is no JSON; `run` reads it."""
    streams: bool = False
    """It may answer with server-sent events."""
    conditional: bool = False
    """It may answer that nothing changed (304)."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """OpenAPI's content of an upload."""
    errors: tuple[int, ...] = ()
    example: Any = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    """What the body has to fulfil besides its type, as JSON Schema."""
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Operations that go on with this one's answer: by name, the expression that gives each parameter."""
    default_tenant: bool = False
    """Only for keys of the default tenant."""
    group: str = ""
    description: str = ""
    described: bool = True
    """Whether it stands in the OpenAPI document."""


class Router:
    """Finds operations. Paths without parameters are found in one look."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._fixed: dict[str, dict[str, Operation]] = {}
        shapes: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            table = shapes if "{" in operation.path else self._fixed
            table.setdefault(operation.path, {})[operation.method] = operation
        self._shapes = [
            (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+?)", re.sub(r"([.:])", r"\\\1", path))), found)
            for path, found in shapes.items()
        ]

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """Raises NotFound, MethodNotAllowed."""
        wanted = "GET" if method == "HEAD" else method
        methods, parameters = self._fixed.get(path), {}
        if methods is None:
            for shape, found in self._shapes:
                match = shape.fullmatch(path)
                if match and (methods is None or wanted in found):
                    methods, parameters = found, match.groupdict()
        if methods is None:
            raise NotFound("there is nothing at this address.", "GET /v1/openapi.json lists every operation.")
        if wanted not in methods:
            raise MethodNotAllowed([*methods, *(["HEAD"] if "GET" in methods else [])])
        return methods[wanted], parameters


async def handle(service: Service, scope: AsgiScope, receive: Receive, send: Send) -> None:
    """One request from beginning to end. Every error becomes a problem document."""
    started = time.perf_counter()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    request_id = REQUEST_ID.get()
    sent = _Sent(send)
    try:
        service.doors.check(headers)
        operation, path = service.router.find(scope["method"], scope["path"])
        scope["operation"] = operation
        principal: Principal | None = None
        extra: Headers = []
        if operation.scope is not None:
            principal, extra = service.admit(headers, scope, operation)
            scope["principal"] = principal
        call = Call(
            service, principal, operation, path, headers, scope, receive, sent, request_id,
            _deadline(headers, service.deadline), started, extra=extra,
        )  # fmt: skip
        reply = await _run(call)
        if reply is not None:
            await _send(call, reply)
    except Exception as error:
        if sent.begun:
            log.warning("request %s ended early: %s", request_id, type(error).__name__)
            raise
        status, more, body = problem(error, request_id)
        if isinstance(error, MethodNotAllowed):
            more.append((b"allow", ", ".join(sorted(error.allowed)).encode()))
        if status == 413:
            more.append((b"connection", b"close"))  # the rest of the body is not read
        await _start(sent, status, [*more, *_usual(request_id)], body)


class _Sent:
    """`send`, which remembers whether anything was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Any) -> None:
        self.begun = True
        await self._send(message)


async def _run(call: Call) -> Reply | None:
    operation = call.operation
    if operation.query is not None:
        call.query = decode_query(call.scope["query_string"], operation.query)
    if operation.body is not None and not operation.upload:
        most = call.service.settings.server.upload_bytes if operation.large else call.service.json_bytes
        call.raw = await read_body(call, most)
        kind = call.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedBody("the body has to be JSON.", "Send it with Content-Type: application/json.")
        call.body = decode_body(call.raw, operation.body)
    if operation.lane == "loop":
        reply: Reply | None = await operation.run(call)
        return reply
    lane = getattr(call.service.bridge, operation.lane)
    value = await lane.run(lambda: call.service.with_data(call, operation.run), call.deadline)
    return value if isinstance(value, Reply) else Reply(value, operation.status)


class UnsupportedBody(InputError):
    http_status = 415


class PreconditionFailed(InputError):
    http_status = 412


def etag_among(header: str, etag: str) -> bool:
    """Whether a header If-Match or If-None-Match names this ETag (RFC 9110, 13.1); weak ones count as equal."""
    named = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return header.strip() == "*" or etag.removeprefix("W/") in named


def unchanged(call: Call, etag: str) -> bool:
    """Whether the client has it already."""
    given = call.headers.get("if-none-match")
    return given is not None and etag_among(given, etag)


def decode_query(query: bytes, kind: type[msgspec.Struct]) -> Any:
    """Raises InputError."""
    from urllib.parse import parse_qsl

    try:
        strict = bool(query)
        listed = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=strict, errors="strict")
        pairs = dict(listed)
        if len(listed) != len(pairs):
            raise ValueError("a name stands there twice")
        found = msgspec.convert(pairs, kind, strict=False)
        for name, text in pairs.items():  # what is left out is not written as a word
            if text.lower() == "null" and getattr(found, name) is None:
                raise ValueError(f"`{name}` is no value of it")
        return found
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(f"the query is not what it should be: {error}.", DESCRIBED) from None


def decode_body(raw: bytes, kind: Any) -> Any:
    """Raises InputError."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the body is not what it should be: {error}.", DESCRIBED) from None


async def read_body(call: Call, most: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to be, InputError where the client went away."""
    length = call.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    parts, size = [], 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise InputError("the request ended before its body did.", "Send it again.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if len(parts) > 1 else part


def too_large(most: int) -> TooLarge:
    return TooLarge(f"the body is larger than {most} bytes.", "Send less, or raise the server's limit.")


def _deadline(headers: Mapping[str, str], seconds: float) -> float:
    """`time.monotonic()` seconds. Raises InputError."""
    given = headers.get("x-deadline-ms")
    if given is not None:
        if not given.isdecimal() or not 0 < int(given) <= 3_600_000:
            raise InputError("X-Deadline-Ms has to be whole milliseconds, 1 to 3600000.")
        seconds = int(given) / 1000
    return time.monotonic() + seconds


def _usual(request_id: str) -> Headers:
    return [
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    ]


def reply_headers(call: Call) -> Headers:
    """What every answer carries."""
    return [*_usual(call.request_id), *call.extra]


async def _send(call: Call, reply: Reply) -> None:
    headers = [*reply.headers, *reply_headers(call)]
    if any(name == b"cache-control" for name, _ in reply.headers):
        headers = [h for h in headers if h != (b"cache-control", b"no-store")]
    headers.append((b"server-timing", _timing(call)))
    body = reply.body
    if body is None:
        return await _start(call.send, reply.status, headers, b"")
    if not isinstance(body, bytes):
        body = encode(body)
    if call.operation.conditional and reply.status == 200 and call.operation.method == "GET":
        named = [value for name, value in headers if name == b"etag"]
        if not named:
            etag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
            headers = [h for h in headers if h[0] != b"cache-control"]
            headers += [(b"etag", etag.encode()), (b"cache-control", b"private, no-cache")]
            if unchanged(call, etag):
                return await _start(call.send, 304, headers, b"")
    headers.append((b"content-type", reply.media_type.encode()))
    done = any(name == b"content-encoding" for name, _ in headers)
    if len(body) >= COMPRESSED_FROM and not done and reply.media_type != "image/png":
        headers.append((b"vary", b"Accept-Encoding"))
        for packing in compression.taken(call.headers.get("accept-encoding", ""))[:1]:
            body = compression.packed(body, packing)
            headers.append((b"content-encoding", packing.encode()))
    return await _start(call.send, reply.status, headers, body)


def _timing(call: Call) -> bytes:
    """Milliseconds since the request began, and of the stages."""
    spent = (time.perf_counter() - call.started) * 1000
    stages = [(name.replace(" ", "-"), ms) for name, ms in call.stages.items() if name != "total"]
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in [("all", spent), *stages]).encode()


def takes_gzip(call: Call) -> bool:
    return "gzip" in compression.taken(call.headers.get("accept-encoding", ""))


async def _start(send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def late(call: Call) -> bool:
    return time.monotonic() >= call.deadline


__all__ = ["Call", "DeadlineExceeded", "Operation", "Reply", "Router", "encode", "handle", "read_body", "too_large"]
