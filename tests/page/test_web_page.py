from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from page_server import PageServer
from ragstone.server.page import page_files

GERMAN = "Wie oft werden die Pumpen gewartet?"
ENGLISH = "How often is the intake filter of the compressor replaced?"
Opened = Callable[..., Page]


def ask(page: Page, question: str) -> None:
    page.fill("textarea", question)
    page.keyboard.press("Enter")
    page.locator(".turn").last.locator(".under").wait_for()


def test_the_token_leaves_the_address_and_is_no_cookie_of_scripts(opened: Opened) -> None:
    page = opened()
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_wrong_token_is_told(opened: Opened, browser, server: PageServer) -> None:
    page = browser.new_context(locale="en-US").new_page()
    page.goto(server.url)
    page.fill("input[type=password]", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.context.close()


def test_pointing_at_a_sentence_marks_its_span(opened: Opened) -> None:
    page = opened(viewport={"width": 1360, "height": 860})
    ask(page, ENGLISH)
    page.locator(".sentence[role=button]").first.hover()
    expect(page.locator(".beside mark")).to_contain_text("2,000")
    expect(page.locator(".sentence.chosen").first).to_be_visible()


def test_keys_alone_are_enough(opened: Opened) -> None:
    page = opened()
    ask(page, GERMAN)
    page.locator(".sentence[role=button]").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".beside mark")).to_be_visible()
    page.get_by_role("button", name="Close the source").focus()
    page.keyboard.press("Space")
    expect(page.locator(".beside")).to_have_count(0)


def test_a_page_of_a_pdf_is_shown_as_image(opened: Opened) -> None:
    page = opened()
    ask(page, ENGLISH)
    page.locator(".citation", has_text="Screw compressor").first.click()
    page.get_by_role("tab", name="Page 2").click()
    image = page.locator(".page-image img")
    expect(image).to_be_visible()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 300


def test_offsets_count_code_points(opened: Opened, server: PageServer) -> None:
    text = "🛠 Tools.\n\n" * 20 + "The violet lever stops machine Zeta.\n\n" + "🛠 More tools.\n\n" * 9
    server.kb.add_texts([("mem://emoji", "Levers", text, {})])
    page = opened()
    ask(page, "What stops machine Zeta?")
    page.locator(".citation", has_text="Levers").first.click()
    expect(page.locator(".beside mark")).to_have_text("The violet lever stops machine Zeta.")


def test_search_filters_and_keeps_its_address(opened: Opened, server: PageServer) -> None:
    page = opened("search?q=Pumpe&language=de")
    page.wait_for_selector(".hit")
    page.reload()
    expect(page.locator("input[type=search]").first).to_have_value("Pumpe")
    page.wait_for_selector(".hit")
    page.goto(f"{server.url}#/search?q=Pumpe&path=nowhere/**")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_upload_is_followed_until_it_can_be_found(opened: Opened) -> None:
    page = opened("documents")
    page.wait_for_selector("table")
    note = {"name": "note.md", "mimeType": "text/markdown", "buffer": b"# Note\n\nThe crane carries 12 tonnes.\n"}
    broken = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 nothing"}
    page.locator("input[type=file]").first.set_input_files([note, broken])
    expect(page.locator(".upload.done", has_text="note.md")).to_be_visible()
    expect(page.locator(".upload.failed", has_text="broken.pdf").locator(".failed-text")).not_to_be_empty()
    expect(page.locator("td", has_text="note.md")).to_be_visible()


def test_files_are_dropped(opened: Opened) -> None:
    page = opened("documents")
    page.wait_for_selector(".drop")
    page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(['The dropped gear has 31 teeth.'], 'gear.txt', {type: 'text/plain'}));
            const drop = new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true});
            document.querySelector('.drop').dispatchEvent(drop);
        }"""
    )
    expect(page.locator(".upload.done", has_text="gear.txt")).to_be_visible()


def test_a_collection_and_a_document_are_made_and_removed(opened: Opened, server: PageServer) -> None:
    page = opened("documents")
    page.get_by_role("button", name="New collection").click()
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This collection is empty.")).to_be_visible()
    server.kb.add_texts([("mem://gone", "Soon gone", "A text that is removed again.", {})], collection="second")
    page.reload()
    page.get_by_role("button", name="Remove: gone").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("This collection is empty.")).to_be_visible()
    page.get_by_role("button", name="Remove collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("td", has_text="compressor-manual.pdf")).to_be_visible()


def test_the_status_draws_its_charts(opened: Opened, server: PageServer) -> None:
    for turn in range(4):
        server.kb.search(f"pump {turn}")
        server.measure()
    page = opened("status")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator(".tile", has_text="State")).to_contain_text("ready")


def test_a_key_is_shown_once_and_revoked(opened: Opened) -> None:
    page = opened("keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name", exact=True).fill("importer")
    page.get_by_role("button", name="Create").first.click()
    expect(page.locator(".once code")).to_contain_text("rgs_")
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.locator(".badge", has_text="revoked")).to_be_visible()


def test_an_answer_that_breaks_off_says_so(opened: Opened) -> None:
    page = opened()
    cut = 'id: 1\nevent: stage\ndata: {"name": "search"}\n\nid: 2\nevent: token\ndata: {"text": "Half an"}\n\n'
    page.route("**/v1/ask", lambda route: route.fulfill(body=cut, content_type="text/event-stream"))
    page.fill("textarea", ENGLISH)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("broke off")
    expect(page.locator(".answer")).to_have_text("Half an")


def test_an_unreachable_server_is_told(opened: Opened) -> None:
    page = opened()
    page.route("**/v1/**", lambda route: route.abort())
    page.fill("textarea", ENGLISH)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")


@pytest.mark.parametrize("view", ["ask", "search?q=Pumpe", "documents", "status", "keys"])
def test_nothing_is_wider_than_a_small_screen(opened: Opened, view: str) -> None:
    page = opened(view, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, locale="de-DE")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelector('main').scrollWidth") <= 360
    expect(page.get_by_role("link", name="Dokumente")).to_be_visible()


def test_language_and_colours_are_kept(opened: Opened) -> None:
    page = opened(locale="de-AT", color_scheme="dark")
    assert page.evaluate("document.documentElement.lang") == "de"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="EN", exact=True).click()
    page.get_by_role("button", name="Theme:").click()
    page.reload()
    expect(page.get_by_role("link", name="Documents")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_the_page_is_small() -> None:
    assert sum(len(file.gzipped) for file in page_files().values()) < 250_000
    assert all(gzip.decompress(file.gzipped) == file.body for file in page_files().values())
