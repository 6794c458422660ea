"""Questions in YAML: what ships is sound, what is broken is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.compare.cases import prepare
from ragstone.compare.questions import TIERS, join, load_questions, shipped
from ragstone.errors import DamagedFile, InputError, NotFound
from ragstone.measure.samples import sample_folder
from ragstone.settings import at
from ragstone.testing import HashEmbedder
from ragstone.text.language import detect_query


def test_two_sets_ship_with_all_tiers_and_their_language() -> None:
    assert shipped() == ["plant-en", "plc-de"]
    for name, language in (("plc-de", "de"), ("plant-en", "en")):
        questions = load_questions(name)
        assert len(questions) >= 12
        assert {q.tier for q in questions} == set(TIERS)
        assert {q.language for q in questions} == {language}
        assert all(q.refuse or (q.topics and q.gold and q.answer) for q in questions)
        assert sum(detect_query(q.text, ("de", "en")) in (language, "") for q in questions) == len(questions)
    join([load_questions(name) for name in shipped()])


def test_gold_quotes_of_the_shipped_sets_stand_in_the_samples(tmp_path: Path) -> None:
    with open_knowledge_base(at(tmp_path), embedder=HashEmbedder()) as kb:
        kb.add([str(sample_folder())])
        questions = join([load_questions(name) for name in shipped()])
        cases = prepare(kb, questions, passages=3, context=8192, max_tokens=96)
    for case in cases:
        assert bool(case.gold) != case.question.refuse, case.question.id
        assert case.messages[-1].content.startswith(case.question.text)
        assert len(case.messages) == (4 if case.question.after else 2)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("- question: A?\n  topics: [a\n- question: B?\n", 3, "not YAML"),
        ("- question: A?\n- questoin: B?\n", 2, "no field questoin"),
        ("- tier: 1\n", 1, "question is missing"),
        ("- question: A?\n- question: B?\n  tier: 9\n", 2, "tier 9"),
        ("- question: A?\n  after: x\n", 1, "after names x"),
        ("- {id: a, question: A}\n- {question: B, after: a}\n", 2, "no answer to follow up"),
        ("- {id: a, question: A}\n- {id: a, question: B}\n", 2, "used in line 1"),
        ("- question: A?\n  gold: [{quote: q}]\n", 1, "gold needs"),
        ("- question: A?\n  topics: a\n", 1, "topics must be a list"),
        ("- question: A?\n  question: B?\n", 2, "stands twice"),
        ("just words\n", 1, "list of questions"),
        ("a: !!python/object/apply:os.system [true]\n", 1, "not YAML"),
        ("questions: []\nnaem: x\n", 1, "no field naem"),
    ],
)
def test_what_is_broken_is_told_with_its_line(text: str, line: int, what: str, tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DamagedFile) as caught:
        load_questions(str(path))
    assert f"line {line}:" in caught.value.message
    assert what in caught.value.message


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="plc-de"):
        load_questions("plc-fr")
    (tmp_path / "e.yaml").write_text("questions: []\n")
    with pytest.raises(DamagedFile, match="no question"):
        load_questions(str(tmp_path / "e.yaml"))


def test_two_sets_may_not_share_an_id() -> None:
    with pytest.raises(InputError, match="de-"):
        join([load_questions("plc-de"), load_questions("plc-de")])


def test_the_plainest_file(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text("- question: Wie oft wird der Filter gewechselt?\n- question: What is it?\n", encoding="utf-8")
    first, second = load_questions(str(path))
    assert (first.id, first.tier, first.language) == ("q1", "1", "de")
    assert second.language == "en"
