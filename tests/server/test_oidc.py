"""Signing in with an OpenID provider, which is a small one of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from oidc_provider import OidcProvider
from ragstone.settings import OidcSettings
from server.conftest import Running, free_port, serving
from server.test_routes import problem

FLAWS = (
    "issuer", "audience", "nonce", "no nonce", "expired", "no exp", "early", "party", "signature", "unknown key", "secret", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    made = OidcProvider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def office(provider: OidcProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    oidc = OidcSettings(
        provider.issuer, provider.client_id, provider.secret, f"http://127.0.0.1:{port}", name="Office", tenant_claim="org.unit",
        tenants=("house=default", "gone=0000"), scope_claim="groups", read=("staff",), admin=("boss",),
    )  # fmt: skip
    with serving(tmp_path_factory.mktemp("oidc"), port=port, oidc=oidc, failures_per_minute=0) as running:
        yield running


@pytest.fixture
def browser(provider: OidcProvider, office: Running) -> Iterator[httpx2.Client]:
    provider.flaw, provider.down = "", False
    provider.claims = {"email": "ada@example.org", "groups": ["staff"], "org": {"unit": "house"}}
    with office.client() as client:
        yield client


def come_back(client: httpx2.Client) -> httpx2.Response:
    """From the server to the provider and back, as a browser does."""
    begun = client.get("/login")
    assert begun.status_code == 303, begun.text
    assert "SameSite=Lax" in begun.headers["set-cookie"]
    assert "HttpOnly" in begun.headers["set-cookie"]
    with httpx2.Client() as outside:
        led = outside.get(begun.headers["location"])
    return client.get(led.headers["location"])


def test_somebody_signs_in_and_out(office: Running, browser: httpx2.Client) -> None:
    assert browser.get("/v1/login").json() == {"provider": "Office", "address": "/login"}
    back = come_back(browser)
    assert (back.status_code, back.headers["location"]) == (303, "/")
    session = next(c for c in back.headers.get_list("set-cookie") if c.startswith("ragstone_session="))
    assert "HttpOnly" in session
    assert "SameSite=Strict" in session
    who = browser.get("/v1/session").json()
    assert (who["name"], who["tenant"], who["scopes"]) == ("ada@example.org", "default", ["read"])
    assert browser.get("/v1/collections").status_code == 200
    csrf = {"X-CSRF-Token": who["csrf"]}
    problem(browser.post("/v1/collections", json={"name": "x"}, headers=csrf), 403, "Forbidden")
    cookie = {"Cookie": session.partition(";")[0]}
    assert browser.delete("/v1/session", headers=csrf).status_code == 204
    with office.client() as thief:
        problem(thief.get("/v1/session", headers=cookie), 401, "NotSignedIn")


def test_claims_tell_what_somebody_may(office: Running, browser: httpx2.Client, provider: OidcProvider) -> None:
    provider.claims["groups"] = ["boss", "staff"]
    come_back(browser)
    who = browser.get("/v1/session").json()
    assert who["scopes"] == ["read", "admin"]
    listed = [k for k in browser.get("/v1/keys").json()["items"] if k["id"] == who["key"]]
    assert listed[0]["expires"]
    with office.local() as admin:
        assert admin.delete(f"/v1/keys/{who['key']}").status_code == 204
    problem(browser.get("/v1/session"), 401, "NotSignedIn")


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ({"groups": ["visitors"]}, 403, "Forbidden"), ({"groups": None}, 403, "Forbidden"),
        ({"org": {"unit": "street"}}, 403, "Forbidden"), ({"org": {}}, 403, "Forbidden"),
        ({"org": {"unit": "gone"}}, 404, "NotFound"),
    ],
)  # fmt: skip
def test_who_has_no_right_stays_outside(browser: httpx2.Client, provider: OidcProvider, claims: dict, status: int, code: str) -> None:
    provider.claims |= claims
    problem(come_back(browser), status, code)
    problem(browser.get("/v1/session"), 401, "NotSignedIn")


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_token_with_a_flaw_is_refused(browser: httpx2.Client, provider: OidcProvider, flaw: str) -> None:
    provider.flaw = flaw
    problem(come_back(browser), 401, "NotSignedIn")
    problem(browser.get("/v1/session"), 401, "NotSignedIn")


def test_a_sign_in_that_was_not_begun_here(office: Running, browser: httpx2.Client) -> None:
    problem(browser.get("/login/callback?code=x&state=y"), 401, "NotSignedIn")
    begun = browser.get("/login")
    with httpx2.Client() as outside:
        back = outside.get(begun.headers["location"]).headers["location"]
    with office.client() as victim:
        problem(victim.get(back), 401, "NotSignedIn")  # a link that somebody else made
    problem(browser.get(back.replace("state=", "state=x")), 401, "NotSignedIn")
    problem(browser.get(back.replace("code=", "code=x")), 401, "NotSignedIn")
    problem(browser.get(back + "x"), 401, "NotSignedIn")


def test_an_error_of_the_provider(browser: httpx2.Client, provider: OidcProvider, office: Running) -> None:
    begun = browser.get("/login")
    state = httpx2.URL(begun.headers["location"]).params["state"]
    problem(browser.get("/login/callback", params={"state": state, "error": "access_denied"}), 401, "NotSignedIn")
    office.service.provider._about = None
    provider.down = True
    refused = browser.get("/login")
    problem(refused, 503, "SignInUnavailable")
    assert int(refused.headers["retry-after"]) >= 1
    provider.down, provider.flaw = False, "discovery"
    problem(browser.get("/login"), 503, "SignInUnavailable")


def test_keys_of_the_provider_may_change(browser: httpx2.Client, provider: OidcProvider, office: Running) -> None:
    assert come_back(browser).status_code == 303
    provider.rotate()
    at, keys = office.service.provider._keys
    office.service.provider._keys = at - 11, keys  # as if the last look was so long ago
    assert come_back(browser).status_code == 303


def test_without_a_provider(running: Running) -> None:
    with running.client() as client:
        assert client.get("/v1/login").json() == {"provider": None, "address": None}
        problem(client.get("/login"), 404, "NotFound")
        problem(client.get("/login/callback"), 404, "NotFound")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (OidcSettings("http://id.example.org", "c", "", "https://rag.example.org"), "not encrypted"),
        (OidcSettings("https://id.example.org", "", "", "https://rag.example.org"), "client_id"),
        (OidcSettings("https://id.example.org", "c"), "address"),
    ],
)
def test_settings_that_cannot_be_right(tmp_path: Path, settings: OidcSettings, said: str) -> None:
    from ragstone.errors import SettingsError
    from ragstone.server.oidc import Provider

    with pytest.raises(SettingsError, match=said):
        Provider(settings, b"secret")
