"""A cache of vectors in front of any embedder."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from ..protocols import Embedder, Role, Vectors
from ..types import Space


class CachedEmbedder:
    """Remembers the vectors of the last `size` questions (3 MB for 2,000 of 384 numbers). Passages go through: the
    store keeps their vectors by content."""

    def __init__(self, embedder: Embedder, size: int = 2_000) -> None:
        self._embedder = embedder
        self._size = size
        self._vectors: OrderedDict[tuple[str, Role, str], Vectors] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    @property
    def wrapped(self) -> Embedder:
        """What is behind the cache."""
        return self._embedder

    @property
    def space(self) -> Space:
        return self._embedder.space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        if role != "query":
            return self._embedder.embed(texts, role)
        space = self.space.id
        keys = [(space, role, text) for text in texts]
        with self._lock:
            known = {key: self._vectors[key] for key in keys if key in self._vectors}
            for key in known:
                self._vectors.move_to_end(key)
            self.hits += sum(key in known for key in keys)
            self.misses += sum(key not in known for key in keys)
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        if missing:
            vectors = self._embedder.embed([text for _, _, text in missing], role)
            for key, vector in zip(missing, vectors, strict=True):
                known[key] = vector.copy()
            with self._lock:
                self._vectors.update((key, known[key]) for key in missing)
                while len(self._vectors) > self._size:
                    self._vectors.popitem(last=False)
        return np.stack([known[key] for key in keys]) if keys else self._embedder.embed(texts, role)
