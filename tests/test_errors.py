"""The tree that errors.py draws is the hierarchy that it defines, with the codes that it states."""

from __future__ import annotations

import inspect
import re

import pytest

from ragstone import errors
from ragstone.errors import RagstoneError

CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RagstoneError)
]
LINE = re.compile(r"^(?P<indent>[\s│├└─]*)(?P<name>[A-Z]\w+)\s+(?P<exit>exit|\d+)\s+(?P<http>http|\d+)")


def drawn() -> dict[str, tuple[str | None, int, int]]:
    """name → (parent, exit code, HTTP status) of every class in the docstring's tree."""
    tree: dict[str, tuple[str | None, int, int]] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        depth = len(match["indent"])
        while path and path[-1][0] >= depth:
            path.pop()
        parent = path[-1][1] if path else None
        path.append((depth, match["name"]))
        if match["exit"] == "exit":  # the heading of the columns stands in the root's line
            tree[match["name"]] = (None, RagstoneError.exit_code, RagstoneError.http_status)
        else:
            tree[match["name"]] = (parent, int(match["exit"]), int(match["http"]))
    return tree


def test_every_class_is_drawn_and_every_drawn_class_exists() -> None:
    assert set(drawn()) == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_class_is_as_drawn(kind: type[RagstoneError]) -> None:
    parent, exit_code, http_status = drawn()[kind.__name__]
    assert (kind.exit_code, kind.http_status) == (exit_code, http_status)
    if parent is not None:
        assert [base.__name__ for base in kind.__bases__] == [parent]


def test_retryable_classes_are_marked_in_the_tree() -> None:
    marked = set(re.findall(r"([A-Z]\w+) .*\(retryable\)", errors.__doc__ or ""))
    assert marked == {kind.__name__ for kind in CLASSES if kind.retryable}


def test_message_and_hint() -> None:
    error = errors.NotFound("There is no file x.", "Check the path.")
    assert str(error) == "There is no file x. Check the path."
    assert (error.message, error.hint, error.code) == ("There is no file x.", "Check the path.", "NotFound")
    assert str(errors.NotFound("There is no file x.")) == "There is no file x."
