"""An extraction as bytes: what the store keeps for each text.

    zlib of msgpack: [format, version, language, forms, labels, mentions, relations]

`forms`: (norm, text, kind) of each different way of writing; `mentions` and `relations` are columns of little-endian
numbers, one behind the other, of which places are kept as differences. Weights are in steps of 1 / SCALE.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import StoreDamaged
from ..graph_types import Extraction, Mention, MentionKind, Relation

FORMAT: Final = 1
SCALE: Final = 10_000
"""Steps of a weight of 1: sums of whole numbers are the same in whatever order they are made."""
KINDS: Final[tuple[MentionKind, ...]] = get_args(MentionKind)
_LEVEL: Final = 1
"""Level 6 saves 6 % more and takes three times as long."""
_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
_MENTION: Final = (("form", "<u2"), ("start", "<i4"), ("length", "<u4"), ("weight", "<u2"))
_RELATION: Final = (
    ("head", "<u2"), ("tail", "<i2"), ("label", "<u2"), ("start", "<i4"), ("length", "<u4"), ("weight", "<u2"),
)  # fmt: skip
_SIZES: Final = {form: np.dtype(form).itemsize for _, form in (*_MENTION, *_RELATION)}
_decode = msgspec.msgpack.Decoder(
    tuple[int, str, str, list[tuple[str, str, int]], list[str], int, bytes, int, bytes]
).decode
_encode = msgspec.msgpack.Encoder().encode

Column = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """An extraction as arrays. Mentions name their form by its place in `forms`; relations their ends by places of
    mentions, their label by its place in `labels`, of which the first is TOGETHER."""

    version: str
    language: str
    forms: list[tuple[str, str, int]]
    labels: list[str]
    form: Column
    start: Column
    length: Column
    weight: Column
    head: Column
    tail: Column
    label: Column
    from_: Column
    span: Column
    strength: Column


@dataclass(frozen=True, slots=True, eq=False)
class Brief:
    """Of an extraction what a graph counts: as `Columns`, without places in the text."""

    language: str
    forms: list[tuple[str, str, int]]
    labels: list[str]
    form: NDArray[np.integer]
    weight: NDArray[np.integer]
    head: NDArray[np.integer]
    tail: NDArray[np.integer]
    label: NDArray[np.integer]
    strength: NDArray[np.integer]


def encode(extraction: Extraction, language: str) -> bytes:
    forms: dict[tuple[str, str, int], int] = {}
    labels: dict[str, int] = {"": 0}
    mentions = [
        (
            forms.setdefault((m.norm, m.text, _KIND_NUMBERS[m.kind]), len(forms)), m.start, m.end - m.start,
            _steps(m.weight),
        )
        for m in extraction.mentions
    ]  # fmt: skip
    relations = [
        (r.head, r.tail, labels.setdefault(r.label, len(labels)), r.start, r.end - r.start, _steps(r.weight))
        for r in extraction.relations
    ]
    body = _encode(
        (
            FORMAT, extraction.version, language, list(forms), list(labels), len(mentions),
            _packed(mentions, _MENTION), len(relations), _packed(relations, _RELATION),
        )
    )  # fmt: skip
    return zlib.compress(body, _LEVEL)


def columns(data: bytes) -> Columns:
    """Raises StoreDamaged."""
    version, language, forms, labels, first, second = _read(data)
    form, start, length, weight = (column.astype(np.int64) for column in first)
    head, tail, label, from_, span, strength = (column.astype(np.int64) for column in second)
    return Columns(
        version, language, forms, labels, form, np.cumsum(start), length, weight, head, head + tail, label,
        np.cumsum(from_), span, strength,
    )  # fmt: skip


def brief(data: bytes) -> Brief:
    """A fifth of the time of `columns`. Raises StoreDamaged."""
    _, language, forms, labels, (form, _, _, weight), (head, tail, label, _, _, strength) = _read(data)
    return Brief(language, forms, labels, form, weight, head, head + tail, label, strength)


def briefly(c: Columns) -> Brief:
    return Brief(c.language, c.forms, c.labels, c.form, c.weight, c.head, c.tail, c.label, c.strength)


def decode(data: bytes) -> Extraction:
    """Raises StoreDamaged."""
    c = columns(data)
    mentions = tuple(
        Mention(start, start + length, c.forms[form][1], c.forms[form][0], KINDS[c.forms[form][2]], weight / SCALE)
        for form, start, length, weight in zip(
            c.form.tolist(), c.start.tolist(), c.length.tolist(), c.weight.tolist(), strict=True
        )
    )
    relations = tuple(
        Relation(head, tail, c.labels[label], start, start + length, weight / SCALE)
        for head, tail, label, start, length, weight in zip(
            c.head.tolist(), c.tail.tolist(), c.label.tolist(), c.from_.tolist(), c.span.tolist(),
            c.strength.tolist(), strict=True,
        )
    )  # fmt: skip
    return Extraction(c.version, mentions, relations)


def _steps(weight: float) -> int:
    return max(1, min(SCALE, round(weight * SCALE)))


def _packed(rows: Sequence[tuple[int, ...]], fields: tuple[tuple[str, str], ...]) -> bytes:
    if not rows:
        return b""
    table = np.array(rows, np.int64)
    parts = []
    for column, (name, form) in zip(table.T, fields, strict=True):
        if name == "start":
            column = np.diff(column, prepend=0)
        elif name == "tail":
            column = column - table[:, 0]
        parts.append(column.astype(form).tobytes())
    return b"".join(parts)


def _read(
    data: bytes,
) -> tuple[str, str, list[tuple[str, str, int]], list[str], list[NDArray[np.integer]], list[NDArray[np.integer]]]:
    """Version, language, forms, labels, and columns as they are kept. Raises StoreDamaged."""
    try:
        form, version, language, forms, labels, mentions, first, relations, second = _decode(zlib.decompress(data))
        if form != FORMAT:
            raise ValueError(f"format {form}")
        kept = _unpacked(first, mentions, _MENTION), _unpacked(second, relations, _RELATION)
    except (zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise StoreDamaged(
            f"what was extracted from a text cannot be read: {error}.",
            "`ragstone rebuild` makes it again.",
        ) from error
    return version, language, forms, labels, *kept


def _unpacked(data: bytes, rows: int, fields: tuple[tuple[str, str], ...]) -> list[NDArray[np.integer]]:
    found: list[NDArray[np.integer]] = []
    at = 0
    for _, form in fields:
        found.append(np.frombuffer(data, form, rows, at))
        at += rows * _SIZES[form]
    return found
