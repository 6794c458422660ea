"""Connections whose every single operation knows how much time is left, and that another thread can cut.

httpx2 hands a timeout down to its network backend, where it bounds one operation: a server that drips bytes, a host
with several addresses or a slow resolver could each take that time again and again. The backend here takes a `Limit`
in the timeout's place and asks it before every operation, so an exchange ends when it has to, at any point.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2
import httpx2

KEPT_SECONDS = 4.0
"""How long an idle connection is kept. Common servers close theirs after 5 s and more; ours has to go first, because a
request on a connection that is just being closed fails."""
KEPT_CONNECTIONS = 32


# A server that leaves Nagle's algorithm on holds each small piece back until the one before is acknowledged, which a
# kernel delays by 40 ms on a connection that was used before (measured). Linux forgets the option after a while.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Leash:
    """What holds one attempt at a provider from outside: `until` (`time.monotonic()` seconds; None: no limit) is when
    its exchanges have to have brought something, and is moved while they do; `cut` ends them from any thread."""

    def __init__(self, until: float | None = None) -> None:
        self.until = until
        self.was_cut = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def cut(self) -> None:
        with self._lock:
            self.was_cut = True
            for one in self._sockets:
                with contextlib.suppress(OSError):  # the exchange ended in the same moment
                    one.shutdown(socket.SHUT_RDWR)

    def passed(self) -> bool:
        return self.was_cut or (self.until is not None and time.monotonic() >= self.until)

    def hold(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.add(one)
            if self.was_cut:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def release(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(one)


LEASH: contextvars.ContextVar[Leash | None] = contextvars.ContextVar("leash", default=None)
"""The leash of the attempt that runs in this context: adapters need not know that they are on one."""


class Limit:
    """The time one exchange has: until `deadline` (`time.monotonic()` seconds), and `silence` seconds for each single
    operation; `connect` seconds to reach the server."""

    def __init__(self, deadline: float | None, silence: float, connect: float) -> None:
        self.deadline = deadline
        self.silence = silence
        self.connect = connect
        self.leash = LEASH.get()
        self._socket: socket.socket | None = None

    def extensions(self) -> dict[str, Any]:
        """What makes httpx2 ask this limit."""
        read = _Timeout(self.silence)
        read.limit = self
        return {"timeout": {"connect": read, "read": read, "write": read, "pool": None}}

    def left(self, most: float) -> float:
        """Seconds for the next operation, at most `most`; 0 and less: none."""
        now = time.monotonic()
        if self.deadline is not None:
            most = min(most, self.deadline - now)
        if self.leash is not None:
            if self.leash.was_cut:
                return 0.0
            if self.leash.until is not None:
                most = min(most, self.leash.until - now)
        return most

    def passed(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def hold(self, one: socket.socket) -> None:
        if self.leash is not None and one is not self._socket:
            self.release()
            self._socket = one
            self.leash.hold(one)

    def release(self) -> None:
        if self.leash is not None and self._socket is not None:
            self.leash.release(self._socket)
            self._socket = None


class _Timeout(float):
    """A timeout that carries the limit it comes from through httpx2 to the backend."""

    limit: Limit


def _limit(timeout: float | None) -> Limit | None:
    return timeout.limit if isinstance(timeout, _Timeout) else None


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")

    def _allowed(self, timeout: float | None, late: type[Exception]) -> float | None:
        limit = _limit(timeout)
        if limit is None:
            return timeout
        limit.hold(self._socket)
        left = limit.left(limit.silence)
        if left <= 0:
            raise late("no time is left")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return self._inner.read(max_bytes, self._allowed(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._allowed(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout)
        allowed = self._allowed(timeout, httpcore2.ConnectTimeout)
        if limit is not None and allowed is not None:
            allowed = min(allowed, limit.connect)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, allowed))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


Addresses = Callable[[str, int, float], list[str]]
"""Those of a host and port, found before `time.monotonic()` seconds."""


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, addresses: Addresses) -> None:
        self._plain = httpcore2.SyncBackend()
        self._addresses = addresses

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout)
        if limit is None:
            return _Stream(self._plain.connect_tcp(host, port, timeout, local_address, socket_options))
        end = time.monotonic() + limit.left(limit.connect)
        failure: Exception = httpcore2.ConnectTimeout("no time is left")
        for address in self._addresses(host, port, end):
            left = end - time.monotonic()
            if left <= 0 or (limit.leash is not None and limit.leash.was_cut):
                break
            try:
                return _Stream(self._plain.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


def addresses_of(host: str, port: int, end: float) -> list[str]:
    """The host's addresses. The resolver of the system cannot be told how long to try, so it runs in a thread that is
    left behind when the time is up."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host.strip("[]")))]
    found: list[str] = []
    failed: list[OSError | UnicodeError] = []

    def resolve() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=resolve, daemon=True, name="ragstone-resolver")
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))
    if failed:
        raise httpcore2.ConnectError(f"{host}: {failed[0]}") from failed[0]
    if not found:
        raise httpcore2.ConnectTimeout(f"{host}: its address was not found in time")
    return list(found)


@functools.cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


class Transport(httpx2.HTTPTransport):
    """httpx2's own transport over the connections above. `addresses` may refuse some by raising."""

    def __init__(self, addresses: Addresses = addresses_of) -> None:
        trust = _trust()
        super().__init__(verify=trust, trust_env=False)
        if not isinstance(self._pool, httpcore2.ConnectionPool):
            raise TypeError("httpx2.HTTPTransport no longer keeps its connections in _pool")
        self._pool = httpcore2.ConnectionPool(
            ssl_context=trust,
            max_connections=None,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_Backend(addresses),
        )
