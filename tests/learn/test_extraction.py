"""What is taken out of turns that were labelled by hand; docs/learn.md says how few they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragstone.learn.extraction import extract, untold
from ragstone.learn.turns import Turn

LABELLED = Path(__file__).parent / "labelled"


@pytest.mark.parametrize(("part", "precision", "recall"), [("dev", 0.95, 0.95), ("heldout", 0.9, 0.9)])
def test_labelled_turns(part: str, precision: float, recall: float) -> None:
    right = found = wanted = 0
    before: list[Turn] = []
    for line in (LABELLED / f"{part}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        turn = Turn(row["role"], row["content"])
        got = [(item.type, item.text) for item in extract(turn, before[-4:])]
        gold = [(label["type"], label["text"]) for label in row["labels"]]
        right += sum(any(t == u and (a in b or b in a) for u, b in gold) for t, a in got)
        found, wanted = found + len(got), wanted + len(gold)
        before.append(turn)
    assert right / found >= precision
    assert right / wanted >= recall


def test_spans_and_noise() -> None:
    text = "Hi.\n```\nWe decided to use tabs.\n```\nWe decided to use SQLite.  Thanks!"
    (item,) = extract(Turn("user", text))
    assert (item.type, text[item.start : item.end]) == ("decision", "We decided to use SQLite.")
    assert extract(Turn("tool", "We decided to use SQLite.")) == []
    assert extract(Turn("assistant", "I prefer tabs over spaces.")) == []  # a model's taste is nobody's


def test_an_answer_is_known_with_its_question() -> None:
    asked = Turn("user", "Wer ist für die Zertifikate zuständig?")
    (item,) = extract(Turn("assistant", "Frau Berger macht die Zertifikate."), [asked])
    assert (item.type, item.context) == ("fact", asked.text)
    assert extract(Turn("assistant", "Frau Berger macht die Zertifikate.")) == []


def test_many_sentences_stay_bounded() -> None:
    text = " ".join(f"We decided to use SQLite {n}." for n in range(5_000))
    assert 0 < len(extract(Turn("user", text))) <= 60


def test_an_apostrophe_of_print_is_one() -> None:
    for said in ("We’ve decided to use SQLite.", "Let’s go with SQLite for now."):
        (found,) = extract(Turn("user", said))
        (plain,) = extract(Turn("user", said.replace("’", "'")))
        assert (found.type, found.text, found.confidence) == ("decision", said, plain.confidence)
    assert untold(Turn("user", "I’ll look at the pump in the hall."), []) == []
