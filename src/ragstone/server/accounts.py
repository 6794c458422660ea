"""Keys, tenants, use and the audit log, in `server.db` of the data folder.

A key is 256 random bits; its SHA-256 is kept. All keys are held in memory, and read again when any process changed
them: that is looked for at most `STALE_SECONDS` later, so a key that is revoked works no longer than that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

from ..errors import InputError, NotFound
from .accounts_file import AccountsFile, Statement

PREFIX: Final = "rgs_"
DEFAULT_TENANT: Final = "default"
STALE_SECONDS: Final = 0.25
USED_SECONDS: Final = 30.0
"""How exactly the last use of a key is kept."""
NAME_LENGTH: Final = 200
DAY: Final = 86_400.0
LOGIN: Final = "login-"
"""Begins the id of a key that a sign-in with a provider made."""
LOGIN_DAYS: Final = 30
"""After its end such a key is listed for so long."""

Place = tuple[float, str]
"""Of a key or tenant in their list: time of creation, and id."""
FIRST: Final[Place] = (0.0, "")

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of a tenant; 0: none."""

    documents: int = 0
    bytes: int = 0
    requests_per_minute: int = 0
    tokens_per_day: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    created: float
    quotas: Quotas = Quotas()
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """`scopes`: what it may do; admin includes write, write includes read."""

    id: str
    name: str
    tenant: str
    scopes: tuple[Scope, ...]
    created: float
    expires: float | None = None
    used: float | None = None
    revoked: float | None = None

    def allows(self, scope: Scope) -> bool:
        return any(SCOPES.index(held) >= SCOPES.index(scope) for held in self.scopes)

    def live(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class Entry:
    """Of the audit log."""

    id: int
    at: float
    key: str
    action: str
    target: str
    address: str


Listed = TypeVar("Listed", Key, Tenant)


def key_digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


class Accounts:
    """Thread-safe; several processes may have it open. Raises StoreError."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        self._version = -1
        self._looked = -STALE_SECONDS
        self._keys: Mapping[bytes, Key] = {}
        self._by_id: Mapping[str, Key] = {}
        self._tenants: Mapping[str, Tenant] = {}
        self._used: dict[str, float] = {}
        self._file = AccountsFile(folder, _first())
        self.secret: bytes = self._file.run("SELECT value FROM state WHERE name = 'secret'")[0][0]
        """Signs sessions of the page."""
        self._refresh(now=True)  # two threads that come first at once must not find it empty

    # ------------------------------------------------------------------ keys
    def find(self, key: str) -> Key | None:
        """The key with this text, whatever its state."""
        digest = key_digest(key)
        self._refresh(now=digest not in self._keys)  # another process may just have made it
        for held, found in ((held, self._keys[held]) for held in (digest,) if held in self._keys):
            if hmac.compare_digest(held, digest):
                return found
        return None

    def key(self, id: str) -> Key | None:
        self._refresh()
        return self._by_id.get(id)

    def list_keys(self, tenant: str | None = None, after: Place = FIRST, limit: int | None = None) -> list[Key]:
        """By time of creation, at most `limit` of those after a place; None: of all tenants."""
        self._refresh(now=True)
        return _page((key for key in self._by_id.values() if tenant in (None, key.tenant)), after, limit)

    def create_key(
        self, name: str, scopes: Sequence[Scope], *, tenant: str = DEFAULT_TENANT, expires: float | None = None,
        kind: str = "",
    ) -> tuple[Key, str]:  # fmt: skip
        """The key, and its text, which is kept nowhere. Its id begins with `kind`. Raises InputError, NotFound."""
        if not scopes or any(scope not in SCOPES for scope in scopes):
            raise InputError("a key has some of the scopes read, write and admin.", "Name at least one.")
        if expires is not None and expires <= time.time():
            raise InputError("the key would have expired already.", "Give a later time.")
        self.tenant(tenant)
        text = new_key()
        ordered = tuple(scope for scope in SCOPES if scope in scopes)
        key = Key(kind + secrets.token_hex(8), _name(name), tenant, ordered, time.time(), expires)
        self._file.run(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            (key.id, key_digest(text), key.name, tenant, " ".join(ordered), key.created, expires),
        )
        self._refresh(now=True)
        return key, text

    def revoke(self, id: str, tenant: str | None = None) -> Key:
        """It works no longer, in any process. Raises NotFound, also for a key of another tenant."""
        key = self.key(id)
        if key is None or tenant not in (None, key.tenant):
            raise NotFound("there is no such key.", "List the keys.")
        self._file.run("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), id))
        self._refresh(now=True)
        return self._by_id[id]

    def trim_logins(self) -> None:
        until = time.time() - LOGIN_DAYS * DAY
        self._file.run("DELETE FROM keys WHERE id GLOB ? AND expires < ?", (LOGIN + "*", until))

    def note_use(self, key: Key) -> None:
        """Written at most once in USED_SECONDS for each key, by `flush`."""
        now = time.time()
        if now - (key.used or 0.0) > USED_SECONDS:
            self._used[key.id] = now

    def flush(self) -> None:
        with self._lock:
            used, self._used = self._used, {}
            for id, at in used.items():
                self._file.run("UPDATE keys SET used = max(coalesce(used, 0), ?) WHERE id = ?", (at, id))

    # ------------------------------------------------------------------ tenants
    def tenant(self, id: str) -> Tenant:
        """Raises NotFound."""
        self._refresh()
        found = self._tenants.get(id)
        if found is None:
            raise NotFound("there is no such tenant.", "List the tenants.")
        return found

    def tenants(self, after: Place = FIRST, limit: int | None = None) -> list[Tenant]:
        """By time of creation, at most `limit` of those after a place."""
        self._refresh(now=True)
        return _page(self._tenants.values(), after, limit)

    def create_tenant(self, name: str, quotas: Quotas = Quotas()) -> Tenant:
        tenant = Tenant(secrets.token_hex(8), _name(name), time.time(), quotas, secrets.token_bytes(32))
        self._file.run(
            "INSERT INTO tenants VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?)",
            (
                tenant.id, tenant.name, tenant.secret, tenant.created, quotas.documents, quotas.bytes,
                quotas.requests_per_minute, quotas.tokens_per_day,
            ),
        )  # fmt: skip
        self._refresh(now=True)
        return tenant

    def set_quotas(self, id: str, quotas: Quotas) -> Tenant:
        """Raises NotFound."""
        self.tenant(id)
        self._file.run(
            "UPDATE tenants SET documents = ?, bytes = ?, requests_per_minute = ?, tokens_per_day = ? WHERE id = ?",
            (quotas.documents, quotas.bytes, quotas.requests_per_minute, quotas.tokens_per_day, id),
        )
        self._refresh(now=True)
        return self.tenant(id)

    def delete_tenant(self, id: str) -> None:
        """Its keys are revoked with it. Raises NotFound, InputError for the default one."""
        self.tenant(id)
        if id == DEFAULT_TENANT:
            raise InputError("the default tenant stays.", "Its keys can be revoked and its collections removed.")
        now = time.time()
        with self._file.transaction():
            self._file.run("UPDATE keys SET revoked = ? WHERE tenant = ? AND revoked IS NULL", (now, id))
            self._file.run("UPDATE tenants SET deleted = ? WHERE id = ?", (now, id))
        self._refresh(now=True)

    def count_tokens(self, tenant: str, tokens: int) -> None:
        self._file.run(
            "INSERT INTO tokens VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET used = used + excluded.used",
            (tenant, _today(), tokens),
        )

    def tokens_today(self, tenant: str) -> int:
        rows = self._file.run("SELECT used FROM tokens WHERE tenant = ? AND day = ?", (tenant, _today()))
        return int(rows[0][0]) if rows else 0

    def add_feedback(self, tenant: str, key: str, answer: str, question: str, rating: int, comment: str) -> None:
        self._file.run(
            "INSERT INTO feedback (at, tenant, key, answer, question, rating, comment) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), tenant, key, answer, question, rating, comment),
        )

    # ------------------------------------------------------------------ audit log
    def record(self, tenant: str, key: str, action: str, target: str = "", address: str = "") -> None:
        """Durable when it returns."""
        self._file.run(
            "INSERT INTO audit (at, tenant, key, action, target, address) VALUES (?, ?, ?, ?, ?, ?)",
            (time.time(), tenant, key, action, target[:NAME_LENGTH], address),
        )

    def audit(self, tenant: str, before: int, limit: int) -> list[Entry]:
        """The newest first, with ids below `before` (0: all)."""
        rows = self._file.run(
            "SELECT id, at, key, action, target, address FROM audit WHERE tenant = ? AND (? = 0 OR id < ?)"
            " ORDER BY id DESC LIMIT ?",
            (tenant, before, before, limit),
        )
        return [Entry(*row) for row in rows]

    def trim_audit(self, days: int) -> None:
        self._file.run("DELETE FROM audit WHERE at < ?", (time.time() - days * DAY,))

    # ------------------------------------------------------------------ inside
    def check(self) -> None:
        """Raises StoreError where the file cannot be read."""
        self._file.run("SELECT count(*) FROM state")

    def close(self) -> None:
        with self._lock:
            self.flush()
            self._file.close()

    def _refresh(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self._looked < STALE_SECONDS:
            return
        with self._lock:
            self._looked = moment
            version = self._file.version()
            if version == self._version:
                return
            keys: dict[bytes, Key] = {}
            columns = "digest, id, name, tenant, scopes, created, expires, used, revoked"
            for digest, id, name, tenant, scopes, created, expires, used, revoked in self._file.read(
                f"SELECT {columns} FROM keys"  # noqa: S608 - a constant
            ):
                ordered = tuple(scope for scope in SCOPES if scope in scopes.split())
                keys[digest] = Key(id, name, tenant, ordered, created, expires, used, revoked)
            self._tenants = {
                row[0]: Tenant(row[0], row[1], row[3], Quotas(*row[4:]), row[2])
                for row in self._file.read(
                    "SELECT id, name, secret, created, documents, bytes, requests_per_minute, tokens_per_day"
                    " FROM tenants WHERE deleted IS NULL"
                )
            }
            self._keys, self._by_id, self._version = keys, {key.id: key for key in keys.values()}, version


def _first() -> list[Statement]:
    """What the file has from its beginning."""
    tenant = (DEFAULT_TENANT, "default", secrets.token_bytes(32), time.time())
    return [
        ("INSERT INTO tenants VALUES (?, ?, ?, ?, NULL, 0, 0, 0, 0) ON CONFLICT DO NOTHING", tenant),
        ("INSERT INTO state VALUES ('secret', ?) ON CONFLICT DO NOTHING", (secrets.token_bytes(32),)),
    ]


def _page(items: Iterable[Listed], after: Place, limit: int | None) -> list[Listed]:
    following = sorted((one for one in items if (one.created, one.id) > after), key=lambda one: (one.created, one.id))
    return following[:limit]


def _name(text: str) -> str:
    if not text.strip() or len(text) > NAME_LENGTH or not text.isprintable():
        raise InputError(f"a name has 1 to {NAME_LENGTH} printable characters.")
    return text.strip()


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
