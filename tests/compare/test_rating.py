"""Rating: nobody learns whose answer it is; what was rated stays; the page answers only its own address."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from compared import made
from ragstone.compare import journal, rating, rating_page
from ragstone.compare.figures import CRITERIA


def spoken(words: list[str]) -> Callable[[str], str]:
    said = iter(words)

    def read(prompt: str) -> str:
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    return read


def ratings(folder: Path) -> list[dict[str, object]]:
    return journal.Journal(folder / journal.RATINGS).read()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path, {"alpha": [0.9] * 3, "beta": [0.1] * 3})


def test_rating_is_blind_and_goes_on(folder: Path) -> None:
    shown: list[str] = []
    assert rating.ask(folder, "r", write=shown.append, read=spoken(["5"] * 6 + ["9", "x", "4", "q"])) == (1, 6)
    assert len(ratings(folder)) == 1
    assert "A number from 1 to 5, s or q." in shown
    assert not any("alpha" in line.replace("by alpha", "") for line in shown)
    assert rating.ask(folder, "r", write=shown.append, read=spoken(["s"] + ["3"] * 24)) == (5, 6)
    assert rating.ask(folder, "other", write=shown.append, read=spoken([])) == (0, 6)


def test_the_order_differs_by_rater_and_stays_for_one(folder: Path) -> None:
    orders = {tuple(i.id + i.text for i in rating.items(folder, rater)) for rater in "abcdef"}
    assert len(orders) > 1
    assert rating.items(folder, "a") == rating.items(folder, "a")
    sides = {i.models for rater in "abcdef" for i in rating.items(folder, rater) if i.label == "A"}
    assert sides == {("alpha",), ("beta",)}


def test_equal_answers_are_rated_once(tmp_path: Path) -> None:
    folder = made(tmp_path, {"alpha": [0.9], "beta": [0.1]})
    path = folder / journal.RUNS
    path.write_text(path.read_text().replace("by beta", "by alpha"))
    assert rating.ask(folder, "r", write=lambda _: None, read=spoken(["2"] * 6)) == (1, 1)
    assert {r["model"] for r in ratings(folder)} == {"alpha", "beta"}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = rating_page.make_server(folder, "web")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield rating_page.address(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def request(url: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    body = None if form is None else urlencode(form)
    connection.request("GET" if form is None else "POST", address.path, body, headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_the_page_rates_and_ends(folder: Path) -> None:
    with served(folder) as url:
        for item in rating.items(folder, "web"):
            status, text = request(url)
            assert status == 200
            assert item.question["question"] in text
            assert "<script" not in text
            assert request(url, {"item": item.id, "do": "rate", "fluency": "5"})[0] == 400
            status, _ = request(url, {"item": item.id, "do": "rate", **dict.fromkeys(CRITERIA, "4")})
        assert status == 200  # the last one says thank you
    assert len(ratings(folder)) == 6
    assert all(r["scores"] == dict.fromkeys(CRITERIA, 4) for r in ratings(folder))


def test_the_page_answers_only_its_own_address(folder: Path) -> None:
    with served(folder) as url:
        base = url.rsplit("/", 2)[0]
        assert request(f"{base}/")[0] == 404
        assert request(f"{base}/guess/")[0] == 404
        assert request(url, host="evil.example")[0] == 404
        assert request(url, {"item": "x", "do": "rate", "fill": "y" * 5000})[0] == 413
    assert ratings(folder) == []


def test_skipping_and_ending_on_the_page(folder: Path) -> None:
    first, second = rating.items(folder, "web")[:2]
    with served(folder) as url:
        assert request(url, {"item": first.id, "do": "skip"})[0] == 303
        assert f'value="{second.id}"' in request(url)[1]
        assert "Thank you" in request(url, {"do": "end"})[1]
    assert ratings(folder) == []
