"""Vectors of texts that come with Ragstone, such as the examples of its classifiers: made once for each machine.

They lie beside the prepared models, in a file for each set of texts, whose name is the hash of space, role and texts: a
set that changed, or another model, has another name, so nothing can be stale. Files are replaced as a whole and hold
their own hash, so any number of processes may make and read them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from ..protocols import Embedder, Role, Vectors
from ..types import Space

FOLDER: Final = "vectors"
DIGEST: Final = 32

log = logging.getLogger(__name__)


class KeptEmbedder:
    """Keeps what it embeds in `folder`, each call as one set. `load` gives the embedder for what is not there, so that
    who asks for known texts alone loads no model. For a space whose name tells the weights, and for texts that are
    nobody's data: nothing here is ever purged."""

    def __init__(self, load: Callable[[], Embedder], space: Space, folder: Path) -> None:
        self._load = load
        self._space = space
        self._folder = folder

    @property
    def space(self) -> Space:
        return self._space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        file = self._folder / f"{_name(self._space.id, role, texts)}.f32"
        shape = len(texts), self._space.dimension
        known = _read(file, shape)
        if known is None:
            known = self._load().embed(texts, role)
            _write(file, known)
        return known


def _name(space: str, role: Role, texts: Sequence[str]) -> str:
    named = hashlib.blake2b(digest_size=16)
    for part in (space, role, *texts):
        data = part.encode("utf-8", "surrogatepass")
        named.update(len(data).to_bytes(8, "little") + data)
    return named.hexdigest()


def _read(file: Path, shape: tuple[int, int]) -> Vectors | None:
    """None where it is not there, or not whole."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if len(data) != DIGEST + 4 * shape[0] * shape[1] or _digest(data[DIGEST:]) != data[:DIGEST]:
        return None
    return np.frombuffer(data, "<f4", offset=DIGEST).reshape(shape).astype(np.float32)


def _write(file: Path, vectors: Vectors) -> None:
    """Without a place to write, the next process embeds again."""
    data = vectors.astype("<f4").tobytes()
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_digest(data) + data)
        temporary.replace(file)
    except OSError as error:
        log.debug("vectors are not kept: %s", error)
        with suppress(OSError):
            temporary.unlink()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()
