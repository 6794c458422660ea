from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answering import CHEESE_DE, TOWER_DE, TOWER_EN, hit
from ragstone.answer.citations import Aligned, Aligner, digits, literals
from ragstone.answer.evidence import sentences
from ragstone.answer.generated import Cleaner, Transcript

ENGLISH = (
    "Kawann Short led the team in sacks with 11. The defense gave up just 308 points and ranked sixth in the league. "
    "Luke Kuechly was born in Cincinnati."
)


def align(sentence: str, text: str, language: str, question: str = "") -> Aligned:
    hits = [hit(text, language=language), hit(CHEESE_DE, rank=1)]
    return Aligner(sentences(hits), question, [language], None, None).align(sentence, language)


@pytest.mark.parametrize(
    ("sentence", "text", "language", "cited"),
    [
        ("Der Turm ist 330 Meter hoch.", TOWER_DE, "de", "330 Meter"),
        ("Entworfen wurde der Turm von Gustave Eiffel.", TOWER_DE, "de", "Gustave"),
        ("Der Turm wiegt 10100 Tonnen.", TOWER_DE, "de", "10.100"),
        ("The defense gave up 308 points.", ENGLISH, "en", "308"),
        ("Short led the team with 11 sacks.", ENGLISH, "en", "11"),
    ],
)
def test_a_true_sentence_is_supported(sentence: str, text: str, language: str, cited: str) -> None:
    aligned = align(sentence, text, language)
    assert aligned.supported, aligned
    assert cited in aligned.cited[0].text


@pytest.mark.parametrize(
    ("sentence", "text", "language", "missing"),
    [
        ("Der Turm ist 340 Meter hoch.", TOWER_DE, "de", "340"),
        ("Der Turm wurde von Otto Lilienthal entworfen.", TOWER_DE, "de", "Lilienthal"),
        ("The defense gave up 1.5 points.", ENGLISH, "en", "1.5"),
        ("The defense gave up 11 points.", ENGLISH, "en", "11 points"),
        ("Luke Kuechly was born in Denver.", ENGLISH, "en", "Denver"),
        ("The tower weighs 10.1 tonnes.", TOWER_EN, "en", "10.1"),
    ],
)
def test_a_wrong_number_or_name_is_not(sentence: str, text: str, language: str, missing: str) -> None:
    aligned = align(sentence, text, language)
    assert not aligned.supported
    assert missing in aligned.missing


def test_a_sentence_about_something_else_is_not_supported() -> None:
    assert not align("Bananen wachsen an Stauden in den Tropen.", TOWER_DE, "de").supported
    assert not align("", TOWER_DE, "de").supported
    assert not Aligner([], "", ["de"], None, None).align("Der Turm ist hoch.", "de").supported


def test_a_sentence_of_two_facts_cites_both() -> None:
    aligned = align("Der Eiffelturm steht in Paris und ist 330 Meter hoch.", TOWER_DE, "de")
    assert aligned.supported
    assert {c.text.split()[1] for c in aligned.cited} >= {"Eiffelturm", "Turm"}


def test_numbers_in_one_spelling() -> None:
    assert list(digits("1,000 und 1.000, 1,5 und 1.5, 12:30, 2.500.000")) == ["1000", "1.5", "12:30", "2500000"]


def test_names() -> None:
    assert literals("The tower of Gustave Eiffel", "en")[1] == ["Gustave", "Eiffel"]
    assert literals("Der Turm von Gustave Eiffel und die SPS", "de")[1] == ["Eiffel", "SPS"]


SAID = "Der Turm ist 330 Meter hoch [1]. Am 3. Mai kam Otto Lilienthal. Der Turm steht z. B. in Paris [2, 3]."


def transcript(pieces: list[str]) -> tuple[Transcript, str]:
    aligner = Aligner(sentences([hit(TOWER_DE)]), "", ["de"], None, None)
    script = Transcript(lambda sentence: aligner.align(sentence, "de"))
    shown = [p for n, piece in enumerate(pieces) for p in script.feed(piece, last=n == len(pieces) - 1)]
    return script, "".join(shown)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(SAID)), max_size=30))
def test_the_answer_does_not_depend_on_how_the_tokens_are_cut(at: list[int]) -> None:
    places = sorted({0, *at, len(SAID)})
    script, shown = transcript([SAID[a:b] for a, b in pairwise(places)])
    assert shown.strip() == script.text
    assert script.text == (
        "Der Turm ist 330 Meter hoch. [1] Am 3. Mai kam Otto Lilienthal. Der Turm steht z. B. in Paris. [1][2]"
    )
    assert [s.supported for s in script.sentences] == [True, False, True]
    assert [c.number for c in script.citations] == [1, 2]


def test_the_same_span_keeps_its_number() -> None:
    script, _ = transcript(["Der Turm ist 330 Meter hoch. Der Turm hat 330 Meter."])
    assert [s.citations for s in script.sentences] == [(1,), (1,)]


CLEANED = {"Nun [1] gut [2,3].": "Nun gut.", "<think>Hm [1]?</think>\n\nJa [a] [12].": "Ja [a].", "<b>": "<b>"}


@given(st.lists(st.integers(0, 80)), st.sampled_from(sorted(CLEANED)))
def test_thoughts_and_made_up_references_are_taken_out(at: list[int], text: str) -> None:
    cleaner = Cleaner()
    places = sorted({0, len(text), *(min(i, len(text)) for i in at)})
    out = "".join(cleaner.feed(text[a:b]) for a, b in pairwise(places)) + cleaner.feed("", last=True)
    assert out == CLEANED[text]


def test_digits_in_an_open_bracket_cost_no_more_than_others() -> None:
    """What a document says decides what a model says: nothing in it may take exponential time."""
    text = "[" + "1" * 2_000 + " Uhr]"
    assert Cleaner().feed(text, last=True) == text


@pytest.mark.parametrize("said", ["NO ANSWER", "  no answer.", "", '"NO ANSWER" because nothing is there'])
def test_a_model_may_decline(said: str) -> None:
    script, shown = transcript([*said, ""])
    assert script.declined
    assert shown == ""


def test_a_beginning_like_the_words_for_no_answer_is_shown_in_the_end() -> None:
    script, shown = transcript([*"No Ans"])
    assert not script.declined
    assert shown == "No Ans"
