"""What follows the rows change by change is what is read anew."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from test_memories import opened

from ragstone.memory import table
from ragstone.memory.table import Table
from ragstone.memory_types import MEMORY, NewItem


@pytest.mark.parametrize("few", [0, 256])
def test_changes_followed_one_by_one_come_to_the_same(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FEW", few)
    rng = random.Random(few)
    followed = Table()
    with opened(tmp_path / "data") as kb:
        kb.memory.create_project("one")
        for turn in range(30):
            items = [
                NewItem(
                    f"{rng.choice(['Anna', 'Bob'])}: said {rng.randrange(40)}", rng.choice(["episode", "knowledge"]),
                    project=rng.choice(["", "one"]), at=float(rng.randrange(20_000)),
                )
                for _ in range(rng.randrange(1, 5))
            ]  # fmt: skip
            told = kb.memory.remember_many(items)
            if turn % 3 == 2:
                kb.memory.forget(rng.choice(told).item.id)
            followed.refresh(kb.store, kb.store.revision(MEMORY))
            anew = Table()
            anew.refresh(kb.store, kb.store.revision(MEMORY))
            for name in ("chunk", "document", "project", "at", "state", "characters"):
                assert np.array_equal(getattr(followed.columns, name), getattr(anew.columns, name)), name
            assert np.array_equal(followed.next, anew.next)
            assert np.array_equal(followed.session, anew.session)
            assert set(followed.speakers.values()) == set(anew.speakers.values())
