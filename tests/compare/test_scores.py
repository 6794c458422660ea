"""Automatic scores: topics as words and numbers, citations against gold spans, refusals."""

from __future__ import annotations

import pytest

from compared import cases_of
from ragstone.compare.scores import Reader, score, topics
from ragstone.knowledge_base import KnowledgeBase
from ragstone.testing import HashEmbedder


@pytest.mark.parametrize(
    ("spelling", "text", "language", "said"),
    [
        ("4,000 hours", "every 4000 hours", "en", True),
        ("4,000 hours", "every 40 hours", "en", False),
        ("20 ms", "Die Zykluszeit ist 20 ms.", "de", True),
        ("ET", "Die Zeit steht am Ausgang.", "de", False),
        ("ET", "Sie steht an ET.", "de", True),
        ("Handwert", "auf dem Handwerts-Niveau des Handwertes", "de", True),
        ("4711", "call 14711", "en", False),
        ("1,2 Liter", "von 1,2 Litern je Stunde", "de", True),
    ],
)
def test_a_topic_is_said(spelling: str, text: str, language: str, said: bool) -> None:
    assert topics([[spelling]], text, language) == float(said)


def test_any_spelling_of_a_topic_counts_once() -> None:
    assert topics([["ten", "10"], ["zero"]], "ten 10", "en") == 0.5
    assert topics([], "x", "en") is None


def test_a_right_answer_scores_high_and_what_is_wrong_lowers_it(kb: KnowledgeBase) -> None:
    oil, seal, _, paint = cases_of(kb)
    reader = Reader(HashEmbedder())
    right = score(oil, reader.read(oil, "The oil is changed every 4,000 hours."))
    assert (right.topics, right.support, right.language, right.citations, right.recall) == (1.0, 1.0, 1.0, 1.0, 1.0)
    assert right.quality == 1.0
    wrong = score(oil, reader.read(oil, "The oil is changed every 9,000 hours."))
    assert (wrong.topics, wrong.support) == (0.0, 0.0)
    assert wrong.quality == 0.0
    parrot = score(oil, reader.read(oil, "How often is the oil changed?"))
    assert parrot.quality == 0.0
    beside = score(oil, reader.read(oil, "Every 4,000 hours. The seal may lose ten drops a minute."))
    assert 0.5 <= beside.quality < 1.0
    assert score(seal, reader.read(seal, "NO ANSWER")).quality == 0.0
    assert score(paint, reader.read(paint, "NO ANSWER")).quality == 1.0
    assert score(paint, reader.read(paint, "The crane is yellow.")).quality == 0.0


def test_an_answer_in_the_wrong_language_is_noticed(kb: KnowledgeBase) -> None:
    oil = cases_of(kb)[0]
    shown = Reader(HashEmbedder()).read(oil, "Das Öl wird alle 4,000 hours gewechselt und die Pumpe ist dann bereit.")
    assert score(oil, shown).language == 0.0
