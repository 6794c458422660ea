"""E-mail, RTF, JSON, notebooks, XML and captions."""

from __future__ import annotations

import json
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import DamagedFile, LimitExceeded, ReadError, UnsupportedFormat
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import eml, json_, jupyter, rtf, webvtt, xml
from ragstone.types import Blob, ParsedDocument

LIMITS = ReadLimits()


def mail(message: EmailMessage | bytes) -> ParsedDocument:
    return eml.read(Blob("a.eml", message if isinstance(message, bytes) else message.as_bytes()), LIMITS)


def letter(subject: str = "Grüße aus Köln") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Jörg Müller <joerg@example.org>"
    message["To"] = "ada@example.org"
    message["Subject"] = subject
    message["Date"] = "Fri, 16 Dec 2022 17:04:16 +0100"
    return message


def test_mail_with_alternatives_and_attachments() -> None:
    message = letter()
    message.set_content("Schöne Grüße\n", charset="iso-8859-1")
    message.add_alternative("<p>Schöne <b>HTML</b>-Grüße</p>", subtype="html")
    message.add_attachment(b"# Notiz\n\nIm Anhang.", "text", "markdown", filename="notiz.md")
    message.add_attachment(b"\x89PNG\r\n\x1a\n", "image", "png", filename="bild.png")
    message.add_attachment(b"\x00\x01\x02\xff" * 50, "application", "octet-stream", filename="daten.bin")
    document = mail(message)
    assert document.title == "Grüße aus Köln"
    assert document.metadata["author"] == "Jörg Müller <joerg@example.org>"
    assert document.metadata["date"] == "2022-12-16T16:04:16+00:00"
    assert "Schöne Grüße" in document.text
    assert "HTML" not in document.text
    assert document.text.index("notiz.md") < document.text.index("Im Anhang.")
    assert "[bild.png]" in document.text
    assert "[daten.bin]" in document.text
    assert [h.title for h in document.headings] == ["notiz.md", "Notiz"]
    assert document.text[document.headings[1].start :].startswith("# Notiz")


def test_mail_with_html_only_and_a_wrong_charset() -> None:
    message = letter()
    message.set_content("<p>Größe&nbsp;<br>Länge</p>", subtype="html")
    assert "Größe\nLänge" in mail(message).text
    wrong = b"From: a@b\nSubject: x\nContent-Type: text/plain; charset=iso-8859-1\n\n" + "Größe".encode()
    assert "Größe" in mail(wrong).text


def test_forwarded_mail_is_a_section() -> None:
    message = letter("Außen")
    message.set_content("siehe unten")
    inner = letter("Innen")
    inner.set_content("der Inhalt")
    message.add_attachment(inner)
    document = mail(message)
    assert [h.title for h in document.headings] == ["Innen"]
    assert "der Inhalt" in document.text


def test_mbox_and_utf16_and_nesting() -> None:
    one = letter("Eins").as_bytes() + b"\nerster\n"
    two = letter("Zwei").as_bytes() + b"\nzweiter\n"
    box = mail(b"From a@b Thu Jan  1\n" + one + b"\nFrom c@d Thu Jan  1\n" + two)
    assert [h.title for h in box.headings] == ["Eins", "Zwei"]
    assert "zweiter" in box.text
    assert mail(one.decode().encode("utf-16")).title == "Eins"
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(300))
    assert isinstance(mail(b"Subject: tief\n" + deep + b"\nende"), ParsedDocument)


def test_rtf() -> None:
    source = (
        rb"{\rtf1\ansi\ansicpg1252\deff0\deflang1031{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial CYR;}}"
        rb"{\stylesheet{\s1 heading 1;}{\s2 \'dcberschrift 2;}}{\info{\title Mein Titel}{\author Ada}}"
        rb"{\pard\s1 Gr\'f6\'dfe\par}{\pard Text \u8222?Zitat\u8220\'93 \b fett\b0  und {\f1 \'cf\'f0\'e8}\~x\par}"
        rb"{\pict ffd8ffe0}{\*\unknown weg}{\v versteckt}\pard\s2 Zwei\par"
        rb"\trowd\intbl Name\cell Wert\cell\row\intbl L\'e4nge\cell 5\cell\row\pard"
        rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt Verweis}}\bin3 abc\emdash\u-10179?\u-8704?}"
    )
    document = rtf.read(Blob("a.rtf", source), LIMITS)
    assert (document.title, document.language, document.metadata) == ("Mein Titel", "de", {"author": "Ada"})
    assert [(h.level, h.title) for h in document.headings] == [(1, "Größe"), (2, "Zwei")]
    for heading in document.headings:
        assert document.text[heading.start :].startswith(heading.title)
    for words in ("„Zitat“ fett und При\xa0x", "Name|Wert", "Länge|5", "Verweis", "—😀"):
        assert words in document.text
    for words in ("weg", "versteckt", "HYPERLINK", "ffd8", "abc", "Arial"):
        assert words not in document.text
    with pytest.raises(DamagedFile):
        rtf.read(Blob("a.rtf", b"kein rtf"), LIMITS)
    with pytest.raises(LimitExceeded):
        rtf.read(Blob("a.rtf", b"{\\rtf1" + b"{" * 100_000), LIMITS)


def data(source: str, name: str = "a.json") -> ParsedDocument:
    return json_.read(Blob(name, source.encode()), LIMITS)


def test_json() -> None:
    document = data('{"title": "Motor", "maße": {"länge": 5, "teile": [1, 2]}, "liste": [{"a": true}, {"a": null}]}')
    assert document.title == "Motor"
    assert document.text == "title: Motor\nmaße.länge: 5\nmaße.teile: 1, 2\nliste[0].a: true"
    assert data('{"a": NaN}').text == "a: nan"
    records = data('{"name": "Eins", "x": 1}\n{"name": "Zwei", "x": 2}\n{"na', "a.jsonl")
    assert [h.title for h in records.headings] == ["Eins", "Zwei"]
    assert records.text[records.headings[1].start :].startswith("name: Zwei\nx: 2")
    with pytest.raises(DamagedFile):
        data('{"a": ')


@pytest.mark.parametrize("source", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, '[{"a":' * 50_000])
def test_json_nesting_is_bounded(source: str) -> None:
    with pytest.raises((LimitExceeded, DamagedFile)):
        data(source)


def test_notebook() -> None:
    notebook = {
        "nbformat": 4,
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Titel\n", "Text"]},
            {
                "cell_type": "code",
                "source": "print(1)",
                "outputs": [
                    {"output_type": "stream", "text": ["eins\n"]},
                    {"output_type": "display_data", "data": {"image/png": "xxxx", "text/plain": "<Figure>"}},
                    {"output_type": "error", "ename": "ValueError", "evalue": "nein", "traceback": []},
                ],
            },
            {"cell_type": "markdown", "source": "## Zwei"},
        ],
    }
    document = jupyter.read(Blob("a.ipynb", json.dumps(notebook).encode()), LIMITS)
    assert document.title == "Titel"
    assert [(h.level, h.title) for h in document.headings] == [(1, "Titel"), (2, "Zwei")]
    assert document.text[document.headings[1].start :] == "## Zwei"
    assert "```python\nprint(1)\n```\n\neins" in document.text
    assert "ValueError: nein" in document.text
    assert "xxxx" not in document.text
    for source in (b"{}", b"[]", b"{", b"[" * 5_000):
        with pytest.raises((DamagedFile, RecursionError)):
            jupyter.read(Blob("a.ipynb", source), LIMITS)


def tree(source: str | bytes) -> ParsedDocument:
    return xml.read(Blob("a.xml", source if isinstance(source, bytes) else source.encode()), LIMITS)


def test_xml_documents() -> None:
    document = tree(
        "<?xml version='1.0'?><!DOCTYPE article PUBLIC '-//X//EN' 'http://127.0.0.1/x.dtd'>"
        "<article xml:lang='de'><front><article-title>Der Titel</article-title></front>"
        "<sec><title>Eins</title><p>Ein <i>kursiver</i> Satz&nbsp;hier.</p><sec><title>Zwei</title><p>mehr</p>"
        "<fig><caption><title>Bild</title></caption></fig></sec>"
        "<table><tr><td>Länge</td><td>5</td></tr></table></sec></article>"
    )
    assert (document.title, document.language) == ("Der Titel", "de")
    assert [h.title for h in document.headings] == ["Der Titel", "Eins", "Zwei"]
    assert "Ein kursiver Satz hier." in document.text
    assert "Länge | 5" in document.text


def test_xml_records() -> None:
    document = tree("<teile><teil><name>Ventil</name><größe>5</größe></teil><teil><name>Rohr</name></teil></teile>")
    assert document.text == "name: Ventil\ngröße: 5\n\nname: Rohr"
    assert tree("<?xml version='1.0' encoding='utf-16'?><a><n>ü</n></a>".encode("utf-16-le")).text == "n: ü"


@pytest.mark.parametrize(
    "source",
    [
        '<!DOCTYPE a [<!ENTITY b "lol">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><a/>',
        '<!DOCTYPE a [<!ENTITY x "1"><!ENTITY y "&x;&x;">]><a>&y;</a>',
    ],
)
def test_xml_entities_are_refused(source: str) -> None:
    with pytest.raises(UnsupportedFormat):
        tree(source)


def test_xml_hostile() -> None:
    with pytest.raises(LimitExceeded):
        tree("<a>" * 100_000)
    for source in ("<a>", "<a></b>", "kein xml", "<a b=>"):
        with pytest.raises(DamagedFile):
            tree(source)


def test_captions() -> None:
    source = (
        "WEBVTT Vortrag\n\nSTYLE\n::cue { }\n\nNOTE nichts\n\n1\n00:01.000 --> 00:02.000 align:left\n<v Ada>Guten "
        "<b>Tag</b></v> &amp;\nmehr\n\n01:00:00.000 --> 01:00:01.000\nEnde\n"
    )
    document = webvtt.read(Blob("a.vtt", source.encode()), LIMITS)
    assert document.title == "Vortrag"
    assert document.text == "[00:01] Ada: Guten Tag & mehr\n[01:00:00] Ende"


@pytest.mark.parametrize(
    ("module", "start"),
    [
        (eml, "From: a\nContent-Type: multipart/mixed; boundary=x\n"),
        (rtf, "{\\rtf1"),
        (json_, "{"),
        (xml, "<a>"),
        (webvtt, ""),
    ],
)
def test_any_data_gives_text_or_a_typed_error(module: object, start: str) -> None:
    @given(st.text(alphabet="{}[]<>:;,=\"'\\-/?! \n\r\tuabcÄ019*", max_size=300))
    def check(source: str) -> None:
        try:
            document = module.read(Blob("a", (start + source).encode()), LIMITS)  # type: ignore[attr-defined]
        except ReadError:
            return
        assert all(0 <= h.start <= len(document.text) for h in document.headings)

    check()
