"""Keys, tenants and the audit log; who is signed in, and the page's session."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...errors import Forbidden
from ...knowledge_base import KnowledgeBase
from ..accounts import DEFAULT_TENANT, FIRST, LOGIN, Key, Place, Quotas, Scope, Tenant
from ..auth import COOKIE, Principal
from ..cursors import cursor, opened, unknown
from ..operations import Call, Operation, Reply
from ..wire import Moment, rfc3339

NAME = Annotated[str, Meta(min_length=1, max_length=200)]
COUNT = Annotated[int, Meta(ge=0, le=1 << 53)]


class KeyItem(TypedDict):
    id: str
    name: str
    tenant: str
    scopes: list[str]
    created: Annotated[str, "RFC 3339"]
    expires: str | None
    used: Annotated[str | None, "to half a minute"]
    revoked: str | None


class NewKey(KeyItem):
    key: Annotated[str, "the key itself, shown this once"]


class Keys(TypedDict):
    items: list[KeyItem]
    next: Annotated[str | None, "cursor of the next page; null at the end"]


class QuotaItem(TypedDict):
    documents: Annotated[int, "0: no limit, here and below"]
    bytes: int
    requests_per_minute: int
    tokens_per_day: int


class TenantItem(TypedDict):
    id: str
    name: str
    created: str
    quotas: QuotaItem


class TenantList(TypedDict):
    items: list[TenantItem]
    next: Annotated[str | None, "cursor of the next page; null at the end"]


class AuditItem(TypedDict):
    id: int
    at: str
    key: Annotated[str, "id of the key that did it"]
    action: str
    target: str
    address: str


class AuditPage(TypedDict):
    items: list[AuditItem]
    next: Annotated[int | None, "cursor of the next page; null at the end"]


class SessionItem(TypedDict):
    key: str
    name: str
    tenant: str
    scopes: list[str]
    csrf: Annotated[str, "what changing requests of the page send as X-CSRF-Token; empty without a session"]


class KeyBody(Struct, forbid_unknown_fields=True):
    name: NAME
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)]
    expires: Moment | None = None
    tenant: Annotated[str, Meta(max_length=64, description="only for admins of the default tenant")] = ""


class QuotaBody(Struct, frozen=True, forbid_unknown_fields=True):
    documents: COUNT = 0
    bytes: COUNT = 0
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    tokens_per_day: COUNT = 0


class TenantBody(Struct, forbid_unknown_fields=True):
    name: NAME
    quotas: QuotaBody = QuotaBody()


class ListQuery(Struct, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=256)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class AuditQuery(Struct, forbid_unknown_fields=True):
    cursor: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


def list_keys(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    query: ListQuery = call.query
    found = call.service.accounts.list_keys(_reach(call), _place(query.cursor), query.limit + 1)
    return {"items": [_key(key) for key in found[: query.limit]], "next": _following(found, query.limit)}


def create_key(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001
    body: KeyBody = call.body
    tenant = body.tenant or call.tenant
    if tenant != call.tenant and call.tenant != DEFAULT_TENANT:
        raise Forbidden("keys of other tenants are made by the default tenant's admins.", "Leave tenant out.")
    expires = None if body.expires is None else body.expires.timestamp()
    key, text = call.service.accounts.create_key(body.name, body.scopes, tenant=tenant, expires=expires)
    call.record("key.create", key.id)
    return Reply({**_key(key), "key": text}, 201)


def revoke_key(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001
    key = call.service.accounts.revoke(call.path["key_id"], _reach(call))
    call.record("key.revoke", key.id)
    return Reply(None, 204)


def list_tenants(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    query: ListQuery = call.query
    found = call.service.accounts.tenants(_place(query.cursor), query.limit + 1)
    return {"items": [_tenant(tenant) for tenant in found[: query.limit]], "next": _following(found, query.limit)}


def create_tenant(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001
    body: TenantBody = call.body
    tenant = call.service.accounts.create_tenant(body.name, _quotas(body.quotas))
    call.record("tenant.create", tenant.id)
    return Reply(_tenant(tenant), 201)


def change_tenant(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    tenant = call.service.accounts.set_quotas(call.path["tenant"], _quotas(call.body))
    call.record("tenant.quotas", tenant.id)
    return _tenant(tenant)


def delete_tenant(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001
    """Nobody can sign in to it any more; its folder stays for whoever runs the server to remove."""
    id = call.path["tenant"]
    call.service.accounts.delete_tenant(id)
    call.service.tenants.forget(id)
    call.record("tenant.delete", id)
    return Reply(None, 204)


def audit(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    query: AuditQuery = call.query
    found = call.service.accounts.audit(call.tenant, query.cursor, query.limit + 1)
    shown = found[: query.limit]
    items = [{**dataclasses.asdict(entry), "at": rfc3339(entry.at)} for entry in shown]
    return {"items": items, "next": shown[-1].id if len(found) > len(shown) else None}


async def sign_in(call: Call) -> Reply:
    """Changes the key of the request for the page's cookie."""
    header, csrf = session_cookie(call, call.who)
    return Reply({**_session(call), "csrf": csrf}, 201, [(b"set-cookie", header.encode())])


def session_cookie(call: Call, principal: Principal) -> tuple[str, str]:
    """The header that sets it, and the token for changing requests."""
    value, seconds, csrf = call.service.authority.open_session(principal)
    secure = "; Secure" if call.service.settings.server.https else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={int(seconds)}; HttpOnly; SameSite=Strict{secure}", csrf


async def show_session(call: Call) -> Reply:
    return Reply(_session(call))


async def sign_out(call: Call) -> Reply:
    """The key of a sign-in with a provider stands for this session alone, and ends with it."""
    if call.who.id.startswith(LOGIN):
        await call.service.bridge.work.run(lambda: call.service.accounts.revoke(call.who.id), call.deadline)
    header = f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
    return Reply(None, 204, [(b"set-cookie", header.encode())])


def _session(call: Call) -> SessionItem:
    key = call.who.key
    return {
        "key": key.id, "name": key.name, "tenant": key.tenant, "scopes": list(key.scopes), "csrf": call.who.csrf,
    }  # fmt: skip


def _place(text: str) -> Place:
    """Raises InputError."""
    if not text:
        return FIRST
    created, _, id = opened(text).partition(" ")
    try:
        place = float.fromhex(created), id
    except (ValueError, OverflowError):
        raise unknown() from None
    if not id:
        raise unknown()
    return place


def _following(found: Sequence[Key] | Sequence[Tenant], limit: int) -> str | None:
    """`found` has one more than `limit` where there is a next page."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return cursor(f"{last.created.hex()} {last.id}")


def _reach(call: Call) -> str | None:
    """The tenant whose keys are in reach; None: all."""
    return None if call.tenant == DEFAULT_TENANT else call.tenant


def _key(key: Key) -> KeyItem:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": list(key.scopes),
        "created": rfc3339(key.created),
        "expires": _moment(key.expires),
        "used": _moment(key.used),
        "revoked": _moment(key.revoked),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _tenant(tenant: Tenant) -> TenantItem:
    quotas: Any = dataclasses.asdict(tenant.quotas)
    return {"id": tenant.id, "name": tenant.name, "created": rfc3339(tenant.created), "quotas": quotas}


def _quotas(body: QuotaBody) -> Quotas:
    return Quotas(body.documents, body.bytes, body.requests_per_minute, body.tokens_per_day)


_GROUP: Final = "accounts"

OPERATIONS = [
    Operation(
        "GET", "/v1/keys", "listKeys", "List keys.", list_keys, scope="admin", query=ListQuery,
        result=Keys, group=_GROUP,
        description="Of the tenant; for admins of the default tenant, of all.",
    ),
    Operation(
        "POST", "/v1/keys", "createKey", "Make a key; its text is shown once.", create_key, scope="admin", body=KeyBody,
        result=NewKey, status=201, group=_GROUP, errors=(404,), example={"name": "intranet", "scopes": ["read"]},
        links={"revokeKey": {"key_id": "$response.body#/id"}},
    ),
    Operation(
        "DELETE", "/v1/keys/{key_id}", "revokeKey", "Revoke a key; it works no longer than a second.", revoke_key,
        scope="admin", status=204, group=_GROUP, errors=(404,),
    ),
    Operation(
        "GET", "/v1/tenants", "listTenants", "List tenants.", list_tenants, scope="admin", default_tenant=True,
        query=ListQuery, result=TenantList, group=_GROUP,
    ),
    Operation(
        "POST", "/v1/tenants", "createTenant", "Make a tenant.", create_tenant, scope="admin", default_tenant=True,
        body=TenantBody, result=TenantItem, status=201, group=_GROUP, example={"name": "Sales"},
        links={name: {"tenant": "$response.body#/id"} for name in ("setQuotas", "deleteTenant")},
    ),
    Operation(
        "PUT", "/v1/tenants/{tenant}/quotas", "setQuotas", "Set what a tenant may use.", change_tenant, scope="admin",
        default_tenant=True, body=QuotaBody, result=TenantItem, group=_GROUP, errors=(404,),
        example={"documents": 10_000, "tokens_per_day": 1_000_000},
    ),
    Operation(
        "DELETE", "/v1/tenants/{tenant}", "deleteTenant", "Remove a tenant; its keys work no longer.", delete_tenant,
        scope="admin", default_tenant=True, status=204, group=_GROUP, errors=(404,),
    ),
    Operation(
        "GET", "/v1/audit", "audit", "The audit log of the tenant, newest first.", audit, scope="admin",
        query=AuditQuery, result=AuditPage, group=_GROUP,
    ),
    Operation(
        "POST", "/v1/session", "signIn", "Change the key for the page's cookie.", sign_in, lane="loop",
        result=SessionItem, status=201, group=_GROUP,
    ),
    Operation(
        "GET", "/v1/session", "showSession", "Who is signed in.", show_session, lane="loop", result=SessionItem,
        group=_GROUP,
    ),
    Operation(
        "DELETE", "/v1/session", "signOut", "End the page's session.", sign_out, lane="loop", status=204, group=_GROUP,
    ),
]  # fmt: skip
