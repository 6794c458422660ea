"""Vectors of texts that ship are made once for a machine, and never taken for others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragstone.embedding.kept import KeptEmbedder
from ragstone.protocols import Embedder
from ragstone.testing import HashEmbedder

TEXTS = ["Run the tests.", "Wo steht das?", ""]


class Counted:
    def __init__(self) -> None:
        self.made = 0
        self.inner = HashEmbedder()

    def __call__(self) -> Embedder:
        self.made += 1
        return self.inner


def kept(folder: Path, load: Callable[[], Embedder]) -> KeptEmbedder:
    return KeptEmbedder(load, HashEmbedder().space, folder)


def test_the_next_process_loads_no_model(tmp_path: Path) -> None:
    load = Counted()
    first = kept(tmp_path / "new" / "vectors", load).embed(TEXTS, "passage")
    again = kept(tmp_path / "new" / "vectors", load).embed(TEXTS, "passage")
    assert load.made == 1
    assert again.dtype == np.float32
    assert np.array_equal(first, again)
    assert np.array_equal(first, HashEmbedder().embed(TEXTS, "passage"))
    again[:] = 0  # who asked may change it
    assert np.array_equal(kept(tmp_path / "new" / "vectors", load).embed(TEXTS, "passage"), first)


def test_another_set_role_or_space_is_another_file(tmp_path: Path) -> None:
    load = Counted()
    here = kept(tmp_path, load)
    for texts, role in ((TEXTS, "passage"), (TEXTS[:2], "passage"), (["Run the tests.W", "o steht das?", ""], "passage"),
                        (TEXTS[::-1], "passage"), (TEXTS, "query")):  # fmt: skip
        assert np.array_equal(here.embed(texts, role), HashEmbedder().embed(texts, role))  # type: ignore[arg-type]
    KeptEmbedder(load, replace(here.space, revision="other"), tmp_path).embed(TEXTS, "passage")
    assert load.made == 6
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("harm", [b"", b"x" * 10, None])
def test_a_file_that_is_not_whole_is_made_again(tmp_path: Path, harm: bytes | None) -> None:
    load = Counted()
    first = kept(tmp_path, load).embed(TEXTS, "passage")
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data) if harm is None else harm)
    for _ in range(2):
        assert np.array_equal(kept(tmp_path, load).embed(TEXTS, "passage"), first)
    assert load.made == 2


def test_without_a_place_to_write_it_embeds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    load = Counted()
    for _ in range(2):
        assert kept(tmp_path / "file" / "vectors", load).embed(TEXTS, "passage").shape == (
            3,
            HashEmbedder().space.dimension,
        )
    assert load.made == 2


def test_many_at_once(tmp_path: Path) -> None:
    found: list[object] = []

    def work() -> None:
        found.append(kept(tmp_path, HashEmbedder).embed(TEXTS, "passage").tobytes())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 1
