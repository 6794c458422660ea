from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_server import EmbeddingServer, embedding_server, letters
from ragstone.embedding.remote import RemoteEmbedder, RemoteProtocol, pause, split
from ragstone.errors import ModelError, ModelMismatch, ModelMissing, ModelUnavailable

PROTOCOLS: tuple[RemoteProtocol, ...] = ("openai", "ollama")


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


def unit(text: str) -> np.ndarray:
    vector = np.array(letters(text), np.float32)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_vectors_come_back_in_order(server: EmbeddingServer, protocol: RemoteProtocol) -> None:
    embedder = RemoteEmbedder(server.url, "counts", protocol=protocol)
    texts = [letter * (n % 5) + "b" for n in range(50) for letter in "ac"]
    found = embedder.embed(texts, "passage")
    assert found.shape == (100, 9)
    assert np.allclose(found, [unit(text) for text in texts], atol=1e-6)
    assert max(map(len, server.inputs)) <= 32
    embedder.close()


def test_the_space_names_model_revision_and_prefixes(server: EmbeddingServer) -> None:
    plain = RemoteEmbedder(server.url + "/v1", "counts").space
    assert (plain.model, plain.dimension, plain.revision, plain.prefix) == ("counts", 9, "server", "")
    ollama = RemoteEmbedder(server.url, "counts", protocol="ollama", query_prefix="q: ").space
    assert (ollama.revision, ollama.prefix) == ("0123456789ab", "q: |")


def test_prefixes_are_put_before_each_text(server: EmbeddingServer) -> None:
    embedder = RemoteEmbedder(server.url, "counts", query_prefix="q: ", passage_prefix="p: ", dimension=9)
    embedder.embed(["a"], "query")
    embedder.embed(["b"], "passage")
    assert server.inputs == [["q: a"], ["p: b"]]


def test_a_busy_server_is_asked_again(server: EmbeddingServer) -> None:
    embedder = RemoteEmbedder(server.url, "counts", dimension=9)
    server.failures = [(429, "0"), (503, "0.01"), (500, "0")]
    assert np.allclose(embedder.embed(["aab"], "passage")[0], unit("aab"))
    assert server.requests == 4


def test_a_question_does_not_wait_for_long(server: EmbeddingServer) -> None:
    embedder = RemoteEmbedder(server.url, "counts", dimension=9)
    server.failures = [(503, "0")] * 5
    with pytest.raises(ModelUnavailable):
        embedder.embed(["aab"], "query")
    assert server.requests == 2


def test_a_server_that_stays_busy_is_unavailable(server: EmbeddingServer) -> None:
    embedder = RemoteEmbedder(server.url, "counts", dimension=9, attempts=2)
    server.failures = [(429, "0")] * 5
    with pytest.raises(ModelUnavailable, match="429"):
        embedder.embed(["a"], "query")
    assert server.requests == 2


def test_no_server_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        embedder = RemoteEmbedder(f"http://127.0.0.1:{unused.getsockname()[1]}", "counts", dimension=9, attempts=1)
        with pytest.raises(ModelUnavailable, match="does not answer"):
            embedder.embed(["a"], "query")


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_a_bad_address_is_a_typed_error(address: str) -> None:
    with pytest.raises(ModelError):
        RemoteEmbedder(address, "counts", dimension=9, attempts=1).embed(["a"], "query")


def test_another_dimension_is_a_mismatch(server: EmbeddingServer) -> None:
    with pytest.raises(ModelMismatch, match="9 numbers, 8"):
        RemoteEmbedder(server.url, "counts", dimension=8).embed(["a"], "query")


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        [],
        {},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": "text"},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]},
        b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}',
        {"data": [{"index": 0, "embedding": ["a", "b"]}]},
        {"data": [{"index": 0, "embedding": [[1.0], [2.0]]}]},
        {"data": [{"index": 0, "embedding": [{}, 1.0]}]},
        b"[" * 100_000,
    ],
)
def test_nonsense_is_a_mismatch(server: EmbeddingServer, answer: object) -> None:
    server.answer = answer
    with pytest.raises(ModelMismatch):
        RemoteEmbedder(server.url, "counts", dimension=2).embed(["a"], "query")


def test_a_text_that_is_not_unicode_is_sent_with_question_marks(server: EmbeddingServer) -> None:
    RemoteEmbedder(server.url, "counts", dimension=9).embed(["a\ud800b"], "query")
    assert server.inputs == [["a?b"]]


def test_unknown_model_and_wrong_key_say_what_to_set(server: EmbeddingServer) -> None:
    with pytest.raises(ModelMissing, match=r"embedding\.model"):
        RemoteEmbedder(server.url, "other", dimension=9).embed(["a"], "query")
    with pytest.raises(ModelMissing, match="ollama pull other"):
        RemoteEmbedder(server.url, "other", protocol="ollama", dimension=9).embed(["a"], "query")
    server.key = "right"
    with pytest.raises(ModelError, match="api_key"):
        RemoteEmbedder(server.url, "counts", api_key="wrong", dimension=9).embed(["a"], "query")
    assert RemoteEmbedder(server.url, "counts", api_key="right", dimension=9).embed(["a"], "query").shape == (1, 9)


def test_long_texts_are_windowed(server: EmbeddingServer) -> None:
    embedder = RemoteEmbedder(server.url, "counts", dimension=9, max_tokens=16)
    found = embedder.embed(["aaa " * 40 + "hhh " * 40], "passage")[0]
    assert sum(map(len, server.inputs)) > 4
    assert found[0] == pytest.approx(found[7], rel=0.1)
    assert found[0] > 0.5


@given(st.text(max_size=300), st.integers(1, 50))
def test_pieces_are_the_text_and_fit(text: str, room: int) -> None:
    pieces = list(split(text, room))
    assert "".join(pieces) == text
    assert all(len(piece.encode("utf-8", "replace")) <= max(room, 4) for piece in pieces)


def test_pauses_follow_the_server_and_grow() -> None:
    assert pause(1, "3") == 3.0
    assert pause(1, "9999") == 30.0
    assert pause(3, "") == 2.0
    assert pause(2, "gibberish") == 1.0
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    assert 8.0 < pause(1, later) <= 10.0
    assert pause(1, "Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
