"""A tiny ONNX embedding model with its tokenizer.json, for tests: every token's vector is a row of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

DIMENSION = 4
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "green", "blue", "q:", "p:"]
TABLE = np.random.default_rng(7).normal(size=(len(WORDS), DIMENSION)).astype(np.float32)


def write_tiny_model(folder: Path, *, pooled: bool = False, extra_input: bool = False) -> Path:
    """`model.onnx` and `tokenizer.json` in `folder`. Unknown words become [UNK]."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"])
        for name in ("input_ids", "attention_mask", *(["pixel_values"] if extra_input else []))
    ]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "t", DIMENSION])
    constants = [numpy_helper.from_array(TABLE, "table")]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["last_hidden_state", "axis"], ["vectors"], keepdims=0))
        constants.append(numpy_helper.from_array(np.ones(1, np.int64), "axis"))
        output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", DIMENSION])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def mean_of(*words: str) -> np.ndarray:
    """The unit vector that mean pooling gives for these tokens."""
    vector = TABLE[[WORDS.index(word) for word in words]].mean(axis=0)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
