"""How much of reference answers is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.errors import DamagedFile, InputError
from ragstone.measure.coverage import evaluate_coverage
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder

TEXTS = {
    "a": "The pump P3 feeds the boiler K1. The boiler K1 heats water for the pump P3 and the valve V7.",
    "b": "Anna Weber leads the Riverside Choir in Lund. The Riverside Choir sings with Anna Weber and Tom Berg.",
}


def measured(folder: Path, **options: object) -> dict[str, Any]:
    chosen = load(overrides={"embedding.background": False})
    return evaluate_coverage(
        folder,
        open_at=lambda place: open_knowledge_base(at(place, chosen), embedder=HashEmbedder()),
        **options,  # type: ignore[arg-type]
    )


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, records)))


def test_share_of_the_words_of_an_answer_that_the_question_does_not_have(tmp_path: Path) -> None:
    lines(tmp_path / "contexts.jsonl", [{"id": key, "text": text} for key, text in TEXTS.items()])
    asked = {"id": "q", "type": "summary", "question": "Who sings in the choir?", "answers": ["Anna Weber, Tom and Zoe"]}
    lines(tmp_path / "qa.jsonl", [asked, {"id": "n", "question": "Who sings?", "answers": []}])
    result = measured(tmp_path)
    assert result["questions"] == 1
    shares = {name: of["summary"] for name, of in result["coverage"].items()}
    # anna, weber and tom stand there, zoe does not
    assert shares["hybrid@10"] == shares["global@5"] == {"questions": 1, "share": 0.75}
    assert set(shares) == {f"{mode}@{k}" for mode in ("hybrid", "mixed", "global") for k in (5, 10)} | {"cited", "as_long"}
    assert 0.0 < shares["cited"]["share"] <= 0.75
    with pytest.raises(InputError):
        measured(tmp_path, kinds=("fact",))


def test_a_line_that_is_no_object_is_told(tmp_path: Path) -> None:
    (tmp_path / "contexts.jsonl").write_text('{"id": "a", "text": "x"}\n')
    (tmp_path / "qa.jsonl").write_text("[]\n")
    with pytest.raises(DamagedFile, match="line 1"):
        measured(tmp_path)
