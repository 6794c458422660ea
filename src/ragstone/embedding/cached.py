"""A cache of vectors in front of any embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from ..observe.instruments import looked_up
from ..protocols import Cache, Embedder, Role, Vectors
from ..types import Space
from .onnx import OnnxEmbedder


class CachedEmbedder:
    """Remembers the vectors of one role: of questions, or of examples that a classifier is made of ("passage"). What
    else it embeds goes through: the store keeps vectors of documents by content. `load` gives the embedder when a
    vector is not known: a question that was asked before needs no model."""

    def __init__(
        self, load: Callable[[], Embedder], space: Space, cache: Cache[bytes, Vectors], role: Role = "query"
    ) -> None:
        self._load = load
        self._space = space
        self._cache = cache
        self._role = role
        self._mark = space.id if role == "query" else f"{space.id}\0{role}"

    @property
    def wrapped(self) -> Embedder:
        """What is behind the cache."""
        return self._load()

    @property
    def space(self) -> Space:
        return self._space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        if role != self._role or not texts:
            return self._load().embed(texts, role)
        keys = [_key(self._mark, text) for text in texts]
        found = {key: self._cache.get(key) for key in dict.fromkeys(keys)}
        if self._role == "query":
            for vector in found.values():
                looked_up("vectors", vector)
        known = {key: vector for key, vector in found.items() if vector is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            vectors = self._load().embed(list(missing.values()), role)
            for key, vector in zip(missing, vectors, strict=True):
                known[key] = vector.copy()
                self._cache.put(key, vector.copy())
        return np.stack([known[key] for key in keys])


class SkimmingEmbedder:
    """Embeds passages that are judged and not kept, as quickly as the model can. `load` gives the model."""

    def __init__(self, load: Callable[[], Embedder], space: Space) -> None:
        self._load = load
        self._space = space

    @property
    def space(self) -> Space:
        return self._space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        model = self._load()
        return model.skim(texts) if role == "passage" and isinstance(model, OnnxEmbedder) else model.embed(texts, role)


def _key(space: str, text: str) -> bytes:
    return hashlib.blake2b(f"{space}\0{text}".encode("utf-8", "surrogatepass"), digest_size=32).digest()
