from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from compared import COMPARED
from ragstone.server.accounts import Accounts
from ragstone.server.page import page_files
from served import Served, served

GERMAN = "Wie oft werden die Pumpen gewartet?"
ENGLISH = "How often is the intake filter of the compressor replaced?"
SECOND = "all-minilm-l6-v2"
CONTRAST = """() => {
    const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const parsed = color => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
    const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.push(parsed(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
        const style = getComputedStyle(element);
        if (!text || !element.checkVisibility({visibilityProperty: true}) || element.closest(":disabled, svg, option")) continue;
        const under = behind(element), [a, b] = [light(over(parsed(style.color), under)), light(under)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < (large ? 3 : 4.5)) bad.push([text.slice(0, 40), element.className, contrast.toFixed(2)]);
    }
    return bad;
}"""
Opened = Callable[..., Page]


def ask(page: Page, question: str) -> None:
    page.fill("textarea", question)
    page.keyboard.press("Enter")
    page.locator(".turn").last.locator(".under").wait_for()


def test_the_token_leaves_the_address_and_is_no_cookie_of_scripts(opened: Opened) -> None:
    page = opened()
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_wrong_token_is_told(opened: Opened, browser, server: Served) -> None:
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


def test_a_page_of_a_pdf_is_shown_with_the_cited_place(opened: Opened, server: Served) -> None:
    page = opened()
    ask(page, ENGLISH)
    page.locator(".citation", has_text="Screw compressor").first.click()
    page.get_by_role("tab", name="Page 2").click()
    image = page.locator(".page-image img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 300
    expect(page.locator(".places rect").first).to_be_attached()
    page.get_by_role("tab", name="Page 2").press("ArrowLeft")
    expect(page.locator(".beside mark")).to_be_visible()


def test_without_an_image_the_text_is_shown(opened: Opened) -> None:
    page = opened()
    page.route("**/image", lambda route: route.fulfill(status=404))
    ask(page, ENGLISH)
    with page.expect_response("**/image"):
        page.locator(".citation", has_text="Screw compressor").first.click()
    expect(page.locator(".beside mark")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_count(0)


def test_offsets_count_code_points(opened: Opened, server: Served) -> None:
    text = "🛠 Tools.\n\n" * 20 + "The violet lever stops machine Zeta.\n\n" + "🛠 More tools.\n\n" * 9
    server.put([("mem://emoji", "Levers", text)])
    page = opened()
    ask(page, "What stops machine Zeta?")
    page.locator(".citation", has_text="Levers").first.click()
    expect(page.locator(".beside mark")).to_have_text("The violet lever stops machine Zeta.")


def test_search_filters_and_keeps_its_address(opened: Opened, server: Served) -> None:
    page = opened("search?q=Pumpe&language=de")
    page.wait_for_selector(".hit")
    page.reload()
    expect(page.locator("input[type=search]").first).to_have_value("Pumpe")
    page.wait_for_selector(".hit")
    page.goto(f"{server.url}/#/search?q=Pumpe&path=nowhere/**")
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


def test_a_collection_and_a_document_are_made_and_removed(opened: Opened, server: Served) -> None:
    page = opened("documents")
    page.get_by_role("button", name="New collection").click()
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This collection is empty.")).to_be_visible()
    server.put([("mem://gone", "Soon gone", "A text that is removed again.")], "second")
    page.reload()
    page.get_by_role("button", name="Remove: gone").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("This collection is empty.")).to_be_visible()
    page.get_by_role("button", name="Remove collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("td", has_text="compressor-manual.pdf")).to_be_visible()


def test_the_status_draws_its_charts(opened: Opened, server: Served) -> None:
    for turn in range(4):
        server.search(f"pump {turn}")
    page = opened("status")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator(".tile", has_text="State")).to_contain_text("ready")


def test_a_key_is_shown_once_and_revoked(opened: Opened) -> None:
    page = opened("keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name", exact=True).fill("importer")
    page.get_by_role("button", name="Create").first.click()
    expect(page.locator(".once code")).to_contain_text("rgs_")
    row = page.locator("tr", has_text="importer")  # other tests of this server make keys too
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row.locator(".badge", has_text="revoked")).to_be_visible()


def test_limits_of_a_tenant_and_the_audit_log(opened: Opened) -> None:
    page = opened("keys")
    page.get_by_label("New tenant").fill("Sales")
    page.keyboard.press("Enter")
    row = page.locator("tr", has_text="Sales")
    expect(row).to_contain_text("no limits")
    row.get_by_role("button", name="Limits").click()
    page.get_by_label("Megabytes").fill("25")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("25 MB")
    page.get_by_text("Audit log").click()
    expect(page.locator(".audit td", has_text="tenant.quotas").first).to_be_visible()
    row.get_by_role("button", name="Remove: Sales").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_answers_are_rated_side_by_side_without_names(opened: Opened, server: Served) -> None:
    page = opened("compare")
    page.get_by_role("link", name=COMPARED).click()
    expect(page.locator(".side")).to_have_count(2)
    for side in page.locator(".side").all():
        for row in side.locator(".criterion").all():
            row.get_by_role("radio").nth(0).focus()
            page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Keep and go on").click()
    expect(page.get_by_text("Question 2 of 3 · 2 of 6 rated")).to_be_visible()
    page.get_by_role("button", name="Previous question").click()
    expect(page.get_by_role("radio", name="Accuracy: 2").first).to_be_checked()
    told = server.ask(f"/v1/comparisons/{COMPARED}/question?number=1").json()
    assert {side["scores"]["fluency"] for side in told["sides"]} == {2}
    assert set(told) & {"models", "model"} == set()


def test_a_space_is_built_switched_to_and_left(opened: Opened, server: Served) -> None:
    if not any(model["name"] == SECOND and model["installed"] for model in server.ask("/v1/spaces").json()["models"]):
        pytest.skip(f"{SECOND} is not installed here")
    server.put([("mem://lathe", "Lathe", "The lathe turns at 900 revolutions.")], "lathes")
    page = opened("spaces")
    section = page.get_by_role("region", name="lathes")
    section.get_by_role("button", name="Build").click()
    card = section.locator(".space", has_text=SECOND)
    expect(card).to_contain_text("1 of 1 passages", timeout=60_000)
    card.get_by_role("button", name="Switch to it").click()
    expect(card).to_contain_text("is searched")
    former = section.locator(".space.kept")
    former.get_by_role("button", name="Go back to it").click()
    page.get_by_role("dialog").get_by_role("button", name="Go back to it").click()
    expect(card).to_contain_text("kept")
    card.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)


def test_questions_of_a_conversation_go_together(opened: Opened) -> None:
    page = opened()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.post_data_json["conversation"]) if r.url.endswith("/v1/ask") else None)
    ask(page, ENGLISH)
    ask(page, "And the oil?")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, GERMAN)
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.parametrize(("status", "told"), [(429, "Versuchen Sie es in 7 s"), (503, "ausgelastet"), (500, "versagt")])
def test_refusals_are_told_in_the_language_of_the_page(opened: Opened, status: int, told: str) -> None:
    page = opened(locale="de-DE")
    refusal = {"status": status, "detail": "in English.", "hint": "in English.", "id": "0f3a77"}
    page.route("**/v1/search", lambda route: route.fulfill(status=status, json=refusal, headers={"retry-after": "7"}))
    page.goto(page.url.partition("#")[0] + "#/search?q=Pumpe")
    expect(page.get_by_role("alert")).to_contain_text(told)
    expect(page.get_by_role("alert")).not_to_contain_text("English")


def test_too_large_a_file_is_told(opened: Opened) -> None:
    page = opened("documents")
    refusal = {"status": 413, "detail": "the body is larger than 52428800 bytes.", "hint": ""}
    page.route(
        "**/v1/collections/*/documents",
        lambda route: route.fulfill(status=413, json=refusal) if route.request.method == "POST" else route.fallback(),
    )
    page.wait_for_selector(".drop")
    large = {"name": "large.pdf", "mimeType": "application/pdf", "buffer": b"x"}
    page.locator("input[type=file]").first.set_input_files([large])
    expect(page.locator(".upload.failed")).to_contain_text("too large")


def test_a_session_that_ended_asks_for_the_key_again(opened: Opened) -> None:
    page = opened()
    page.context.clear_cookies()
    page.goto(page.url.partition("#")[0] + "#/documents")
    expect(page.get_by_text("You are not signed in any more.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(opened: Opened, theme: str) -> None:
    """WCAG 2.2 AA: a contrast of 4.5, of 3 for large text."""
    page = opened(color_scheme=theme, reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    found = {}
    ask(page, ENGLISH)
    page.locator(".citation").first.click()
    page.locator(".beside mark").wait_for()
    found["answer"] = page.evaluate(CONTRAST)
    views = {
        "search?q=Pumpe": ".hit", "documents": "table", "status": ".tile", "keys": "table", "spaces": ".space",
        "graph?list=communities": ".graph-panel .hit",
        f"compare/{COMPARED}": ".side", "nowhere": ".empty",
    }  # fmt: skip
    for view, sign in views.items():
        page.goto(page.url.partition("#")[0] + f"#/{view}")
        page.locator(f"{sign}:visible").first.wait_for()
        found[view] = page.evaluate(CONTRAST)
    assert not any(found.values()), found


def test_the_focus_is_seen_and_reaches_everything(opened: Opened) -> None:
    page = opened("documents")
    page.wait_for_selector("table")
    page.get_by_role("link", name="Skip to content").focus()
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => { const e = document.activeElement; return [e.getAttribute('aria-label') || e.textContent.trim(),"
            " e === document.body ? 'the window' : getComputedStyle(e).outlineStyle]; }"
        )
        reached.add(name)
        assert outline != "none", name
    assert {"Ask", "Search", "Documents", "Rate", "Graph", "Vector spaces", "Status", "Keys", "Sign out"} < reached
    assert {"Collection", "New collection", "Choose files", "Filter by name"} < reached


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


@pytest.mark.parametrize("view", ["ask", "search?q=Pumpe", "documents", "status", "keys", "spaces", "graph", f"compare/{COMPARED}"])
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
    """What the first paint takes; the graph, with what draws it, comes when it is looked at."""
    first = [f for name, f in page_files().items() if not re.match(r"/assets/(graph|layout|sheet)", name)]
    assert sum(len(file.gzipped) for file in first) < 120_000
    assert sum(len(file.gzipped) for file in page_files().values()) < 150_000
    assert all(gzip.decompress(file.gzipped) == file.body for file in page_files().values())


def test_more_keys_than_a_page_has_are_shown_on_request(opened: Opened, tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "data")
    for number in range(101):
        accounts.create_key(f"machine {number:03}", ["read"])
    accounts.close()
    with served(tmp_path / "data") as server:
        page = opened("keys", of=server)
        expect(page.get_by_text("machine 099")).to_be_visible()
        expect(page.get_by_text("machine 100")).to_have_count(0)
        page.get_by_role("button", name="Show more").click()
        expect(page.get_by_text("machine 100")).to_be_visible()
        expect(page.get_by_role("button", name="Show more")).to_have_count(0)
