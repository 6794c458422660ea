"""One HTTP exchange with a model server: deadlines that hold (sockets.py), typed errors, nothing left running."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from ..errors import (
    DeadlineExceeded,
    KeyRefused,
    ModelError,
    ModelMissing,
    ModelUnavailable,
    PromptTooLong,
    RagstoneError,
)
from .sockets import Limit, Transport

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 300.0  # a cold model on a small machine may take minutes over a long prompt before its first token
LAST_SECONDS = 0.02  # after the end of an answer; its last bytes come together with it
MAX_BODY = 8 << 20
MAX_STREAM = 64 << 20  # bytes; about 200,000 tokens, each in an event of its own
LONGEST_WAIT = 3600.0  # seconds; what a server may ask for with Retry-After
_TOO_LONG = re.compile(
    r"context.{0,20}(length|size|window)|too long|too many (input )?tokens|exceeds? .{0,60}tokens", re.IGNORECASE
)  # as OpenAI, Groq, vLLM, llama-server, Anthropic and Gemini say it
_QUOTED = 300  # characters of a server's own message that an error repeats


def client(headers: Mapping[str, str] | None = None) -> httpx2.Client:
    """A client that follows no redirects and reads no environment (proxies, certificates)."""
    return httpx2.Client(
        headers=dict(headers or {}), trust_env=False, follow_redirects=False, transport=Transport()
    )


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
    limit = Limit(deadline, silence, connect)
    if limit.passed():
        raise late(name)
    try:
        request = http.build_request(
            method,
            url,
            content=None if body is None else _encoded(body),
            headers={"content-type": "application/json"} if body is not None else None,
            extensions=limit.extensions(),
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
        if limit.passed():
            raise late(name) from error
        if limit.leash is not None and limit.leash.passed():
            raise ModelUnavailable(f"{name} did not answer in the time it was given.", "Try again later.") from error
        unavailable = ModelUnavailable(
            f"{name} does not answer at {_origin(url)} ({type(error).__name__}).",
            "Check that the server runs and that the address is right.",
        )
        unavailable.cost_nothing = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise unavailable from error
    finally:
        limit.release()


def chunks(response: httpx2.Response, name: str, deadline: float | None) -> Iterator[bytes]:
    """The body as it comes; raises DeadlineExceeded when a chunk arrives after the deadline, ModelError where the body
    is larger than `MAX_STREAM`."""
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_STREAM:
            raise ModelError(f"{name} sent more than {MAX_STREAM} bytes.", "Check the address.")
        if deadline is not None and time.monotonic() >= deadline:
            raise late(name)
        yield chunk
    if deadline is not None and time.monotonic() >= deadline:
        raise late(name)


def drain(response: httpx2.Response, rest: Iterator[object]) -> None:
    """Reads what still comes after the end of an answer (`rest` takes it from the response), so that the connection
    can be used again; gives up at the first pause."""
    timeout = response.request.extensions["timeout"]["read"]
    timeout.limit.silence = LAST_SECONDS
    try:
        for _ in rest:
            continue
    except (httpx2.RequestError, RagstoneError):
        response.close()


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


def refusal(status: int, body: bytes, name: str, headers: Mapping[str, str] | None = None) -> RagstoneError:
    """The error for an answer that is not 200. Retryable (ModelUnavailable) for 408, 429 and 5xx, with what its
    `headers` say about when."""
    error = _refusal(status, body, name, headers or {})
    if isinstance(error, ModelError):
        error.cost_nothing = status not in MAY_HAVE_WORKED
    return error


def _refusal(status: int, body: bytes, name: str, headers: Mapping[str, str]) -> RagstoneError:
    said = server_message(body)
    quoted = f": {said[:_QUOTED]}" if said else "."
    if status in (401, 403) or (status == 400 and "api key" in said.lower()):  # Gemini says 400
        return KeyRefused(f"{name} refused the key ({status}){quoted}", "Set the right API key for this server.")
    if status == 404:
        return ModelMissing(
            f"{name} does not know this model or path (404){quoted}", "Check the model's name and the address."
        )
    if status in (408, 429) or status >= 500:
        after = retry_after(headers)
        hint = "Try again later." if after is None else f"Try again in {after:.0f} s."
        return ModelUnavailable(f"{name} cannot answer now ({status}){quoted}", hint, retry_after=after)
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(said)):
        return PromptTooLong(
            f"{name} finds the question too long ({status}){quoted}", "Ask less at once, or use a larger model."
        )
    return ModelError(f"{name} refused the request ({status}){quoted}", "Check the model's name and its limits.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server wants to be asked again, at most `LONGEST_WAIT`; None where it does not say. A time of
    day is counted from the server's own clock, where it tells that: ours may be wrong."""
    said = headers.get("retry-after", "").strip()
    milliseconds = headers.get("retry-after-ms", "").strip()
    try:
        if milliseconds:
            seconds = float(milliseconds) / 1000.0
        elif said.replace(".", "", 1).isdigit():
            seconds = float(said)
        elif said:
            now = headers.get("date")
            since = parsedate_to_datetime(now) if now else datetime.now(UTC)
            seconds = (parsedate_to_datetime(said) - since).total_seconds()
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT) if seconds == seconds else None


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
