"""The processes of a server: one listening socket, and one or several processes that answer on it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from ..errors import InputError, SettingsError
from ..settings import Settings
from .accepting import OneByOne, Places
from .accounts import Accounts
from .app import create_app, server_parts
from .auth import is_loopback, local_token
from .protocol import Protocol
from .service import ServerParts
from .workers import Workers

BACKLOG: Final = 2_048
STARTUP_FAILED: Final = 3
KEEP_ALIVE: Final = 75
"""Seconds; longer than a proxy's, which then closes first."""
SWITCH_SECONDS: Final = 0.0005
"""For so long one thread may keep the interpreter from another: a tenth of what is usual, so that the event loop does
not wait behind searches (docs/decisions/0021-speed.md)."""
GARBAGE_AFTER: Final = 10_000
"""Objects that were made and not let go before cycles are looked for; 700 is usual. Results that are kept hold many and
form no cycles, and looking through them took a twentieth of a search."""


def listen(settings: Settings) -> socket.socket:
    """The socket that all processes share. Raises SettingsError where nobody could sign in, InputError where the
    address cannot be had."""
    chosen = settings.server
    if not is_loopback(chosen.host):
        with contextlib.closing(Accounts(settings.data.folder)) as accounts:
            if not any(key.live(time.time()) and key.allows("admin") for key in accounts.list_keys()):
                raise SettingsError(
                    f"{chosen.host} is reached from other machines, and there is no admin key.",
                    "Make one with `ragstone keys create NAME --scope admin`, or serve on 127.0.0.1.",
                )
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((chosen.host.strip("[]"), chosen.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise InputError(
            f"{chosen.host}:{chosen.port} cannot be listened on: {error.strerror}.",
            "Choose another with --port, or stop what is there.",
        ) from error
    listening.set_inheritable(True)
    return listening


def show(settings: Settings, listening: socket.socket) -> tuple[str, str]:
    """The address to open, and the file with the token where there is one."""
    host, port = settings.server.host, listening.getsockname()[1]
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    address = f"http://{name}:{port}/"
    if not is_loopback(host):
        return address, ""
    return f"{address}#token={local_token(settings.data.folder)}", str(settings.data.folder / "server.token")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Makes the parts in the process that needs them."""

    settings: Settings
    environ: dict[str, str]
    configure: Callable[[str, str], None]
    """Sets the log up."""

    def __call__(self) -> ServerParts:
        self.configure(self.settings.log.level, self.settings.log.format)
        return server_parts(self.settings, self.environ)


@dataclass(frozen=True, slots=True)
class _Application:
    parts: _Parts

    def __call__(self) -> ASGIApp:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(GARBAGE_AFTER)
        loop = asyncio.get_running_loop()
        if isinstance(loop, OneByOne) and self.parts.settings.server.workers > 1:
            loop.places = Places(self.parts.settings.data.folder)
        return create_app(self.parts())


def run(
    settings: Settings,
    environ: dict[str, str],
    listening: socket.socket,
    configure: Callable[[str, str], None],
) -> int:
    """Until SIGTERM or SIGINT; running requests may end first. Gives the exit code."""
    chosen = settings.server
    parts = _Parts(_plain(settings), environ, configure)
    config = uvicorn.Config(
        _Application(parts), factory=True, workers=chosen.workers, log_config=None,
        access_log=False, server_header=False, date_header=True, proxy_headers=False, ws="none", backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=max(1, round(chosen.drain_seconds)),
        http=Protocol, lifespan="on", loop="ragstone.server.accepting:OneByOne",
    )  # fmt: skip
    workers = Workers(parts, chosen.job_workers)
    workers.start()
    try:
        if chosen.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
            return 0
        server = uvicorn.Server(config)
        with contextlib.suppress(KeyboardInterrupt):  # it was stopped as asked
            server.run(sockets=[listening])
        return 0 if server.started else STARTUP_FAILED
    finally:
        workers.stop(max(1.0, chosen.drain_seconds))


def _plain(settings: Settings) -> Settings:
    """Settings that can be sent to another process."""
    return replace(settings, origins=dict(settings.origins), providers=dict(settings.providers))
