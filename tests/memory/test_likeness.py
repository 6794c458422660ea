"""Repetitions and contradictions as the packaged model and the literal checks tell them apart."""

from __future__ import annotations

import pytest

from ragstone.measure.merging_texts import OWN
from ragstone.memory.likeness import CONTRARY, THRESHOLD, likeness
from ragstone.memory.literal import literal, opposed
from ragstone.models import ModelRegistry
from ragstone.protocols import Embedder
from ragstone.text.centre import Centre


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return ModelRegistry(threads=1).load("multilingual-e5-small")


@pytest.fixture(scope="module")
def centre(embedder: Embedder) -> Centre:
    return Centre(embedder)


@pytest.mark.parametrize(
    ("one", "other", "same", "contrary"),
    [
        ("We decided to use PostgreSQL for billing.", "We have decided to use PostgreSQL for billing!", True, False),
        ("How old was Manning when he played in Super Bowl 50?", "Wie alt war Manning, als er im Super Bowl 50 spielte?", True, False),
        ("How can I get a virtual card?", "How can I obtain a virtual card?", True, False),
        ("The valve opens at 3 bar.", "The valve opens at 5 bar.", False, True),
        ("The valve opens at three bar.", "The valve opens at 3 bar.", True, False),
        ("The feature flag is on in production.", "The feature flag is off in production.", False, True),
        ("We use tabs in this project.", "We do not use tabs in this project.", False, True),
        ("Das Treffen ist am Montag.", "Das Treffen ist am Dienstag.", False, True),
        ("Anna maintains the parser.", "Das Wetter wird morgen schön.", False, False),
        ("Gauge B shows the pressure.", "Gauge C shows the pressure.", False, False),
        ("Does the valve open at 3 bar?", "Does the valve open at 5 bar?", False, False),
    ],
)  # fmt: skip
def test_pairs(embedder: Embedder, centre: Centre, one: str, other: str, same: bool, contrary: bool) -> None:
    a, b = centre.away(embedder.embed([one, other], "passage"))
    found = likeness(one, other, float(a @ b))
    assert (found.similarity >= THRESHOLD, found.contrary) == (same, contrary), found


def test_what_a_text_says_literally() -> None:
    said = literal("Peter can't open FB_Timer1 before twelve, says IT-Sicherheit in Zürich.")
    assert said.numbers == {"12", "1"} or said.numbers == {"12"}
    assert {"fb_timer1", "zurich"} <= said.names
    assert said.denials == 1
    assert opposed(literal("it is on"), literal("it is off"))
    assert not opposed(literal("it is not off"), literal("it isn't off"))


def test_what_cannot_be_like_is_told_so_and_nothing_else(embedder: Embedder, centre: Centre) -> None:
    texts = [text for three in OWN[:12] for text in three] + ["", "ja", "3 bar", "a" * 5_000]
    vectors = centre.away(embedder.embed(texts, "passage"))
    cosines = vectors @ vectors.T
    left_out = 0
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            whole, quick = (likeness(one, other, float(cosines[i, j]), least) for least in (0.0, CONTRARY))
            assert quick == whole or (quick.similarity == 0.0 and whole.similarity < CONTRARY and not whole.contrary)
            left_out += quick != whole
    assert left_out > len(texts) ** 2 / 4
