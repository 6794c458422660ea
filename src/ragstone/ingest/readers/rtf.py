"""Rich Text Format: a small parser of its own for control words, groups, code pages and Unicode escapes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ...errors import DamagedFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?"  # control word, parameter
    rb"|\\'([0-9a-fA-F]{2})"  # byte of the current code page
    rb"|\\([^a-zA-Z])"  # control symbol
    rb"|([{}])"
    rb"|([^\\{}\r\n]+)"
    rb"|[\r\n]+|\\",
    re.S,
)
# Groups whose content is no text of the document
_SKIPPED = frozenset(
    (
        *("fonttbl", "colortbl", "stylesheet", "pict", "object", "objdata", "themedata", "datastore", "listtable"),
        *("listoverridetable", "rsidtbl", "generator", "xmlnstbl", "filetbl", "revtbl", "latentstyles", "fldinst"),
        *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "bkmkstart"),
        *("bkmkend", "colorschememapping", "mmathPr", "pnseclvl", "shppict", "nonshppict", "listpicture", "info"),
        *("atnid", "atnauthor", "datafield", "formfield", "sp", "xe", "tc", "userprops", "pgdsctbl"),
    )
)
_INFO = {"title": "title", "author": "author", "subject": "subject", "keywords": "keywords", "company": "company"}
_WORDS = {
    "par": "\n", "line": "\n", "sect": "\n\n", "page": "\n\n", "tab": "\t", "cell": "\x1f", "nestcell": "\x1f",
    "row": "\n", "nestrow": "\n", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "qmspace": " ", "softline": "\n",
}  # fmt: skip
_SYMBOLS = {"~": "\xa0", "_": "-", "-": "", "\n": "\n", "\r": "\n", "\\": "\\", "{": "{", "}": "}", "\t": "\t"}
# \fcharset → code page (RTF specification 1.9.1, "Font Table")
_CHARSETS = {
    0: "cp1252", 2: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_LANGUAGES = {7: "de", 9: "en", 12: "fr", 10: "es", 16: "it", 19: "nl", 22: "pt", 25: "ru", 21: "pl"}
_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop)\s*([1-9])", re.I)


@dataclass(frozen=True, slots=True)
class _Group:
    """What a `{` inherits and a `}` restores. `sink` is where text goes: "text", "" (nowhere), or a table."""

    sink: str = "text"
    encoding: str = "cp1252"
    unicode_skip: int = 1
    hidden: bool = False


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    parser = _Parser(limits)
    parser.run(blob.data)
    return parser.document()


class _Parser:
    def __init__(self, limits: ReadLimits) -> None:
        self.limits = limits
        self.group = _Group()
        self.stack: list[_Group] = []
        self.parts: list[str] = []
        self.raw = bytearray()  # bytes of \'xx not yet decoded: East Asian characters are pairs
        self.skip = 0  # fallback characters to drop after \u
        self.high = 0  # first half of a surrogate pair
        self.default_encoding = "cp1252"
        self.default_font = 0
        self.fonts: dict[int, str] = {}
        self.font = 0
        self.styles: dict[int, str] = {}
        self.style = 0
        self.style_name: list[str] = []
        self.info: dict[str, list[str]] = {}
        self.language = 0
        self.level = 0  # heading level of the paragraph
        self.paragraph = 0  # where the paragraph began, in characters
        self.length = 0
        self.in_table = False
        self.headings: list[tuple[int, int, int]] = []
        self.starting = False  # directly after "{" or "{\\*"
        self.optional = False

    def run(self, data: bytes) -> None:
        if not data.startswith(b"{\\rtf"):
            raise DamagedFile("It does not begin like RTF.", "Save it again as RTF or DOCX.")
        position = 0
        while match := _TOKEN.match(data, position):
            position = match.end()
            word, parameter, code, symbol, brace, text = match.groups()
            if code is not None:
                self.byte(int(code, 16))
            elif text is not None:
                self.plain(text)
            elif word is not None:
                number = int(parameter) if parameter is not None else None
                name = word.decode("ascii")
                if name == "bin":
                    position += max(0, number or 0)
                else:
                    self.word(name, number)
            elif symbol is not None:
                self.symbol(symbol)
            elif brace == b"{":
                self.flush()
                if len(self.stack) >= self.limits.element_depth * 4:
                    raise LimitExceeded("Groups are nested too deep.", "Save the file again as DOCX.")
                self.stack.append(self.group)
                self.starting, self.optional = True, False
                continue
            elif brace == b"}":
                self.close_group()
            if symbol != b"*":
                self.starting = False
        self.end_paragraph("")

    def close_group(self) -> None:
        self.flush()
        if self.group.sink == "stylesheet":
            name = "".join(self.style_name).strip(" ;")
            if name:
                self.styles[self.style] = name
            self.style_name.clear()
        if self.stack:
            self.group = self.stack.pop()

    def word(self, name: str, number: int | None) -> None:
        starting, group = self.starting, self.group
        if name != "u":
            self.flush()
        if starting and group.sink in ("text", "info"):
            if name in _INFO and group.sink == "info":
                self.info.setdefault(name, [])
                self.group = replace(group, sink=f"info:{name}")
                return
            if name in ("fonttbl", "stylesheet", "info"):
                self.group = replace(group, sink=name)
                return
            if name in _SKIPPED or self.optional:
                self.group = replace(group, sink="")
                return
        if name == "u" and number is not None:
            self.unicode(number)
        elif name == "uc":
            self.group = replace(group, unicode_skip=max(0, number or 0))
        elif name == "ansicpg" and number:
            self.default_encoding = _code_page(number)
            self.group = replace(group, encoding=self.default_encoding)
        elif name in ("mac", "pc", "pca") and number is None:
            self.default_encoding = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[name]
            self.group = replace(group, encoding=self.default_encoding)
        elif name == "deff":
            self.default_font = number or 0
        elif name == "f" and number is not None:
            self.font = number
            if group.sink != "fonttbl":
                self.group = replace(group, encoding=self.fonts.get(number, self.default_encoding))
        elif name == "fcharset" and group.sink == "fonttbl":
            # charset 1 means the default; charset 0 is the document's own page on non-Western systems
            known = _CHARSETS.get(number or 0, self.default_encoding)
            self.fonts[self.font] = self.default_encoding if number in (0, 1) else known
        elif name in ("lang", "deflang") and number and not self.language:
            self.language = number
        elif name == "plain":
            self.group = replace(group, hidden=False, encoding=self.fonts.get(self.default_font, self.default_encoding))
        elif name == "v":
            self.group = replace(group, hidden=number != 0)
        elif name == "s" and number is not None:
            self.style = number
            if group.sink == "text":
                heading = _HEADING_STYLE.match(self.styles.get(number, ""))
                self.level = int(heading[1]) if heading else self.level
        elif name == "outlinelevel" and number is not None and group.sink == "text" and number < 9:
            self.level = number + 1
        elif name == "pard" and group.sink == "text":
            self.level, self.in_table = 0, False
        elif name == "trowd":
            self.level = 0
        elif name == "intbl":
            self.in_table = True
        elif name in _WORDS:
            self.put_word(name)

    def put_word(self, name: str) -> None:
        if self.group.sink == "text" and name in ("par", "sect", "page", "row", "nestrow"):
            if self.in_table and name == "par":
                self.put(" ")
            else:
                self.end_paragraph(_WORDS[name])
        else:
            self.put(_WORDS[name])

    def symbol(self, symbol: bytes) -> None:
        char = symbol.decode("latin-1")
        if char == "*":
            self.optional = self.starting
        elif self.skip:
            self.skip -= 1
        else:
            self.flush()
            if char in "\r\n":
                self.put_word("par")
            else:
                self.put(_SYMBOLS.get(char, ""))

    def byte(self, value: int) -> None:
        if self.skip:
            self.skip -= 1
        else:
            self.raw.append(value)

    def plain(self, text: bytes) -> None:
        if self.skip:
            dropped = min(self.skip, len(text))
            self.skip -= dropped
            text = text[dropped:]
        self.raw += text

    def unicode(self, number: int) -> None:
        self.flush()
        code = number + 65536 if number < 0 else number
        self.skip = self.group.unicode_skip
        if 0xD800 <= code < 0xDC00:
            self.high = code
            return
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((self.high - 0xD800) << 10) + (code - 0xDC00) if self.high else 0xFFFD
        self.high = 0
        self.put(chr(code) if code <= 0x10FFFF else "\ufffd")

    def flush(self) -> None:
        if self.raw:
            text = self.raw.decode(self.group.encoding, "replace")
            self.raw.clear()
            self.put(text)

    def put(self, text: str) -> None:
        sink = self.group.sink
        if not text or self.group.hidden:
            return
        if sink == "text":
            self.parts.append(text)
            self.length += len(text)
        elif sink == "stylesheet":
            self.style_name.append(text)
        elif sink.startswith("info:"):
            self.info[sink[5:]].append(text)

    def end_paragraph(self, end: str) -> None:
        self.flush()
        if self.level and self.length > self.paragraph:
            self.headings.append((self.level, self.paragraph, self.length))
        if end:
            self.parts.append(end)
            self.length += len(end)
        self.paragraph = self.length

    def document(self) -> ParsedDocument:
        source = "".join(self.parts)
        headings = []
        for level, start, end in self.headings:
            title = " ".join(source[start:end].replace("\x1f", " ").split())
            if title:
                headings.append(Heading(level, title, start))
        # cells were marked with a one-character sign, so that offsets stay: " | " would move them
        text = re.sub("\x1f(?=\n|$)", " ", source).replace("\x1f", "|")
        metadata: dict[str, MetadataValue] = {
            _INFO[name]: value for name, parts in self.info.items() if (value := "".join(parts).strip())
        }
        title = str(metadata.pop("title", "")) or next((h.title for h in headings if h.level == 1), "")
        language = _LANGUAGES.get(self.language & 0x3FF, "") if self.language != 1024 else ""
        return ParsedDocument(text, title, "application/rtf", language, headings=tuple(headings), metadata=metadata)


def _code_page(number: int) -> str:
    name = {10000: "mac_roman", 65001: "utf-8", 936: "gbk", 950: "big5", 28591: "cp1252"}.get(number, f"cp{number}")
    try:
        "".encode(name)
    except LookupError:
        return "cp1252"
    return name
