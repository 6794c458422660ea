from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragstone.cache.memory import MemoryCache
from ragstone.embedding.cached import CachedEmbedder
from ragstone.protocols import Role, Vectors
from ragstone.types import Space


class Lengths:
    """Embeds a text as (its length, 1), and remembers what it was asked."""

    space = Space("lengths", "1", 2, normalised=False)

    def __init__(self) -> None:
        self.asked: list[tuple[str, Role]] = []

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        self.asked += [(text, role) for text in texts]
        return np.array([[len(text), 1] for text in texts], np.float32).reshape(len(texts), 2)


def before(inner: Lengths, size: int = 10) -> CachedEmbedder:
    return CachedEmbedder(lambda: inner, inner.space, MemoryCache(size))


def test_a_question_is_embedded_once() -> None:
    inner = Lengths()
    cached = before(inner)
    first = cached.embed(["a", "bb", "a"], "query")
    assert first.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert cached.embed(["bb", "ccc"], "query").tolist() == [[2, 1], [3, 1]]
    assert inner.asked == [("a", "query"), ("bb", "query"), ("ccc", "query")]
    assert cached.space is inner.space


def test_passages_pass_and_do_not_answer_for_questions() -> None:
    inner = Lengths()
    cached = before(inner)
    cached.embed(["a"], "passage")
    cached.embed(["a"], "query")
    cached.embed(["a"], "passage")
    assert inner.asked == [("a", "passage"), ("a", "query"), ("a", "passage")]


def test_the_least_recently_asked_is_forgotten() -> None:
    inner = Lengths()
    cached = before(inner, size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.embed([text], "query")
    assert [text for text, _ in inner.asked] == ["a", "b", "c", "b"]


def test_changing_a_result_does_not_change_the_cache() -> None:
    cached = before(Lengths())
    cached.embed(["a"], "query")[:] = 9
    assert cached.embed(["a"], "query").tolist() == [[1, 1]]
    assert cached.embed([], "query").shape == (0, 2)


def test_a_known_question_needs_no_model() -> None:
    inner = Lengths()
    known: MemoryCache[bytes, Vectors] = MemoryCache(10)
    CachedEmbedder(lambda: inner, inner.space, known).embed(["a"], "query")

    def load() -> Lengths:
        raise AssertionError("the model was loaded")

    assert CachedEmbedder(load, inner.space, known).embed(["a"], "query").tolist() == [[1, 1]]
