"""What documents, names, metadata and answers smuggle in is shown, never run, and calls nobody."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from compared import COMPARED, made
from model_servers import OpenAIHandler, Script, serving
from payloads import HAND_MADE, composed, injections
from ragstone.compare import journal
from served import Served, served

ANSWERED = 44
"""Payloads of one answer."""

Opened = Callable[..., Page]


@dataclass
class Hostile:
    server: Served
    script: Script
    """What the generating model says next."""
    payloads: Sequence[str]


@contextlib.contextmanager
def attacked(folder: Path, payloads: Sequence[str]) -> Iterator[Hostile]:
    """Every payload is a title, a name, metadata and text; a generating model answers with some of them; and all are
    answers of a comparison."""
    script = Script(words=said(payloads[:ANSWERED]))
    compared = made(folder / "data" / "comparisons" / COMPARED, {"some": [0.5] * len(payloads)})
    runs = journal.Journal(compared / journal.RUNS).read()
    texts = iter(payloads)
    for run in runs:
        if run["kind"] == "answer":
            run["shown"] = text = next(texts)
            run["citations"] = [{"document": text, "text": text}]
    (compared / journal.RUNS).write_text("".join(json.dumps(run) + "\n" for run in runs))
    with serving(OpenAIHandler, script) as url:
        chosen = {
            "answer.model": "openai:fake", "answer.base_url": f"{url}/v1", "answer.max_tokens": 4000,
            "server.requests_per_minute": 0, "embedding.background": False, "search.mode": "lexical",
        }  # fmt: skip
        arguments = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        with served(folder / "data", *arguments) as server:
            server.put(
                [
                    (name(number, text), text, f"The valve is opened at 5 bar. {text}\n")
                    for number, text in enumerate(payloads)
                ]
            )
            yield Hostile(server, script, payloads)


def said(payloads: Sequence[str]) -> tuple[str, ...]:
    whole = "The valve is opened at 5 bar. " + "\n\n".join(payloads)
    return tuple(word + " " for word in whole.split(" "))


def name(number: int, payload: str) -> str:
    """A uri may hold anything but control characters."""
    return f"mem://{number}/" + "".join(c if c.isprintable() else " " for c in payload)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with attacked(tmp_path_factory.mktemp("hostile"), HAND_MADE) as found:
        yield found


def clean(page: Page) -> None:
    """Nothing ran, nothing was asked for, and nothing stands there that would have."""
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("window.refused") == []  # what the page's policy had to stop
    assert page.locator("main :is(script, iframe, object, embed, link, style, base, meta, form[action])").count() == 0
    assert page.locator("main :is([onerror], [onload], [onclick], [onfocus], [ontoggle], [style*=url])").count() == 0
    assert page.locator("main img:not([src^='/v1/'])").count() == 0


def asked(page: Page, question: str) -> None:
    page.fill("textarea", question)
    page.keyboard.press("Enter")
    page.locator(".turn").last.locator(".under").wait_for()


def all_documents(server: Served) -> list[str]:
    """Their ids."""
    found, cursor = [], ""
    while cursor is not None:
        listed = server.ask(f"/v1/collections/default/documents?limit=500&cursor={cursor}").json()
        found += [document["id"] for document in listed["items"]]
        cursor = listed["next"]
    return found


def walk(page: Page, server: Served) -> None:
    """Every document, at a passage."""
    for id in all_documents(server):
        page.goto(f"{server.url}/#/document/{id}?start=0&end=12")
        page.locator(".document mark").wait_for()
    clean(page)


def addresses(page: Page, hostile: Hostile) -> None:
    for payload in hostile.payloads:
        page.goto(f"{hostile.server.url}/#/documents/{quote(payload, safe='')}")
        page.goto(f"{hostile.server.url}/#/search?q={quote(payload, safe='')}")
    clean(page)


def names_of_files(page: Page, hostile: Hostile) -> None:
    """In the list of uploads, refused by the server for their size."""
    page.route(
        "**/documents",
        lambda route: route.fulfill(status=413, json={"detail": hostile.payloads[0]})
        if route.request.method == "POST"
        else route.fallback(),
    )
    page.goto(f"{hostile.server.url}/#/documents")
    page.wait_for_selector(".drop")
    files = [{"name": text, "mimeType": "text/plain", "buffer": b"x"} for text in hostile.payloads]
    page.locator("input[type=file]").first.set_input_files(files)
    page.locator(".upload.failed").nth(len(files) - 1).wait_for(state="attached")
    clean(page)


def names_of_collections(page: Page, hostile: Hostile) -> None:
    """The server refuses them; the page would not run them either."""
    for payload in hostile.payloads:
        assert hostile.server.ask("/v1/collections", "POST", json={"name": payload}).status_code == 400
    figures = {"documents": 1, "chunks": 1, "characters": 1, "embedded": 1, "waiting": 1, "languages": {}}
    listed = {"items": [{"name": payload, **figures} for payload in hostile.payloads]}
    page.route("**/v1/collections", lambda route: route.fulfill(json=listed))
    for view in ("documents", "search", "ask"):
        page.goto(f"{hostile.server.url}/#/{view}")
        page.reload()
        page.locator("main option", has_text=hostile.payloads[0]).first.wait_for(state="attached")
        clean(page)


def ratings(page: Page, hostile: Hostile) -> None:
    for number in range(1, len(hostile.payloads) + 1):
        page.goto(f"{hostile.server.url}/#/compare/{COMPARED}?question={number}")
        page.get_by_text(f"Question {number} of").wait_for()
        page.locator(".side summary").first.click()
    clean(page)


def names_of_entities(page: Page, hostile: Hostile, most: int) -> None:
    """Titles are entities of the graph: drawn, found, listed, in questions and decisions."""
    graph, at = "/v1/collections/default/graph", f"{hostile.server.url}/#/graph/default"
    assert hostile.server.ask(f"{graph}:build?wait=60", "POST").json()["state"] == "done"
    found = hostile.server.ask(f"{graph}/map?limit=10000").json()["entities"]
    named = [one for one in found if "<" in one["name"]]
    assert len(named) >= 20
    page.goto(f"{at}?all=1")
    page.wait_for_selector(f".drawing[data-placed='{len(found)}']")
    clean(page)
    page.goto(f"{at}?list=communities")
    page.locator(".graph-panel .hit").first.wait_for()
    clean(page)
    for one in named[:most]:
        page.goto(f"{at}?entity={one['id']}")
        page.locator(".graph-panel h2", has_text=one["name"]).wait_for()
        page.get_by_role("tab", name="Passages").click()
        page.locator(".graph-panel .passage").first.wait_for()
    clean(page)
    page.get_by_role("combobox", name="Find an entity").fill(named[0]["name"])
    page.locator(".picker [role=option]", has_text=named[0]["name"]).wait_for()
    clean(page)
    page.goto(f"{at}?entity={named[0]['id']}")
    page.get_by_role("button", name="Same as …").click()
    page.get_by_role("combobox", name="Same as …").fill(named[1]["name"])
    page.locator(".picker [role=option]", has_text=named[1]["name"]).click()
    page.get_by_role("dialog").get_by_text(named[1]["name"]).wait_for()
    clean(page)
    page.get_by_role("dialog").get_by_role("button", name="Same as …").click()
    page.locator(".aliases li").first.wait_for()
    page.goto(f"{at}?list=decisions")
    page.locator(".graph-panel .hit").first.wait_for()  # named by one of the forms
    clean(page)
    page.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    page.get_by_text("Nothing is decided by hand.").wait_for()
    page.locator(".drawing[data-placed]").wait_for()
    clean(page)


def test_an_answer(opened: Opened, hostile: Hostile) -> None:
    page = opened(of=hostile.server)
    asked(page, "At how many bar is the valve opened?")
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


def test_search_and_passages(opened: Opened, hostile: Hostile) -> None:
    page = opened("search?q=valve%20bar&k=100", of=hostile.server)
    page.wait_for_selector(".hit")
    assert page.locator(".hit").count() == len(HAND_MADE)
    clean(page)


def test_documents_and_each_document(opened: Opened, hostile: Hostile) -> None:
    page = opened("documents", of=hostile.server)
    page.wait_for_selector("table")
    clean(page)
    walk(page, hostile.server)


def test_the_address(opened: Opened, hostile: Hostile) -> None:
    addresses(opened(of=hostile.server), hostile)


def test_names_of_files_and_collections(opened: Opened, hostile: Hostile) -> None:
    names_of_files(opened(of=hostile.server), hostile)
    names_of_collections(opened(of=hostile.server), hostile)


def test_names_of_entities(opened: Opened, hostile: Hostile) -> None:
    names_of_entities(opened(of=hostile.server), hostile, most=10)


def test_answers_that_are_rated(opened: Opened, hostile: Hostile) -> None:
    ratings(opened(of=hostile.server), hostile)


def test_what_an_error_tells(opened: Opened, hostile: Hostile) -> None:
    page = opened(of=hostile.server)
    refusal = {"detail": HAND_MADE[0], "hint": HAND_MADE[1]}
    page.route("**/v1/search", lambda route: route.fulfill(status=400, json=refusal))
    page.goto(f"{hostile.server.url}/#/search?q=x")
    page.get_by_role("alert").wait_for()
    clean(page)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_payload_everywhere(opened: Opened, tmp_path: Path) -> None:
    """Minutes: RAGSTONE_BIPIA asks for it, and names a folder with the train part of BIPIA, whose attacks join those
    of this suite."""
    folder = os.environ.get("RAGSTONE_BIPIA")
    if not folder:
        pytest.skip("RAGSTONE_BIPIA names no folder with the train part of BIPIA")
    payloads = [*HAND_MADE, *composed(), *injections(Path(folder))]
    with attacked(tmp_path, payloads) as hostile:
        page = opened(of=hostile.server)
        for begin in range(0, len(payloads), ANSWERED):
            hostile.script.words = said(payloads[begin : begin + ANSWERED])
            asked(page, f"At how many bar is the valve opened in hall {begin}?")
            clean(page)
        page.goto(f"{hostile.server.url}/#/documents")
        page.wait_for_selector("table")
        rows = page.locator(".list tbody tr")
        while (shown := rows.count()) < len(payloads):
            page.get_by_role("button", name="Show more").click()
            rows.nth(shown).wait_for()
        assert rows.count() == len(payloads)
        clean(page)
        walk(page, hostile.server)
        addresses(page, hostile)
        ratings(page, hostile)
        names_of_entities(page, hostile, most=len(payloads))
        names_of_files(opened(of=hostile.server), hostile)
        names_of_collections(opened(of=hostile.server), hostile)
