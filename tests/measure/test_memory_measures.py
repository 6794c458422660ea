"""`ragstone eval memory` and `eval merging` over tiny sets of our own."""

from __future__ import annotations

import json
from pathlib import Path

from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.measure.memory import evaluate_memory
from ragstone.measure.merging import Nearest, Said, arranged, evaluate_merging, figures
from ragstone.measure.merging_texts import OWN
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder


def opened(folder: Path) -> KnowledgeBase:
    settings = at(folder, load(overrides={"embedding.background": False, "data.free_disk": 0}))
    return open_knowledge_base(settings, embedder=HashEmbedder(64))


def written(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_recall_of_evidence(tmp_path: Path) -> None:
    said = ("Anna: The boiler leaks.", "Bob: Call the plumber.", "Anna: Rain again.")
    written(
        tmp_path / "contexts.jsonl",
        *({"id": str(n), "text": text, "conversation": "c", "date": "2026-01-05"} for n, text in enumerate(said)),
    )
    written(
        tmp_path / "qa.jsonl",
        {"id": "a", "question": "What leaks, the boiler?", "conversation": "c", "type": "Single"},
        {"id": "b", "question": "Where is the submarine?", "conversation": "c", "type": "Null"},
    )
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\na\t0\t1\n", encoding="utf-8")
    found = evaluate_memory(tmp_path, open_at=opened)
    assert (found["turns"], found["questions"], found["unanswerable"]) == (3, 1, 1)
    assert found["ndcg@10"] == found["recall@10"] == found["answerable_auc"] == 1.0


def test_merging_counts_what_is_judged_alone() -> None:
    none: frozenset[str] = frozenset()
    kin = frozenset(["intent"])
    stream = [
        Said("a", "1", none, False), Said("a again", "1", none, True), Said("b", "2", kin, True),
        Said("b, perhaps", "3", kin, True), Said("b again", "2", none, False), Said("other", "4", none, True),
    ]  # fmt: skip
    best = [Nearest(0, -1), Nearest(0.99, 0), Nearest(0, -1), Nearest(0.99, 2), Nearest(0.9, 2), Nearest(0.96, 0)]
    assert figures(stream, best, 0.95) == {"merged": 2, "unjudged": 1, "precision": 0.5, "recall": 0.5}
    assert figures(stream, best, 0.95, held_out=True) == {"merged": 2, "unjudged": 1, "precision": 0.5, "recall": 1.0}


def test_a_stream_for_merging(tmp_path: Path) -> None:
    english = written(
        tmp_path / "en.jsonl",
        {"id": "1", "question": "Who won?", "answers": ["Anna"], "context_id": "x"},
        {"id": "2", "question": "Who was the winner?", "answers": ["anna"], "context_id": "x"},
    )
    german = written(tmp_path / "de.jsonl", {"id": "1", "question": "Wer gewann?"})
    stream = arranged([english, german], 0)
    groups = {said.text: said for said in stream}
    assert groups["Who won?"].kin & groups["Who was the winner?"].kin
    assert len({said.group for said in stream}) == 2 + 2 * len(OWN)
    result = evaluate_merging([english, german], embedder=HashEmbedder(64))
    assert result["items"] == len(stream)
    assert [point["threshold"] for point in result["curve"]] == sorted(point["threshold"] for point in result["curve"])
    assert result["all"]["merged"] >= result["held_out"]["merged"] > 0
