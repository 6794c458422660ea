"""What every embedder promises (protocols.Embedder): both graphs of the default model, the second also on a GPU where
there is one, a model in files, a server on a real socket, and the cache in front of one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from embedding_server import embedding_server
from ragstone.cache.memory import MemoryCache
from ragstone.embedding import e5
from ragstone.embedding.cached import CachedEmbedder
from ragstone.embedding.remote import RemoteEmbedder
from ragstone.embedding.session import Device
from ragstone.errors import SettingsError
from ragstone.models import Loaded, LocalModel, ModelRegistry
from ragstone.protocols import Embedder, Vectors
from tiny_model import write_tiny_model

TEXTS = ["red green", "a bad egg fed a dad", "Ein längerer Absatz über rote Ventile und blaue Pumpen. " * 3, "blue"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def on_gpu(cache: Path) -> Embedder:
    try:
        return e5.open_embedder(cache, device=Device("cuda", 1_024), precision="float16")
    except SettingsError as error:
        pytest.skip(str(error))


def local(cache: Path) -> Embedder:
    return ModelRegistry(cache, threads=2, loaded=Loaded()).load(LocalModel(write_tiny_model(cache / "tiny")))


def remote(stack: ExitStack) -> Embedder:
    return RemoteEmbedder(stack.enter_context(embedding_server()).url, "counts")


def cached(cache: Path) -> Embedder:
    behind = local(cache)
    vectors: MemoryCache[bytes, Vectors] = MemoryCache(10)
    return CachedEmbedder(lambda: behind, behind.space, vectors)


MAKERS: dict[str, Callable[[Path, ExitStack], Embedder]] = {
    "int8": lambda cache, _: e5.open_embedder(cache, threads=2),
    "float16": lambda cache, _: e5.open_embedder(cache, threads=2, precision="float16"),
    "float16 on a GPU": lambda cache, _: on_gpu(cache),
    "local": lambda cache, _: local(cache),
    "remote": lambda _, stack: remote(stack),
    "cached": lambda cache, _: cached(cache),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def embedder(request: pytest.FixtureRequest, cache: Path) -> Embedder:
    with ExitStack() as stack:
        yield MAKERS[request.param](cache, stack)


def test_rows_and_numbers(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS, "passage")
    assert vectors.shape == (len(TEXTS), embedder.space.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_nothing_and_an_empty_text(embedder: Embedder) -> None:
    assert embedder.embed([], "passage").shape == (0, embedder.space.dimension)
    assert np.isfinite(embedder.embed([""], "query")).all()


def test_a_text_keeps_its_row_and_its_vector_in_any_company(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS, "passage")
    backwards = embedder.embed(TEXTS[::-1], "passage")[::-1]
    alone = np.concatenate([embedder.embed([text], "passage") for text in TEXTS])
    assert (together * backwards).sum(axis=1).min() > e5.SAME
    assert (together * alone).sum(axis=1).min() > e5.SAME


def test_the_end_of_a_long_text_counts(embedder: Embedder) -> None:
    filler = "red green blue dad egg " * 120
    plain, longer = embedder.embed([filler, filler + "bad egg " * 60], "passage")
    assert plain @ longer < 1 - 1e-6


def test_several_threads_get_what_one_gets(embedder: Embedder) -> None:
    wanted = embedder.embed(TEXTS, "passage")
    found: list[float] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(float((embedder.embed(TEXTS, "passage") * wanted).sum(axis=1).min()))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert min(found) > e5.SAME
