"""Server-sent events: each has an id, a name and one JSON object; comments keep the connection alive meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from .operations import Call, Headers, encode, reply_headers
from .problems import problem

HEARTBEAT_SECONDS: Final = 10.0
MEDIA_TYPE: Final = "text/event-stream"

Event = tuple[str, Any]
"""Name ("": none), and an object, or bytes as they are."""

log = logging.getLogger(__name__)


class ClientGone(Exception):
    """Nobody reads the stream any more."""


async def send_events(call: Call, source: AsyncIterator[Event], *, numbered: bool = True) -> None:
    """Sends what `source` yields until it ends or the client goes; then `source` is closed. An error becomes the event
    `error` with a problem document, which is the last one. The answer begins with the first event, so that an error
    before it has a status of its own."""
    gone = asyncio.create_task(_gone(call))
    begun = False
    number = 0
    try:
        while True:
            step = asyncio.ensure_future(anext(source, None))
            event = await _or_gone(call, step, gone, heartbeats=begun)
            if event is None:
                break
            if not begun:
                begun = True
                await call.send({"type": "http.response.start", "status": 200, "headers": _headers(call)})
            number += 1
            await _chunk(call, _formatted(event, number if numbered else 0))
    except ClientGone:
        log.info("request %s: the client went away", call.request_id)
        return
    except Exception as error:
        if not begun:
            raise
        _, _, body = problem(error, call.request_id)
        await _chunk(call, _formatted(("error", body), number + 1 if numbered else 0))
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        closing: Any = source
        await closing.aclose()
    if begun:
        await call.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _or_gone(call: Call, step: asyncio.Future[Any], gone: asyncio.Task[None], *, heartbeats: bool) -> Any:
    """What `step` gives. Raises ClientGone."""
    try:
        while True:
            waiting = {step, gone}
            done, _ = await asyncio.wait(waiting, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if step in done:
                return step.result()
            if gone in done:
                raise ClientGone
            if heartbeats:
                await _chunk(call, b": alive\n\n")
    finally:
        if not step.done():
            step.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await step


async def _gone(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


async def _chunk(call: Call, data: bytes) -> None:
    await call.send({"type": "http.response.body", "body": data, "more_body": True})


def _headers(call: Call) -> Headers:
    return [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-accel-buffering", b"no"),  # a proxy passes each event on at once
        *reply_headers(call),
    ]


def _formatted(event: Event, number: int) -> bytes:
    """JSON has no line breaks in it, so one data line holds it."""
    name, value = event
    data = value if isinstance(value, bytes) else encode(value)
    head = (f"id: {number}\n" if number else "") + (f"event: {name}\n" if name else "")
    return head.encode() + b"data: " + data + b"\n\n"
