"""Which reader takes what, and what `read` makes of errors and archives."""

from __future__ import annotations

import io
import zipfile

import pytest

from ragstone.errors import (
    DamagedFile,
    EmptyFile,
    EncryptedFile,
    LimitExceeded,
    ReadError,
    UnsupportedFormat,
)
from ragstone.ingest.limits import ReadFailure, ReadLimits
from ragstone.ingest.readers import read, read_as, registry
from ragstone.ingest.readers.registry import BY_NAME, choose, extension
from ragstone.types import Blob, ParsedDocument

LIMITS = ReadLimits()
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return stream.getvalue()


def one(name: str, data: bytes, limits: ReadLimits = LIMITS) -> ParsedDocument | ReadError:
    ((uri, result),) = read(Blob(name, data), limits)
    assert uri == name
    return result


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.md", b"# x", "markdown"),
        ("A.MD", b"# x", "markdown"),
        ("README", b"plain words", "text"),
        ("a.unknown", b"plain words", "text"),
        ("notes.txt", b"%PDF-1.7 ...", "pdf"),
        ("notes.txt", b"{\\rtf1 x}", "rtf"),
        ("page", b"\n<!-- c -->\n<!DOCTYPE html><p>", "html"),
        ("page.php5", b"<html><body>", "html"),
        ("feed", b"<?xml version='1.0'?><rss/>", "xml"),
        ("ls.1", b".TH LS 1\n", "roff"),
        ("ls.1.txt", b".TH LS 1\n", "text"),
        ("syslog.1", b"Jan 1 host kernel: x", "text"),
        ("tool", b"#!/bin/sh\necho", "code"),
        ("message", b"From: a@b\nTo: c@d\nMIME-Version: 1.0\n\nx", "markdown-not"),
        ("a.zip", packed(a=b"x"), "zip"),
        ("a.docx", packed(**{"[Content_Types].xml": b"", "word__document.xml": b""}), "docx"),
        ("a.zip", packed(**{"[Content_Types].xml": b"", "ppt__presentation.xml": b""}), "pptx"),
        ("a.odt", packed(mimetype=b"application/vnd.oasis.opendocument.text"), "odt"),
        ("a", packed(mimetype=b"application/epub+zip"), "epub"),
        ("a.xls", OLE + "Workbook".encode("utf-16-le"), "xls"),
        ("a.gz", b"\x1f\x8b\x08", "gzip"),
        ("a.txt", b"\x89PNG\r\n\x1a\n", "image"),
        ("a.csv", b"a;b\n1;2\n", "csv"),
        ("a.pdf", b"no pdf at all", "pdf"),
        ("a.docx", b"only text", "text"),
    ],
)
def test_choice(name: str, data: bytes, expected: str) -> None:
    if expected == "markdown-not":
        expected = "text"
    assert choose(Blob(name, data)).name == expected


def test_media_type_decides_where_there_is_no_name() -> None:
    assert choose(Blob("https://example.org/page", b"words", "text/html; charset=utf-8")).name == "html"
    assert choose(Blob("x", b"a,b", "text/csv")).name == "csv"


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.doc", OLE + "WordDocument".encode("utf-16-le"), UnsupportedFormat),
        ("a.ppt", OLE + "PowerPoint Document".encode("utf-16-le"), UnsupportedFormat),
        ("a.msg", OLE + "__substg1.0_".encode("utf-16-le"), UnsupportedFormat),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), EncryptedFile),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", UnsupportedFormat),
        ("a.bin", bytes(range(256)) * 10, UnsupportedFormat),
        ("a.txt", b"", EmptyFile),
        ("a.txt", b" \n\t\n", EmptyFile),
        ("a.json", b"{", DamagedFile),
        ("a.zip", b"PK\x03\x04 cut off", DamagedFile),
        ("a.zip", packed(), EmptyFile),
    ],
)
def test_refusals_have_a_type_and_a_hint(name: str, data: bytes, error: type[ReadError]) -> None:
    result = one(name, data)
    assert type(result) is error
    assert result.message
    if error is not EmptyFile:
        assert result.hint
    failure = ReadFailure.of(name, result)
    assert type(failure.error()) is error


def test_limits() -> None:
    assert isinstance(one("a.txt", b"x" * 11, ReadLimits(file_bytes=10)), LimitExceeded)
    assert isinstance(one("a.txt", b"x" * 11, ReadLimits(text_characters=10)), LimitExceeded)


def test_what_a_parser_throws_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    from ragstone.ingest.readers import text

    for raised, expected in (
        (MemoryError(), LimitExceeded),
        (RecursionError(), LimitExceeded),
        (KeyError("x"), DamagedFile),
        (EncryptedFile("x"), EncryptedFile),
    ):

        def fail(_blob: Blob, _limits: ReadLimits, error: Exception = raised) -> ParsedDocument:
            raise error

        monkeypatch.setattr(text, "read", fail)
        with pytest.raises(expected):
            read_as(BY_NAME["text"], Blob("a.txt", b"x"), LIMITS)


def test_text_is_safe_to_store(monkeypatch: pytest.MonkeyPatch) -> None:
    from ragstone.ingest.readers import text
    from ragstone.types import Heading

    def odd(_blob: Blob, _limits: ReadLimits) -> ParsedDocument:
        return ParsedDocument(
            "a\ud800b\x00c", "T\ud800\n x", headings=(Heading(1, "H\x00", 0),), metadata={"k": "\udfff"}
        )

    monkeypatch.setattr(text, "read", odd)
    parsed = read_as(BY_NAME["text"], Blob("a.txt", b"x"), LIMITS)
    assert parsed.text == "a\ufffdb\ufffdc"
    assert (parsed.title, parsed.headings[0].title, parsed.metadata) == ("T\ufffd x", "H\ufffd", {"k": "\ufffd"})


def test_archives_are_read_member_by_member() -> None:
    inner = packed(**{"deep.md": b"# Tief"})
    data = packed(**{"a.md": b"# Eins", "dir__b.txt": "Größe".encode("cp1252"), "c.bin": bytes(300), "in.zip": inner})
    found = dict(read(Blob("/x/all.zip", data), LIMITS))
    assert set(found) == {f"/x/all.zip!/{n}" for n in ("a.md", "dir/b.txt", "c.bin", "in.zip!/deep.md")}
    good = found["/x/all.zip!/dir/b.txt"]
    assert isinstance(good, ParsedDocument)
    assert good.text == "Größe"
    assert isinstance(found["/x/all.zip!/c.bin"], UnsupportedFormat)


def test_archives_are_bounded() -> None:
    data = packed(**{"a.md": b"# x"})
    for _ in range(4):
        data = packed(**{"in.zip": data})
    ((_, result),) = read(Blob("a.zip", data), LIMITS)
    assert isinstance(result, LimitExceeded)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(30 << 20))
    ((_, result),) = read(Blob("a.zip", stream.getvalue()), LIMITS)
    assert isinstance(result, LimitExceeded)


def test_every_format_has_a_reader_or_a_hint() -> None:
    for kind in registry.FORMATS:
        assert kind.module or kind.hint


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b.MD", "md"),
        ("a.tar.gz", "gz"),
        (".profile", ""),
        ("x.zip!/in/a.txt", "txt"),
        ("https://h/p.html?q=1.5", "html"),
    ],
)
def test_extension(uri: str, expected: str) -> None:
    assert extension(uri) == expected
