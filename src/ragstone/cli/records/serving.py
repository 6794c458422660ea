"""The JSON of the server, its keys and tenants."""

from __future__ import annotations

from typing import Annotated, TypedDict


class ServeRecord(TypedDict):
    """`serve`, once it listens."""

    schema_version: int
    url: Annotated[str, "address of the page; on loopback it signs the browser in"]
    token_file: Annotated[str, "file with the token for programs; empty off loopback"]


class KeyRecord(TypedDict):
    id: str
    name: str
    tenant: str
    scopes: list[str]
    created: float
    expires: float | None
    used: Annotated[float | None, "to half a minute"]
    revoked: float | None


class KeysRecord(TypedDict):
    """`keys list`, `create` and `revoke`."""

    schema_version: int
    keys: list[KeyRecord]
    key: Annotated[str, "the new key itself, shown this once; else empty"]


class TenantRecord(TypedDict):
    id: str
    name: str
    created: float


class TenantsRecord(TypedDict):
    """`tenants list`, `create` and `remove`."""

    schema_version: int
    tenants: list[TenantRecord]
