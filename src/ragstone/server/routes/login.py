"""Signing in with an OpenID provider: the browser goes there and comes back with a cookie for the page."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, TypedDict
from urllib.parse import parse_qsl

from ...errors import NotFound
from ..accounts import LOGIN
from ..auth import Principal, cookie
from ..oidc import CALLBACK, COOKIE, PATH, UNDER_WAY_SECONDS, Provider, SignedIn
from ..operations import Call, Operation, Reply
from .accounts import session_cookie

_GONE = f"{COOKIE}=; Path={PATH}; Max-Age=0; HttpOnly; SameSite=Lax"


class LoginItem(TypedDict):
    provider: Annotated[str | None, "name of the provider that people sign in with; null: there is none, only keys"]
    address: Annotated[str | None, "where a browser begins"]


async def ways(call: Call) -> Reply:
    provider = call.service.provider
    item: LoginItem = {
        "provider": None if provider is None else provider.settings.name,
        "address": None if provider is None else PATH,
    }
    return Reply(item)


async def begin(call: Call) -> Reply:
    provider = _provider(call)
    address, held = await call.service.bridge.work.run(provider.begin, call.deadline)
    secure = "; Secure" if provider.secure else ""
    # Lax: the way back is a navigation that the provider's page begins
    header = f"{COOKIE}={held}; Path={PATH}; Max-Age={UNDER_WAY_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    return Reply(None, 303, [(b"location", address.encode()), (b"set-cookie", header.encode())])


async def callback(call: Call) -> Reply:
    provider, service = _provider(call), call.service
    query = dict(parse_qsl(call.scope["query_string"].decode("ascii", "replace")))
    brought = cookie(call.headers.get("cookie", ""), COOKIE)
    signed_in = await service.bridge.work.run(partial(provider.finish, query, brought), call.deadline)
    principal = await service.bridge.work.run(partial(_enter, call, signed_in), call.deadline)
    header, _ = session_cookie(call, principal)
    headers = [(b"location", b"/"), (b"set-cookie", header.encode()), (b"set-cookie", _GONE.encode())]
    return Reply(None, 303, headers)


def _enter(call: Call, signed_in: SignedIn) -> Principal:
    accounts, seconds = call.service.accounts, call.service.settings.server.session_hours * 3600
    key, _ = accounts.create_key(
        signed_in.name, signed_in.scopes, tenant=signed_in.tenant, expires=time.time() + seconds, kind=LOGIN
    )
    accounts.record(key.tenant, key.id, "session.oidc", signed_in.subject, call.address)
    return Principal(key)


def _provider(call: Call) -> Provider:
    """Raises NotFound."""
    provider = call.service.provider
    if provider is None:
        raise NotFound("nobody signs in with a provider here.", "Sign in with a key; or set oidc.issuer.")
    return provider


OPERATIONS = [
    Operation(
        "GET", "/v1/login", "waysToSignIn", "How people sign in, besides with a key.", ways, scope=None, lane="loop",
        result=LoginItem, group="accounts",
    ),
    Operation(
        "GET", PATH, "beginLogin", "Sends the browser to the OpenID provider.", begin, scope=None, lane="loop",
        status=303, group="accounts", errors=(404, 503, 504),
    ),
    Operation(
        "GET", CALLBACK, "finishLogin", "Where the provider sends the browser back to; gives the page's cookie.",
        callback, scope=None, lane="loop", status=303, group="accounts", errors=(401, 403, 404, 503, 504),
    ),
]  # fmt: skip
