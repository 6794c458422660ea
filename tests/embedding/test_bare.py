from __future__ import annotations

from pathlib import Path

from ragstone.embedding.bare import bare_rates
from ragstone.models import Loaded, LocalModel, ModelRegistry
from tiny_model import write_tiny_model


def test_every_setting_is_measured_and_the_best_is_first(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path, threads=1, loaded=Loaded())
    embedder = registry.load(LocalModel(write_tiny_model(tmp_path / "tiny")))
    rates = bare_rates(embedder, ["red green", "blue", "red " * 30], 2, batches=(1, 2))
    assert {(r.parallel, r.threads, r.batch) for r in rates} == {(2, 1, 1), (2, 1, 2), (1, 2, 1), (1, 2, 2)}
    speeds = [r.texts_per_second for r in rates]
    assert speeds == sorted(speeds, reverse=True)
    assert min(speeds) > 0
