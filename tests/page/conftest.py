"""The page in a real Chromium, over a real knowledge base with the sample documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ragstone

pytest.importorskip("playwright", reason="the page is tested with playwright (extra dev)")
pytest.importorskip("starlette", reason="the page is served with starlette")
from playwright.sync_api import Browser, Page, sync_playwright

from page_server import TOKEN, PageServer, page_server

SAMPLES = Path(__file__).parents[2] / "samples"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT = 15_000
"""Milliseconds that the browser waits for something to appear; nothing is timed."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    with ragstone.open(folder / "data") as kb:
        kb.add([SAMPLES])
        kb.embed_pending()
        with page_server(kb, folder / "uploads") as server:
            yield server


@pytest.fixture
def opened(browser: Browser, server: PageServer) -> Iterator[Callable[..., Page]]:
    """A signed-in page. What it logs as an error, and what it asks of other hosts, fails the test."""
    contexts, wrong = [], []

    def make(at: str = "", *, of: PageServer = server, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(of.url) else wrong.append(request.url))
        page.goto(f"{of.url}#token={TOKEN}")
        page.wait_for_selector("nav")
        if at:
            page.goto(f"{of.url}#/{at}")
        return page

    yield make
    for context in contexts:
        context.close()
    assert not wrong
