"""Signing in with an OpenID provider (extra `oidc`): authorization code with PKCE (RFC 7636), the ID token verified by
issuer, audience, nonce, times and signature (OpenID Connect Core 1.0, 3.1.3.7).

What a person may do follows from claims of the token. A sign-in makes a key that nobody ever sees, with the session's
end; the page's cookie stands for it. So it stands in the list of keys, and ends when it is revoked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2

from ..errors import Forbidden, NotSignedIn, SettingsError, SignInUnavailable
from ..llm.sockets import Limit, Transport
from .accounts import DEFAULT_TENANT, NAME_LENGTH, SCOPES, Scope
from .auth import is_loopback

if TYPE_CHECKING:
    from ..settings import OidcSettings

COOKIE: Final = "ragstone_login"
PATH: Final = "/login"
CALLBACK: Final = "/login/callback"
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Of signatures with a public key; a token signed with the client's secret, or not at all, is refused."""
LEEWAY_SECONDS: Final = 60
UNDER_WAY_SECONDS: Final = 600
KEPT_SECONDS: Final = 3_600.0
AGAIN_SECONDS: Final = 10.0
"""After which keys are asked for again because a token names one that is unknown."""
ANSWER_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 1 << 20
EXTRA: Final = "pip install 'ragstone[oidc]'"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who, and what the claims allow."""

    subject: str
    name: str
    tenant: str
    scopes: tuple[Scope, ...]


class Provider:
    """The provider that the settings name. `secret` signs what the browser keeps for us on the way. Thread-safe.
    Raises SettingsError for settings that cannot be right."""

    def __init__(self, settings: OidcSettings, secret: bytes) -> None:
        try:
            import joserfc  # noqa: F401 - whether it is there
        except ModuleNotFoundError as error:
            raise SettingsError("oidc.issuer is set, but the extra for it is not installed.", EXTRA) from error
        for name in ("client_id", "address"):
            if not getattr(settings, name):
                raise SettingsError(f"oidc.issuer is set, but oidc.{name} is not.", "Set both, or none.")
        for name in ("issuer", "address"):
            require_tls(getattr(settings, name), f"oidc.{name}")
        self.settings = settings
        self._secret = hashlib.blake2b(secret, key=b"oidc", digest_size=32).digest()
        self._lock = threading.Lock()
        self._about: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, Any] | None = None

    @property
    def secure(self) -> bool:
        return self.settings.address.startswith("https://")

    def begin(self) -> tuple[str, str]:
        """The provider's address to go to, and what the browser has to bring back. Raises SignInUnavailable."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = _base64(hashlib.sha256(verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect(),
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = self._address("authorization_endpoint")
        joined = address + ("&" if urlsplit(address).query else "?") + urlencode(query)
        until = time.time() + UNDER_WAY_SECONDS
        return joined, self._sealed({"state": state, "nonce": nonce, "verifier": verifier, "until": until})

    def finish(self, query: Mapping[str, str], brought: str) -> SignedIn:
        """Raises NotSignedIn, Forbidden, SignInUnavailable."""
        held = self._opened(brought)
        if not hmac.compare_digest(query.get("state", "").encode(), held["state"].encode()):
            raise NotSignedIn("this is not the sign-in that was begun here.", "Begin again.")
        if "error" in query:
            raise NotSignedIn("the provider did not sign you in.", "Begin again, or ask who runs the provider.")
        if query.get("iss", self.settings.issuer) != self.settings.issuer:  # RFC 9207
            raise NotSignedIn("the answer is from another provider.", "Begin again.")
        form = {
            "grant_type": "authorization_code", "code": query.get("code", ""), "redirect_uri": self._redirect(),
            "code_verifier": held["verifier"], "client_id": self.settings.client_id,
        }  # fmt: skip
        if self.settings.client_secret:
            form["client_secret"] = self.settings.client_secret
        answer = self._exchange("POST", self._address("token_endpoint"), form)
        return self._allowed(self._verified(str(answer.get("id_token", "")), held["nonce"]))

    # ------------------------------------------------------------------ the token
    def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        refused = NotSignedIn("the provider's token is not valid.", "Begin again; look at the server's clock.")
        try:
            try:
                read = jwt.decode(token, self._key_set(), algorithms=list(ALGORITHMS))
            except InvalidKeyIdError:
                read = jwt.decode(token, self._key_set(older=AGAIN_SECONDS), algorithms=list(ALGORITHMS))
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True, "value": self.settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(read.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise refused from error
        audiences = read.claims["aud"] if isinstance(read.claims["aud"], list) else [read.claims["aud"]]
        party = read.claims.get("azp", self.settings.client_id if len(audiences) == 1 else None)
        if party != self.settings.client_id:
            raise refused
        return read.claims

    def _allowed(self, claims: Mapping[str, Any]) -> SignedIn:
        """Raises Forbidden."""
        chosen = self.settings
        tenant = chosen.tenant
        if chosen.tenant_claim:
            known = dict(pair.rpartition("=")[::2] for pair in chosen.tenants)
            found = [known[value] for value in values(claims, chosen.tenant_claim) if value in known]
            if len(set(found)) != 1:
                raise Forbidden("your account belongs to no tenant of this server.", "Ask who runs it.")
            tenant = found[0]
        scopes: tuple[Scope, ...] = ("read",)
        if chosen.scope_claim:
            held = set(values(claims, chosen.scope_claim))
            allowed = {"read": chosen.read, "write": chosen.write, "admin": chosen.admin}
            scopes = tuple(scope for scope in SCOPES if held & set(allowed[scope]))
            if not scopes:
                raise Forbidden("your account may not use this server.", "Ask who runs it.")
        subject = str(claims["sub"])
        named = (str(claims[name]) for name in ("email", "preferred_username", "name") if claims.get(name))
        name = "".join(c for c in next(named, subject) if c.isprintable())[:NAME_LENGTH].strip()
        return SignedIn(subject, name or "somebody", tenant or DEFAULT_TENANT, scopes)

    # ------------------------------------------------------------------ the provider
    def _about_it(self) -> Mapping[str, Any]:
        with self._lock:
            if self._about is not None and time.monotonic() - self._about[0] < KEPT_SECONDS:
                return self._about[1]
        address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        told = self._exchange("GET", address)
        if told.get("issuer") != self.settings.issuer:
            raise SignInUnavailable("the provider says that it is another one.", "Correct the setting oidc.issuer.")
        with self._lock:
            self._about = time.monotonic(), told
        return told

    def _address(self, name: str) -> str:
        address = str(self._about_it().get(name, ""))
        try:
            require_tls(address, name)
        except SettingsError as error:
            raise SignInUnavailable(f"the provider names no {name} that can be used.", "Ask who runs it.") from error
        return address

    def _key_set(self, older: float = KEPT_SECONDS) -> Any:
        from joserfc.jwk import KeySet

        with self._lock:
            if self._keys is not None and time.monotonic() - self._keys[0] < older:
                return self._keys[1]
        keys = KeySet.import_key_set(self._exchange("GET", self._address("jwks_uri")))  # type: ignore[arg-type]
        with self._lock:
            self._keys = time.monotonic(), keys
        return keys

    def _exchange(self, method: str, url: str, form: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Raises NotSignedIn where the provider refuses, SignInUnavailable where it does not answer as it should."""
        limit = Limit(time.monotonic() + ANSWER_SECONDS, ANSWER_SECONDS, ANSWER_SECONDS)
        unavailable = SignInUnavailable("the provider that signs you in does not answer.", "Try again in a moment.")
        try:
            with httpx2.Client(transport=Transport(), trust_env=False, follow_redirects=False) as http:
                request = http.build_request(method, url, data=form, extensions=limit.extensions())
                answer = http.send(request)
        except httpx2.RequestError as error:
            raise unavailable from error
        finally:
            limit.release()
        if form is not None and 400 <= answer.status_code < 500:
            raise NotSignedIn("the provider did not accept the sign-in.", "Begin again.")
        try:
            told = json.loads(answer.content[: ANSWER_BYTES + 1])
        except ValueError as error:
            raise unavailable from error
        if answer.status_code != 200 or not isinstance(told, dict):
            raise unavailable
        return told

    def _redirect(self) -> str:
        return self.settings.address.rstrip("/") + CALLBACK

    # ------------------------------------------------------------------ what the browser keeps on the way
    def _sealed(self, held: Mapping[str, Any]) -> str:
        payload = _base64(json.dumps(held).encode())
        return f"{payload}.{self._sign(payload)}"

    def _opened(self, text: str) -> Any:
        payload, _, signature = text.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            raise NotSignedIn("no sign-in was begun in this browser.", "Begin again.")
        held = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if time.time() >= held["until"]:
            raise NotSignedIn("the sign-in took too long.", "Begin again.")
        return held

    def _sign(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), "sha256").hexdigest()


def values(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """Of a claim, which may lie inside others (`realm_access.roles`) and be one value or a list."""
    found: Any = claims.get(name)
    if found is None and "." in name:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, list):
        return [value for value in found if isinstance(value, str)]
    return [found] if isinstance(found, str) else []


def require_tls(address: str, name: str) -> None:
    """Raises SettingsError for an address that others could listen to."""
    parts = urlsplit(address)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise SettingsError(f"{name} is {address!r}.", "Write it as https://name.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{name} is {address!r}, which is not encrypted.", "Use https.")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
