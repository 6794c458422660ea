from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.embedding import e5
from ragstone.embedding.onnx import OnnxEmbedder


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def default_model(model_cache: Path) -> OnnxEmbedder:
    return e5.open_embedder(model_cache, threads=2)
