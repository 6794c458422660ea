from __future__ import annotations

from pathlib import Path

from ragstone.embedding.bare import BareSetting, bare_run, settings
from ragstone.models import Loaded, LocalModel, ModelRegistry
from tiny_model import write_tiny_model


def test_the_work_is_the_same_whatever_the_setting(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path, threads=1, loaded=Loaded())
    embedder = registry.load(LocalModel(write_tiny_model(tmp_path / "tiny")))
    texts = ["red green", "blue", "red " * 30]
    assert settings(2, (1, 2)) == [BareSetting(p, t, b) for p, t in ((2, 1), (1, 2)) for b in (1, 2)]
    runs = [bare_run(embedder, texts, setting) for setting in settings(2, (1, 2))]
    assert {run.tokens for run in runs} == {sum(map(len, embedder.windows(texts, "passage")))}
    assert min(run.seconds for run in runs) > 0
