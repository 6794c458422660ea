"""Words and likeness to examples together, with the model that ships, on turns labelled by hand; docs/learn.md says how
few they are and what they are worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragstone.embedding import e5
from ragstone.learn.extraction import Extracted, extract, untold
from ragstone.learn.judging import Judge, doubted, shipped, told
from ragstone.learn.turns import Turn

LABELLED = Path(__file__).parent / "labelled"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(e5.open_embedder(tmp_path_factory.mktemp("models"), threads=2))


def found(turn: Turn, before: list[Turn], judge: Judge | None) -> list[tuple[str, str]]:
    items: list[Extracted] = extract(turn, before[-4:])
    if judge is None:
        return [(item.type, item.text) for item in items]
    spans = [turn.text[a:b] for a, b in untold(turn, items)]
    likely = judge([*(item.text for item in items), *spans]) if items or spans else []
    kept = [(item.type, item.text) for item, by in zip(items, likely, strict=False) if not doubted(by)]
    more = [(told(by, turn.role), text) for text, by in zip(spans, likely[len(items) :], strict=True)]
    return [*kept, *((type[0], text) for type, text in more if type is not None)]


def figures(part: str, judge: Judge | None) -> tuple[float, float]:
    """Precision and recall."""
    right = items = wanted = 0
    before: list[Turn] = []
    for line in (LABELLED / f"{part}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        turn = Turn(row["role"], row["content"])
        got = found(turn, before, judge)
        gold = [(label["type"], label["text"]) for label in row["labels"]]
        right += sum(any(t == u and (a in b or b in a) for u, b in gold) for t, a in got)
        items, wanted = items + len(got), wanted + len(gold)
        before.append(turn)
    print(part, "words" if judge is None else "both", right, items, wanted)
    return right / items, right / wanted


@pytest.mark.parametrize(("part", "precision", "recall"), [("dev", 0.95, 0.95), ("heldout", 0.9, 0.9)])
def test_labelled_turns(judge: Judge, part: str, precision: float, recall: float) -> None:
    got = figures(part, judge)
    assert got[0] >= precision
    assert got[1] >= recall


def test_examples_take_away_what_words_find_in_small_talk(judge: Judge) -> None:
    talk = Turn("user", "I love that scene so much. Where should we meet?")
    kept = Turn("user", "I love puzzles with many pieces. How long do we keep the invoices?")
    assert len(found(talk, [], None)) + len(found(kept, [], None)) >= 3
    assert found(talk, [], judge) == []
    assert len(found(kept, [], judge)) == 2


def test_every_type_has_examples_in_both_languages() -> None:
    examples = shipped()
    assert set(examples) == {"decision", "fact", "pattern", "problem", "solution", "preference", "question", "nothing"}
    assert min(map(len, examples.values())) >= 15
