"""Which reader reads what: one table, and the choice by content first, then by name.

Binary families are recognised by their content alone, so a PDF called `notes.txt` is read as a PDF. Text families
have no signature worth trusting; there the name decides, and for an unknown name a look at the first lines.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...errors import EncryptedFile, UnsupportedFormat
from ...types import Blob


@dataclass(frozen=True, slots=True)
class Format:
    """`module` is a module of this package, "" where there is no reader and `hint` says what to do instead."""

    name: str
    module: str
    media_type: str
    extensions: tuple[str, ...] = ()
    hint: str = ""


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

FORMATS: tuple[Format, ...] = (
    # text families, chosen by extension
    Format("text", "text", "text/plain", ("txt", "text", "log", "srt", "ini", "cfg", "conf", "properties", "bib")),
    Format("yaml", "text", "application/yaml", ("yaml", "yml")),
    Format("toml", "text", "application/toml", ("toml",)),
    Format("asciidoc", "text", "text/asciidoc", ("adoc", "asciidoc", "asc")),
    Format("org", "text", "text/org", ("org",)),
    Format("textile", "text", "text/x-textile", ("textile", "wiki", "mediawiki")),
    Format("markdown", "markdown", "text/markdown", ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd")),
    Format("rst", "restructuredtext", "text/x-rst", ("rst", "rest")),
    Format("html", "html", "text/html", ("html", "htm", "xhtml", "xht", "shtml")),
    Format("eml", "eml", "message/rfc822", ("eml", "emlx", "mbox", "mht", "mhtml")),
    Format("latex", "latex", "application/x-tex", ("tex", "latex", "ltx")),
    Format("json", "json_", "application/json", ("json", "geojson", "jsonld", "json5", "webmanifest")),
    Format("jsonl", "json_", "application/x-ndjson", ("jsonl", "ndjson")),
    Format("jupyter", "jupyter", "application/x-ipynb+json", ("ipynb",)),
    Format("roff", "roff", "text/troff", ("man", "mdoc", "roff", "troff", "mandoc")),
    Format("webvtt", "webvtt", "text/vtt", ("vtt",)),
    Format("xml", "xml", "application/xml", ("xml", "nxml", "xsd", "xsl", "xslt", "svg", "rss", "atom", "opml", "dbk")),
    Format(
        "code",
        "code",
        "text/x-source",
        (
            *("py", "pyi", "pyw", "js", "mjs", "cjs", "jsx", "ts", "tsx", "mts", "java", "kt", "kts", "scala"),
            *("go", "rs", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "hxx", "cs", "swift", "m", "mm", "dart"),
            *("rb", "php", "pl", "pm", "lua", "sh", "bash", "zsh", "ksh", "ps1", "r", "jl", "hs", "ex", "exs"),
            *("erl", "clj", "f90", "f95", "f", "pas", "vb", "sql", "st", "iecst", "scl", "css", "scss", "proto"),
        ),
    ),
    Format("csv", "sheets", "text/csv", ("csv",)),
    Format("tsv", "sheets", "text/tab-separated-values", ("tsv", "tab")),
    # binary families, recognised by content
    Format("pdf", "pdf", "application/pdf", ("pdf",)),
    Format("docx", "docx", _OOXML + "wordprocessingml.document", ("docx", "docm", "dotx", "dotm")),
    Format("pptx", "pptx", _OOXML + "presentationml.presentation", ("pptx", "pptm", "ppsx", "ppsm", "potx")),
    Format("xlsx", "sheets", _OOXML + "spreadsheetml.sheet", ("xlsx", "xlsm", "xltx", "xlsb")),
    Format("xls", "sheets", "application/vnd.ms-excel", ("xls", "xlt", "xla")),
    Format("odt", "odt", _ODF + "text", ("odt", "ott")),
    Format("odp", "odt", _ODF + "presentation", ("odp", "otp")),
    Format("ods", "sheets", _ODF + "spreadsheet", ("ods", "ots")),
    Format("epub", "epub", "application/epub+zip", ("epub",)),
    Format("rtf", "rtf", "application/rtf", ("rtf",)),
    Format("zip", "zip_", "application/zip", ("zip",)),
    Format("gzip", "zip_", "application/gzip", ("gz", "tgz")),
    Format("tar", "zip_", "application/x-tar", ("tar",)),
    Format("image", "ocr", "image/*", ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp")),
    # known, and not read
    Format(
        "doc", "", "application/msword", ("doc", "dot"), "Open it in Word or LibreOffice and save it as .docx or .odt."
    ),
    Format(
        "ppt",
        "",
        "application/vnd.ms-powerpoint",
        ("ppt", "pps", "pot"),
        "Open it in PowerPoint or LibreOffice and save it as .pptx or .odp.",
    ),
    Format("msg", "", "application/vnd.ms-outlook", ("msg",), "Save the message as .eml."),
    Format("ole", "", "application/x-ole-storage", (), "Save it in a current format (.docx, .xlsx, .pptx, .eml)."),
    Format("7z", "", "application/x-7z-compressed", ("7z",), "Unpack it, or pack it as .zip."),
    Format("rar", "", "application/vnd.rar", ("rar",), "Unpack it, or pack it as .zip."),
    Format("bzip2", "", "application/x-bzip2", ("bz2",), "Unpack it, or pack it as .zip."),
    Format("xz", "", "application/x-xz", ("xz", "zst"), "Unpack it, or pack it as .zip."),
)

BY_NAME: dict[str, Format] = {f.name: f for f in FORMATS}
BY_EXTENSION: dict[str, Format] = {e: f for f in FORMATS for e in f.extensions}
BY_MEDIA_TYPE: dict[str, Format] = {f.media_type: f for f in reversed(FORMATS) if f.module}
READER_MODULES: tuple[str, ...] = tuple(sorted({f.module for f in FORMATS if f.module}))
_TEXT_MODULES = frozenset(
    (
        *("text", "markdown", "restructuredtext", "html", "eml", "latex", "json_", "jupyter", "roff"),
        *("webvtt", "xml", "code"),
    )
)
# Readers that touch text with nothing but Python's own functions.
_GENTLE_MODULES = frozenset(("text", "markdown", "restructuredtext", "latex", "roff", "webvtt", "code", "json_"))
_GENTLE_WEAR = 0.05

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"{\\rtf", "rtf"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "xz"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"BM", "image"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAN_EXTENSION = re.compile(r"[1-9nlo](?:[a-z][a-z0-9]{0,9})?")
_MAN_LINE = re.compile(rb"^(?:'\\\"|\.\\\"|\.TH[ \t]|\.Dd[ \t]|\.so[ \t]|\.de[ \t]|'\\?\.|\.ig\b)")
_HTML_START = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|p)\b", re.I | re.S)
_MAIL_HEADER = re.compile(rb"(?:From|Return-Path|Received|Delivered-To|MIME-Version|Message-ID|X-[\w-]+): ", re.I)


def wear(uri: str) -> float:
    """How much reading a source of this name counts towards the replacing of a worker, at most 1. Libraries that
    parse binary formats leave memory behind; a worker that reads only text stays, with all the words it knows."""
    kind = BY_EXTENSION.get(extension(uri))
    return _GENTLE_WEAR if kind is not None and kind.module in _GENTLE_MODULES else 1.0


def extension(uri: str) -> str:
    """Lower case, without the dot; "" where there is none. Works on paths, URLs and `archive.zip!/inner/name`."""
    name = PurePosixPath(uri.replace("\\", "/").split("?", 1)[0]).name.lower()
    stem, dot, tail = name.rpartition(".")
    return tail if dot and stem else ""


def choose(blob: Blob) -> Format:
    """The format of `blob`. Raises UnsupportedFormat (also for binary data that nothing here knows), and
    EncryptedFile for an Office document wrapped in encryption."""
    found = _by_signature(blob.data)
    named = BY_EXTENSION.get(extension(blob.uri)) or BY_MEDIA_TYPE.get(blob.media_type.split(";")[0].strip())
    if found is None:
        # a text family by name; a binary family by name without its signature is damaged or mislabelled
        found = _text_by_name(blob, named)
    if not found.module:
        raise UnsupportedFormat(f"{found.name} files are not read.", found.hint)
    return found


def _text_by_name(blob: Blob, named: Format | None) -> Format:
    if named is not None and (named.module in _TEXT_MODULES or named.name in ("csv", "tsv")):
        return named
    sniffed = _by_first_lines(blob)
    if named is None or sniffed.name != "text":
        return sniffed
    if named.name in ("pdf", "image") or not named.module:
        return named  # the reader, or the refusal, says it better than "text" would
    return named if not _looks_textual(blob.data) else sniffed


def _looks_textual(data: bytes) -> bool:
    head = data[:4096]
    return b"\x00" not in head and sum(b < 9 or 13 < b < 32 for b in head) * 50 <= len(head)


def _by_first_lines(blob: Blob) -> Format:
    head = blob.data[:4096].lstrip(b"\xef\xbb\xbf")
    ext = extension(blob.uri)
    if head.lstrip()[:5] == b"<?xml":
        return BY_NAME["html" if re.search(rb"<html[\s>]", head, re.I) else "xml"]
    if _HTML_START.match(head):
        return BY_NAME["html"]
    if _MAN_LINE.match(head) and (
        _MAN_EXTENSION.fullmatch(ext) or b"\n.TH " in head or head.startswith((b".TH ", b".Dd "))
    ):
        return BY_NAME["roff"]
    if len(_MAIL_HEADER.findall(head)) >= 3 and _MAIL_HEADER.match(head):
        return BY_NAME["eml"]
    if head.startswith(b"#!"):
        return BY_NAME["code"]
    return BY_NAME["text"]


def _by_signature(data: bytes) -> Format | None:
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_family(data)
    if data.startswith(_OLE):
        return _ole_family(data)
    for magic, name in _MAGIC:
        if data.startswith(magic) and (magic != b"BM" or data[6:10] == b"\x00\x00\x00\x00"):
            return BY_NAME[name]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return BY_NAME["image"]
    if b"%PDF-" in data[:1024]:
        return BY_NAME["pdf"]
    if data[257:262] == b"ustar":
        return BY_NAME["tar"]
    return None


def _zip_family(data: bytes) -> Format:
    """By the names in the archive. A broken archive is left to the ZIP reader, which says what is wrong."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            mimetype = b""
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                mimetype = archive.read("mimetype").strip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError):
        names, mimetype = set(), b""
        # the first local headers still tell what a cut-off Office file was meant to be
        for mark, name in ((b"word/", "docx"), (b"ppt/", "pptx"), (b"xl/", "xlsx"), (b"epub+zip", "epub")):
            if mark in data[:4096]:
                return BY_NAME[name]
        return BY_NAME["zip"]
    if mimetype:
        kind = BY_MEDIA_TYPE.get(mimetype.decode("latin-1").removesuffix("-template"))
        if kind is not None:
            return kind
    if any(n.endswith("META-INF/container.xml") for n in names) and any(n.endswith(".opf") for n in names):
        return BY_NAME["epub"]
    if "[Content_Types].xml" in names:
        for folder, name in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if any(n.startswith(folder) for n in names):
                return BY_NAME[name]
    return BY_NAME["zip"]


def _ole_family(data: bytes) -> Format:
    """By the UTF-16 names in the directory of a compound file."""

    def has(name: str) -> bool:
        return name.encode("utf-16-le") in data

    if has("EncryptedPackage"):
        raise EncryptedFile(
            "The Office document is encrypted.", "Open it in Office, remove the password and save it again."
        )
    if has("WordDocument"):
        return BY_NAME["doc"]
    if has("PowerPoint Document"):
        return BY_NAME["ppt"]
    if has("__substg1.0_") or has("__properties_version1.0"):
        return BY_NAME["msg"]
    if has("Workbook") or has("Book"):
        return BY_NAME["xls"]
    return BY_NAME["ole"]
