"""What documents, names, metadata and answers smuggle in is shown, never run, and calls nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

import ragstone
from model_servers import OpenAIHandler, Script, serving
from page_server import PageServer, page_server

RUN = "window.ran=1"
AWAY = "http://127.0.0.1:9/stolen"
PAYLOADS = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'<img src="{AWAY}?img">',
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<iframe src='javascript:parent.{RUN}'></iframe>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<object data='{AWAY}'></object>",
    f"<embed src='{AWAY}'>",
    f"<link rel=stylesheet href='{AWAY}.css'>",
    f"<style>@import '{AWAY}.css'; body{{background:url({AWAY})}}</style>",
    f"<div style=\"background:url('{AWAY}')\">x</div>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href='{AWAY}'>",
    f"<form action='{AWAY}'><button autofocus onfocus={RUN}>x</button></form>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<math><mtext></p><img src=x onerror={RUN}></mtext></math>",
    f"<noscript><p title=\"</noscript><img src=x onerror={RUN}>\"></noscript>",
    f"<template><img src=x onerror={RUN}></template>",
    f"</mark><img src=x onerror={RUN}>",
    f"\"'><img src=x onerror={RUN}>",
    f"<a href='javascript:{RUN}'>click</a>",
    f"[click](javascript:{RUN})",
    f"[click](data:text/html,<script>{RUN}</script>)",
    f"[click](JaVaScRiPt:{RUN})",
    f"![alt]({AWAY}?markdown)",
    f"![alt][far]\n\n[far]: {AWAY}?reference",
    f"[![alt]({AWAY}?nested)]({AWAY})",
    f"<{AWAY}>",
    f"`<img src=x onerror={RUN}>`",
    f"```html\n<script>{RUN}</script>\n```",
    f"| <img src=x onerror={RUN}> | b |\n|---|---|\n| <script>{RUN}</script> | c |",
    f"[x](http://a\"onmouseover=\"{RUN})",
    f"&lt;img src=x onerror={RUN}&gt;",
    f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"<ſcript>{RUN}</ſcript>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"<img id=app name=cookie src=x onerror={RUN}>",
    f"<a id=data-sentence data-citation=1 onclick={RUN}>1</a>",
]
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """Every payload is a title, a name, metadata and text; a generating model answers with all of them."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    told = "The valve is opened at 5 bar. " + "\n\n".join(PAYLOADS)
    script = Script(words=tuple(word + " " for word in told.split(" ")))
    with serving(OpenAIHandler, script) as url:
        overrides = {"answer.model": "openai:fake", "answer.base_url": f"{url}/v1", "answer.max_tokens": 4000}
        with ragstone.open(folder / "data", overrides=overrides) as kb:
            kb.add_texts(
                (f"mem://{number}/{payload}", payload, f"The valve is opened at 5 bar. {payload}\n", {"note": payload})
                for number, payload in enumerate(PAYLOADS)
            )
            kb.embed_pending()
            with page_server(kb, folder / "uploads") as server:
                yield server


def clean(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert page.locator("main :is(script, iframe, object, embed, link, style, base, meta, form[action])").count() == 0
    assert page.locator("main :is([onerror], [onload], [onclick], [onfocus], [ontoggle], [style*=url])").count() == 0
    assert page.locator("main img:not([src^='/v1/'])").count() == 0


def test_an_answer(opened: Opened, hostile: PageServer) -> None:
    page = opened(of=hostile)
    page.fill("textarea", "At how many bar is the valve opened?")
    page.keyboard.press("Enter")
    page.locator(".turn .under").wait_for()
    clean(page)
    assert "<script>" in page.locator(".answer").inner_text()  # shown as characters
    links = page.locator(".answer a").evaluate_all("links => links.map(l => [l.href, l.textContent, l.rel, l.target])")
    for address, text, rel, target in links:
        assert address.startswith(("http://", "https://"))
        assert address.split("/")[2] in text
        assert ("noreferrer" in rel, target) == (True, "_blank")
    for source in page.locator(".citation").all()[:10]:
        source.click()
        page.locator(".beside mark").wait_for()
    clean(page)


def test_search_and_passages(opened: Opened, hostile: PageServer) -> None:
    page = opened("search?q=valve%20bar&k=100", of=hostile)
    page.wait_for_selector(".hit")
    assert page.locator(".hit").count() == len(PAYLOADS)
    clean(page)


def test_documents_and_each_document(opened: Opened, hostile: PageServer) -> None:
    page = opened("documents", of=hostile)
    page.wait_for_selector("table")
    clean(page)
    for document in hostile.kb.documents():
        page.goto(f"{hostile.url}#/document/{document.id}?start=0&end=12")
        page.locator(".document mark").wait_for()
    clean(page)


def test_the_address(opened: Opened, hostile: PageServer) -> None:
    page = opened(of=hostile)
    for payload in PAYLOADS:
        page.goto(f"{hostile.url}#/documents/{quote(payload, safe='')}")
        page.goto(f"{hostile.url}#/search?q={quote(payload, safe='')}")
    clean(page)


def test_an_uploaded_name_and_an_error(opened: Opened, hostile: PageServer) -> None:
    page = opened("documents", of=hostile)
    page.wait_for_selector(".drop")
    name = f"<img src=x onerror={RUN}>.pdf"
    page.locator("input[type=file]").first.set_input_files(
        [{"name": name, "mimeType": "application/pdf", "buffer": b"%PDF-1.7 <script>window.ran=1</script>"}]
    )
    page.locator(".upload.failed").wait_for()
    page.route("**/v1/search", lambda route: route.fulfill(status=400, json={"detail": PAYLOADS[0], "hint": PAYLOADS[1]}))
    page.goto(f"{hostile.url}#/search?q=x")
    page.get_by_role("alert").wait_for()
    clean(page)
