from __future__ import annotations

import pytest
from office_builder import archive, odf

from ragstone.errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import odt as reader
from ragstone.types import Blob, ParsedDocument


def read(data: bytes, limits: ReadLimits | None = None) -> ParsedDocument:
    return reader.read(Blob("/a/x.odt", data), limits or ReadLimits())


STYLES = (
    '<style:style style:name="P1" style:parent-style-name="Title"/>'
    '<text:list-style style:name="L1"><text:list-level-style-number style:num-format="1"/></text:list-style>'
    '<text:list-style style:name="L2"><text:list-level-style-bullet/></text:list-style>'
)


def test_text_headings_lists_tables_notes() -> None:
    body = (
        '<text:p text:style-name="P1">Handbuch</text:p>'
        '<text:h text:outline-level="1">Einleitung</text:h>'
        '<text:p>Erste<text:s text:c="2"/>Zeile<text:line-break/>zweite'
        "<text:note><text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>Fußnote</text:p></text:note-body></text:note> Ende</text:p>"
        '<text:h text:outline-level="2">Liste</text:h>'
        '<text:list text:style-name="L1"><text:list-item><text:p>eins</text:p>'
        '<text:list text:style-name="L2"><text:list-item><text:p>innen</text:p></text:list-item></text:list>'
        "</text:list-item><text:list-item><text:p>zwei</text:p><text:p>weiter</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Pumpe</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="2"/>'
        "<table:table-cell><text:p>5 bar</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="16000"/></table:table-row></table:table>'
        "<text:tracked-changes><text:p>gelöscht</text:p></text:tracked-changes>"
    )
    document = read(odf(body, styles=STYLES, meta="<dc:language>de-DE</dc:language><dc:creator>Ada</dc:creator>"))
    assert document.text == (
        "Handbuch\n\nEinleitung\n\nErste  Zeile\nzweite Ende\n[Fußnote]\n\nListe\n\n"
        "1. eins\n  • innen\n2. zwei\nweiter\n\nPumpe\t\t\t5 bar"
    )
    assert [(h.level, h.title) for h in document.headings] == [(1, "Einleitung"), (2, "Liste")]
    assert all(document.text.startswith(h.title, h.start) for h in document.headings)
    assert (document.title, document.language) == ("Handbuch", "de")
    assert dict(document.metadata) == {"author": "Ada"}


def test_presentations_have_pages() -> None:
    def page(title: str, text: str) -> str:
        return (
            f'<draw:page draw:name="p"><draw:frame presentation:class="title"><draw:text-box><text:p>{title}</text:p>'
            "</draw:text-box></draw:frame><draw:frame>"
            f"<draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"
            "<presentation:notes><draw:frame><draw:text-box><text:p>Notiz</text:p></draw:text-box></draw:frame>"
            "</presentation:notes></draw:page>"
        )

    document = read(odf(page("Erste", "a") + "<draw:page/>" + page("Dritte", "c"), kind="presentation"))
    pages = [document.text[p.start : p.end] for p in document.pages]
    assert pages == ["Erste\n\na\n\nNotiz\n\n", "", "Dritte\n\nc\n\nNotiz"]
    assert [h.title for h in document.headings] == ["Erste", "Dritte"]
    assert document.media_type.endswith("presentation")


def test_errors() -> None:
    with pytest.raises(EncryptedFile):
        read(odf("<text:p>x</text:p>", manifest="<manifest:encryption-data/>"))
    with pytest.raises(EmptyFile):
        read(odf("<text:p> </text:p>"))
    with pytest.raises(DamagedFile):
        read(archive({"mimetype": "application/vnd.oasis.opendocument.text"}))
    with pytest.raises(DamagedFile):
        read(odf("<text:p>"))
    with pytest.raises(LimitExceeded):
        read(odf("<text:p>lorem ipsum</text:p>" * 100), ReadLimits(text_characters=500))
