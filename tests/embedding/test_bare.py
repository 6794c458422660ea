from __future__ import annotations

from pathlib import Path

from ragstone.embedding.bare import BareSetting, bare_run, best_setting
from ragstone.models import Loaded, LocalModel, ModelRegistry
from tiny_model import write_tiny_model


def test_the_work_is_the_same_whatever_the_setting(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path, threads=1, loaded=Loaded())
    embedder = registry.load(LocalModel(write_tiny_model(tmp_path / "tiny")))
    texts = ["red green", "blue", "red " * 30]
    assert best_setting(embedder, texts, 2, batches=(1, 2)) in [BareSetting(p, t, b) for p, t in ((2, 1), (1, 2)) for b in (1, 2)]
    runs = [bare_run(embedder, texts, BareSetting(*setting)) for setting in ((2, 1, 1), (1, 2, 2))]
    assert runs[0].tokens == runs[1].tokens == sum(map(len, embedder.windows(texts, "passage")))
    assert min(run.seconds for run in runs) > 0
