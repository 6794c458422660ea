from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from office_builder import archive, xlsx

from ragstone.errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded, ReadError
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import sheets as reader
from ragstone.types import Blob, ParsedDocument


def read(data: bytes, name: str = "/a/x.csv", limits: ReadLimits | None = None) -> ParsedDocument:
    return reader.read(Blob(name, data), limits or ReadLimits())


def test_sheets_are_pages_and_rows_say_what_they_hold() -> None:
    data = xlsx(
        {
            "Bauteile": [["Bauteil", "Druck", "Preis"], ["Pumpe", 5, 12.5], ["Ventil", None, 3.0]],
            "Tabelle2": [["Alle Werte in bar"], [], ["Jahr", 2023, 2024], ["Umsatz", 0.1, 1e3]],
        }
    )
    document = read(data, "/a/x.xlsx")
    pages = [document.text[p.start : p.end] for p in document.pages]
    assert pages == [
        "Bauteile\n\nBauteil\tDruck\tPreis\nBauteil: Pumpe; Druck: 5; Preis: 12.5\nBauteil: Ventil; Preis: 3\n\n",
        "Alle Werte in bar\n\nJahr\t2023\t2024\nJahr: Umsatz; 2023: 0.1; 2024: 1000\n\n",
    ]
    assert [p.label for p in document.pages] == ["Bauteile", "Tabelle2"]
    assert [h.title for h in document.headings] == ["Bauteile"]  # "Tabelle2" says nothing
    assert document.metadata["pages"] == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiters_and_encodings(delimiter: str, encoding: str) -> None:
    rows = [["Größe", "Prüfmaß", "Ort"], ["1,5" if delimiter != "," else "1.5", "ä€", "Köln"], ["2", "ß", "Düren"]]
    data = "\r\n".join(delimiter.join(row) for row in rows).encode(encoding)
    assert read(data).text.splitlines()[-1] == "Größe: 2; Prüfmaß: ß; Ort: Düren"


def test_quotes_line_breaks_and_a_quote_that_never_ends() -> None:
    assert read(b'name,text\nA,"one, two\nthree"\nB,x\n').text.splitlines()[1] == "name: A; text: one, two three"
    assert read(b'a,b\n1,2\n"open,3\n5,6\n').text.splitlines()[2:] == ['a: "open; b: 3', "a: 5; b: 6"]


def test_pairs_without_a_header_stay_pairs() -> None:
    assert read(b"Hersteller;ACME\nDruck;5 bar\n").text == "Hersteller\tACME\nDruck\t5 bar\n"
    assert read(b"1;2;3\n4;5;6\n").text == "1\t2\t3\n4\t5\t6\n"


def test_limits() -> None:
    rows: list[list[str | float | None]] = [[1, 2, 3]] * 40
    with pytest.raises(LimitExceeded, match="filled cells"):
        read(xlsx({"a": rows}), "/a/x.xlsx", ReadLimits(sheet_cells=100))
    with pytest.raises(LimitExceeded, match="characters"):
        read(b"lorem;ipsum\n" * 100, limits=ReadLimits(text_characters=500))
    with pytest.raises(LimitExceeded, match="spans"):
        read(xlsx({"a": rows}, dimension="A1:XFD1048576"), "/a/x.xlsx")
    bomb = archive({"xl/workbook.xml": "x", "xl/worksheets/s1.xml": b" " * 30_000_000})
    with pytest.raises(LimitExceeded, match="100 times"):
        read(bomb, "/a/x.xlsx")


def test_errors() -> None:
    with pytest.raises(EmptyFile):
        read(b"")
    with pytest.raises(EmptyFile):
        read(xlsx({"Leer": [], "Tabelle1": [[None]]}), "/a/x.xlsx")
    with pytest.raises(DamagedFile):
        read(archive({"xl/workbook.xml": "<no"}), "/a/x.xlsx")
    with pytest.raises(EncryptedFile):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le"), "/a/x.xlsx")


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELL, min_size=1, max_size=5), max_size=12), st.sampled_from(",;\t|"))
def test_no_cell_is_lost(rows: list[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in rows)
    try:
        document = read(text.encode())
    except ReadError:
        return
    have = document.text.replace(" ", "")
    for row in rows:
        for cell in row:
            for word in cell.replace('"', " ").replace(delimiter, " ").split():
                if word.isalnum():
                    assert word in have
