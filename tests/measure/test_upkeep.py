"""The scenarios that make and lose index files; what they time is not judged here."""

from __future__ import annotations

import pytest

import ragstone
from ragstone.measure import upkeep


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_was_acknowledged() -> None:
    figures = upkeep.recovery(400)
    assert figures["lost"] == 0
    assert figures["chunks"] - figures["unsealed"] == 400
    assert figures["unsealed"] > 0
    assert 0 < figures["answer_without_model_s"] < figures["answer_s"] <= figures["worst_answer_s"]


@pytest.mark.slow
def test_sealing_goes_on_beside_searches() -> None:
    figures = upkeep.seal(ragstone.open, 600)
    assert figures["vectors"] == 600
    assert figures["cpu_seconds"] > 0
    assert figures["megabytes"] > 600 * 384 * 2 / 1e6
