"""The event loop of a process that answers: it takes connections one by one, and leaves them to who has fewer.

Several processes wait at one listening socket, and the usual loops take all that wait there at once. What a client
sends comes over the same connection for minutes, so one process is full while another has time
(docs/decisions/0021-speed.md has the figures).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from uvloop import Loop

FILE: Final = "server.places"
PLACE: Final = struct.Struct("<II")
"""Process, connections that it has."""
PLACES: Final = 64
LEFT_SECONDS: Final = 0.003
"""For so long a connection is left to processes that have fewer; then whoever sees it takes it."""
LOOK_SECONDS: Final = 0.02
MUCH: Final = 1.5
FEW: Final = 8
"""Who has more than MUCH times what another has, and FEW, closes connections after their answer: their clients come
anew, and to the other."""
FULL_SECONDS: Final = 0.2
"""Before the next try where the system has no descriptors left."""

log = logging.getLogger(__name__)
Make = Callable[[], asyncio.BaseProtocol]


class Places:
    """How many connections each process of a server has: a table that all of them map into memory. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._table: mmap.mmap | None = None
        self._own = 0
        self._looked = 0.0
        self._fewest: int | None = None

    def join(self) -> None:
        """From now on others leave connections to this process. Where the table is full, nobody knows of it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.ftruncate(file, PLACES * PLACE.size)
            table = mmap.mmap(file, PLACES * PLACE.size)
            free = (place for place, (pid, _) in enumerate(PLACE.iter_unpack(table)) if not _alive(pid))
            self._own = next(free, PLACES)
            self._table = table if self._own < PLACES else None
            self.tell(0)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # the map holds the file open, and with it the lock
            os.close(file)

    def tell(self, connections: int) -> None:
        if self._table is not None:
            PLACE.pack_into(self._table, self._own * PLACE.size, os.getpid(), connections)

    def leave(self) -> None:
        if self._table is not None:
            PLACE.pack_into(self._table, self._own * PLACE.size, 0, 0)
            self._table = None

    def fewest(self) -> int | None:
        """Connections of the other process that has the fewest, if there is one."""
        if self._table is None:
            return None
        rows = enumerate(PLACE.iter_unpack(self._table))
        return min((held for place, (pid, held) in rows if place != self._own and _alive(pid)), default=None)

    def too_many(self, connections: int) -> bool:
        """Whether this process has so many more than another that some should come anew: it was there first."""
        if self._table is None:
            return False
        self.tell(connections)
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS or self._many(connections):
            self._looked, self._fewest = now, self.fewest()
        return self._many(connections)

    def _many(self, connections: int) -> bool:
        return self._fewest is not None and connections > MUCH * self._fewest + FEW


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


class OneByOne(Loop):
    places: Places | None = None
    """Without it connections are taken one by one, and none is left to others."""

    async def create_server(
        self, protocol_factory: Make, *args: Any, sock: socket.socket | None = None, **options: Any
    ) -> Any:
        """Of a socket that listens already; any other server is the usual one."""
        if sock is None or options.get("ssl") is not None:
            return await super().create_server(protocol_factory, *args, sock=sock, **options)
        return Accepting(self, sock, protocol_factory)


class Accepting:
    """As much of an `asyncio.Server` as uvicorn uses."""

    def __init__(self, loop: OneByOne, listening: socket.socket, make: Make) -> None:
        self._loop = loop
        self._listening = listening
        self._make = make
        self._held: set[Any] = set()
        """The connections, once there was one; uvicorn keeps it."""
        self._later: asyncio.TimerHandle | None = None
        self._making: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        if loop.places is not None:
            loop.places.join()
        loop.add_reader(listening, self._ready)

    def close(self) -> None:
        self._loop.remove_reader(self._listening)
        if self._later is not None:
            self._later.cancel()
        if self._loop.places is not None:
            self._loop.places.leave()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._making)

    def _ready(self) -> None:
        """Somebody waits."""
        places = self._loop.places
        if places is not None:
            own = len(self._held) + len(self._making)
            places.tell(own)
            fewest = places.fewest()
            if fewest is not None and own > fewest:
                self._look_again(LEFT_SECONDS)
                return
        self._take()

    def _look_again(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._later = self._loop.call_later(seconds, self._take_what_is_left)

    def _take_what_is_left(self) -> None:
        self._later = None
        self._loop.add_reader(self._listening, self._ready)
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):  # another process took it, or it is gone
            return
        except OSError as error:
            log.error("connections wait: %s", error.strerror)
            self._look_again(FULL_SECONDS)
            return
        making = self._loop.create_task(self._serve(connection))
        self._making.add(making)
        making.add_done_callback(self._making.discard)

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        protocol = self._make()
        self._held = getattr(protocol, "connections", self._held)
        with contextlib.suppress(OSError):  # it was closed at once
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
