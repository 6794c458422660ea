from __future__ import annotations

import random

import pytest

from ragstone.measure.record_matching import Record, RecordMatcher, amount, compare_values, date, field_kinds
from ragstone.testing import HashEmbedder

PUMPS = [
    ("Grundwerk Tauchpumpe TP-2400", "199.00", "Kunststoff, 10 m Kabel", "2019-03-01"),
    ("Grundwerk Tauchpumpe TP-2600", "249.00", "Edelstahl, 10 m Kabel", "2020-05-11"),
    ("Aquaflux Gartenpumpe 4000", "89.90", "mit Vorfilter", "2018-01-30"),
    ("Aquaflux Gartenpumpe 5000", "109.90", "mit Vorfilter und Manometer", "2018-02-28"),
    ("Sulzbach Kreiselpumpe KS 50 II", "1,499.00", "für Kühlwasser", "2021-10-05"),
    ("Sulzbach Kreiselpumpe KS 65", "1,799.00", "für Kühlwasser", "2021-10-06"),
    ("Nordwind Lüfter Silent 120", "24.50", "leise, 120 mm", "2017-06-15"),
]
OTHER = [
    ("Tauchpumpe TP2400 von Grundwerk", "$ 195", "", "1. März 2019"),
    ("Grundwerk TP 2600 Tauchpumpe (Edelstahl)", "$ 249", "", "11. Mai 2020"),
    ("Garten-Pumpe 4000 Aquaflux", "$ 92", "Vorfilter", "30. Januar 2018"),
    ("Garten-Pumpe 5000 Aquaflux", "$ 109.90", "", "28. Februar 2018"),
    ("Sulzbach KS-50 2 Kreiselpumpen", "$ 1499", "Kühlwasser", "Oct 5, 2021"),
    ("Sulzbach KS-65 Kreiselpumpen", "$ 1799", "Kühlwasser", "Oct 6, 2021"),
    ("Nordwind Silent-Lüfter 120", "$ 23.90", "", "15. Juni 2017"),
]
FIELDS = ("name", "price", "text", "made")


def test_records_of_two_sources() -> None:
    matcher = RecordMatcher(records())
    assert matcher.kinds == {"name": "text", "price": "number", "text": "text", "made": "date"}
    right = [matcher.similarity(f"L{i}", f"R{i}") for i in range(len(PUMPS))]
    wrong = [matcher.similarity(f"L{i}", f"R{j}") for i in range(len(PUMPS)) for j in range(len(OTHER)) if i != j]
    assert sum(value >= 0.93 for value in right) >= 5
    assert max(wrong) < 0.5 < min(right)


def test_similarity_depends_neither_on_order_nor_direction() -> None:
    given = records()
    matcher = RecordMatcher(given)
    for seed in range(3):
        mixed = RecordMatcher(random.Random(seed).sample(given, len(given)))
        for i in range(len(PUMPS)):
            for j in range(len(OTHER)):
                wanted = pytest.approx(matcher.similarity(f"L{i}", f"R{j}"))
                if mixed.kinds and next(iter(mixed.kinds)) == "name":
                    assert mixed.similarity(f"L{i}", f"R{j}") == wanted
                assert matcher.similarity(f"R{j}", f"L{i}") == wanted


def test_meaning_is_evidence_where_there_is_a_model() -> None:
    embedder = HashEmbedder(64, "de")
    evidence = RecordMatcher(records(), embedder).evidence("L0", "R0")
    assert evidence["meaning"] > 0.2
    assert RecordMatcher(records()).evidence("L0", "R0")["meaning"] == 0.0


def test_few_and_empty_records() -> None:
    assert RecordMatcher([]).kinds == {}
    one = RecordMatcher([Record("a", {"name": ""}), Record("b", {})])
    assert one.similarity("a", "b") < 0.5
    with pytest.raises(KeyError):
        one.similarity("a", "c")


def test_values() -> None:
    assert amount("$ 1,299.00") == 1299
    assert amount("8.10 %") == 8.1
    assert amount("6:30") == 390
    assert amount("12 Stück") is None
    assert date("18-May-15") == date("18. Mai 2015") == date("May 18, 2015") == date("2015-05-18") == (15, 5, 18)
    assert date("2015") is None
    assert compare_values("404/351 -9533", "404-351-9533", "digits") == 1
    assert compare_values("404/351 -9533", "404-351-9534", "digits") == -1
    assert compare_values("100", "101", "number") == 0.6
    assert compare_values("100", "", "number") == 0
    assert compare_values("18-May-15", "May 19, 2015", "date") == 0.3
    phones = [Record(str(i), {"phone": f"404/351-953{i}"}) for i in range(5)]
    assert field_kinds(phones) == {"phone": "digits"}


def records() -> list[Record]:
    rows = [(f"L{i}", "left", row) for i, row in enumerate(PUMPS)] + [(f"R{i}", "right", r) for i, r in enumerate(OTHER)]
    return [Record(id_, dict(zip(FIELDS, row, strict=True)), source) for id_, source, row in rows]
