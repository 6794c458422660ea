"""MCP over standard input and output: one process for one client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import Any, BinaryIO, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server.lowlevel.server import Server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from .reach import Reach
from .surface import surface

MESSAGE_BYTES: Final = 8 << 20
"""Of one line; a longer one is read over and refused."""
BLOCK: Final = 1 << 16


def serve(reach: Reach) -> None:
    """Until standard input ends. What else writes to standard output goes to standard error meanwhile."""
    with _wire() as (source, sink):
        asyncio.run(_serve(surface(lambda _: reach), source, sink))


@contextlib.contextmanager
def _wire() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The client's two ends, which nothing else in the process can reach."""
    with os.fdopen(os.dup(0), "rb", buffering=0) as source, os.fdopen(os.dup(1), "wb", buffering=0) as sink:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        yield source, sink


async def _serve(server: Server[Any], source: BinaryIO, sink: BinaryIO) -> None:
    incoming: tuple[MemoryObjectSendStream[SessionMessage | Exception],
                    MemoryObjectReceiveStream[SessionMessage | Exception]]  # fmt: skip
    incoming = anyio.create_memory_object_stream(0)
    outgoing: tuple[MemoryObjectSendStream[SessionMessage], MemoryObjectReceiveStream[SessionMessage]]
    outgoing = anyio.create_memory_object_stream(0)
    refusals = outgoing[0].clone()

    async def read() -> None:
        async with incoming[0], refusals:
            async for line in _lines(source):
                message = _understood(line)
                if isinstance(message, types.JSONRPCError):
                    await refusals.send(SessionMessage(message))
                else:
                    await incoming[0].send(SessionMessage(message))

    async def write() -> None:
        async with outgoing[1]:
            async for one in outgoing[1]:
                data = one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                await asyncio.to_thread(_write, sink, data)

    reading, writing = asyncio.create_task(read()), asyncio.create_task(write())
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


async def _lines(source: BinaryIO) -> AsyncIterator[bytes | None]:
    """None for a line that is too long; of it nothing is kept."""
    kept: list[bytes] = []
    size = 0
    async for block in _blocks(source):
        *ended, rest = block.split(b"\n")
        for part in ended:
            size += len(part)
            line = b"".join([*kept, part]) if size <= MESSAGE_BYTES else None
            kept, size = [], 0
            if line is None or line.strip():
                yield line
        size += len(rest)
        kept = [*kept, rest] if size <= MESSAGE_BYTES else []


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


def _write(sink: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[sink.write(view) :]
