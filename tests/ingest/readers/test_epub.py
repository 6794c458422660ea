from __future__ import annotations

import pytest
from office_builder import archive, epub

from ragstone.errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import epub as reader
from ragstone.types import Blob, ParsedDocument


def read(data: bytes, limits: ReadLimits | None = None) -> ParsedDocument:
    return reader.read(Blob("/a/x.epub", data), limits or ReadLimits())


def page(body: str) -> str:
    return f'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'


NCX = (
    '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" '
    '"http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">'
    '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint>'
    "<navLabel><text>Aus dem Verzeichnis</text></navLabel>"
    '<content src="b.xhtml#x"/></navPoint></navMap></ncx>'
)


def test_spine_order_headings_and_table_of_contents() -> None:
    chapters = {
        "z.xhtml": page("<h1>Zuletzt</h1><p>Ende.</p>"),
        "a.xhtml": page("<h1>Größen</h1><h2>Maße</h2><p>Überdruck.</p>"),
        "b.xhtml": page("<p>Ohne Überschrift.</p>"),
        "leer.xhtml": page(""),
    }
    data = epub(chapters, spine=["a.xhtml", "leer.xhtml", "b.xhtml", "z.xhtml"], extra={"OEBPS/toc.ncx": NCX})
    document = read(data)
    assert document.text == "Größen\n\nMaße\n\nÜberdruck.\n\nOhne Überschrift.\n\nZuletzt\n\nEnde."
    assert [(h.level, h.title, document.text[h.start :][:4]) for h in document.headings] == [
        (1, "Größen", "Größ"),
        (2, "Maße", "Maße"),
        (1, "Aus dem Verzeichnis", "Ohne"),
        (1, "Zuletzt", "Zule"),
    ]
    assert (document.title, document.language, document.metadata["author"]) == ("Buch", "de", "Ada")


def test_a_reference_cannot_leave_the_book() -> None:
    data = epub({"../../../../etc/passwd": page("<p>x</p>"), "a.xhtml": page("<p>drinnen</p>")})
    assert read(data).text.endswith("drinnen")


def test_errors() -> None:
    with pytest.raises(EmptyFile):
        read(epub({"a.xhtml": page("")}))
    with pytest.raises(DamagedFile):
        read(archive({"META-INF/container.xml": "<container/>"}))
    with pytest.raises(LimitExceeded):
        read(epub({"a.xhtml": page("<p>lorem ipsum</p>" * 100)}), ReadLimits(text_characters=500))
    drm = '<encryption><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    with pytest.raises(EncryptedFile):
        read(epub({"a.xhtml": page("x")}, extra={"META-INF/encryption.xml": drm}))
    font = drm.replace("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.idpf.org/2008/embedding")
    assert read(epub({"a.xhtml": page("x")}, extra={"META-INF/encryption.xml": font})).text == "x"
