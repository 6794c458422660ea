"""Who asks, and what they may: one function for the API, the page and every other way in.

A request is signed in by a key (`Authorization: Bearer`), or by the page's session cookie, which stands for a key and
is worth what that key is worth now. Authorisation belongs to the operation that was found, never to an address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from ..errors import Forbidden, InputError, NotSignedIn, WrongHost
from .accounts import DEFAULT_TENANT, Accounts, Key, Scope, key_digest, new_key

TOKEN_FILE: Final = "server.token"  # noqa: S105 - a name
COOKIE: Final = "ragstone_session"
CSRF_HEADER: Final = "x-csrf-token"
LOCAL_KEY: Final = "local"
"""Id of the key that stands for the person at this machine."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
SHOWN: Final = "A key stands in the header `Authorization: Bearer rgs_…`; an administrator makes one."


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is from."""

    key: Key
    csrf: str = ""
    """What a changing request has to carry; empty where no cookie signed it in."""

    @property
    def tenant(self) -> str:
        return self.key.tenant

    @property
    def id(self) -> str:
        return self.key.id


class Authority:
    """Knows the keys and the secret of the sessions. `local` is the text of the key of the person at this machine, only
    where the server listens on loopback."""

    def __init__(self, accounts: Accounts, *, local: str = "", session_seconds: float = 43_200.0) -> None:
        self._accounts = accounts
        self._local_digest = key_digest(local) if local else b""
        self._local = Key(LOCAL_KEY, "this machine", DEFAULT_TENANT, ("read", "write", "admin"), time.time())
        self._seconds = session_seconds
        # who can read neither the token nor the database cannot make a session; a new token ends the old ones
        self._secret = hashlib.blake2b(accounts.secret + self._local_digest, digest_size=32).digest()

    def authorise(self, headers: Mapping[str, str], method: str, scope: Scope) -> Principal:
        """The one authorisation function. Raises NotSignedIn, Forbidden."""
        principal = self._signed_in(headers)
        if not principal.key.live(time.time()):
            raise NotSignedIn("the key has expired or was revoked.", "Ask for a new one.")
        if principal.csrf and method not in SAFE_METHODS:
            given = headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(given.encode(), principal.csrf.encode()):
                raise Forbidden("the page's token is missing or old.", f"Send {CSRF_HEADER}, or reload the page.")
        if not principal.key.allows(scope):
            raise Forbidden(f"this key may not do that: it needs the scope {scope}.", "Use another key.")
        self._accounts.note_use(principal.key)
        return principal

    def _signed_in(self, headers: Mapping[str, str]) -> Principal:
        given = headers.get("authorization", "")
        if given:
            kind, _, text = given.partition(" ")
            if kind.lower() != "bearer" or not text.strip():
                raise NotSignedIn("the header Authorization carries no key.", SHOWN)
            return Principal(self._by_text(text.strip()))
        session = cookie(headers.get("cookie", ""), COOKIE)
        if session:
            return self._by_session(session)
        raise NotSignedIn("there is no key.", SHOWN)

    def _by_text(self, text: str) -> Key:
        if self._local_digest and hmac.compare_digest(key_digest(text), self._local_digest):
            return self._local
        key = self._accounts.find(text)
        if key is None:
            raise NotSignedIn("the key is wrong.", SHOWN)
        return key

    # ------------------------------------------------------------------ sessions of the page
    def open_session(self, principal: Principal) -> tuple[str, float, str]:
        """Value of the cookie, its seconds, and the token for changing requests."""
        seconds = self._seconds
        if principal.key.expires is not None:
            seconds = min(seconds, principal.key.expires - time.time())
        text = f"{principal.id}.{int(time.time() + seconds)}.{secrets.token_hex(8)}"
        payload = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return f"{payload}.{self._sign(payload)}", seconds, self._sign("csrf:" + payload)

    def _by_session(self, value: str) -> Principal:
        payload, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            raise NotSignedIn("the session is not valid.", "Sign in again.")
        id, until, _ = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode().split(".")
        if time.time() >= int(until):
            raise NotSignedIn("the session has ended.", "Sign in again.")
        key = self._local if id == LOCAL_KEY and self._local_digest else self._accounts.key(id)
        if key is None:
            raise NotSignedIn("the session's key is gone.", "Sign in again.")
        return Principal(key, self._sign("csrf:" + payload))

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def cookie(header: str, wanted: str) -> str:
    """Its value; empty where there is none."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""


class Doors:
    """Under which names the server may be called, and from whose pages. A page of another origin is refused, and so is
    a name that somebody else points at this machine."""

    def __init__(self, host: str, names: tuple[str, ...], *, https: bool) -> None:
        loopback = is_loopback(host)
        allowed = {*LOOPBACK_NAMES, *(name.lower() for name in names), _bracketed(host)}
        if not loopback:
            allowed.add(socket.gethostname().lower())
        self._allowed = frozenset(allowed)
        self._addresses = not loopback
        self._schemes = ("https://",) if https else ("http://", "https://")

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises WrongHost, Forbidden."""
        host = headers.get("host", "").lower()
        name = _without_port(host)
        if name not in self._allowed and not (self._addresses and _is_address(name)):
            raise WrongHost("this server is not called so.", "Add the name to the setting server.hosts.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in [scheme + host for scheme in self._schemes]:
            raise Forbidden("pages of other origins may not ask.", "Call it from its own page, or a program.")


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host.lower()


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def local_token(folder: Path) -> str:
    """The token of the person at this machine; made at the first call, for this user's eyes only (0600)."""
    import os

    path = folder / TOKEN_FILE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        text = path.read_text(encoding="ascii").strip()
        if len(text) < len(new_key()):
            raise InputError(f"{path} holds no token.", "Remove it: a new one is made.") from None
        path.chmod(0o600)
        return text
    text = new_key()
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return text
