from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ragstone.embedding import session
from ragstone.embedding.onnx import OnnxEmbedder, OnnxModel
from ragstone.embedding.session import Device, open_session
from ragstone.embedding.tokenizer import JsonTokenizer
from ragstone.errors import ModelError, ModelMismatch, ModelMissing, SettingsError
from ragstone.types import Space
from tiny_model import write_tiny_model


def has_driver() -> bool:
    try:
        ctypes.CDLL(session.DRIVER)
    except OSError:
        return False
    return True


def test_missing_and_broken_files_are_typed_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelMismatch):
        open_session(tmp_path / "broken.onnx")
    with pytest.raises(ModelMissing):
        open_session(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("provider", "package"), [("openvino", "onnxruntime-openvino"), ("cuda", r"onnxruntime-gpu\[cuda,cudnn\]")]
)
def test_a_runtime_without_the_provider_says_what_to_install(tmp_path: Path, provider: str, package: str) -> None:
    if session.PROVIDERS[provider][0] in onnxruntime.get_available_providers():  # type: ignore[index]
        pytest.skip(f"the runtime has {provider}")
    with pytest.raises(SettingsError, match=package):
        open_session(write_tiny_model(tmp_path) / "model.onnx", Device(provider))  # type: ignore[arg-type]


@pytest.mark.skipif(has_driver(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_never_the_processor(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"embedding\.provider to cpu"):
        open_session(write_tiny_model(tmp_path) / "model.onnx", Device("cuda"))
    driver = session._unusable("cuda", "onnxruntime-gpu", [])
    assert session.DRIVER in driver.message
    libraries = session._unusable("cuda", "onnxruntime-gpu", ["libcublas.so.13"])
    assert "libcublas.so.13" in libraries.message
    assert "pip install" in libraries.hint


def test_the_limit_of_memory_reaches_the_runtime() -> None:
    assert session._options(Device()) == {}
    assert "gpu_mem_limit" not in session._options(Device("cuda"))
    assert session._options(Device("cuda", 512))["gpu_mem_limit"] == str(512 * 2**20)


def test_processors_that_need_the_slow_sums(tmp_path: Path) -> None:
    for name, flags, wanted in (("old", "sse avx2 avx512f", True), ("new", "avx2 avx512_vnni", False)):
        (tmp_path / name).write_text(f"processor : 0\nflags\t\t: {flags}\nbugs\t\t: vnni_of_nothing\n")
        assert session.sums_saturate(tmp_path / name) is wanted
    assert session.sums_saturate(tmp_path / "none")


def hungry(folder: Path, free: int) -> OnnxEmbedder:
    """A model that wants 4 PB more for each text above `free` in a run."""
    write_tiny_model(folder, pooled=True)
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    graph.node[-1].output[0] = "means"
    for name, array in (("free", [free]), ("step", [2**50]), ("one", [1]), ("zero", [0])):
        graph.initializer.append(numpy_helper.from_array(np.array(array, np.int64), name))
    nodes = [
        ("Shape", ["input_ids"], "texts", {"start": 0, "end": 1}),
        ("Sub", ["texts", "free"], "above", {}),
        ("Max", ["above", "zero"], "extra", {}),
        ("Mul", ["extra", "step"], "wanted", {}),
        ("Add", ["wanted", "one"], "size", {}),
        ("ConstantOfShape", ["size"], "memory", {}),
        ("ReduceSum", ["memory", "zero"], "nought", {"keepdims": 0}),
        ("Add", ["means", "nought"], "vectors", {}),
    ]
    graph.node.extend(helper.make_node(kind, ins, [out], **more) for kind, ins, out, more in nodes)
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, folder / "model.onnx")
    space = Space("hungry", "1", 4)
    tokenizer = JsonTokenizer(folder / "tokenizer.json")
    return OnnxEmbedder(OnnxModel(folder / "model.onnx", space, 512, "none"), tokenizer)


def test_a_run_that_needs_too_much_memory_is_made_in_parts(tmp_path: Path) -> None:
    embedder = hungry(tmp_path, 2)
    rows = [[4, 5], [5], [6], [4, 4, 4], [6, 6]]
    alone = np.concatenate([embedder._run([row]) for row in rows])
    padded = [row + [0] * (3 - len(row)) for row in rows]
    assert np.array_equal(embedder._run(padded)[3], alone[3])
    assert embedder._run(padded).shape == (5, 4)
    with pytest.raises(ModelError, match="more memory than there is") as caught:
        hungry(tmp_path, 0).embed(["red"], "query")
    assert "embedding.gpu_memory_mb" in caught.value.hint


def test_a_tokenizer_of_another_model_is_a_typed_error(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    tokenizer = JsonTokenizer(tmp_path / "tokenizer.json")
    embedder = OnnxEmbedder(OnnxModel(tmp_path / "model.onnx", Space("tiny", "1", 4), 512), tokenizer)
    with pytest.raises(ModelMismatch, match="cannot be run"):
        embedder._run([[1, 99, 2]])
