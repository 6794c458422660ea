"""Blind rating over the API."""

from __future__ import annotations

import httpx2
import pytest

from compared import made
from ragstone.compare import journal
from ragstone.compare.figures import CRITERIA
from server.conftest import Running

NAME = "first"
SCORES = dict.fromkeys(CRITERIA, 4)
AT = f"/v1/comparisons/{NAME}"


@pytest.fixture(scope="module")
def folder(running: Running) -> str:
    path = made(running.data / "comparisons" / NAME, {"alpha": [0.9] * 3, "beta": [0.1] * 3})
    (running.data / "comparisons" / "no-comparison").mkdir()
    runs = journal.Journal(path / journal.RUNS)
    for run in runs.read():
        if run["kind"] == "answer":
            runs.append({**run, "shown": {"alpha": "Every year.", "beta": "Each week."}[run["model"]]})
    return str(path)


def test_nobody_learns_whose_answer_it_is(running: Running, folder: str) -> None:
    with running.client(running.key("read")) as rater:
        assert {"name": NAME, "questions": 3, "answers": 6, "rated": 0} in rater.get("/v1/comparisons").json()["items"]
        asked = rater.get(f"{AT}/question")
        assert {side["text"] for side in asked.json()["sides"]} == {"Every year.", "Each week."}
        assert "alpha" not in asked.text
        assert "beta" not in asked.text


def test_a_rating_is_kept_for_the_key_that_gave_it(running: Running, folder: str) -> None:
    with running.client(running.key("read")) as rater, running.client(running.key("read")) as other:
        side = rater.get(f"{AT}/question?number=1").json()["sides"][0]
        for scores in (SCORES, {**SCORES, "accuracy": 1}):
            assert rater.post(f"{AT}/ratings", json={"answer": side["id"], "scores": scores}).status_code == 204
        shown = rater.get(f"{AT}/question?number=1").json()
        assert shown["sides"][0]["scores"] == {**SCORES, "accuracy": 1}
        assert shown["answers_rated"] == 1
        assert rater.get(f"{AT}/question").json()["number"] == 1  # its other answer waits
        assert other.get("/v1/comparisons").json()["items"][0]["rated"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"answer": "q0/Z", "scores": SCORES}, 404),
        ({"answer": "q0/A", "scores": {"fluency": 3}}, 400),
        ({"answer": "q0/A", "scores": {**SCORES, "fluency": 6}}, 400),
        ({"answer": "q0/A", "scores": {**SCORES, "charm": 3}}, 400),
    ],
)
def test_what_is_no_rating_is_refused(local: httpx2.Client, folder: str, body: object, status: int) -> None:
    assert local.post(f"{AT}/ratings", json=body).status_code == status


@pytest.mark.parametrize("name", ["..%2Ffirst", "first%2F..%2Ffirst", "..", "no-comparison", "other"])
def test_a_name_is_no_path(local: httpx2.Client, folder: str, name: str) -> None:
    assert local.get(f"/v1/comparisons/{name}/question").status_code == 404


def test_another_tenant_sees_none(running: Running, folder: str) -> None:
    tenant = running.service.accounts.create_tenant("raters").id
    with running.client(running.key("admin", tenant=tenant)) as foreign:
        assert foreign.get("/v1/comparisons").json()["items"] == []
        assert foreign.get(f"{AT}/question").status_code == 404


def test_the_page_is_told_which_models_there_are(filled: httpx2.Client) -> None:
    models = filled.get("/v1/spaces").json()["models"]
    assert {"multilingual-e5-small", "all-minilm-l6-v2"} <= {model["name"] for model in models}
