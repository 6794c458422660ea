"""Writes multilingual-e5-small as an ONNX graph: `model.onnx` and, beside it, `weights.bin`.

The weights lie on page boundaries in a file of their own, which the runtime maps into memory: opening takes
hundredths of a second, and of the embedding table only the rows that texts use are ever read.
docs/decisions/0005-embedding-model.md has the measurements behind each choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .e5_weights import BLOCK, FEED_FORWARD, HIDDEN, POSITIONS, Weights

# Input channels of matrix products whose activations are several times larger than all others, in every text: they
# are structural, not a matter of content. With one scale for a whole activation matrix they would leave the others
# three to five of eight bits, so they are divided by 2**n and the weights of that channel multiplied by it. Found as
# the channels whose maximum exceeds 1.8 times the median of the 40 largest, over 60 German and English texts.
OUTLIERS: dict[str, dict[int, int]] = {
    "l0.q": {15: 1, 87: 1},
    "l0.ao": {326: 1},
    "l0.fi": {15: 2, 60: 2, 87: 2, 321: 3},
    "l0.fo": {318: 3},
    "l1.q": {15: 1},
    "l1.fi": {15: 3, 87: 1, 146: 1, 321: 2},
    "l1.fo": {1462: 2},
    "l2.q": {15: 1},
    "l2.ao": {174: 1},
    "l2.fi": {15: 3, 321: 1},
    "l2.fo": {354: 2},
    "l3.q": {15: 1},
    "l3.fi": {15: 3, 321: 1},
    "l4.q": {15: 1},
    "l4.fi": {15: 2, 321: 1},
    "l4.fo": {778: 4},
    "l5.fi": {15: 1, 35: 3, 321: 1},
    "l5.fo": {658: 3},
    "l6.fi": {15: 2, 35: 4},
    "l6.fo": {1152: 2},
    "l7.fi": {15: 1, 35: 3},
    "l7.fo": {413: 2},
    "l8.q": {35: 1},
    "l8.fi": {15: 2, 35: 3},
    "l9.q": {35: 1},
    "l9.ao": {379: 2, 380: 1},
    "l9.fi": {15: 2, 35: 3, 351: 1},
    "l10.q": {35: 1},
    "l10.fi": {15: 2, 35: 3, 351: 2},
    "l11.q": {35: 1},
    "l11.fi": {35: 3, 146: 2, 351: 1},
    "l11.fo": {119: 2, 554: 2, 712: 1, 934: 1, 1332: 1, 1371: 2},
}
Precision = Literal["int8", "float16"]  # of the matrix products
FUSED = {"GatherBlockQuantized", "DynamicQuantizeMatMul", "MultiHeadAttention", "BiasGelu"}
PAGE = 4096
INLINE = 1024  # bytes; smaller constants stay in the graph


def write(weights: Weights, folder: Path, precision: Precision = "int8") -> None:
    """input_ids int64[texts, tokens] to vectors float32[texts, 384], the means of the token vectors (not of unit
    length, so that windows of one text can be averaged).

    "int8", for processors: all texts of a run are of one length, which spares padding and its bookkeeping.
    "float16", for GPUs: 8-bit products do not run there and a run must be large, so texts of several lengths share
    it; a second input, attention_mask int64[texts, tokens], has ones and then zeros in each row.
    """
    graph = _Graph(folder / "weights.bin", precision)
    lengths = _lengths(graph) if graph.half else ""
    x = graph.to_half(_embeddings(graph, weights))
    thirds = graph.constant("thirds", np.full(3, HIDDEN, np.int64))
    for i in range(weights.layers):
        n = f"l{i}."
        qkv = _product(graph, weights, x, n, ("q", "k", "v"), bias=True)
        graph.node("Split", [qkv, thirds], [f"{n}q", f"{n}k", f"{n}v"], axis=2)
        heads = [f"{n}q", f"{n}k", f"{n}v", *(["", lengths] if lengths else [])]
        y = graph.node("MultiHeadAttention", heads, [f"{n}c"], num_heads=weights.heads)
        y = _product(graph, weights, y, n, ("ao",), bias=True)
        x = _add_and_normalise(graph, weights, y, x, f"{n}aln")
        y = _product(graph, weights, x, n, ("fi",), bias=False)
        y = graph.node("BiasGelu", [y, graph.floats(f"{n}fi.b", weights.floats(f"{n}fi.b"))], [f"{n}g"])
        y = _product(graph, weights, y, n, ("fo",), bias=True)
        x = _add_and_normalise(graph, weights, y, x, f"{n}oln")
    _mean(graph, x)
    graph.save(folder / "model.onnx")


class _Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self, weights: Path, precision: Precision) -> None:
        import onnx  # 0.2 s: only the one call that prepares the model pays it

        self._onnx = onnx
        self.half = precision == "float16"
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._path = weights
        self._file = weights.open("wb")

    def constant(self, name: str, array: NDArray[Any]) -> str:
        array = np.ascontiguousarray(array)
        if array.nbytes < INLINE:
            self._constants.append(self._onnx.numpy_helper.from_array(array, name))
            return name
        start = -(-self._file.tell() // PAGE) * PAGE
        self._file.seek(start)
        self._file.write(array.tobytes())
        tensor = self._onnx.TensorProto(
            name=name,
            data_type=self._onnx.helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=self._onnx.TensorProto.EXTERNAL,
        )
        for key, value in (("location", self._path.name), ("offset", start), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self._constants.append(tensor)
        return name

    def floats(self, name: str, array: NDArray[np.float32]) -> str:
        """A constant in the number format of the layers."""
        return self.constant(name, array.astype(np.float16) if self.half else array)

    def to_half(self, x: str) -> str:
        return self.cast(x, f"{x}.half", "FLOAT16") if self.half else x

    def cast(self, x: str, output: str, kind: str) -> str:
        return self.node("Cast", [x], [output], to=getattr(self._onnx.TensorProto, kind))

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> str:
        """Adds a node and returns its first output."""
        domain = "com.microsoft" if kind in FUSED else ""
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def save(self, path: Path) -> None:
        self._file.close()
        helper, tensor = self._onnx.helper, self._onnx.TensorProto
        names = ["input_ids", "attention_mask"] if self.half else ["input_ids"]
        inputs = [helper.make_tensor_value_info(name, tensor.INT64, ["texts", "tokens"]) for name in names]
        vectors = helper.make_tensor_value_info("vectors", tensor.FLOAT, ["texts", HIDDEN])
        graph = helper.make_graph(self._nodes, path.stem, inputs, [vectors], self._constants)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="ragstone")
        path.write_bytes(model.SerializeToString())


def _lengths(graph: _Graph) -> str:
    """Tokens of each text, as the attention takes them."""
    last = graph.constant("lengths.axis", np.ones(1, np.int64))
    return graph.cast(
        graph.node("ReduceSum", ["attention_mask", last], ["lengths.sum"], keepdims=0), "lengths", "INT32"
    )


def _mean(graph: _Graph, x: str) -> None:
    """The output: the mean over the tokens of a text, in float32."""
    tokens = graph.constant("tokens.axis", np.ones(1, np.int64))
    if not graph.half:
        graph.node("ReduceMean", [x, tokens], ["vectors"], keepdims=0)
        return
    mask = graph.cast("attention_mask", "mask.f", "FLOAT")
    column = graph.node("Unsqueeze", [mask, graph.constant("mask.axis", np.full(1, 2, np.int64))], ["mask.c"])
    kept = graph.node("Mul", [graph.cast(x, "tokens.f", "FLOAT"), column], ["tokens.kept"])
    total = graph.node("ReduceSum", [kept, tokens], ["tokens.sum"], keepdims=0)
    count = graph.node("ReduceSum", [mask, tokens], ["tokens.count"], keepdims=1)
    graph.node("Div", [total, count], ["vectors"])


def _embeddings(graph: _Graph, weights: Weights) -> str:
    """Rows of the word table (kept in 4 bits) and of the position table, normalised, in float32."""
    values, scales = weights.blocks("emb.word", HIDDEN)
    pairs = np.asarray(values[..., 0::2] | (values[..., 1::2] << 4), np.uint8)  # first of two in the low nibble
    inputs = [
        graph.constant("words", pairs.reshape(len(values), HIDDEN // 2)),
        "input_ids",
        graph.constant("words.s", scales),
    ]
    if graph.half:  # what a missing zero point means is the same on a processor, but not in every runtime for GPUs
        inputs.append(graph.constant("words.z", np.full((len(values), HIDDEN // BLOCK // 2), 0x88, np.uint8)))
    words = graph.node(
        "GatherBlockQuantized",
        inputs,
        ["words.y"],
        bits=4,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=1,
    )
    # Every token is of type 0, so its row goes into the positions.
    places = weights.floats("emb.pos").reshape(POSITIONS, HIDDEN) + weights.floats("emb.type")[:HIDDEN]
    zero = graph.constant("zero", np.zeros(1, np.int64))
    graph.node("Shape", ["input_ids"], ["tokens"], start=1, end=2)
    graph.node("Slice", [graph.constant("places", places), zero, "tokens", zero], ["places.y"])
    graph.node("Add", [words, "places.y"], ["embedded"])
    factors = [graph.constant(f"emb.ln.{part}", weights.floats(f"emb.ln.{part}")) for part in "wb"]
    return graph.node("LayerNormalization", ["embedded", *factors], ["emb.y"], axis=-1, epsilon=weights.epsilon)


def _add_and_normalise(graph: _Graph, weights: Weights, y: str, x: str, name: str) -> str:
    # Two plain nodes: the runtime's SkipLayerNormalization takes five times as long on a CPU.
    return _normalise(graph, weights, graph.node("Add", [y, x], [f"{name}.sum"]), name)


def _normalise(graph: _Graph, weights: Weights, x: str, name: str) -> str:
    factors = [graph.floats(f"{name}.{part}", weights.floats(f"{name}.{part}")) for part in "wb"]
    return graph.node("LayerNormalization", [x, *factors], [f"{name}.y"], axis=-1, epsilon=weights.epsilon)


def _product(graph: _Graph, weights: Weights, x: str, layer: str, parts: tuple[str, ...], *, bias: bool) -> str:
    """`x` times the matrices `parts` side by side; in 8 bits: activations with one scale for the run, weights with one
    for each output."""
    name = layer + parts[0]
    width = FEED_FORWARD if parts == ("fo",) else HIDDEN
    matrix = np.concatenate([weights.matrix(f"{layer}{part}.w", width) for part in parts], axis=1)
    biases = np.concatenate([weights.floats(f"{layer}{part}.b") for part in parts])
    if graph.half:
        y = graph.node("MatMul", [x, graph.floats(f"{name}.w", matrix)], [f"{name}.y"])
        return graph.node("Add", [y, graph.floats(f"{name}.b", biases)], [f"{name}.z"]) if bias else y
    if name in OUTLIERS:
        factors = np.ones(width, np.float32)
        for channel, exponent in OUTLIERS[name].items():
            factors[channel] = 2.0**exponent
        matrix = matrix * factors[:, None]
        x = graph.node("Mul", [x, graph.constant(f"{name}.d", 1 / factors)], [f"{name}.x"])
    scales = np.asarray(np.abs(matrix).max(axis=0) / 127, np.float32)
    inputs = [
        x,
        graph.constant(f"{name}.w", np.rint(matrix / scales).astype(np.int8)),
        graph.constant(f"{name}.s", scales),
        graph.constant(f"{name}.z", np.zeros(len(scales), np.int8)),
    ]
    if bias:
        inputs.append(graph.constant(f"{name}.b", biases))
    return graph.node("DynamicQuantizeMatMul", inputs, [f"{name}.y"])
