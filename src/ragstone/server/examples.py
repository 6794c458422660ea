"""Examples of what operations answer, for the OpenAPI document; tools/make_examples.py records them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import msgspec

PROBLEM: Final[Mapping[str, Any]] = {
    "type": "urn:ragstone:problem:InputError",
    "title": "Bad Request",
    "status": 400,
    "code": "InputError",
    "detail": "a search has either a query or queries.",
    "hint": "Send one of them.",
    "id": "4c9d1f0a7be25d31",
}


def answers() -> Mapping[str, Any]:
    """By the operation's name."""
    found: Mapping[str, Any] = msgspec.json.decode(
        resources.files(__package__).joinpath("examples.json").read_bytes()
    )
    return found
