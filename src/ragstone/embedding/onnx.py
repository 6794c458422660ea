"""A local ONNX model as an `Embedder`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from os import cpu_count
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelMismatch
from ..protocols import Role, Vectors
from ..types import Space
from .precedence import PRECEDENCE
from .session import CPU, Device, is_out_of_memory, open_session, out_of_memory

Pooling = Literal["mean", "cls", "none"]
# On a CPU each run has one text: as fast as any batch from 64 tokens on (batches of 8 are 10 to 20 % slower at 256),
# and a vector depends on its text alone, also where activations are quantised by run. Others want large batches.
DEVICE_BATCH_TOKENS = 16_384
# Sentences of 18 tokens are too short for that: those of one length in runs of up to so many tokens take 0.6 of the
# time, with vectors .999 alike (one scale for the activations of a run).
SKIMMED_TOKENS = 128
PADDING = 1.1  # a batch with padding may have this many times the tokens of its texts


class Tokenizer(Protocol):
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    def encode(self, text: str) -> list[int]:
        """Ids without `prefix` and `suffix`; safe from several threads."""
        ...


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What an `OnnxEmbedder` runs. `max_tokens` counts prefix and suffix marks. Pooling "none": the model's output
    is one vector for each text already. `space.dimension` 0 takes what the model declares."""

    file: Path
    space: Space
    max_tokens: int
    pooling: Pooling = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""


@dataclass(frozen=True, slots=True)
class _Window:
    """A piece of text `text` (an index) that fits the model; `weight` counts the tokens of the text itself."""

    text: int
    ids: list[int]
    weight: int


class OnnxEmbedder:
    """Safe from several threads. A call with role "query" goes before: calls with role "passage" hold their next
    run until it is done, so a question never waits behind an ingest (precedence.py)."""

    def __init__(self, model: OnnxModel, tokenizer: Tokenizer, *, threads: int = 0, device: Device = CPU) -> None:
        """`threads` is how many runs with passages, and how many with questions, go on at once on a CPU (0: one for
        each core); each run has one thread, which gives more texts a second than one run with several. On a GPU one
        goes on at a time. Raises SettingsError where the device cannot be used, ModelMissing, ModelMismatch."""
        self._tokenizer = tokenizer
        self._threads = (threads or cpu_count() or 1) if device.is_cpu else 1
        self._device = device
        self._session = open_session(model.file, device)
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._output, dimension = _output(self._session, model)
        self._model = replace(model, space=replace(model.space, dimension=dimension))
        self._slots = threading.BoundedSemaphore(self._threads)  # runs with passages, over all calls
        self._asked = threading.BoundedSemaphore(self._threads)  # those with questions

    @property
    def space(self) -> Space:
        return self._model.space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """See `Embedder.embed`. Longer texts than the window are cut into windows of equal size, whose vectors are
        averaged by their number of tokens."""
        limit = 0 if self._device.is_cpu else DEVICE_BATCH_TOKENS
        if role == "passage":
            return self._embed(texts, self._model.passage_prefix, limit, yielding=True)
        with PRECEDENCE.question():
            return self._embed(texts, self._model.query_prefix, limit, yielding=False)

    def skim(self, texts: Sequence[str]) -> Vectors:
        """Passages that are judged and not kept: quicker for many short ones, but a vector depends a little on the
        texts beside it."""
        limit = SKIMMED_TOKENS if self._device.is_cpu else DEVICE_BATCH_TOKENS
        return self._embed(texts, self._model.passage_prefix, limit, yielding=True)

    @property
    def model(self) -> OnnxModel:
        return self._model

    @property
    def device(self) -> Device:
        return self._device

    def windows(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """The token rows that `embed` gives the model for these texts."""
        prefix = self._model.query_prefix if role == "query" else self._model.passage_prefix
        return [w.ids for i, text in enumerate(texts) for w in self._windows(i, text, prefix)]

    def count_tokens(self, text: str) -> int:
        """Tokens of the text alone."""
        return len(self._tokenizer.encode(text))

    def _embed(self, texts: Sequence[str], prefix: str, limit: int, *, yielding: bool) -> Vectors:
        """`limit`: tokens of a run of several texts."""
        sums = np.zeros((len(texts), self.space.dimension), np.float32)
        weights = np.zeros((len(texts), 1), np.float32)
        windows = [w for i, text in enumerate(texts) for w in self._windows(i, text, prefix)]
        groups = list(batches([len(w.ids) for w in windows], limit, padded="attention_mask" in self._inputs))

        background = PRECEDENCE.background

        def run(group: list[int]) -> tuple[list[int], Vectors]:
            rows = [windows[i].ids for i in group]
            if not yielding:
                with self._asked:
                    return group, self._run(rows)
            if background:
                PRECEDENCE.wait(background=True)  # without a slot: passages that answer a question may need it
            with self._slots:
                PRECEDENCE.wait(background=False)
                return group, self._run(rows)

        if len(groups) > 1 and self._threads > 1:
            with ThreadPoolExecutor(min(self._threads, len(groups))) as pool:
                results = list(pool.map(run, groups))
        else:
            results = [run(group) for group in groups]
        for group, vectors in results:
            for i, vector in zip(group, vectors, strict=True):
                sums[windows[i].text] += vector * windows[i].weight
                weights[windows[i].text] += windows[i].weight
        if not self.space.normalised:
            return np.asarray(sums / weights, np.float32)
        lengths: Vectors = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-12), np.float32)

    def _windows(self, text: int, content: str, prefix: str) -> Iterator[_Window]:
        head = list(self._tokenizer.prefix)
        tail = list(self._tokenizer.suffix)
        ids = self._tokenizer.encode(prefix + content)
        if prefix:
            lead = self._tokenizer.encode(prefix)
            shared = 0
            while shared < min(len(lead), len(ids)) and lead[shared] == ids[shared]:
                shared += 1
            head += ids[:shared]
            ids = ids[shared:]
        room = self._model.max_tokens - len(head) - len(tail)
        parts = max(1, -(-len(ids) // room))
        edges = [len(ids) * n // parts for n in range(parts + 1)]
        for start, end in pairwise(edges):
            yield _Window(text, head + ids[start:end] + tail, max(1, end - start))

    def _run(self, rows: list[list[int]]) -> Vectors:
        """One run, or two halves where the memory does not suffice. Raises ModelError, ModelMismatch."""
        known = inputs(rows)
        try:
            (output,) = self._session.run([self._output], {name: known[name] for name in self._inputs})
        except Exception as error:  # the runtime's own exceptions derive from Exception alone
            if not is_out_of_memory(error):
                raise ModelMismatch(
                    f"{self._model.file} cannot be run: {error}", "Check that model and tokenizer belong together."
                ) from error
            if len(rows) == 1:
                raise out_of_memory(error) from error
            half = len(rows) // 2
            return np.concatenate([self._run(rows[:half]), self._run(rows[half:])])
        return pooled(output, known["attention_mask"], self._model.pooling)


def batches(lengths: Sequence[int], limit: int, *, padded: bool) -> Iterator[list[int]]:
    """Indices into `lengths`, longest first, in groups for one run each, of at most `limit` tokens (but one text at
    least): of equal length, or, for a model that takes a mask, with little padding."""
    group: list[int] = []
    used = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if group:
            tokens = lengths[group[0]] * (len(group) + 1)
            close = tokens <= PADDING * (used + lengths[i]) if padded else lengths[group[0]] == lengths[i]
            if tokens > limit or not close:
                yield group
                group, used = [], 0
        group.append(i)
        used += lengths[i]
    if group:
        yield group


def inputs(rows: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
    """Token rows, padded to the longest, under the names that models give their inputs: int64[rows, tokens]."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def pooled(output: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling) -> Vectors:
    """Token vectors float32[b, t, d] to float32[b, d]; with pooling "none" they are that already."""
    if pooling == "none":
        return output.astype(np.float32, copy=False)
    if pooling == "cls":
        return np.ascontiguousarray(output[:, 0], np.float32)
    weights = mask[:, :, None].astype(np.float32)
    return np.asarray((output * weights).sum(1) / weights.sum(1), np.float32)


def _output(session: Any, model: OnnxModel) -> tuple[str, int]:
    """Name of the output to take and its dimension; checks inputs, rank and dimension."""
    unknown = {i.name for i in session.get_inputs()} - {"input_ids", "attention_mask", "token_type_ids"}
    if unknown:
        raise ModelMismatch(
            f"{model.file} wants inputs that are not known: {', '.join(sorted(unknown))}.",
            "Export the model with input_ids, attention_mask and token_type_ids.",
        )
    rank = 2 if model.pooling == "none" else 3
    outputs = [o for o in session.get_outputs() if len(o.shape) == rank]
    if not outputs:
        raise ModelMismatch(
            f"{model.file} has no output of {rank} dimensions, which pooling {model.pooling!r} needs.",
            "Set embedding.pooling to none for a model that pools itself, else to mean or cls.",
        )
    found = outputs[0].shape[-1]
    wanted = model.space.dimension
    if not isinstance(found, int) and not wanted:
        raise ModelMismatch(f"{model.file} does not tell the length of its vectors.", "Set embedding.dimension.")
    if isinstance(found, int) and wanted and found != wanted:
        raise ModelMismatch(
            f"{model.file} gives vectors of {found} numbers, {wanted} were expected.",
            "Correct embedding.dimension or give the right model.",
        )
    return str(outputs[0].name), wanted or found
