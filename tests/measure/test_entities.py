from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from command_line import CommandLine
from ragstone.cli.records.graph_measures import EntitiesRecord
from ragstone.errors import DamagedFile, InputError
from ragstone.measure.entities import evaluate_entities
from ragstone.testing import HashEmbedder
from schema_check import mismatches

WORDS = "Ventil Pumpe Motor Sensor Filter Schalter Regler Antrieb Lager Getriebe Kessel Brenner".split()


def write_set(folder: Path, *, packed: bool = False) -> Path:
    """Twelve things in two sources, every one with its partner and with three others."""
    folder.mkdir(parents=True)
    rows = [
        {"id": f"{side}{i}", "source": side, "fields": {"name": name.format(word, i), "price": str(10 * i + 10), "x": None}}
        for side, name in (("left", "{} Serie AX{}00"), ("right", "Serie AX{1}00: {0}, neu"))
        for i, word in enumerate(WORDS)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if packed:
        (folder / "records.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "records.jsonl").write_text(text)
    pairs = [(i, (i + step) % 12, int(step == 0)) for i in range(12) for step in (0, 1, 2, 5)]
    lines = "".join(f"left{a}\tright{b}\t{match}\n" for a, b, match in pairs)
    for part in ("train", "valid"):
        (folder / f"pairs.{part}.tsv").write_text("left\tright\tmatch\n" + lines)
    return folder


def test_figures_of_sets(tmp_path: Path) -> None:
    one, other = write_set(tmp_path / "er_beer"), write_set(tmp_path / "two", packed=True)
    result = evaluate_entities([one, other], HashEmbedder(64, "de"), leave_one_out=True)
    assert mismatches(result, EntitiesRecord) == []
    assert [(s["set"], s["pairs"], s["same"], s["supervised"]) for s in result["sets"]] == [
        ("er_beer", 48, 12, 0.944), ("two", 48, 12, None),
    ]  # fmt: skip
    assert result["mean"]["f1"] > 0.9
    assert result["left_out"]["f1"] > 0.9
    recalls = [point["recall"] for point in result["mean"]["curve"]]
    assert recalls == sorted(recalls, reverse=True)


def test_the_command(ragstone: CommandLine, tmp_path: Path) -> None:
    one = write_set(tmp_path / "er_beer")
    shown = ragstone("eval", "entities", str(one))
    assert shown.code == 0, shown.err
    assert "er_beer" in shown.out
    assert "0.944" in shown.out
    told = ragstone("eval", "entities", str(one), "--threshold", "0.8", "--json")
    assert mismatches(told.json, EntitiesRecord) == []
    assert told.json["threshold"] == 0.8
    assert told.json["left_out"] is None
    assert ragstone("eval", "entities", str(tmp_path / "nothing")).code == 3
    assert ragstone("eval", "entities", str(one), "--leave-one-out").code == 2


@pytest.mark.parametrize("line", ["left0\tright0", "left0\tnobody\t1", "left0\tright0\tyes"])
def test_damaged_pairs(tmp_path: Path, line: str) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "pairs.valid.tsv").write_text(f"left\tright\tmatch\n{line}\n")
    with pytest.raises(DamagedFile):
        evaluate_entities([folder], HashEmbedder(8))


def test_pairs_of_one_sort_and_records_that_are_none(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "pairs.valid.tsv").write_text("left\tright\tmatch\nleft0\tright0\t1\n")
    with pytest.raises(InputError):
        evaluate_entities([folder], HashEmbedder(8))
    for text in ('{"id": "a"}\n', "nothing\n", '{"id": 1, "fields": {}}\n{"id": 1, "fields": {}}\n'):
        (folder / "records.jsonl").write_text(text)
        with pytest.raises(DamagedFile):
            evaluate_entities([folder], HashEmbedder(8))
