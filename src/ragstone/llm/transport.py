"""One HTTP exchange with a model server: deadlines that hold, typed errors, nothing left running.

Connections are not kept: a fresh one costs a handshake, against seconds of generation, and in return the socket of
every exchange is known from its first byte, so a deadline can cut it at any point, also while a server drips bytes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec

from ..errors import DeadlineExceeded, KeyRefused, ModelError, ModelMissing, ModelUnavailable

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 300.0  # a cold model on a small machine may take minutes over a long prompt before its first token
MAX_BODY = 8 << 20
_QUOTED = 300  # characters of a server's own message that an error repeats


def client(headers: Mapping[str, str] | None = None) -> httpx2.Client:
    """A client that follows no redirects, reads no environment (proxies, certificates) and keeps no connections."""
    return httpx2.Client(
        headers=dict(headers or {}),
        trust_env=False,
        follow_redirects=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
    )


class _Guard:
    """Cuts the socket of one exchange when the deadline passes."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """httpx2's trace hook: learns the socket (the TLS one where there is TLS) as soon as it exists."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._deadline is not None and self._timer is None:
                self._timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._cut)
                self._timer.daemon = True
                self._timer.start()

    def _cut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # the exchange ended in the same moment
                return

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def passed(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline


def late(name: str) -> DeadlineExceeded:
    return DeadlineExceeded(f"{name} did not finish before the deadline.", "Allow more time or use a faster model.")


@contextmanager
def exchange(
    http: httpx2.Client,
    method: str,
    url: str,
    *,
    name: str,
    body: object = None,
    deadline: float | None = None,
    silence: float = SILENCE_SECONDS,
    connect: float = CONNECT_SECONDS,
) -> Iterator[httpx2.Response]:
    """Sends `body` as JSON and gives the open response, whatever its status; leaving closes the connection.

    Errors of the network, inside the block too, become ModelUnavailable; passing `deadline` (`time.monotonic()`
    seconds) DeadlineExceeded. `silence` and `connect` are seconds. `name` is what messages call the server.
    """
    guard = _Guard(deadline)
    if guard.passed():
        raise late(name)
    remaining = float("inf") if deadline is None else deadline - time.monotonic()
    limits = httpx2.Timeout(min(silence, remaining), connect=min(connect, remaining))
    try:
        request = http.build_request(
            method,
            url,
            content=None if body is None else _encoded(body),
            headers={"content-type": "application/json"} if body is not None else None,
            timeout=limits,
            extensions={"trace": guard.trace},
        )
        response = http.send(request, stream=True)
        try:
            yield response
        finally:
            response.close()
    except httpx2.InvalidURL as error:
        raise ModelError(f"{url!r} is not an address.", "Use the form http://host:port/v1.") from error
    except httpx2.UnsupportedProtocol as error:
        raise ModelError(f"{url!r} does not begin with http:// or https://.", "Correct the address.") from error
    except httpx2.RequestError as error:
        if guard.passed():
            raise late(name) from error
        unavailable = ModelUnavailable(
            f"{name} does not answer at {_origin(url)} ({type(error).__name__}).",
            "Check that the server runs and that the address is right.",
        )
        unavailable.cost_nothing = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise unavailable from error
    finally:
        guard.close()


def chunks(response: httpx2.Response, name: str, deadline: float | None) -> Iterator[bytes]:
    """The body as it comes; raises DeadlineExceeded when a chunk arrives after the deadline."""
    for chunk in response.iter_bytes():
        if deadline is not None and time.monotonic() >= deadline:
            raise late(name)
        yield chunk
    if deadline is not None and time.monotonic() >= deadline:
        raise late(name)


def read(response: httpx2.Response, name: str, deadline: float | None = None) -> bytes:
    """The whole body. Raises ModelError where it is larger than `MAX_BODY`."""
    body = bytearray()
    for chunk in chunks(response, name, deadline):
        body += chunk
        if len(body) > MAX_BODY:
            raise ModelError(f"{name} sent more than {MAX_BODY} bytes.", "Check the address.")
    return bytes(body)


def get_json(http: httpx2.Client, url: str, *, name: str, body: object = None, seconds: float = 5.0) -> Any:
    """One small request (POST where there is a body) and its JSON. Raises as `exchange`, and ModelError for a status
    that is not 200 or a body that is not JSON."""
    deadline = time.monotonic() + seconds
    method = "GET" if body is None else "POST"
    with exchange(http, method, url, name=name, body=body, deadline=deadline, connect=seconds) as response:
        data = read(response, name, deadline)
    if response.status_code != 200:
        raise refusal(response.status_code, data, name)
    try:
        return decoded(data)
    except ValueError as error:
        raise ModelError(f"{name} did not answer with JSON at {_origin(url)}.", "Check the address.") from error


def _encoded(body: object) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise ModelError(
            "the question holds a character that is not valid Unicode (a lone surrogate).", "Replace it."
        ) from error


def decoded(data: bytes | str, kind: Any = Any) -> Any:
    """JSON of a server, as `kind`. Raises ValueError for anything else, however it is made."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as error:
        raise ValueError("the values are nested too deep") from error


def entries(answer: object, key: str, name: str) -> list[dict[str, Any]]:
    """The objects of the list under `key` whose `name` is a text; none where a server answers with something else."""
    listed = answer.get(key) if isinstance(answer, dict) else None
    found = listed if isinstance(listed, list) else []
    return [entry for entry in found if isinstance(entry, dict) and isinstance(entry.get(name), str)]


MAY_HAVE_WORKED = (408, 502, 504)
"""Statuses of a proxy that gave up waiting, while the model behind it may have gone on; others say that the provider
itself did not do the work, which none bills."""


def refusal(status: int, body: bytes, name: str) -> ModelError:
    """The error for an answer that is not 200. Retryable (ModelUnavailable) for 408, 429 and 5xx."""
    error = _refusal(status, body, name)
    error.cost_nothing = status not in MAY_HAVE_WORKED
    return error


def _refusal(status: int, body: bytes, name: str) -> ModelError:
    said = server_message(body)
    quoted = f": {said[:_QUOTED]}" if said else "."
    if status in (401, 403):
        return KeyRefused(f"{name} refused the key ({status}){quoted}", "Set the right API key for this server.")
    if status == 404:
        return ModelMissing(
            f"{name} does not know this model or path (404){quoted}", "Check the model's name and the address."
        )
    if status in (408, 429) or status >= 500:
        return ModelUnavailable(f"{name} cannot answer now ({status}){quoted}", "Try again later.")
    return ModelError(f"{name} refused the request ({status}){quoted}", "Check the model's name and its limits.")


def server_message(body: bytes) -> str:
    """What the server says went wrong, in one line: `{"error": {"message": …}}`, `{"error": …}`, or the text."""
    try:
        value = decoded(body)
    except ValueError:
        value = body.decode("utf-8", "replace")
    if isinstance(value, dict):
        value = value.get("error", value.get("message", value.get("detail", "")))
    if isinstance(value, dict):
        value = value.get("message", "")
    return " ".join(str(value).split())


def _origin(url: str) -> str:
    """Scheme, host and port: paths and credentials stay out of messages."""
    parsed = httpx2.URL(url)
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.scheme}://{parsed.host}{port}"
