from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.text.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Das ist z. B. ein Satz.", "Hier ist der zweite!"],
        ["Am 3. Mai 2024 war es so weit.", "Der Wert stieg auf 1.5 Bar."],
        ["Im 2. Weltkrieg und am 1. Januar.", "Danach nicht."],
        ["Dr. Meyer und Prof. J. Schulz kamen.", "Sie blieben bis ca. 18 Uhr."],
        ["See Fig. 3 for details.", "It shows e.g. the pump, i.e. part 7."],
        ["Sie endete 1998.", "Die Stadt wuchs."],
        ['"Wirklich?" fragte er.', "„Ja.“", "Dann ging sie."],
        ["Er wartete ... und ging.", "Warum?!", "Wer weiß."],
        ["Version 1.2.3 is out.", "Get it at example.com now."],
        ["Äpfel usw. und Birnen.", "Übrig blieb nichts."],
        ["Vitamin C.", "Die Dosis ist klein."],
    ],
)
def test_sentences_in_a_line(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_full_width_marks_need_no_space() -> None:
    assert sentences("これは文です。次の文です！") == ["これは文です。", "次の文です！"]


def test_hard_wrapped_lines_are_one_sentence() -> None:
    text = "This sentence is long enough to be wrapped by an editor at the usual\nseventy characters. Next one."
    assert sentences(text) == [text[:-10], "Next one."]


def test_lines_that_stand_alone() -> None:
    text = (
        "# Title\nIntroduction\n\n- first item\n- second item\n1. step one\n2. step two\n\n| a | b |\n| 1 | 2 |\nx\ty\n"
    )
    assert sentences(text) == [
        "# Title", "Introduction", "- first item", "- second item", "1. step one", "2. step two",
        "| a | b |", "| 1 | 2 |", "x\ty",
    ]  # fmt: skip


def test_code_lines_stand_alone() -> None:
    assert len(sentences("def f(x):\n    return x;\n\ndef g():\n    pass\n")) >= 4


@pytest.mark.parametrize(
    "text", ["." * 200_000, "A. " * 50_000, "\n" * 100_000, " " * 100_000, '."' * 50_000, "1. " * 50_000]
)
def test_monotonous_texts_are_quick_enough(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@given(st.text(alphabet=st.sampled_from("aB1 .!?\n\t\"'-#|*:;,。z"), max_size=200))
def test_spans_cover_all_that_is_visible(text: str) -> None:
    last = 0
    for start, end in sentence_spans(text):
        assert last <= start < end <= len(text)
        assert not text[last:start].strip()
        assert text[start:end] == text[start:end].strip()
        last = end
    assert not text[last:].strip()


def test_lines_of_named_values_are_rows() -> None:
    rows = ["code: A1; text: line pressure low, start the second compressor at once", "code: A2; text: high", "age: 3"]
    assert sentences("\n".join(rows)) == rows
