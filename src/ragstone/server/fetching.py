"""Documents from an address that a client names. The server asks in its own place, so it must not be led to what only
it can reach: a name is resolved once, every address that it has is checked, and one of those is connected to; each
redirect goes the same way. No proxy, no cookies, no credentials; sizes and times are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2

from .. import __version__
from ..errors import DeadlineExceeded, Forbidden, InputError, LimitExceeded, Unreadable
from ..llm.sockets import Limit, Transport, addresses_of

REDIRECTS: Final = 5
CONNECT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 10.0
URL_LENGTH: Final = 2_048
PORTS: Final = {"http": 80, "https": 443}
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""IPv4 behind IPv6 (RFC 6052, RFC 8215)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`url` after all redirects; `media_type` as the server said."""

    url: str
    media_type: str


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """`hosts`: the only ones, as `name` or `name:port`, which may have private addresses; empty: any whose addresses
    are all public, on ports 80 and 443. `deadline` in `time.monotonic()` seconds."""

    hosts: tuple[str, ...]
    most_bytes: int
    deadline: float


def fetch(url: str, limits: FetchLimits, write: Callable[[bytes], None]) -> Fetched:
    """Gives the bytes to `write` as they come. Raises InputError, Forbidden, Unreadable, LimitExceeded,
    DeadlineExceeded."""
    transport = Transport(lambda host, port, end: checked(host, port, limits.hosts, end))
    headers = {"user-agent": f"Ragstone/{__version__}", "accept-encoding": "identity", "accept": "*/*"}
    with httpx2.Client(transport=transport, trust_env=False, follow_redirects=False, headers=headers) as http:
        for _ in range(REDIRECTS + 1):
            require_allowed(url, limits.hosts)
            following = _one(http, url, limits, write)
            if isinstance(following, Fetched):
                return following
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
                raise Unreadable("the address leads from https to http.", "Name the address that it leads to.")
            url = following
    raise Unreadable(f"the address leads on more than {REDIRECTS} times.", "Name the address that it leads to.")


def _one(http: httpx2.Client, url: str, limits: FetchLimits, write: Callable[[bytes], None]) -> Fetched | str:
    """What was fetched, or where it leads."""
    limit = Limit(limits.deadline, SILENCE_SECONDS, CONNECT_SECONDS)
    try:
        request = http.build_request("GET", url, extensions=limit.extensions())
        response = http.send(request, stream=True)
        try:
            if response.is_redirect:
                return urljoin(url, response.headers.get("location", ""))
            if response.status_code != 200:
                raise Unreadable(f"the address answers with status {response.status_code}.", "Open it in a browser.")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise Unreadable("the address answers packed, although it was told not to.", "Upload the file.")
            _read(response, limits, write)
            kind = response.headers.get("content-type", "").partition(";")[0].strip()
            return Fetched(url, kind)
        finally:
            response.close()
    except httpx2.InvalidURL as error:
        raise InputError("the address is none.", "Use the form https://name/path.") from error
    except httpx2.RequestError as error:
        if limit.passed():
            raise _late() from error
        raise Unreadable(
            f"the address does not answer ({type(error).__name__}).", "Check it, or upload the file."
        ) from error
    finally:
        limit.release()


def _read(response: httpx2.Response, limits: FetchLimits, write: Callable[[bytes], None]) -> None:
    size = 0
    for part in response.iter_raw():
        size += len(part)
        if size > limits.most_bytes:
            raise LimitExceeded(
                f"what the address gives has more than {limits.most_bytes:,} bytes.", "Raise the server's limit."
            )
        if time.monotonic() >= limits.deadline:
            raise _late()
        write(part)


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("the address did not give everything in time.", "Give more time with X-Deadline-Ms.")


def require_allowed(url: str, hosts: Sequence[str]) -> None:
    """Raises InputError for what is no web address, Forbidden for one that is not to be asked."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InputError("the address is none.", "Use the form https://name/path.") from None
    if parts.scheme not in PORTS or not host or len(url) > URL_LENGTH or not url.isprintable():
        raise InputError("the address is none of http or https.", "Use the form https://name/path.")
    if parts.username is not None or parts.password is not None:
        raise InputError("an address must not carry a password.", "Leave out what stands before the @.")
    wanted = port or PORTS[parts.scheme]
    if hosts:
        names = {name.lower() for name in hosts}
        if f"{host}:{wanted}" not in names and not (host in names and wanted == PORTS[parts.scheme]):
            raise Forbidden("documents are not fetched from there.", "Add it to the setting server.fetch_hosts.")
    elif wanted != PORTS[parts.scheme]:
        raise Forbidden("documents are fetched from ports 80 and 443 only.", "Use the setting server.fetch_hosts.")


def checked(host: str, port: int, hosts: Sequence[str], end: float) -> list[str]:
    """The host's addresses, resolved this once, where all may be asked. Raises Forbidden."""
    found = addresses_of(host, port, end)
    if not hosts:
        for address in found:
            if not is_public(address):
                raise Forbidden("documents are fetched from public addresses only.", "Upload the file.")
    return found


def is_public(address: str) -> bool:
    """Whether everybody on the internet reaches the same machine under it."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and any(ip in network for network in _TRANSLATED):
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        return _open(inner or ip)
    return _open(ip)


def _open(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
