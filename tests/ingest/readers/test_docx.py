from __future__ import annotations

import pytest
from office_builder import archive, docx, paragraph

from ragstone.errors import DamagedFile, EmptyFile, LimitExceeded
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import docx as reader
from ragstone.types import Blob, ParsedDocument

STYLES = """
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:type="paragraph" w:styleId="Eigen"><w:name w:val="Eigen"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:type="paragraph" w:styleId="Schleife"><w:name w:val="S"/><w:basedOn w:val="Schleife"/></w:style>
"""


def read(data: bytes, limits: ReadLimits | None = None) -> ParsedDocument:
    document = reader.read(Blob("/a/x.docx", data), limits or ReadLimits())
    for heading in document.headings:
        assert document.text.startswith(heading.title, heading.start)
    return document


def test_headings_from_styles_localised_derived_and_by_outline_level() -> None:
    body = (
        paragraph("Handbuch", style="Titel")
        + paragraph("Einleitung", style="berschrift1")
        + paragraph("Text davor.", style="Schleife")
        + paragraph("Teil A", style="Kapitel")
        + paragraph("Unterteil", style="Eigen")
        + paragraph("direkt", properties='<w:outlineLvl w:val="2"/>')
        + paragraph("Schluss.")
    )
    document = read(docx(body, styles=STYLES))
    assert [(h.level, h.title) for h in document.headings] == [
        (1, "Einleitung"),
        (1, "Teil A"),
        (2, "Unterteil"),
        (3, "direkt"),
    ]
    assert document.title == "Handbuch"
    assert document.text == "Handbuch\n\nEinleitung\n\nText davor.\n\nTeil A\n\nUnterteil\n\ndirekt\n\nSchluss."


def test_bold_lines_are_headings_only_where_there_are_no_others() -> None:
    bold = paragraph("Wartung", run="<w:b/>") + paragraph("Alle 500 Stunden.") + paragraph("Text.") + paragraph("Text.")
    assert [h.title for h in read(docx(bold)).headings] == ["Wartung"]
    with_style = bold + paragraph("Einleitung", style="berschrift1") + paragraph("x")
    assert [h.title for h in read(docx(with_style, styles=STYLES)).headings] == ["Einleitung"]
    off = paragraph("Wartung", run='<w:b w:val="0"/>') + paragraph("Text.") * 3
    assert read(docx(off)).headings == ()


NUMBERING = """
<w:abstractNum w:abstractNumId="7">
  <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
  <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
  <w:lvl w:ilvl="2"><w:start w:val="4"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="(%3)"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="8">
  <w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="·"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
"""


def item(text: str, number: int, level: int) -> str:
    return paragraph(text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def test_automatic_numbers() -> None:
    body = (
        item("eins", 1, 0)
        + item("zwei", 1, 0)
        + item("a", 1, 1)
        + item("b", 1, 1)
        + item("tief", 1, 2)
        + item("drei", 1, 0)
        + item("neu", 1, 1)
        + item("Punkt", 2, 0)
    )
    assert read(docx(body, numbering=NUMBERING)).text.splitlines() == [
        "1. eins",
        "2. zwei",
        "2.a) a",
        "2.b) b",
        "(IV) tief",
        "3. drei",
        "3.a) neu",
        "• Punkt",
    ]


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def test_tables_are_rows_also_nested_and_merged() -> None:
    merged = '<w:vMerge w:val="restart"/>'
    inner = f"<w:tbl><w:tr>{cell('i1')}{cell('i2')}</w:tr></w:tbl>"
    body = (
        f"<w:tbl><w:tr>{cell('Bauteil')}{cell('Druck')}</w:tr>"
        f"<w:tr>{cell('Pumpe')}{cell('5 bar', merged)}</w:tr>"
        f"<w:tr>{cell('Ventil')}{cell('5 bar', '<w:vMerge/>')}</w:tr>"
        f"<w:tr>{cell('außen')}<w:tc>{inner}{paragraph('danach')}</w:tc></w:tr></w:tbl>"
    )
    assert read(docx(body)).text == "Bauteil\tDruck\nPumpe\t5 bar\nVentil\naußen\ti1, i2 danach"


def test_notes_follow_their_paragraph() -> None:
    note = '<w:footnote w:type="separator" w:id="0"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>'
    note += f'<w:footnote w:id="2">{paragraph("Siehe DIN EN 61131.")}</w:footnote>'
    body = '<w:p><w:r><w:t>Baustein</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>' + paragraph("Weiter.")
    assert read(docx(body, footnotes=note)).text == "Baustein\n\n[Siehe DIN EN 61131.]\n\nWeiter."


def test_tracked_changes_fields_and_fallbacks() -> None:
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    body = (
        "<w:p><w:r><w:t>gilt</w:t></w:r><w:del><w:r><w:delText>weg</w:delText><w:t>weg</w:t></w:r></w:del>"
        "<w:ins><w:r><w:t xml:space='preserve'> neu</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r>"
        "<w:r><w:noBreakHyphen/><w:t>x</w:t><w:tab/><w:t>y</w:t><w:br/><w:t>z</w:t></w:r></w:p>"
        f"<w:p><mc:AlternateContent {mc}><mc:Choice><w:r><w:t>einmal</w:t></w:r></mc:Choice>"
        "<mc:Fallback><w:r><w:t>zweimal</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>"
    )
    assert read(docx(body)).text == "gilt neu-x\ty\nz\n\neinmal"


def test_core_properties() -> None:
    document = read(docx(paragraph("Text"), title="Wartungsplan"))
    assert document.title == "Wartungsplan"
    assert dict(document.metadata) == {"author": "Ada", "created": "2024-03-05"}


def test_bombs_and_foreign_entities() -> None:
    with pytest.raises(LimitExceeded, match="100 times"):
        read(docx(paragraph("lorem " * 4_000_000)))
    with pytest.raises(LimitExceeded, match="characters"):
        read(docx(paragraph("lorem " * 1000)), ReadLimits(text_characters=1000))
    for entity in ('<!ENTITY x SYSTEM "file:///etc/passwd">', '<!ENTITY x "lol">'):
        with pytest.raises(DamagedFile, match="declares a document type"):
            read(docx(paragraph("&x;"), prolog=f"<!DOCTYPE d [{entity}]>"))
    with pytest.raises(LimitExceeded, match="nested"):
        read(docx("<w:sdt>" * 2000 + "</w:sdt>" * 2000))


def test_a_part_that_is_not_read_may_be_large() -> None:
    whole = archive(
        {
            "word/document.xml": "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'>"
            "<w:p><w:r><w:t>x</w:t></w:r></w:p></w:document>",
            "word/pad.xml": b" " * 30_000_000,
        }
    )
    assert read(whole).text == "x"


def test_damaged() -> None:
    whole = docx(paragraph("Text"))
    for data in (b"PK\x03\x04" + bytes(40), whole[: len(whole) // 2], archive({"a.txt": "x"}), docx("<w:p>")):
        with pytest.raises(DamagedFile):
            read(data)
    with pytest.raises(EmptyFile):
        read(b"")
    with pytest.raises(EmptyFile):
        read(docx(paragraph("")))
