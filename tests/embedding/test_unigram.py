from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.embedding import e5, unigram
from ragstone.embedding.unigram import UnigramTokenizer
from ragstone.errors import ModelMismatch

# What the tokenizer inside the weights' own package gives for these texts, in its numbering.
KNOWN = {
    "query: how much protein per day": [41, 1294, 12, 3642, 5045, 21308, 117, 5155],
    "Äpfel, Straßen und Größenänderungen: 3,5 %": [
        20056, 254, 7510, 4, 93240, 165, 66461, 19, 46371, 7462, 12, 27398, 1745,
    ],
    "日本語のテスト。カタカナ": [6, 98449, 154, 120256, 30, 10045, 10793, 10045, 17456],
    "FB_Motor.xStart := TRUE; (* Kommentar *)": [
        36718, 454, 197261, 5, 425, 126597, 152, 1369, 149842, 647, 74, 75402, 87716, 661, 16,
    ],
    "ﬁne ①②③ ½ ㎏ – „Zitat“": [5885, 37638, 78660, 5279, 46, 137, 1511, 6152, 155],
    "👍🏽 ok": [6, 118280, 245164, 3664],
}  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary(model_cache: Path) -> UnigramTokenizer:
    return UnigramTokenizer(e5.prepare(model_cache) / e5.VOCABULARY)


def small(folder: Path, pieces: list[str], scores: list[float], charmap: dict[int, str]) -> UnigramTokenizer:
    path = folder / "vocabulary.bin"
    encoded = [piece.encode() for piece in pieces]
    unigram.write(path, encoded, scores, charmap, unknown=1, begin=0, end=2, special=(0, 1, 2))
    return UnigramTokenizer(path)


@pytest.mark.parametrize("text", KNOWN)
def test_ids_are_those_of_the_model(vocabulary: UnigramTokenizer, text: str) -> None:
    assert vocabulary.encode(text) == KNOWN[text]


def test_best_segmentation_wins(tmp_path: Path) -> None:
    pieces = ["<s>", "<unk>", "</s>", "▁", "▁a", "b", "▁ab", "c", "bc"]
    scores = [0.0, 0.0, 0.0, -5.0, -1.0, -1.0, -3.0, -1.0, -1.5]
    tokenizer = small(tmp_path, pieces, scores, {})
    assert tokenizer.encode("abc") == [4, 8]  # ▁a bc = -2.5 against ▁ab c = -4 and ▁a b c = -3


def test_neighbouring_unknown_characters_are_one_piece(tmp_path: Path) -> None:
    tokenizer = small(tmp_path, ["<s>", "<unk>", "</s>", "▁", "a"], [0.0, 0.0, 0.0, -2.0, -1.0], {})
    assert tokenizer.encode("aXYZa X") == [3, 4, 1, 4, 3, 1]


def test_marks_in_text_are_text(vocabulary: UnigramTokenizer) -> None:
    ids = vocabulary.encode("<s> </s> <pad> <mask> <unk>")
    assert not {0, 1, 2, 250_001} & set(ids)


def test_composed_and_decomposed_letters_are_equal(vocabulary: UnigramTokenizer) -> None:
    text = "Größe über Änderungsanträge, déjà vu"
    assert vocabulary.encode(unicodedata.normalize("NFD", text)) == vocabulary.encode(text)


def test_control_characters_go_and_spaces_only_separate(vocabulary: UnigramTokenizer) -> None:
    assert vocabulary.encode("  ein\x00\x07e\tZeile\r\n\u200bhier ") == vocabulary.encode("eine Zeile hier")
    assert vocabulary.encode(" \n\t\u3000") == []


@given(st.text(max_size=80))
def test_any_text_gives_ids_of_the_vocabulary(vocabulary: UnigramTokenizer, text: str) -> None:
    assert all(3 <= i < 250_002 for i in vocabulary.encode(text))


@given(st.lists(st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1), max_size=8))
def test_words_are_segmented_on_their_own(vocabulary: UnigramTokenizer, words: list[str]) -> None:
    parts = [i for word in words for i in vocabulary.encode(word)]
    assert vocabulary.encode(" ".join(words)) == parts


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"something else" * 100)
    with pytest.raises(ModelMismatch):
        UnigramTokenizer(tmp_path / "v")


def test_pieces_that_cross_a_space_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch):
        small(tmp_path, ["<s>", "<unk>", "</s>", "a▁b"], [0.0, 0.0, 0.0, -1.0], {})
