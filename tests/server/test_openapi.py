"""The description of the API: examples are what the types say, links lead to operations, and a server keeps to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ragstone.server.examples import answers
from ragstone.server.openapi import document
from ragstone.server.routes.all import OPERATIONS
from ragstone.stress.api import check
from ragstone.stress.report import Run
from ragstone.stress.serving import Served
from server.conftest import serving

DESCRIBED = {operation.name: operation for operation in OPERATIONS if operation.described}
PATHS = document(OPERATIONS)["paths"]
ENTRIES = {entry["operationId"]: entry for methods in PATHS.values() for entry in methods.values()}
NO_EXAMPLE = {"openapi"}
"""Whose answer is this description."""


@pytest.mark.parametrize("name", sorted(DESCRIBED))
def test_every_json_answer_has_an_example_of_its_type(name: str) -> None:
    operation = DESCRIBED[name]
    result = operation.result[0] if isinstance(operation.result, tuple) else operation.result
    if result is None or result in (str, bytes) or name in NO_EXAMPLE:
        return
    msgspec.convert(answers()[name], type=result, strict=True)
    content = ENTRIES[name]["responses"][str(operation.status)]["content"][operation.media_type]
    assert content["example"] == answers()[name]


@pytest.mark.parametrize("name", sorted(n for n, o in DESCRIBED.items() if o.body is not None))
def test_every_body_has_an_example_of_its_type(name: str) -> None:
    msgspec.convert(DESCRIBED[name].example, type=DESCRIBED[name].body, strict=True)


def test_no_example_is_left_over() -> None:
    assert set(answers()) <= set(DESCRIBED)


def test_links_lead_to_operations_with_those_parameters() -> None:
    for name, operation in DESCRIBED.items():
        for target, parameters in operation.links.items():
            known = {p["name"] for p in ENTRIES[target]["parameters"]}
            assert set(parameters) <= known, (name, target)


def test_a_server_keeps_to_its_description(tmp_path: Path) -> None:
    """A small part of what `ragstone stress api` does."""
    with serving(tmp_path, requests_per_minute=0, failures_per_minute=0) as running:
        token = (running.data / "server.token").read_text().strip()
        report = check(Run(tmp_path, seed=2, cycles=400), Served(running.url, token, running.data, tmp_path / "log", 0), 2)
    assert report.failures == []
    assert report.cycles >= 120
    assert report.figures["answered 200"] >= 10
