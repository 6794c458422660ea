from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ragstone.errors import DamagedFile, InputError, NotFound
from ragstone.measure.beir import judgments, locate, records
from ragstone.measure.evaluate import Question, questions_of


def test_plain_and_gzipped_and_both_id_names(tmp_path: Path) -> None:
    rows = [{"_id": "1", "title": "T", "text": "Größe"}, {"id": 2, "text": "b"}]
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.jsonl", "b.jsonl.gz"):
        assert [(r.id, r.title, r.text) for r in records(tmp_path / name)] == [("1", "T", "Größe"), ("2", "", "b")]


def test_three_and_four_fields(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("query-id\tcorpus-id\tscore\nq 1\td1\t2\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("q1 0 d1 2\nq1 0 d2 0\n", encoding="utf-8")
    assert judgments(tmp_path / "a.tsv") == {"q 1": {"d1": 2}}
    assert judgments(tmp_path / "b.txt") == {"q1": {"d1": 2, "d2": 0}}


def test_damage_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "1", "text": "a"}\n{"id": \n', encoding="utf-8")
    with pytest.raises(DamagedFile, match="line 2"):
        list(records(tmp_path / "c.jsonl"))
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(DamagedFile):
        list(records(tmp_path / "d.jsonl.gz"))
    (tmp_path / "e.tsv").write_text("query-id\tcorpus-id\tscore\n", encoding="utf-8")
    with pytest.raises(DamagedFile, match="no judgments"):
        judgments(tmp_path / "e.tsv")


def test_files_are_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "queries.dev.jsonl").touch()
    assert locate(tmp_path, None, "queries", ("queries.jsonl", "queries*.jsonl*")).name == "queries.dev.jsonl"
    assert locate(tmp_path, Path("queries.dev.jsonl"), "queries", ()).is_file()
    (tmp_path / "queries.train.jsonl").touch()
    with pytest.raises(InputError, match="several"):
        locate(tmp_path, None, "queries", ("queries*.jsonl*",))
    with pytest.raises(NotFound):
        locate(tmp_path, Path("nowhere.tsv"), "qrels", ())


def test_questions_with_gold_answers(tmp_path: Path) -> None:
    file = tmp_path / "qa.jsonl"
    file.write_text('{"id": 7, "question": "How?", "answers": ["so", " "]}\n{"question": "Why?", "answers": null}\n')
    assert list(questions_of(file)) == [Question("7", "How?", ("so",)), Question("", "Why?", ())]


@pytest.mark.parametrize("line", ["not JSON", "[]", '{"answers": []}', '{"question": "x", "answers": 3}'])
def test_damaged_questions_are_named_by_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "qa.jsonl"
    file.write_text('{"question": "x"}\n' + line + "\n")
    with pytest.raises(DamagedFile, match="line 2"):
        list(questions_of(file))
