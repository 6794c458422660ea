from __future__ import annotations

import pytest

from ragstone.errors import QueryError
from ragstone.search.filters import parse_filter
from ragstone.types import Filter


def test_conditions_become_a_filter() -> None:
    parsed = parse_filter(
        ["path=manuals/**", "path=*.md", "type=application/pdf", "language=DE", "after=2026-01-31", "before=2026-02-01T00:00+01:00",
         "author=Meyer", "year=2024", "final=true", "weight=1.5"]
    )  # fmt: skip
    assert parsed == Filter(
        path=("manuals/**", "*.md"),
        media_type=("application/pdf",),
        language=("de",),
        metadata=(("author", "Meyer"), ("year", 2024), ("final", True), ("weight", 1.5)),
        modified_after=1769817600.0,
        modified_before=1769900400.0,
    )
    assert not parse_filter([])


@pytest.mark.parametrize("bad", ["path", "=x", "path=", "after=soon"])
def test_what_cannot_be_read_is_refused(bad: str) -> None:
    with pytest.raises(QueryError):
        parse_filter([bad])
