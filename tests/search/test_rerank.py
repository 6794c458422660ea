from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ragstone.errors import ModelMismatch, ModelMissing
from ragstone.search.rerank import OnnxReranker

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "pump", "filter", "valve", "oil", "weekly", "the")


def export(folder: Path, inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")) -> Path:
    """A real cross-encoder in miniature: the logit is how many tokens of the text (type 1) equal one of the
    question's (type 0), which a graph of comparisons computes for the whole batch."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    constants = [
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        numpy_helper.from_array(np.array([2], dtype=np.int64), "two"),
        numpy_helper.from_array(np.array([3], dtype=np.int64), "last_special"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["input_ids", "one"], ["row"]),
        helper.make_node("Unsqueeze", ["input_ids", "two"], ["column"]),
        helper.make_node("Equal", ["row", "column"], ["same"]),
        helper.make_node("Cast", ["token_type_ids"], ["text"], to=TensorProto.BOOL),
        helper.make_node("Not", ["text"], ["question"]),
        helper.make_node("Greater", ["input_ids", "last_special"], ["word"]),
        helper.make_node("And", ["question", "word"], ["asked"]),
        helper.make_node("And", ["text", "word"], ["said"]),
        helper.make_node("Unsqueeze", ["asked", "one"], ["asked_row"]),
        helper.make_node("Unsqueeze", ["said", "two"], ["said_column"]),
        helper.make_node("And", ["same", "asked_row"], ["half"]),
        helper.make_node("And", ["half", "said_column"], ["matches"]),
        helper.make_node("Cast", ["matches"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers", "one"], ["by_word"], keepdims=0),
        helper.make_node("ReduceSum", ["by_word", "one"], ["logits"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "overlap",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder


def test_scores_pairs_in_the_order_given(tmp_path: Path) -> None:
    reranker = OnnxReranker(export(tmp_path), batch=2)
    texts = ["the valve", "the pump oil weekly pump", "oil filter pump", ""]
    assert reranker.score("pump oil", texts).tolist() == [0.0, 3.0, 2.0, 0.0]


def test_the_question_survives_truncation(tmp_path: Path) -> None:
    reranker = OnnxReranker(export(tmp_path), max_tokens=8)
    assert reranker.score("pump oil", ["oil " * 500]).tolist() == [3.0]


def test_what_is_missing_or_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="tokenizer"):
        (tmp_path / "model.onnx").touch()
        OnnxReranker(tmp_path)
    export(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelMismatch):
        OnnxReranker(tmp_path)
    export(tmp_path, ("input_ids", "token_type_ids", "pixels"))
    with pytest.raises(ModelMismatch, match="pixels"):
        OnnxReranker(tmp_path)
