"""Reranking with a local ONNX cross-encoder: `model.onnx` and `tokenizer.json` in one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import ModelMismatch, ModelMissing
from ..protocols import Scores


class OnnxReranker:
    """Scores (question, text) pairs. The graph takes input_ids, attention_mask and, if it wants them,
    token_type_ids (int64[batch, tokens]) and gives logits float[batch, 1] or float[batch, 2] (then the second
    column is relevance). Pairs are run in batches sorted by length."""

    def __init__(
        self, path: Path, *, sha256: str = "", max_tokens: int = 512, batch: int = 16, threads: int = 0
    ) -> None:
        folder = path if path.is_dir() else path.parent
        model = path / "model.onnx" if path.is_dir() else path
        tokenizer = folder / "tokenizer.json"
        for needed in (model, tokenizer):
            if not needed.is_file():
                raise ModelMissing(
                    f"the reranker needs {needed}, which is not there.",
                    "Set search.rerank to a folder with model.onnx and tokenizer.json, or to nothing.",
                )
        if sha256:
            with model.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != sha256.lower():
                raise ModelMismatch(
                    f"{model} has SHA-256 {found}, {sha256} was expected.",
                    "Correct search.rerank_sha256, or get the right file.",
                )
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions derive from Exception alone
            raise ModelMismatch(f"{model} is not a model that can be run: {error}") from error
        self._inputs = {i.name for i in self._session.get_inputs()}
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs:
            raise ModelMismatch(f"{model} is not a cross-encoder: its inputs are {sorted(self._inputs)}.")
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(max_tokens, strategy="only_second")
        self._tokenizer.enable_padding()
        self._batch = batch

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """float32[len(texts)]: logits, larger is more relevant."""
        scores = np.zeros(len(texts), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self._batch):
            part = order[start : start + self._batch]
            encoded = self._tokenizer.encode_batch([(query, texts[i]) for i in part])
            feed = {
                "input_ids": np.array([e.ids for e in encoded], dtype=np.int64),
                "attention_mask": np.array([e.attention_mask for e in encoded], dtype=np.int64),
                "token_type_ids": np.array([e.type_ids for e in encoded], dtype=np.int64),
            }
            logits = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
            scores[part] = np.asarray(logits, dtype=np.float32).reshape(len(part), -1)[:, -1]
        return scores
