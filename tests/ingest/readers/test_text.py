from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import ReadError, UnsupportedFormat
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import text
from ragstone.types import Blob

GERMAN = "Größenänderung: Überdruckventil schließt bei 12 °C, Prüfmaß ß.\nZweite Zeile über Öl und Äpfel.\n"
LIMITS = ReadLimits()


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
        *("cp1252", "iso8859-15", "mac_roman", "cp850"),
    ],
)
def test_german_in_every_encoding(encoding: str) -> None:
    source = GERMAN.replace("°", "") if encoding == "iso8859-15" else GERMAN
    assert text.decode(source.encode(encoding))[0] == source


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("Preis: 50 € für Größe XL", "iso8859-15"),
        ("„Anführung“ – Gedankenstrich … 3 €", "cp1252"),
        ("„Anführung“ – Gedankenstrich … 3 €", "mac_roman"),
        ("Le café à l’hôtel coûte 3 € où ça", "cp1252"),
        ("Zażółć gęślą jaźń. Świętość była jak żaden inny.", "cp1250"),
        ("Zażółć gęślą jaźń. Świętość była jak żaden inny.", "iso8859-2"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy", "cp1250"),
        ("Türkçe için şğıİ çok güzel", "cp1254"),
        ("ÄÖÜ GRÖSSE ÜBERSICHT", "cp850"),
        ("Привет, как дела? Это простой русский текст для проверки кодировки.", "koi8-r"),
        ("Привет, как дела? Это простой русский текст для проверки кодировки.", "cp1251"),
        ("これは日本語のテキストです。文字コードを確認します。", "shift_jis"),
        ("これは日本語のテキストです。文字コードを確認します。", "iso2022_jp"),
        ("これは日本語のテキストです。文字コードを確認します。", "utf-16-le"),
        ("한국어 텍스트 파일입니다. 인코딩을 확인합니다.", "euc_kr"),
        ("Ü", "cp1252"),
    ],
)
def test_other_encodings(words: str, encoding: str) -> None:
    assert text.decode(words.encode(encoding))[0] == words


def test_damaged_utf8_keeps_the_rest() -> None:
    cut = ("Größe und Länge. " * 20).encode()[:-1] + "ß".encode()[:1]
    assert text.decode(cut)[0].startswith("Größe und Länge. Größe")
    mixed = GERMAN.encode() + b"--\n" + GERMAN.encode("cp1252")
    assert text.decode(mixed)[0] == GERMAN + "--\n" + GERMAN


def test_control_characters_go() -> None:
    assert text.decode(b"a\r\nb\rc\x0cd")[0] == "a\nb\nc\nd"
    assert text.decode(b"\x1b[1;31mred\x1b[0m and \x1b]0;title\x07more")[0] == "red and more"
    assert text.decode(b"N\x08NA\x08AME of the long line that is bold" * 3)[0].startswith("NAME of")
    assert text.decode(b"abc\0def\0" * 100)[0].startswith("abc\ndef\n")


@pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"\x7fELF\x02\x01\x01" + bytes(200), b"\x00\x01\x02" * 500])
def test_binary_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        text.decode(data)
    assert caught.value.hint


@given(st.binary(max_size=400))
def test_any_bytes_give_text_or_a_typed_error(data: bytes) -> None:
    try:
        decoded, encoding = text.decode(data)
    except ReadError:
        return
    assert encoding
    assert "\r" not in decoded
    assert "\x00" not in decoded


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1))
def test_utf8_comes_back(words: str) -> None:
    assert text.decode(words.encode())[0] == words.replace("\ufeff", "")


def read(name: str, source: str) -> text.ParsedDocument:
    return text.read(Blob(name, source.encode()), LIMITS)


def test_headings_of_light_formats() -> None:
    org = read("a.org", "#+TITLE: Notizen\n#+LANGUAGE: de\n* Eins :tag:\nText\n** TODO Zwei\n")
    assert (org.title, org.language) == ("Notizen", "de")
    assert [(h.level, h.title) for h in org.headings] == [(1, "Eins"), (2, "Zwei")]
    adoc = read("a.adoc", "= Titel\n:author: Ada\n\n== Eins\n----\n== nicht\n----\n=== Zwei ===\n")
    assert [(h.level, h.title) for h in adoc.headings] == [(1, "Titel"), (2, "Eins"), (3, "Zwei")]
    assert adoc.metadata["author"] == "Ada"
    wiki = read("a.wiki", "== Eins ==\nText\nh3. Zwei\n")
    assert [(h.level, h.title) for h in wiki.headings] == [(2, "Eins"), (3, "Zwei")]
    plain = read("a.txt", "Überschrift\n===========\n\nText\n\nUnter\n-----\nmehr\n")
    assert [(h.level, h.title) for h in plain.headings] == [(1, "Überschrift"), (2, "Unter")]
    assert plain.text[plain.headings[1].start :].startswith("Unter")
    assert plain.title == "Überschrift"


def test_encoding_is_metadata() -> None:
    assert text.read(Blob("a.txt", GERMAN.encode("cp1252")), LIMITS).metadata == {"encoding": "cp1252"}
    assert text.read(Blob("a.txt", GERMAN.encode()), LIMITS).metadata == {}
