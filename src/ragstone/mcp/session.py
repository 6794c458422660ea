"""What the package that carries the protocol does on standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, BinaryIO

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server.lowlevel.server import Server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from .greeting import Greeting
from .lines import BLOCK, MESSAGE_BYTES, Lines, write
from .reach import Reach
from .surface import surface


def serve(
    reach: Reach, source: BinaryIO, sink: BinaryIO, lines: Lines, greeting: Greeting, waiting: Sequence[bytes | None]
) -> None:
    """Until `source` ends. `waiting` came already, and before it what the greeting heard."""
    asyncio.run(_serve(surface(lambda _: reach), source, sink, lines, greeting, waiting))


async def _serve(
    server: Server[Any], source: BinaryIO, sink: BinaryIO, lines: Lines, greeting: Greeting,
    waiting: Sequence[bytes | None],
) -> None:  # fmt: skip
    incoming: tuple[MemoryObjectSendStream[SessionMessage | Exception],
                    MemoryObjectReceiveStream[SessionMessage | Exception]]  # fmt: skip
    incoming = anyio.create_memory_object_stream(0)
    outgoing: tuple[MemoryObjectSendStream[SessionMessage], MemoryObjectReceiveStream[SessionMessage]]
    outgoing = anyio.create_memory_object_stream(0)
    refusals = outgoing[0].clone()
    again, heard = greeting.told, asyncio.Event()  # the answer that was given already comes once more

    async def read() -> None:
        async with incoming[0], refusals:
            async for line in _lines(source, lines, [*greeting.heard, *waiting]):
                message = _understood(line)
                if isinstance(message, types.JSONRPCError):
                    await refusals.send(SessionMessage(message))
                else:
                    await incoming[0].send(SessionMessage(message))
                    if again is not None:
                        await heard.wait()

    async def send() -> None:
        async with outgoing[1]:
            async for one in outgoing[1]:
                if again is not None and not heard.is_set():
                    heard.set()
                    continue
                data = one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                await asyncio.to_thread(write, sink, data)

    reading, writing = asyncio.create_task(read()), asyncio.create_task(send())
    try:
        await server.run(incoming[1], outgoing[0], server.create_initialization_options())
        with contextlib.suppress(BrokenPipeError):
            await writing
    finally:
        reading.cancel()
        writing.cancel()


def _understood(line: bytes | None) -> types.JSONRPCMessage:
    """A message, or the error that answers it."""
    if line is None:
        return _refused(types.INVALID_REQUEST, f"the message is longer than {MESSAGE_BYTES} bytes. Send less.")
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        if any(one["type"] == "json_invalid" for one in error.errors(include_url=False, include_context=False)):
            return _refused(types.PARSE_ERROR, "Parse error: a line has to be one JSON-RPC message.")
        return _refused(types.INVALID_REQUEST, "Invalid request: this is JSON, but no JSON-RPC 2.0 message.")


def _refused(code: int, said: str) -> types.JSONRPCError:
    return types.JSONRPCError(jsonrpc="2.0", id=None, error=types.ErrorData(code=code, message=said))


async def _lines(source: BinaryIO, lines: Lines, come: Sequence[bytes | None]) -> AsyncIterator[bytes | None]:
    """None for a line that is too long."""
    for line in come:
        yield line
    async for block in _blocks(source):
        for line in lines.of(block):
            yield line


async def _blocks(source: BinaryIO) -> AsyncIterator[bytes]:
    """From a thread that ends with the process: nothing can wake it from a read."""
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[bytes] = asyncio.Queue(1)

    def read() -> None:
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop is closed: nobody listens
            while True:
                block = source.read(BLOCK)
                asyncio.run_coroutine_threadsafe(blocks.put(block), loop).result()
                if not block:
                    return

    threading.Thread(target=read, name="ragstone-stdin", daemon=True).start()
    while block := await blocks.get():
        yield block
