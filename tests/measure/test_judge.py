from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.cli.records.spaces import JudgeRecord
from ragstone.errors import DamagedFile, InputError
from ragstone.measure.beir import Record
from ragstone.measure.judge import agreement, interval, judge, overlap, questions_of, recommend
from ragstone.settings import load
from ragstone.testing import HashEmbedder
from schema_check import mismatches

OLD, NEW = HashEmbedder(3), HashEmbedder(256)
PARTS = "pump filter valve motor oil pressure sensor alarm bearing hose belt gauge".split()


def test_two_spaces_are_compared_and_the_better_one_is_named(tmp_path: Path) -> None:
    chosen = load(overrides={"data.folder": str(tmp_path / "data"), "embedding.background": False})
    with open_knowledge_base(chosen, embedder=OLD) as kb:
        kb.add_texts((f"/manuals/{part}.txt", "", f"the {part} is checked weekly", {}) for part in PARTS)
        kb.embed_pending()
        kb.add_space(NEW)
        questions = [Record(part, "", f"when is the {part} checked") for part in PARTS]
        judged = {part: {part: 1} for part in PARTS}
        result = judge(kb, "default", (OLD.space.id, NEW.space.id), questions, judged)
        assert mismatches(result, JudgeRecord) == []
        dense = result["modes"]["dense"]["judged"]
        assert dense["old"]["ndcg@10"] < 0.9 < dense["new"]["ndcg@10"] == 1.0
        assert dense["low"] > 0
        assert result["modes"]["dense"]["least_agreeing"]
        plain = judge(kb, "default", (OLD.space.id, NEW.space.id), questions)
        assert plain["modes"]["hybrid"]["judged"] is None
        assert "nobody can tell" in plain["recommendation"]
        with pytest.raises(InputError):
            judge(kb, "default", (OLD.space.id, NEW.space.id), [])


@pytest.mark.parametrize(
    ("low", "high", "says"), [(0.01, 0.05, "better"), (-0.05, -0.01, "worse"), (-0.01, 0.02, "do not decide")]
)
def test_the_recommendation_follows_the_interval(low: float, high: float, says: str) -> None:
    found = {"questions": 9, "difference": (low + high) / 2, "low": low, "high": high}
    text = recommend({"hybrid": {"judged": found}}, {"a": {"p50": 2.0}, "b": {"p50": 4.0}}, ("a", "b"), 3)
    assert says in text
    assert "2.0 times" in text
    assert "3 chunks" in text


def test_measures_of_agreement() -> None:
    assert overlap([1, 2, 3], [3, 2, 1]) == 1.0
    assert agreement([1, 2], [2, 1]) == 0.5
    assert agreement([], []) == overlap([], []) == 1.0
    assert agreement([1, 2], [1, 2]) == 1.0
    low, high = interval([0.1] * 5 + [-0.1] * 5)
    assert low < 0 < high
    assert interval([0.2] * 4) == pytest.approx((0.2, 0.2))


def test_questions_are_lines_or_objects(tmp_path: Path) -> None:
    file = tmp_path / "questions"
    file.write_text('How often?\n{"_id": "q7", "text": "When?"}\n{"question": "Who?"}\n')
    assert [(q.id, q.text) for q in questions_of(file)] == [("1", "How often?"), ("q7", "When?"), ("3", "Who?")]
    file.write_text('{"answer": 1}\n')
    with pytest.raises(DamagedFile, match="line 1"):
        questions_of(file)
