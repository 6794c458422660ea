"""`ragstone eval graph` as a person uses it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from command_line import CommandLine
from ragstone.cli.records.graph_measures import GraphEvaluationRecord
from schema_check import mismatches

NAMES = {
    "id": "1",
    "tokens": ["Angela", "Merkel", "wohnt", "in", "Berlin", "."],
    "tags": ["B-PER", "I-PER", "O", "O", "B-LOC", "O"],
}
RELATED = {
    "id": "1",
    "sents": [["Ada", "Lovelace", "was", "born", "in", "London", ",", "England", "."], ["She", "met", "Babbage", "."]],
    "entities": [
        {"id": 0, "type": "PER", "mentions": [{"sent_id": 0, "pos": [0, 2]}]},
        {"id": 1, "type": "LOC", "mentions": [{"sent_id": 0, "pos": [5, 6]}]},
        {"id": 2, "type": "TIME", "mentions": [{"sent_id": 1, "pos": [0, 1]}]},
    ],
    "relations": [{"h": 0, "t": 1, "r": "P19"}, {"h": 0, "t": 2, "r": "P569"}],
}


def test_eval_graph(ragstone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "names.jsonl").write_text(json.dumps(NAMES) + "\n")
    with gzip.open(tmp_path / "related.jsonl.gz", "wt") as file:
        file.write(json.dumps(RELATED) + "\n")
    done = ragstone("eval", "graph", str(tmp_path), "--json")
    assert done.code == 0, done.stderr
    assert not mismatches(done.json, GraphEvaluationRecord)
    names = done.json["mentions"]["names.jsonl"]
    assert (names["marked"], names["found"], names["f1"]) == (2, 2, 1.0)
    pairs = done.json["relations"]["related.jsonl.gz"]
    # Nothing that was found stands where the "time" was marked.
    assert (pairs["related"], pairs["recall"], pairs["entities_found"]) == (2, 0.5, 2 / 3)
    assert done.json["mentions"]["related.jsonl.gz"]["marked"] == 2
    assert "related.jsonl.gz" in ragstone("eval", "graph", str(tmp_path), "--language", "en").out
    (tmp_path / "names.jsonl").write_text('{"id": 1, "tokens": "x"}\n')
    assert ragstone("eval", "graph", str(tmp_path)).code == 4
    assert ragstone("eval", "graph", str(tmp_path / "none")).code == 3
