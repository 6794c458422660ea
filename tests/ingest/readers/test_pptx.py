from __future__ import annotations

import pytest
from office_builder import archive, pptx, shape

from ragstone.errors import DamagedFile, EmptyFile, LimitExceeded
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import pptx as reader
from ragstone.types import Blob, ParsedDocument


def read(data: bytes, limits: ReadLimits | None = None) -> ParsedDocument:
    return reader.read(Blob("/a/x.pptx", data), limits or ReadLimits())


def test_slides_are_pages_with_titles_text_by_place_and_notes() -> None:
    first = (
        shape("unten", x=0, y=4_000_000)
        + shape("rechts", x=5_000_000, y=1_050_000)
        + shape("links", "zweite Zeile", x=0, y=1_000_000)
        + shape("Wartung", kind="title", x=0, y=9_000_000)
        + shape("7", kind="sldNum")
    )
    document = read(pptx(first, shape("Ende", kind="ctrTitle"), notes="Sprechertext"))
    pages = [document.text[p.start : p.end] for p in document.pages]
    assert pages == ["Wartung\n\nlinks\nzweite Zeile\n\nrechts\n\nunten\n\nSprechertext\n\n", "Ende\n\n"]
    assert [(h.title, document.text[h.start :][:4]) for h in document.headings] == [
        ("Wartung", "Wart"),
        ("Ende", "Ende"),
    ]
    assert document.title == "Wartung"
    assert document.metadata["pages"] == 2


def test_tables_are_rows() -> None:
    rows = "".join(
        "<a:tr>"
        + "".join(f"<a:tc><a:txBody><a:p><a:r><a:t>{c}</a:t></a:r></a:p></a:txBody></a:tc>" for c in row)
        + "</a:tr>"
        for row in (("Bauteil", "Druck"), ("Pumpe", "5 bar"))
    )
    frame = (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    assert read(pptx(frame)).text == "Bauteil\tDruck\nPumpe\t5 bar\n\n"


def test_charts_give_their_series() -> None:
    whole = pptx(shape("Umsatz", kind="title"))
    space = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'

    def values(*of: str) -> str:
        return "".join(f"<c:pt><c:v>{v}</c:v></c:pt>" for v in of)

    chart = f"<c:chartSpace {space}><c:ser><c:tx>{values('Berlin')}</c:tx><c:cat>{values('Q1', 'Q2')}</c:cat>"
    chart += f"<c:val>{values('3', '5')}</c:val></c:ser></c:chartSpace>"
    import io
    import zipfile

    from office_builder import relations

    buffer = io.BytesIO(whole)
    with zipfile.ZipFile(buffer, "a") as out:
        out.writestr("ppt/slides/_rels/slide1.xml.rels", relations(("chart", "../charts/c1.xml")))
        out.writestr("ppt/charts/c1.xml", chart)
    assert read(buffer.getvalue()).text == "Umsatz\n\nBerlin: Q1 3, Q2 5\n\n"


def test_errors() -> None:
    with pytest.raises(EmptyFile):
        read(pptx("", ""))
    with pytest.raises(LimitExceeded, match="3 slides"):
        read(pptx(*[shape("x")] * 3), ReadLimits(pdf_pages=2))
    with pytest.raises(DamagedFile):
        read(archive({"ppt/other.xml": "<a/>"}))
    with pytest.raises(DamagedFile):
        read(pptx("<p:sp>"))
