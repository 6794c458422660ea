"""A proxy that breaks what goes through it, for tests: plain asyncio on real loopback sockets, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal[
    "none", "refused", "reset", "reset-late", "stall", "stall-late", "drip", "limit", "failing", "cut", "garbage",
    "garbage-body", "huge",
]  # fmt: skip
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class FaultProxy:
    """Between a client and the server at `upstream`. `fault` may be changed at any time, and holds for connections made
    from then on. "cut" ends after `at` bytes of the answer, its head included; "reset-late" and "stall-late" happen
    there. `connections` counts what was accepted."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (str(address.hostname), int(address.port or 0))
        self._path = address.path
        self.at = 0
        self.retry_after = 0
        self.connections = 0
        self._fault: Fault = "none"
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._do(self._listen())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        self._do(self._deaf() if fault == "refused" else self._listen())

    def close(self) -> None:
        self._do(self._deaf())
        self._do(self._stopped())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _deaf(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _stopped(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(self._fault, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault in ("none", "cut", "reset-late", "stall-late"):
            await self._forward(fault, reader, writer)
            return
        await reader.read(65536)
        if fault == "reset":
            _reset(writer)
        elif fault == "stall":
            await asyncio.sleep(3600)
        elif fault == "drip":
            for byte in EVENTS + b": still here\n" * 100_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        elif fault in ("limit", "failing"):
            status = f"429 Too Many Requests\r\nretry-after: {self.retry_after}" if fault == "limit" else "502 Bad Gateway"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 8\r\nconnection: close\r\n\r\n<p>no.\r\n".encode())
        elif fault == "garbage":
            writer.write(bytes(range(255, -1, -1)) * 4)
        elif fault == "garbage-body":
            writer.write(EVENTS + b"data: \xff\x00{{{]\n\ndata: 3\n\n")
        elif fault == "huge":
            writer.write(EVENTS + b"data: ")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        with contextlib.suppress(OSError):
            await writer.drain()

    async def _forward(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        pump = asyncio.create_task(_pump(reader, up_writer))
        left = self.at if fault != "none" else -1
        try:
            while (data := await up_reader.read(65536 if left < 0 else max(1, left))) and left:
                piece = data if left < 0 else data[:left]
                left -= len(piece) if left > 0 else 0
                writer.write(piece)
                await writer.drain()
                if left == 0:
                    break
            if fault == "stall-late":
                await asyncio.sleep(3600)
            elif fault == "reset-late":
                _reset(writer)
        finally:
            pump.cancel()
            up_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closing with data dropped sends RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def breaking(upstream: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
