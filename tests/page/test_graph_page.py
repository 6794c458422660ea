"""The knowledge graph in a browser: found, expanded, filtered, followed down to the passage, merged and split."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from served import Served

Opened = Callable[..., Page]
TEXT = (
    "Der Baustein FB_Timer7 startet die Pumpe P77. Die Pumpe P77 füllt den Behälter B78. "
    "Der Behälter B78 braucht das Ventil V79. Die Pumpen sind blau.\n"
)
GRAPH = "/v1/collections/plant/graph"
SEEN = "document.querySelector('.drawing').drawing.seen()"
"""What is drawn: entities with their places in the drawing, edges, and the names that have room."""
PAINTED = """(() => {
    const probe = document.body.appendChild(document.createElement("span"));
    const colours = [1, 2, 3, 4, 5, 6, 7, 8].map(kind => {
        probe.style.color = `var(--kind-${kind})`;
        return getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).join();
    });
    probe.remove();
    const canvas = document.querySelector(".drawing canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add(data.slice(i, i + 3).join());
    return colours.filter(colour => seen.has(colour)).join(" ");
})()"""
"""The colours of kinds, as the page has them now, that stand in the picture."""


@pytest.fixture(scope="module")
def plant(server: Served) -> Served:
    server.put([("plant/timers", "Timers", TEXT)], "plant")
    assert server.ask(f"{GRAPH}:build?wait=60", "POST").json()["state"] == "done"
    return server


def graph(opened: Opened, at: str = "graph/plant", **options: object) -> Page:
    page = opened(at, reduced_motion="reduce", **options)
    page.wait_for_selector(".drawing[data-placed]")
    return page


def drawn(page: Page) -> set[str]:
    return {entity["name"] for entity in page.evaluate(SEEN)["entities"]}


def find(page: Page, name: str, field: str = "Find an entity") -> None:
    page.get_by_role("combobox", name=field).fill(name)
    page.locator(".picker [role=option]").first.wait_for()
    page.keyboard.press("Enter")


def entity(server: Served, name: str) -> str:
    return server.ask(f"{GRAPH}/entities", params={"q": name}).json()["entities"][0]["id"]


def test_an_entity_is_found_expanded_and_kept_in_the_address(opened: Opened, plant: Served) -> None:
    page = graph(opened, f"graph/plant?entity={entity(plant, 'V79')}")
    expect(page.locator(".graph-panel h2")).to_contain_text("V79")
    near = set(page.locator(".near .linkish").all_inner_texts())
    page.wait_for_function(f"() => {SEEN}.entities.length === {len(near) + 1}")
    find(page, "FB_Timer7")
    expect(page.locator(".graph-panel h2")).to_contain_text("FB_Timer7")
    page.wait_for_function(f"() => {SEEN}.entities.some(e => e.name.includes('P77'))")
    assert near < drawn(page)
    page.go_back()
    expect(page.locator(".graph-panel h2")).to_contain_text("V79")
    assert page.evaluate("refused") == []


def test_a_click_looks_at_an_entity_and_a_second_one_expands_it(opened: Opened, plant: Served) -> None:
    page = graph(opened, f"graph/plant?entity={entity(plant, 'FB_Timer7')}")
    page.wait_for_selector(".near li")
    at = next(e for e in page.evaluate(SEEN)["entities"] if "P77" in e["name"])
    before = len(drawn(page))
    page.locator(".drawing").dblclick(position={"x": at["x"], "y": at["y"]})
    expect(page.locator(".graph-panel h2")).to_contain_text("P77")
    expect(page.get_by_role("button", name="Expand")).to_be_disabled()
    assert len(drawn(page)) >= before


def test_an_edge_leads_to_the_passage_and_the_document(opened: Opened, plant: Served) -> None:
    page = graph(opened, f"graph/plant?entity={entity(plant, 'FB_Timer7')}")
    edge = page.locator(".edge-label", has_text="startet").first
    edge.click()
    expect(page.locator(".graph-panel h2")).to_contain_text("—startet→")
    page.locator(".graph-panel .hit-head").first.click()
    expect(page.locator(".graph-panel mark")).to_contain_text("startet")
    page.get_by_role("link", name="Open document").click()
    expect(page.locator(".document mark")).to_contain_text("startet")


def test_a_path_between_two_entities(opened: Opened, plant: Served) -> None:
    page = graph(opened, f"graph/plant?entity={entity(plant, 'FB_Timer7')}")
    page.get_by_role("button", name="Path to …").click()
    find(page, "V79", "Path to …")
    expect(page.locator(".steps li").first).to_be_visible()
    steps = page.locator(".steps > li > .linkish").all_inner_texts()
    assert steps[0].startswith("FB_Timer7")
    assert "V79" in steps[-1]
    page.wait_for_function(f"() => {SEEN}.edges.filter(e => e.on).length === {len(steps)}")


def test_filters_by_kind_and_label(opened: Opened, plant: Served) -> None:
    page = graph(opened)
    everything = drawn(page)
    page.get_by_text("Filters").click()
    page.get_by_role("checkbox", name="Identifier").uncheck()
    page.wait_for_function(f"() => {SEEN}.entities.length < {len(everything)}")
    assert not any("V79" in name for name in drawn(page))
    page.get_by_role("checkbox", name="Identifier").check()
    page.get_by_role("checkbox", name="Only named connections").check()
    page.wait_for_function(f"() => {SEEN}.entities.length === {len(everything)} && {SEEN}.edges.every(e => e.label)")
    assert page.evaluate(SEEN)["edges"]


def test_keys_alone_are_enough(opened: Opened, plant: Served) -> None:
    page = graph(opened)
    page.locator(".drawing").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".graph-panel h2")
    expect(first).not_to_be_empty()
    page.locator(".near li").first.wait_for()
    page.locator(".drawing").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Expand")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator(".graph-panel")).to_have_count(0)


def test_the_passage_of_a_connection_by_keys_alone(opened: Opened, plant: Served) -> None:
    page = graph(opened)
    tab(page, "Find an entity")
    page.keyboard.type("FB_Timer7")
    page.locator(".picker [role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(".graph-panel h2")).to_contain_text("FB_Timer7")
    page.locator(".near li").first.wait_for()
    tab(page, "Show the passages: ")
    page.keyboard.press("Enter")
    expect(page.locator(".graph-panel h2")).to_contain_text("—")
    page.locator(".graph-panel .hit-head").first.wait_for()
    assert page.evaluate("document.activeElement.closest('.graph-panel') !== null")  # not back at the top
    tab(page, "Timers")
    page.keyboard.press("Enter")
    expect(page.locator(".graph-panel mark")).to_be_visible()


def tab(page: Page, name: str) -> None:
    """To what has a name that begins so."""
    for _ in range(40):
        page.keyboard.press("Tab")
        label = "(e => e.getAttribute('aria-label') ?? e.textContent)(document.activeElement)"
        if page.evaluate(label).startswith(name):
            return
    raise AssertionError(f"no key leads to {name}")


def test_communities_and_the_whole_graph(opened: Opened, plant: Served) -> None:
    page = graph(opened)
    page.get_by_role("button", name="Communities").click()
    expect(page.locator(".graph-panel .hit").first).to_be_visible()
    page.get_by_role("button", name="Whole graph").click()
    status = plant.ask(GRAPH).json()
    page.wait_for_selector(f".drawing[data-placed='{status['entities']}']")
    page.wait_for_function(f"() => {SEEN}.entities.length === {status['entities']}")
    places = {(round(e["x"]), round(e["y"])) for e in page.evaluate(SEEN)["entities"]}
    assert len(places) == status["entities"]
    page.get_by_role("button", name="Whole graph").click()
    page.wait_for_function(f"() => {SEEN}.communities.length === 0 && {SEEN}.entities.length > 0")


def test_a_whole_graph_shows_its_communities_and_each_opens(opened: Opened, server: Served) -> None:
    """Of the sample documents: from afar the names of communities, of entities where one is looked at."""
    whole = server.ask("/v1/collections/default/graph/map?limit=10000").json()
    page = graph(opened, "graph/default?all=1")
    page.wait_for_function(f"() => {SEEN}.entities.length === {len(whole['entities'])}")
    for _ in range(4):
        page.get_by_role("button", name="Zoom out").click()
    afar = page.evaluate(SEEN)
    called = {one["name"] for one in whole["communities"]}
    assert len(afar["names"]) >= 3
    assert all(any(name.startswith(shown.removesuffix("…")) for name in called) for shown in afar["names"])
    first = afar["communities"][0]
    members = [one["name"] for one, of in zip(whole["entities"], whole["community"], strict=True) if of == 0]
    page.locator(".drawing").click(position={"x": first["x"], "y": first["y"]})
    page.wait_for_function(f"members => {SEEN}.names.filter(name => members.includes(name)).length >= 3", arg=members)
    inside = next(e for e in page.evaluate(SEEN)["entities"] if e["name"] == members[0])
    page.locator(".drawing").click(position={"x": inside["x"], "y": inside["y"]})
    expect(page.locator(".graph-panel h2")).to_contain_text(members[0])


def test_hands_move_the_drawing(opened: Opened, plant: Served) -> None:
    page = graph(opened, has_touch=True)
    box = page.locator(".drawing").bounding_box()
    assert box is not None

    def places() -> dict[str, tuple[float, float]]:
        return {e["id"]: (e["x"], e["y"]) for e in page.evaluate(SEEN)["entities"]}

    def drag(x: float, y: float, dx: float, dy: float) -> None:
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        page.mouse.move(box["x"] + x + dx / 2, box["y"] + y + dy / 2)
        page.mouse.move(box["x"] + x + dx, box["y"] + y + dy)
        page.mouse.up()

    before = places()
    drag(3, 3, 40, 24)  # the corner is empty
    after = places()
    assert {(round(after[id][0] - x), round(after[id][1] - y)) for id, (x, y) in before.items()} == {(40, 24)}
    one = next(id for id, (x, y) in after.items() if 60 < x < box["width"] - 100 and 60 < y < box["height"] - 100)
    drag(*after[one], -30, 20)
    dragged = places()
    assert [round(a - b) for a, b in zip(dragged[one], after[one], strict=True)] == [-30, 20]
    assert all(dragged[id] == after[id] for id in after if id != one)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"() => Math.abs({SEEN}.entities[0].x - {dragged[next(iter(dragged))][0]}) > 1")
    wide = max(x for x, _ in places().values()) - min(x for x, _ in places().values())
    assert wide > 1.2 * (max(x for x, _ in dragged.values()) - min(x for x, _ in dragged.values()))
    page.get_by_role("button", name="Show everything").click()
    target = page.evaluate(SEEN)["entities"][0]
    page.touchscreen.tap(box["x"] + target["x"], box["y"] + target["y"])
    expect(page.locator(".graph-panel h2")).to_contain_text(target["name"])


def test_what_is_left_out_is_told(opened: Opened, server: Served) -> None:
    text = "\n\n".join(f"FB_{a} startet FB_{(a + b) % 60}." for a in range(60) for b in range(1, 10))
    server.put([("dense/calls", "Calls", text)], "dense")
    assert server.ask("/v1/collections/dense/graph:build?wait=60", "POST").json()["state"] == "done"
    hidden = server.ask("/v1/collections/dense/graph/map?limit=60").json()["hidden"]
    assert hidden > 0
    page = graph(opened, "graph/dense")
    expect(page.locator(".drawing-counts")).to_contain_text(f"; {hidden} that stand out less are left out")


def test_entities_are_merged_and_it_is_taken_back(opened: Opened, plant: Served) -> None:
    pump, tank = entity(plant, "P77"), entity(plant, "B78")
    page = graph(opened, f"graph/plant?entity={tank}")
    page.get_by_role("button", name="Same as …").click()
    find(page, "P77", "Same as …")
    page.get_by_role("dialog").get_by_role("button", name="Same as …").click()
    expect(page.locator(".aliases li").first).to_be_visible()
    assert len(plant.ask(f"{GRAPH}/decisions").json()["decisions"]) == 1
    assert entity(plant, "P77") == entity(plant, "B78")
    page.get_by_role("button", name="Decisions 1").click()
    expect(page.locator(".graph-panel .hit")).to_contain_text("is the same as")
    take_back(page)
    expect(page.get_by_text("Nothing is decided by hand.")).to_be_visible()
    assert plant.ask(f"{GRAPH}/decisions").json()["decisions"] == []
    assert {entity(plant, "P77"), entity(plant, "B78")} == {pump, tank}
    page.wait_for_function(f"() => ['{pump}', '{tank}'].every(id => {SEEN}.entities.some(e => e.id === id))")


def test_what_was_parted_is_one_again_when_that_is_taken_back(opened: Opened, plant: Served) -> None:
    """A split is a decision about several pairs; on the page it is one."""
    pump, tank, valve = (entity(plant, name) for name in ("P77", "B78", "V79"))
    for other in (tank, valve):
        whole = plant.ask(f"{GRAPH}:merge", "POST", json={"a": pump, "b": other}).json()["entities"][0]
        pump = whole["id"]
    page = graph(opened, f"graph/plant?entity={whole['id']}")
    page.locator(".aliases li", has_text="V79").get_by_role("button").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Is something else").click()
    page.get_by_role("button", name="Decisions", exact=False).click()
    split = page.locator(".graph-panel .hit", has_text="is something else than")
    expect(split).to_have_count(1)
    assert entity(plant, "V79") != entity(plant, "P77")
    take_back(page, split)
    expect(split).to_have_count(0)
    assert not [d for d in plant.ask(f"{GRAPH}/decisions").json()["decisions"] if d["kind"] == "split"]
    for one in plant.ask(f"{GRAPH}/decisions").json()["decisions"]:
        plant.ask(f"{GRAPH}:withdraw", "POST", json={"a": one["a"], "b": one["b"]})
    assert entity(plant, "V79") == valve


def take_back(page: Page, within: Locator | None = None) -> None:
    (within or page.locator(".graph-panel")).get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()


def test_who_may_only_read_is_offered_no_change(opened: Opened, plant: Served) -> None:
    key = plant.ask("/v1/keys", "POST", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    reader = Served(plant.url, key, plant.data, plant.process, plant.log)
    page = opened(f"graph/plant?entity={entity(plant, 'V79')}", of=reader)
    expect(page.get_by_role("button", name="Path to …")).to_be_visible()
    expect(page.get_by_role("button", name="Same as …")).to_have_count(0)
    listed = {"decisions": [{"kind": "merge", "a": "x", "b": "y", "a_name": "P", "b_name": "Q", "at": 1.0, "by": "me"}]}
    page.route("**/graph/decisions", lambda route: route.fulfill(json=listed))
    page.goto(f"{plant.url}/#/graph/plant?list=decisions")
    expect(page.get_by_text("“P” is the same as “Q”")).to_be_visible()
    expect(page.get_by_role("button", name="Take back")).to_have_count(0)


def test_an_empty_and_a_failing_graph_say_so(opened: Opened, plant: Served) -> None:
    assert plant.ask("/v1/collections", "POST", json={"name": "hollow"}).status_code == 201
    page = opened("graph/hollow")
    expect(page.get_by_text("The graph is empty.")).to_be_visible()
    failure = {"status": 503, "detail": "in English.", "hint": "", "id": "0f3a77"}
    page.route("**/graph", lambda route: route.fulfill(status=503, json=failure))
    page.goto(page.url.replace("hollow", "plant"))
    expect(page.get_by_role("alert")).to_contain_text("busy")


def test_colours_and_language_of_the_page_are_those_of_the_drawing(opened: Opened, plant: Served) -> None:
    page = graph(opened, color_scheme="dark", locale="de-DE")
    dark = page.wait_for_function(f"() => {PAINTED}").json_value()
    page.get_by_role("button", name="Farben:").click()
    page.wait_for_function(f"() => {PAINTED} && {PAINTED} !== '{dark}'")
    assert "Einträgen" in (page.locator(".drawing").get_attribute("aria-label") or "")
