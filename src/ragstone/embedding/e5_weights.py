"""Reads the 4-bit weights of multilingual-e5-small from the file of the package that brings them.

Little endian: `HEADER` (magic, hidden, layers, heads, feed-forward, vocabulary, positions, token types, epsilon,
block size), then pieces, begin, end, pad, unknown (int32), blob bytes (uint64), uint32[pieces + 1] offsets,
float32[pieces] scores, blob; then count (int32) and bytes (uint32) of a normalisation map (uint32 code point, uint8 k,
uint32[k] replacement); then tensors: count (int32), each name (uint16 length), kind (uint8; 0: float32, 1: blocks),
count (uint32), offset and bytes (uint64). A block is 32 weights of a row: a float16 scale and 16 bytes, low nibbles
first, then high ones, each minus 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelMismatch

HEADER = struct.Struct("<8s7ifi")
COUNTS = struct.Struct("<5iQ")
TENSOR = struct.Struct("<BIQQ")
MAGIC = b"E5S1\x01\x00\x00\x00"
HIDDEN = 384
FEED_FORWARD = 1536
POSITIONS = 512
BLOCK = 32


@dataclass(frozen=True, slots=True)
class Weights:
    """The file's content. `pieces[i]` is UTF-8 of piece `i`, `charmap` maps code points to their normal form."""

    epsilon: float
    heads: int
    layers: int
    pieces: list[bytes]
    scores: list[float]
    charmap: dict[int, str]
    begin: int
    end: int
    pad: int
    unknown: int
    tensors: dict[str, memoryview]

    def floats(self, name: str) -> NDArray[np.float32]:
        return np.frombuffer(self.tensors[name], "<f4")

    def blocks(self, name: str, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A matrix of rows of `width` weights: values 0–15, uint8[rows, blocks, 32], and scales float32[rows, blocks];
        a weight is (value - 8) * scale. Rows are outputs (or pieces)."""
        raw = np.frombuffer(self.tensors[name], np.uint8).reshape(-1, width // BLOCK, 18)
        scales = raw[:, :, :2].copy().view("<f2")[:, :, 0].astype(np.float32)
        return np.concatenate([raw[:, :, 2:] & 15, raw[:, :, 2:] >> 4], axis=2), scales

    def matrix(self, name: str, width: int) -> NDArray[np.float32]:
        """The same matrix as float32[width, rows]."""
        values, scales = self.blocks(name, width)
        weights = (values.astype(np.float32) - 8) * scales[:, :, None]
        return weights.reshape(len(values), width).T


def read(data: memoryview) -> Weights:
    """Raises ModelMismatch where the header is another one; the rest is trusted (the caller compared the hash)."""
    magic, hidden, layers, heads, inner, _, positions, _, epsilon, block = HEADER.unpack_from(data)
    if (magic, hidden, inner, positions, block) != (MAGIC, HIDDEN, FEED_FORWARD, POSITIONS, BLOCK):
        raise ModelMismatch("the weights file has another layout than expected.", "Install the pinned version.")
    at = HEADER.size
    pieces, begin, end, pad, unknown, blob = COUNTS.unpack_from(data, at)
    at += COUNTS.size
    offsets = np.frombuffer(data, "<u4", pieces + 1, at).tolist()
    at += 4 * (pieces + 1)
    scores = np.frombuffer(data, "<f4", pieces, at).tolist()
    at += 4 * pieces
    words = [bytes(data[at + a : at + b]) for a, b in pairwise(offsets)]
    at += blob
    count, size = struct.unpack_from("<iI", data, at)
    charmap = dict(_charmap(data[at + 8 : at + 8 + size], count))
    at += 8 + size
    tensors = dict(_tensors(data, at))
    return Weights(epsilon, heads, layers, words, scores, charmap, begin, end, pad, unknown, tensors)


def _charmap(data: memoryview, count: int) -> Iterator[tuple[int, str]]:
    at = 0
    for _ in range(count):
        point, size = struct.unpack_from("<IB", data, at)
        yield point, "".join(map(chr, struct.unpack_from(f"<{size}I", data, at + 5)))
        at += 5 + 4 * size


def _tensors(data: memoryview, at: int) -> Iterator[tuple[str, memoryview]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = bytes(data[at + 2 : at + 2 + length]).decode()
        _, _, start, size = TENSOR.unpack_from(data, at + 2 + length)
        yield name, data[start : start + size]
        at += 2 + length + TENSOR.size
