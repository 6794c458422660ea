"""For all tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_loop_of_the_browser(request: pytest.FixtureRequest) -> Iterator[None]:
    """The browser's driver leaves its event loop marked as running on the main thread. It stands still meanwhile, so
    tests of other things need not see it."""
    loop = asyncio._get_running_loop()
    if loop is None or request.path.parent.name == "page":
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
