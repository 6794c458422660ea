from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answering import CHEESE_DE, TOWER_DE, TOWER_EN, TermEmbedder, hit
from ragstone.answer.answerer import Answerer
from ragstone.answer.evidence import gather
from ragstone.answer.expected import expected, holds
from ragstone.answer.extractive import plain
from ragstone.protocols import Embedder
from ragstone.types import Answer, Hit, ScoreParts

HITS = [hit(TOWER_DE, title="Eiffelturm"), hit(CHEESE_DE, rank=1, title="Käse")]


def ask(
    question: str, hits: list[Hit], language: str = "de", embedder: Embedder | None = None, most: int = 3
) -> Answer:
    events = list(Answerer(embedder, None, max_sentences=most).stream(question, hits, language=language))
    assert events[0].text == "evidence"
    final = events[-1].answer
    assert final is not None
    assert "".join(e.text for e in events if e.kind == "token") == final.text
    return final


@pytest.mark.parametrize("embedder", [None, TermEmbedder()], ids=["words", "vectors"])
@pytest.mark.parametrize(
    ("question", "gold"),
    [
        ("Wie hoch ist der Eiffelturm?", "330 Meter"),
        ("Wer hat den Eiffelturm entworfen?", "Gustave Eiffel"),
        ("Wann bleibt der Eiffelturm geschlossen?", "3. Mai"),
        ("Wie viel wiegt ein Laib Emmentaler?", "120 Kilogramm"),
    ],
)
def test_the_sentence_that_answers_is_cited(question: str, gold: str, embedder: Embedder | None) -> None:
    answer = ask(question, HITS, embedder=embedder)
    assert answer.answered
    assert answer.model == "extractive"
    assert any(gold in c.text for c in answer.citations)
    assert len(answer.citations) <= 3


def test_each_sentence_names_its_citation_and_spans_are_exact() -> None:
    before = "Vorwort.\n\n"
    answer = ask("Wie hoch ist der Eiffelturm?", [hit(TOWER_DE, start=len(before), title="Eiffelturm")])
    document = before + TOWER_DE
    for n, (sentence, citation) in enumerate(zip(answer.sentences, answer.citations, strict=True), 1):
        assert sentence.citations == (citation.number,) == (n,)
        assert document[citation.start : citation.end] == citation.text
        assert f"{sentence.text} [{n}]" in answer.text
        assert sentence.supported


def test_the_names_of_columns_are_no_answer() -> None:
    table = (
        "code\tpriority\treaction\n"
        "code: A101; priority: high; reaction: Start the second compressor and look for a leak at once\n"
        "code: A110; priority: medium; reaction: Switch the dryer\n"
    )
    answer = ask("Which reaction has code A110?", [hit(table, language="en")], language="en")
    cited = [c.text for c in answer.citations]
    assert "code: A110; priority: medium; reaction: Switch the dryer" in cited
    assert not any("\t" in text for text in cited)


def test_a_heading_is_no_answer() -> None:
    chunk = hit("# Lizenz der FAQ\n\nSie steht unter der GPL.", title="FAQ").chunk
    found = Hit(replace(chunk, section=("Lizenz der FAQ",)), 1.0, ScoreParts(None, None))
    answer = ask("Welche Lizenz hat die FAQ?", [found])
    assert [c.text for c in answer.citations] == ["Sie steht unter der GPL."]


def test_sentences_stand_in_reading_order() -> None:
    answer = ask("Wann wurde der Turm eröffnet und wie hoch ist er?", HITS)
    places = [(c.uri, c.start) for c in answer.citations]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [
        ("Was kostet eine Fahrkarte nach Hamburg?", "de", "In den Dokumenten steht dazu nichts."),
        ("What does a ticket to Hamburg cost?", "en", "The documents say nothing about this."),
        ("Combien coûte un billet pour Hambourg ?", "fr", "The documents say nothing about this."),
    ],
)
def test_no_evidence_is_said_in_the_language_of_the_question(question: str, language: str, words: str) -> None:
    hits = HITS if language == "de" else [hit(TOWER_EN, language=language, title="Eiffel Tower")]
    answer = ask(question, hits, language)
    assert (answer.answered, answer.text) == (False, words)
    assert not answer.citations
    assert not answer.sentences


def test_no_hits() -> None:
    assert not ask("Wie hoch ist der Eiffelturm?", []).answered
    assert ask("Was?", [], "").language == "en"


def test_a_question_without_a_language_gets_that_of_the_hits() -> None:
    assert ask("Eiffelturm", HITS, "").language == "de"


def test_another_language_of_the_documents_is_no_reason_to_refuse() -> None:
    hits = [hit(TOWER_EN, language="en", title="Eiffel Tower")]
    assert ask("Welche Höhe hat das Bauwerk?", hits, "de", TermEmbedder()).answered


def test_repeated_sentences_are_cited_once() -> None:
    text = "Die Pumpe läuft mit 24 Volt."
    answer = ask("Mit wie viel Volt läuft die Pumpe?", [hit(text), hit(text, rank=1), hit(CHEESE_DE, rank=2)], most=1)
    assert [c.text for c in answer.citations] == [text]


def test_a_passed_deadline_still_gives_an_answer_and_says_what_was_left_out() -> None:
    answerer = Answerer(TermEmbedder(), None)
    events = answerer.stream("Wie hoch ist der Eiffelturm?", HITS, language="de", deadline=time.monotonic() - 1)
    final = list(events)[-1].answer
    assert final is not None
    assert final.answered
    assert any("words only" in note for note in final.notes)


def test_lines_of_citations_count_from_the_chunk() -> None:
    text = "# Werte\n\nDer Druck liegt bei 5 bar.\nDie Temperatur liegt bei 80 Grad.\n"
    answer = ask("Wie hoch ist die Temperatur?", [hit(text)], most=1)
    assert [(c.line, c.text) for c in answer.citations] == [(4, "Die Temperatur liegt bei 80 Grad.")]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("aeinrst ABC.?!\n-|ß1", min_size=1, max_size=80), min_size=1, max_size=5),
    st.text("aeinrst ABC?", min_size=1, max_size=30),
    st.integers(1, 4),
)
def test_spans_are_exact_whatever_the_text(texts: list[str], question: str, most: int) -> None:
    hits = [hit(text, rank=n, start=7 * n) for n, text in enumerate(texts)]
    answer = ask(question, hits, embedder=TermEmbedder(), most=most)
    documents = {h.chunk.uri: (h.chunk.start, h.chunk.text) for h in hits}
    assert len(answer.citations) <= most
    assert [c.number for c in answer.citations] == list(range(1, len(answer.citations) + 1))
    for citation in answer.citations:
        offset, text = documents[citation.uri]
        assert text[citation.start - offset : citation.end - offset] == citation.text
        assert citation.text.strip()


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Wie viele Punkte gab es?", "number"),
        ("How many points were scored?", "number"),
        ("Wann begann der Krieg?", "time"),
        ("In which year did it end?", "time"),
        ("In welchem Jahr starb er?", "time"),
        ("Wer baute den Turm?", "person"),
        ("Who built it?", "person"),
        ("Wo liegt Bonn?", "place"),
        ("Warum ist das so?", "reason"),
        ("Why?", "reason"),
        ("Was ist ein Sensor?", ""),
    ],
)
def test_what_a_question_asks_for(question: str, kind: str) -> None:
    assert expected(question) == kind


def test_a_number_of_the_question_is_no_answer_to_it() -> None:
    question = "Wie viele Meter hatte der Turm 1889?"
    assert not holds("number", "Der Turm von 1889.", question)
    assert holds("number", "1889 hatte er 312 Meter.", question)


def test_a_sentence_that_points_back_takes_words_of_the_one_before() -> None:
    text = "Die Warschauer Börse wurde 1817 gegründet. Sie wurde 1991 erneuert. Der Fluss ist breit."
    found = gather("Wann wurde die Warschauer Börse erneuert?", [hit(text)], None, language="de").candidates
    words = {c.text.split()[0]: c.features.words for c in found}
    assert words["Sie"] > words["Die"] > words["Der"] == 0.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("| | Der Druck ist 5 bar. |", "Der Druck ist 5 bar."),
        ("- **Wichtig**: Ventil\n  schließen.", "Wichtig: Ventil schließen."),
        ("-5 Grad sind zu wenig.", "-5 Grad sind zu wenig."),
        ("|", "|"),
    ],
)
def test_marks_around_a_sentence_are_not_shown(text: str, shown: str) -> None:
    assert plain(text) == shown
