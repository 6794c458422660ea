"""The page in a real Chromium, served by `ragstone serve` over the sample documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ragstone

pytest.importorskip("playwright", reason="the page is tested with playwright (extra dev)")
pytest.importorskip("starlette", reason="the page is served with starlette")
from playwright.sync_api import Browser, Page, expect, sync_playwright

from compared import COMPARED, made
from served import SAMPLES, Served, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT = 60_000
"""Milliseconds that the browser waits for something to appear; nothing is timed."""
REFUSALS = "window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.blockedURI));"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests that change no settings."""
    data = tmp_path_factory.mktemp("page") / "data"
    with ragstone.open(data) as kb:
        kb.add([SAMPLES])
        kb.embed_pending()
        kb.graph.build()
    made(data / "comparisons" / COMPARED, {"alpha": [0.9] * 3, "beta": [0.1] * 3})
    with served(data, "--set", "server.requests_per_minute=0", "--set", "server.failures_per_minute=0") as server:
        yield server


@pytest.fixture
def opened(browser: Browser, server: Served) -> Iterator[Callable[..., Page]]:
    """A signed-in page. What it logs as an error, and what it asks of other hosts, fails the test."""
    contexts, wrong = [], []

    def make(at: str = "", *, of: Served = server, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        context.add_init_script(REFUSALS)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(of.url) else wrong.append(request.url))
        page.goto(f"{of.url}/#token={of.key}")
        page.wait_for_selector("nav")
        if at:
            page.goto(f"{of.url}/#/{at}")
        return page

    yield make
    for context in contexts:
        context.close()
    assert not wrong

