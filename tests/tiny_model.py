"""Small ONNX embedding models with their tokenizer.json, for tests: one whose token vectors are rows of a table, and one
in the shape of the large XLM-RoBERTa models, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

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


XLMR_DIMENSION = 1024
XLMR_WINDOW = 8192  # tokens; positions count from 2


def write_xlmr_model(folder: Path, corpus: list[str]) -> Path:
    """`onnx/model.onnx` with its weights in a file beside it, and `tokenizer.json` above: how bge-m3 is exported. One
    layer of attention, so that a vector depends on the whole window; pieces are learnt from `corpus`."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        corpus, trainers.UnigramTrainer(vocab_size=300, special_tokens=marks, unk_token="<unk>", show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    random = np.random.default_rng(11)

    def table(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    def whole(name: str, *numbers: int) -> TensorProto:
        return numpy_helper.from_array(np.array(numbers, np.int64), name)

    even = {"num_heads": 16, "scale": 1e-3, "domain": "com.microsoft"}  # every token is seen about alike
    nodes: list[tuple[str, list[str], str, dict[str, object]]] = [
        ("Gather", ["words", "input_ids"], "w", {}),
        ("CumSum", ["attention_mask", "one"], "order", {}),
        ("Mul", ["order", "attention_mask"], "counted", {}),
        ("Add", ["counted", "one"], "places", {}),
        ("Gather", ["positions", "places"], "p", {}),
        ("Add", ["w", "p"], "x", {}),
        ("Cast", ["attention_mask"], "mask", {"to": TensorProto.INT32}),
        ("MultiHeadAttention", ["x", "x", "x", "", "mask"], "y", even),
        ("Add", ["x", "y"], "last_hidden_state", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, ins, [out], **more) for kind, ins, out, more in nodes],
        "xlmr",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "t", XLMR_DIMENSION])],
        [
            table("words", tokenizer.get_vocab_size(), XLMR_DIMENSION),
            table("positions", XLMR_WINDOW + 2, XLMR_DIMENSION),
            whole("one", 1),
        ],
    )
    graph.initializer[2].dims[:] = []  # a scalar, as CumSum wants its axis
    (folder / "onnx").mkdir(parents=True)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, folder / "onnx" / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
