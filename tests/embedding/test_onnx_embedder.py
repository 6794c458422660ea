from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.embedding import precedence
from ragstone.embedding.onnx import OnnxEmbedder, OnnxModel, batches
from ragstone.embedding.precedence import PRECEDENCE
from ragstone.embedding.tokenizer import JsonTokenizer
from ragstone.errors import ModelMismatch, ModelMissing
from ragstone.models import DEFAULT_MODEL, ModelRegistry
from ragstone.types import Space
from tiny_model import DIMENSION, TABLE, WORDS, mean_of, write_tiny_model


def tiny(folder: Path, *, max_tokens: int = 512, normalised: bool = True, **options: str) -> OnnxEmbedder:
    space = Space("tiny", "1", DIMENSION, normalised)
    model = OnnxModel(folder / "model.onnx", space, max_tokens, **options)  # type: ignore[arg-type]
    return OnnxEmbedder(model, JsonTokenizer(folder / "tokenizer.json"), threads=2)


def test_marks_and_prefixes_surround_the_text(tmp_path: Path) -> None:
    embedder = tiny(write_tiny_model(tmp_path), query_prefix="q: ", passage_prefix="p: ")
    assert np.allclose(embedder.embed(["red"], "query")[0], mean_of("[CLS]", "q:", "red", "[SEP]"), atol=1e-6)
    assert np.allclose(embedder.embed(["red"], "passage")[0], mean_of("[CLS]", "p:", "red", "[SEP]"), atol=1e-6)


def test_truncation_and_padding_of_the_tokenizer_file_do_not_apply(tmp_path: Path) -> None:
    tokenizer = JsonTokenizer(write_tiny_model(tmp_path) / "tokenizer.json")
    assert (tokenizer.prefix, tokenizer.suffix) == ((1,), (2,))
    assert tokenizer.encode("red " * 50) == [4] * 50
    assert tokenizer.encode("red") == [4]


def test_pooling(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tokens")
    write_tiny_model(tmp_path / "pooled", pooled=True)
    first = TABLE[WORDS.index("[CLS]")]
    assert np.allclose(
        tiny(tmp_path / "tokens", pooling="cls").embed(["red"], "query")[0], first / np.linalg.norm(first)
    )
    wanted = mean_of("[CLS]", "red", "[SEP]")
    assert np.allclose(tiny(tmp_path / "pooled", pooling="none").embed(["red"], "query")[0], wanted, atol=1e-6)
    assert np.allclose(tiny(tmp_path / "tokens").embed(["red"], "query")[0], wanted, atol=1e-6)


def test_windows_are_averaged_by_their_tokens(tmp_path: Path) -> None:
    embedder = tiny(write_tiny_model(tmp_path), max_tokens=5, normalised=False)
    rows = {w: TABLE[WORDS.index(w)] for w in WORDS}

    def window(*words: str) -> np.ndarray:
        return np.mean([rows[w] for w in ("[CLS]", *words, "[SEP]")], axis=0)

    found = embedder.embed(["red green blue red"], "passage")[0]
    assert np.allclose(found, (window("red", "green") * 2 + window("blue", "red") * 2) / 4, atol=1e-6)


def test_threads_share_one_embedder(tmp_path: Path) -> None:
    embedder = tiny(write_tiny_model(tmp_path))
    texts = ["red", "green blue", "blue blue red"] * 20
    wanted = embedder.embed(texts, "passage")
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(np.array_equal(embedder.embed(texts, "passage"), wanted)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_a_question_goes_before_waiting_passages(tmp_path: Path) -> None:
    embedder = tiny(write_tiny_model(tmp_path))
    done = threading.Event()

    def bulk() -> None:
        embedder.embed(["red"] * 50, "passage")
        done.set()

    with PRECEDENCE.question():
        thread = threading.Thread(target=bulk)
        thread.start()
        embedder.embed(["green"], "query")
        assert not done.wait(0.2)
    assert done.wait(10)
    thread.join()


def test_the_background_holds_still_while_documents_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "ADDING_SECONDS", 60.0)
    monkeypatch.setattr(precedence, "LONGEST_WAIT", 60.0)
    embedder = tiny(write_tiny_model(tmp_path))
    done = threading.Event()

    def background() -> None:
        PRECEDENCE.give_way()
        embedder.embed(["red"] * 50, "passage")
        done.set()

    thread = threading.Thread(target=background)
    with PRECEDENCE.adding():
        thread.start()
        embedder.embed(["green"] * 50, "passage")  # sentences of an answer do not wait
        assert not done.wait(0.2)
    assert done.wait(10)
    thread.join()


def test_who_adds_for_long_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "ADDING_SECONDS", 0.05)
    with PRECEDENCE.adding():
        PRECEDENCE.wait(background=True)


def test_wrong_dimension_rank_and_inputs_are_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a")
    write_tiny_model(tmp_path / "b", extra_input=True)
    tokenizer = JsonTokenizer(tmp_path / "a" / "tokenizer.json")
    wrong = OnnxModel(tmp_path / "a" / "model.onnx", Space("tiny", "1", DIMENSION + 1), 512)
    with pytest.raises(ModelMismatch, match="vectors of 4"):
        OnnxEmbedder(wrong, tokenizer)
    with pytest.raises(ModelMismatch, match="no output of 2"):
        tiny(tmp_path / "a", pooling="none")
    with pytest.raises(ModelMismatch, match="pixel_values"):
        tiny(tmp_path / "b")


def test_missing_and_broken_tokenizers_are_typed_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_bytes(b"not a tokenizer")
    with pytest.raises(ModelMissing):
        JsonTokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(ModelMismatch):
        JsonTokenizer(tmp_path / "broken.json")


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(0, 2_000), st.booleans())
def test_batches_cover_every_text_within_the_limit(lengths: list[int], limit: int, padded: bool) -> None:
    groups = list(batches(lengths, limit, padded=padded))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        tokens = max(lengths[i] for i in group) * len(group)
        assert len(group) == 1 or tokens <= limit
        assert tokens <= 1.1 * sum(lengths[i] for i in group)
        assert padded or len({lengths[i] for i in group}) == 1


def test_passages_that_are_skimmed_share_runs(tmp_path: Path) -> None:
    embedder = tiny(write_tiny_model(tmp_path), passage_prefix="p: ", max_tokens=6)
    texts = ["red", "green", "red green blue red", "blue", ""] * 5
    assert np.allclose(embedder.skim(texts), embedder.embed(texts, "passage"), atol=1e-6)
    assert embedder.skim([]).shape == (0, DIMENSION)


def test_the_packaged_model_skims_to_nearly_the_same_vectors() -> None:
    embedder = ModelRegistry(threads=2).load(DEFAULT_MODEL)
    texts = [f"The pump in hall {n} was repaired." for n in range(40)] + ["Die Pumpe läuft wieder.", "Anna likes tea."]
    cosines = (embedder.skim(texts) * embedder.embed(texts, "passage")).sum(axis=1)
    assert cosines.min() > 0.998
