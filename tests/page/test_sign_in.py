"""Signing in with an OpenID provider, in a real browser: there, back, and out again."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from oidc_provider import OidcProvider
from served import Served, served


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    made = OidcProvider()
    made.asks = True
    made.claims = {"email": "ada@example.org", "groups": ["staff"]}
    yield made
    made.close()


@pytest.fixture
def office(provider: OidcProvider, tmp_path: Path) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    chosen = {
        "issuer": provider.issuer, "client_id": provider.client_id, "client_secret": provider.secret, "name": "Office",
        "address": f"http://127.0.0.1:{port}", "scope_claim": "groups", "read": '["staff"]',
    }  # fmt: skip
    options = [part for name, value in chosen.items() for part in ("--set", f"oidc.{name}={value}")]
    with served(tmp_path / "data", "--port", str(port), *options) as server:
        yield server


def test_somebody_signs_in_with_the_provider_and_out(browser: Browser, provider: OidcProvider, office: Served) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(office.url)
    page.get_by_role("link", name="Sign in with Office").click()
    expect(page.get_by_role("heading", name="The provider")).to_be_visible()
    assert page.url.startswith(f"{provider.issuer}/authorize")
    page.get_by_role("link", name="Continue as ada@example.org").click()
    expect(page.get_by_role("navigation")).to_be_visible()
    assert page.url.startswith(office.url)
    assert "code=" not in page.url
    held = {cookie["name"]: cookie for cookie in context.cookies()}
    assert held["ragstone_session"]["httpOnly"]
    session = page.evaluate("fetch('/v1/session').then(answer => answer.json())")
    assert (session["name"], session["scopes"]) == ("ada@example.org", ["read"])
    expect(page.get_by_role("link", name="Keys")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("navigation")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name=re.compile("Sign in with Office"))).to_be_visible()
    with context.new_page() as thief:
        context.add_cookies([held["ragstone_session"]])  # the key behind the cookie ended as well
        thief.goto(office.url)
        assert thief.evaluate("fetch('/v1/session').then(answer => answer.status)") == 401
    context.close()
    assert not wrong
