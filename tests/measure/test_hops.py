"""Evidence of questions with the graph and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.errors import InputError
from ragstone.measure.hops import evaluate_hops, split
from ragstone.measure.memory import Asked
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder


def test_recall_by_mode_kind_and_half(tmp_path: Path) -> None:
    said = [("a", "Mira: I started at the workshop."), ("b", "Jon: The fee is high."), ("c", "Jon: It rains.")]
    contexts = [{"id": i, "title": "s1", "text": text, "conversation": "c1"} for i, text in said]
    (tmp_path / "contexts.jsonl").write_text("\n".join(map(json.dumps, contexts)))
    asked = {"id": "q", "question": "What did Mira start?", "type": "Multi", "conversation": "c1"}
    (tmp_path / "qa.jsonl").write_text(json.dumps(asked))
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\nq\tz\t1\n")
    chosen = load(overrides={"embedding.background": False})

    def measured(**options: object) -> dict[str, Any]:
        return evaluate_hops(
            tmp_path,
            open_at=lambda folder: open_knowledge_base(at(folder, chosen), embedder=HashEmbedder()),
            **options,  # type: ignore[arg-type]
        )

    recall = measured()["recall"]
    assert set(recall) == {"hybrid", "mixed", "graph"}
    assert recall["mixed"]["Multi"]["all"] == {"questions": 1, "recall": 0.5}
    assert len(recall["mixed"]["Multi"]) == 2
    with pytest.raises(InputError):
        measured(kinds=("Single",))
    assert measured(part="held")["questions"] == 1  # half of one question, rounded down, is tuned on
    with pytest.raises(InputError):
        measured(part="tune")


def test_the_split_is_of_whole_conversations_and_always_the_same() -> None:
    def asked(count: int, conversations: int) -> list[Asked]:
        return [Asked(f"q{i}", "?", f"c{i % conversations}", "", None) for i in range(count)]

    parts = split(asked(70, 7))
    of = {f"c{i}": {parts[f"q{j}"] for j in range(i, 70, 7)} for i in range(7)}
    assert [conversation for conversation, part in of.items() if part == {"tune"}] == ["c3", "c4", "c6"]
    assert all(len(part) == 1 for part in of.values())
    one = split(asked(70, 1))
    assert sorted(one.values()) == ["held"] * 35 + ["tune"] * 35
    assert split(asked(70, 1)[::-1]) == one
