"""The graph of a collection at one moment, as tables of numbers that a file holds and a process maps.

Nodes are numbered in the order of their keys, writings in the order of their nodes; both are those that a chunk has.
The truth is in the store: a file that is damaged, or of another version, is made again.

File, little-endian: magic 8 bytes · length of the header u64 · header (msgpack: rules, languages, decisions, name,
dtype and length of each table) · tables, each aligned to 64 bytes.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import StoreDamaged
from ..index.files import REBUILD, write_file
from .packed import Strings

MAGIC: Final = b"RGSGRF\x00\x01"
RULES: Final = 2
"""Of what numbers and stems make of names, and of how forms are joined: a file holds what followed, so another version
is not read
(tests/graph/test_sealed.py tells when to raise it)."""
_ALIGN: Final = 64
_LEAD: Final = struct.Struct("<8sQ")
_HEADED: Final = ("languages", "decisions")
_Header = tuple[
    int, tuple[str, ...], tuple[tuple[Literal["merge", "split"], str, str, int], ...], list[tuple[str, str, int]]
]
NO_NODE: Final = -1
_KEY: Final = np.dtype([("high", ">u8"), ("low", ">u4")])

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Sealed:
    """`starts` tables: row i is [starts[i], starts[i + 1]) of what follows it.

    decisions       that were taken into account, as pairs of keys
    chunks          rising ids; a chunk's place is its number here
    member_*        by chunk: writings that it mentions, how often, summed weight
    relation_*      by chunk: ends as places in its members, label, weight
    writing_*       node, kind, language (places), text, mentions in all chunks
    key_*           12 bytes of each node's key as numbers, rising; norm, first_writing: of each node
    given_*         another name that a chunk gives for a node
    form_*          writing and language by which a node is resolved, NO_NODE where it is not
    block_*         numbers of resolved forms, rising, with their nodes (`resolve_forms.numbers`)
    stem, class_*   what terms share that differ in endings: of each node; rising, with their nodes
    root            the node that an entity is named after; group_*: by root, the nodes of its entity
    entity_chunks   by root: chunks that mention the entity
    post_*          by node: places of chunks, rising, with summed weight
    pair_*          by node: other nodes, rising, that relations join it with, with summed weight
    """

    languages: tuple[str, ...]
    decisions: tuple[tuple[Literal["merge", "split"], str, str, int], ...]
    chunks: Longs
    member_starts: Longs
    member_writing: Ints
    member_mentions: NDArray[np.integer]
    member_weight: NDArray[np.integer]
    relation_starts: Longs
    relation_head: NDArray[np.integer]
    relation_tail: NDArray[np.integer]
    relation_label: NDArray[np.integer]
    relation_weight: NDArray[np.integer]
    labels: Strings
    writing_node: Ints
    writing_kind: NDArray[np.uint8]
    writing_language: NDArray[np.uint8]
    writing_count: Ints
    texts: Strings
    key_high: Keys
    key_low: NDArray[np.uint32]
    norms: Strings
    first_writing: Longs
    given_chunk: Longs
    given_node: Ints
    given_alias: Strings
    form_writing: Ints
    form_language: NDArray[np.uint8]
    block_number: Keys
    block_node: Ints
    stem: Keys
    class_stem: Keys
    class_node: Ints
    root: Ints
    group_starts: Longs
    group_node: Ints
    entity_chunks: Ints
    post_starts: Longs
    post_chunk: Ints
    post_weight: Ints
    pair_starts: Longs
    pair_other: Ints
    pair_weight: NDArray[np.integer]

    def __post_init__(self) -> None:
        for _, table in _tables(self):
            table.setflags(write=False)  # who changes one makes a copy

    @property
    def nodes(self) -> int:
        return len(self.root)

    @cached_property
    def degree(self) -> Ints:
        """By node: the nodes that relations join it with."""
        return np.diff(self.pair_starts).astype(np.int32)

    @cached_property
    def aliases(self) -> dict[int, dict[str, int]]:
        """By node: how many chunks' mentions give another name."""
        found: dict[int, dict[str, int]] = {}
        for place, node in enumerate(self.given_node.tolist()):
            names = found.setdefault(node, {})
            alias = self.given_alias[place]
            names[alias] = names.get(alias, 0) + 1
        return found

    def key(self, node: int) -> str:
        return f"{int(self.key_high[node]):016x}{int(self.key_low[node]):08x}"

    def node_of_key(self, key: str) -> int | None:
        try:
            high, low = int(key[:16], 16), int(key[16:], 16)
        except ValueError:
            return None
        if len(key) != 24:
            return None
        at = int(np.searchsorted(self.key_high, np.uint64(high)))
        while at < len(self.key_high) and int(self.key_high[at]) == high:
            if int(self.key_low[at]) == low:
                return at
            at += 1
        return None

    def nodes_of(self, digests: Sequence[bytes]) -> Longs:
        """Nodes of many keys at once, NO_NODE where there is none."""
        found = np.full(len(digests), NO_NODE, np.int64)
        if self.nodes and digests:
            asked = np.frombuffer(b"".join(digests), _KEY)
            high, low = asked["high"].astype(np.uint64), asked["low"].astype(np.uint32)
            at = np.minimum(np.searchsorted(self.key_high, high), self.nodes - 1)
            near = self.key_high[at] == high
            hit = near & (self.key_low[at] == low)
            found[hit] = at[hit]
            for place in np.flatnonzero(near & ~hit).tolist():  # several begin alike
                node = self.node_of_key(digests[place].hex())
                found[place] = NO_NODE if node is None else node
        return found

    def place(self, chunk_id: int) -> int | None:
        at = int(np.searchsorted(self.chunks, chunk_id))
        return at if at < len(self.chunks) and int(self.chunks[at]) == chunk_id else None


_NO_STRINGS = Strings(np.zeros(1, np.int64), np.zeros(0, np.uint8))
_STARTS: Final = ("member_starts", "relation_starts", "first_writing", "group_starts", "post_starts", "pair_starts")


def nothing() -> Sealed:
    """Of no chunks."""
    tables: dict[str, Any] = {}
    for field in fields(Sealed):
        kind = str(field.type)
        if kind == "Strings":
            tables[field.name] = _NO_STRINGS
        elif field.name in _STARTS:
            tables[field.name] = np.zeros(1, np.int64)
        elif field.name not in _HEADED:
            dtype = np.uint64 if kind == "Keys" else np.int64 if kind == "Longs" else np.int32
            tables[field.name] = np.zeros(0, np.uint8 if "uint8" in kind else np.uint32 if "uint32" in kind else dtype)
    return Sealed((), (), **tables)


def write(path: Path, sealed: Sealed) -> bytes:
    """The checksum of the file. Raises DiskFull, StoreReadOnly, StoreError."""
    return write_file(path, _pieces(sealed))


def _pieces(sealed: Sealed) -> Iterator[bytes]:
    tables = list(_tables(sealed))
    told = [(name, table.dtype.str, len(table)) for name, table in tables]
    header = msgspec.msgpack.encode((RULES, sealed.languages, sealed.decisions, told))
    size = _LEAD.size + len(header)
    yield _LEAD.pack(MAGIC, len(header)) + header
    for _, table in tables:
        gap = -size % _ALIGN
        yield b"\0" * gap
        size += gap + table.nbytes
        yield table.tobytes()


def _tables(sealed: Sealed) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in fields(Sealed):
        value = getattr(sealed, field.name)
        if isinstance(value, Strings):
            yield f"{field.name}.starts", value.starts
            yield f"{field.name}.data", value.data
        elif isinstance(value, np.ndarray):
            yield field.name, value


def tables_of(name: str, data: mmap.mmap) -> Sealed:
    """Of a mapped file that is whole: what is not looked at is not read. Raises StoreDamaged where it is of another
    version."""
    magic, length = _LEAD.unpack_from(data, 0)
    if magic != MAGIC:
        raise StoreDamaged(f"{name}: the graph is of another version.", REBUILD)
    rules, languages, decisions, told = msgspec.msgpack.decode(data[_LEAD.size : _LEAD.size + length], type=_Header)
    if rules != RULES:
        raise StoreDamaged(f"{name}: the graph was made by other rules.", REBUILD)
    found: dict[str, NDArray[Any]] = {}
    at = _LEAD.size + length
    for name, dtype, count in told:
        at += -at % _ALIGN
        found[name] = np.frombuffer(data, dtype, count, at)
        at += found[name].nbytes
    tables = {
        field.name: Strings(found[f"{field.name}.starts"], found[f"{field.name}.data"])
        if f"{field.name}.starts" in found
        else found[field.name]
        for field in fields(Sealed)
        if field.name not in _HEADED
    }
    return Sealed(languages, decisions, **tables)  # type: ignore[arg-type]
