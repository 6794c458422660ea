"""Annotated tokens become text, and spans keep what they mark."""

from __future__ import annotations

import pytest

from ragstone.measure.annotated import join, tagged


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["He", "said", '"', "no", '"', ",", "twice", "."], 'He said "no", twice.'),
        (["Salt", "-", "Lake", "City", "(", "Utah", ")"], "Salt-Lake City (Utah)"),
        (["men", "'s", "race"], "men's race"),
        (["You", "should", "'", "ve", "gone"], "You should've gone"),
        (["„", "Ja", "“", "!"], "„Ja“!"),
        ([], ""),
    ],
)
def test_tokens_are_joined_as_they_are_printed(tokens: list[str], text: str) -> None:
    joined, spans = join(tokens)
    assert joined == text
    assert [joined[a:b] for a, b in spans] == tokens


def test_spans_of_tags() -> None:
    assert tagged(["B-A", "I-A", "B-A", "O", "I-B", "I-B"]) == [(0, 2), (2, 3), (4, 6)]
    assert tagged(["O"]) == []
