"""Manual pages (man and mdoc macros): sections as headings, font changes dropped, tables as rows.

Not a typesetter: macros that only change the look are dropped, unknown ones give their arguments.
"""

from __future__ import annotations

import re

from ...types import Blob, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .outline import Outline
from .text import decode

# Named characters, from groff_char(7): \(xx and \[name]
_GLYPHS = {
    "em": "—", "en": "–", "hy": "-", "mi": "−", "bu": "•", "aq": "'", "cq": "’", "oq": "‘", "lq": "“", "rq": "”",
    "dq": '"', "Bq": "„", "bq": "‚", "Fo": "«", "Fc": "»", "fo": "‹", "fc": "›", "co": "©", "rg": "®", "tm": "™",
    "de": "°", "mc": "µ", "mu": "×", "di": "÷", "+-": "±", "<=": "≤", ">=": "≥", "!=": "≠", "==": "≡", "~~": "≈",
    "->": "→", "<-": "←", "ua": "↑", "da": "↓", "<>": "↔", "rA": "⇒", "lA": "⇐", "sc": "§", "ps": "¶", "dg": "†",
    "dd": "‡", "ct": "¢", "Po": "£", "Ye": "¥", "Eu": "€", "eu": "€", "12": "½", "14": "¼", "34": "¾", "S1": "¹",
    "S2": "²", "S3": "³", "ss": "ß", "AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ", "/O": "Ø", "/o": "ø", "oA": "Å",
    "oa": "å", "rs": "\\", "sl": "/", "ul": "_", "ru": "_", "ba": "|", "br": "│", "bv": "|", "ha": "^", "ti": "~",
    "ga": "`", "aa": "´", "at": "@", "sh": "#", "Do": "$", "lB": "[", "rB": "]", "lC": "{", "rC": "}", "la": "⟨",
    "ra": "⟩", "lh": "☜", "rh": "☞", "OK": "✓", "sq": "□", "ci": "○", "if": "∞", "es": "∅", "no": "¬", "an": "∧",
    "or": "∨", "mo": "∈", "sb": "⊂", "sp": "⊃", "is": "∫", "*a": "α", "*b": "β", "*g": "γ", "*d": "δ", "*p": "π",
    "*m": "μ", "*l": "λ", "*s": "σ", "*w": "ω", "*W": "Ω", "*D": "Δ", "r!": "¡", "r?": "¿", "eq": "=", "pl": "+",
    "char46": ".", "ell": "…", "u2026": "…", "fi": "fi", "fl": "fl", "ff": "ff", "Fi": "ffi", "Fl": "ffl",
}  # fmt: skip
_ACCENTS = {":": "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", ",": "\u0327"}
_ESCAPE = re.compile(
    r"\\(?:"
    r"f(?:\[[^\]]*\]|\(..|.)"  # font
    r"|s(?:\[[^\]]*\]|'[^']*'|[+-]?\(\d\d|[+-]?\d\d?)"  # size
    r"|\[([^\]]*)\]"  # 1 glyph
    r"|\((..)"  # 2 glyph of two letters
    r"|\*(?:\[([^\]]*)\]|\((..)|(.))"  # 3-5 string
    r"|[hvwxlLoNZDCbBASHR]'([^']*)'"  # 6 motions, widths, drawing; C is a glyph by name
    r"|[mMFgknYVO](?:\[[^\]]*\]|\(..|.)"
    r"|(\".*|\#.*)"  # 7 comment
    r"|(.)"  # 8 any other
    r"|$)",
    re.M,
)
_PLAIN = {"-": "-", "e": "\\", "\\": "\\", " ": " ", "~": "\xa0", "0": " ", "t": "\t", "'": "´", "`": "`", ".": "."}
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|(\S+)')
_STRINGS = {"lq": "“", "rq": "”", "R": "®", "Tm": "™", "Aq": "'", 'L"': "“", 'R"': "”", "C+": "C++"}
_FONT_MACROS = frozenset(("B", "I", "SM", "SB", "R", "MR"))
_ALTERNATING = frozenset(("BI", "BR", "IB", "IR", "RB", "RI"))
_PARAGRAPHS = frozenset(("PP", "P", "LP", "Pp", "HP", "sp", "br", "Lp", "bp"))
_DROPPED = frozenset(
    (
        *("ad", "na", "nh", "hy", "hw", "in", "ti", "ta", "nf", "fi", "ft", "ps", "ne", "nr", "ll", "pl", "so", "tr"),
        *("ie", "el", "if", "ds", "rm", "as", "mso", "de", "cc", "ec", "eo", "fp", "rn", "RS", "RE", "PD", "EX", "EE"),
        *("UC", "DT", "AT", "Dd", "Os", "Bd", "Ed", "El", "Ek", "Bk", "SY", "YS", "TE", "Sm", "hys", "shc", "warn"),
        *("evc", "ev", "af", "als", "do", "fam", "fchar", "lf", "nx", "rr", "schar", "ss", "tm", "UN", "IX", "hc"),
        *("Rs", "Re", "Bf", "Ef", "Fd", "cs", "bd", "pc", "em", "it", "wh", "ch", "di", "da", "ig", "am", "nop"),
    )
)
# mdoc macros that print a word of their own; the rest of their line is arguments
_MDOC_QUOTES = {
    "Dq": "“”", "Sq": "‘’", "Qq": '""', "Pq": "()", "Bq": "[]", "Brq": "{}", "Aq": "<>", "Op": "[]", "Ql": "‘’",
}  # fmt: skip
_MDOC_INLINE = frozenset(
    (
        *("Ar", "Cm", "Fl", "Nm", "Nd", "Ic", "Em", "Sy", "Li", "Pa", "Va", "Vt", "Dv", "Er", "Ev", "Fa", "Fn", "Ft"),
        *("Xr", "An", "Ad", "Lk", "Mt", "Tn", "No", "Ns", "Pf", "Ms", "Cd", "Cf", "In", "St", "At", "Bx", "Bsx", "Nx"),
        *("Fx", "Ox", "Dx", "Ux", "Lb", "Oo", "Oc", "Ao", "Ac", "Bo", "Bc", "Do", "Dc", "Po", "Pc", "So", "Sc", "Xo"),
        *("Xc", "Qo", "Qc", "Bro", "Brc", "Eo", "Ec", "Es", "En", "Ap", "D1", "Dl", "Fo", "Fc", "Rv", "Ex", "Sx"),
    )
)
_MDOC_SYSTEMS = {"Bx": "BSD", "Nx": "NetBSD", "Fx": "FreeBSD", "Ox": "OpenBSD", "Dx": "DragonFly", "Ux": "UNIX",
                 "Bsx": "BSD/OS", "At": "AT&T UNIX"}  # fmt: skip
_MDOC_BRACKETS = {"Oo": "[", "Oc": "]", "Ao": "<", "Ac": ">", "Bo": "[", "Bc": "]", "Do": "“", "Dc": "”", "Po": "(",
                  "Pc": ")", "So": "‘", "Sc": "’", "Qo": '"', "Qc": '"', "Bro": "{", "Brc": "}", "Ap": "'"}  # fmt: skip
_NAME_LINE = re.compile(r"([^\n]{1,200}?)\s+(?:-|–|—|−)\s+(.{1,200})", re.S)
_LANGUAGE_FOLDER = re.compile(r"(?:^|/)(?:man/)?([a-z]{2})(?:_[A-Z]{2})?(?:\.[\w-]+)?/man\d\w*/|\.([a-z]{2})\.\d\w*$")


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    source, _ = decode(blob.data)
    page = _Page()
    page.run(source)
    metadata: dict[str, MetadataValue] = {}
    if page.name:
        metadata["name"] = page.name
    if page.section:
        metadata["section"] = page.section
    match = _LANGUAGE_FOLDER.search(blob.uri)
    text = page.outline.text()
    title = _title(page, text) or blob.uri.rpartition("/")[2]
    return ParsedDocument(
        text=text,
        title=title,
        media_type="text/troff",
        language=(match[1] or match[2]) if match else "",
        headings=tuple(page.outline.headings),
        metadata=metadata,
    )


def _title(page: _Page, text: str) -> str:
    """`tee(1): read from standard input and write to files`, as far as the page says so: the header line writes
    names in capitals, the first section has the right case and what it is about."""
    title = f"{page.name}({page.section})" if page.name and page.section else page.name
    if page.outline.headings:
        body = text[page.outline.headings[0].start :].split("\n\n", 2)
        match = _NAME_LINE.match(body[1]) if len(body) > 1 else None
        if match is not None:
            section = f"({page.section})" if page.section else ""
            return f"{match[1].split(',')[0].strip()}{section}: {' '.join(match[2].split())}"
    return title


def _arguments(rest: str) -> list[str]:
    return [m[1].replace('""', '"') if m[1] is not None else m[2] for m in _ARGUMENT.finditer(rest)]


class _Page:
    """Line by line. `words` collects the filled paragraph; in no-fill mode every line stands for itself."""

    def __init__(self) -> None:
        self.outline = Outline()
        self.words: list[str] = []
        self.strings = dict(_STRINGS)
        self.macros: set[str] = set()
        self.no_fill = False
        self.code: list[str] = []
        self.tag = False  # the next text line is the tag of a .TP
        self.prefix = ""
        self.name = self.section = ""
        self.pending_heading = 0
        self.until = ""  # skip up to this line: definitions, ignored blocks
        self.depth = 0  # open \{ of a condition that was not taken
        self.table: list[str] | None = None

    def run(self, source: str) -> None:
        lines = iter(re.sub(r"\\\n", "", source).split("\n"))
        for line in lines:
            if self.until:
                if line.rstrip() in (self.until, self.until.replace(".", "'", 1)):
                    self.until = ""
                continue
            if self.depth:
                self.depth = max(0, self.depth + line.count("\\{") - line.count("\\}"))
                continue
            if self.table is not None:
                if line.startswith(".TE"):
                    self.end_table()
                else:
                    self.table.append(line)
                continue
            if line[:1] in (".", "'"):
                self.request(line[1:].lstrip(" \t"))
            elif self.no_fill:
                self.add_code(self.plain(line))
            elif not line.strip():
                self.end_paragraph()
            else:
                self.text(self.plain(line), breaks=line[:1] in " \t")
        if self.table is not None:
            self.end_table()
        self.end_paragraph()

    def request(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        name, tab, more = name.partition("\t")
        rest = (more + " " + rest if tab else rest).strip()
        if not name or name.startswith('\\"'):
            return
        if name in ("de", "de1", "am", "ig", "dei"):
            words = rest.split()
            end = words[1] if len(words) > 1 and name != "ig" else words[0] if name == "ig" and words else "."
            if name != "ig" and words:
                self.macros.add(words[0])
            self.until = "." + end
        elif name in ("ie", "if", "el", "while"):
            self.condition(name, rest)
        elif name == "ds":
            key, _, value = rest.partition(" ")
            self.strings[key] = self.plain(value.removeprefix('"'))
        elif name in ("TH", "Dt"):
            values = [self.plain(a) for a in _arguments(rest)]
            self.name, self.section = (*values, "", "")[:2]
        elif name in ("SH", "SS", "Sh", "Ss"):
            self.end_paragraph()
            level = 1 if name in ("SH", "Sh") else 2
            title = self.plain(" ".join(_arguments(rest)))
            if title:
                self.outline.heading(level, title)
            else:
                self.pending_heading = level
            self.no_fill = False
        elif name == "TS":
            self.end_paragraph()
            self.table = []
        elif name in ("nf", "EX", "Bd"):
            self.end_paragraph()
            self.no_fill = name != "Bd" or ("-filled" not in rest and "-ragged" not in rest)
        elif name in ("fi", "EE", "Ed"):
            self.end_paragraph()
            self.no_fill = False
        elif name in ("TP", "TQ"):
            if name == "TP":
                self.end_paragraph()
            self.tag = True
        elif name in ("IP", "It"):
            self.end_paragraph()
            values = _arguments(rest)
            label = self.plain(values[0] if name == "IP" and values else self.mdoc(rest) if name == "It" else "")
            if name == "It" and not label:
                label = "•"
            self.prefix = label
        elif name in _PARAGRAPHS:
            if name == "br":
                self.break_line()
            elif self.no_fill:
                self.add_code("")
            else:
                self.end_paragraph()
        elif name in ("UR", "MT"):
            self.text(self.plain(rest), breaks=False)
        elif name in ("UE", "ME"):
            if rest and self.words:
                self.words[-1] += self.plain(rest)
        elif name == "OP":
            self.emit("[" + " ".join(self.plain(a) for a in _arguments(rest)) + "]")
        elif name in _FONT_MACROS:
            self.emit(self.plain(" ".join(_arguments(rest))))
        elif name in _ALTERNATING:
            self.emit(self.plain("".join(_arguments(rest))))
        elif name in _MDOC_INLINE or name in _MDOC_QUOTES or re.fullmatch(r"%[A-Z]", name):
            self.emit(self.mdoc(line))
        elif name in _DROPPED or name in self.macros or name == "." or name.startswith("."):
            return
        elif rest and name.isalpha():
            self.emit(self.plain(" ".join(_arguments(rest))))

    def condition(self, name: str, rest: str) -> None:
        """Pages use conditions to tell typesetters (t) from terminals (n): the terminal's branch is taken, any
        other condition is taken as false, and `el` follows from that."""
        test, _, body = rest.partition(" ") if name != "el" else ("", "", rest)
        taken = test == "n" or test == "!t" if name != "el" else not self.last_condition
        if name != "el":
            self.last_condition = taken
        if not taken:
            self.depth = max(0, rest.count("\\{") - rest.count("\\}"))
            return
        body = body.strip().removeprefix("\\{").strip().replace("\\}", "")
        if body[:1] in (".", "'"):
            self.request(body[1:])
        elif body and not body.startswith("\\"):
            self.text(self.plain(body), breaks=False)

    last_condition = False

    def mdoc(self, line: str) -> str:
        """The words of an mdoc line, its inner macros carried out."""
        words: list[str] = []
        closing: list[str] = []
        glue = False
        for word in _arguments(line):
            if word in _MDOC_QUOTES:
                closing.append(_MDOC_QUOTES[word][1])
                words.append(_MDOC_QUOTES[word][0] + "\x00")
            elif word in _MDOC_BRACKETS:
                words.append(_MDOC_BRACKETS[word] + ("\x00" if word.endswith("o") else ""))
            elif word == "Fl":
                words.append("-\x00")
            elif word in ("Ns", "Pf"):
                glue = True
                continue
            elif word == "Nm" and len(_arguments(line)) == 1:
                words.append(self.name.lower())
            elif word in _MDOC_SYSTEMS:
                words.append(_MDOC_SYSTEMS[word])
            elif word in _MDOC_INLINE or re.fullmatch(r"%[A-Z]", word):
                continue
            else:
                words.append(self.plain(word))
            if glue and len(words) > 1:
                words[-2:] = [words[-2] + "\x00" + words[-1]]
                glue = False
        text = " ".join(words).replace("\x00 ", "").replace("\x00", "") + "".join(reversed(closing))
        return re.sub(r" ([.,;:)\]])(?=$| )", r"\1", text)

    def plain(self, text: str) -> str:
        return _ESCAPE.sub(self.escape, text) if "\\" in text else text

    def escape(self, match: re.Match[str]) -> str:
        glyph = match[1] if match[1] is not None else match[2]
        if glyph is not None:
            return _glyph(glyph)
        for group in (3, 4, 5):
            if match[group] is not None:
                return self.strings.get(match[group], "")
        other = match[8]
        if other is None:
            return ""
        return _PLAIN.get(other, "" if other in "&|^%/,:)!?zcdurpa{}" else other)

    def emit(self, text: str) -> None:
        if self.no_fill:
            self.add_code(text)
        else:
            self.text(text, breaks=False)

    def text(self, text: str, *, breaks: bool) -> None:
        text = text.strip() if not breaks else text.rstrip()
        if self.pending_heading and text:
            self.outline.heading(self.pending_heading, text)
            self.pending_heading = 0
        elif self.tag:
            self.prefix = f"{self.prefix}, {text.strip()}" if self.prefix else text.strip()
            self.tag = False
        elif text.strip():
            if breaks:
                self.break_line()
            self.words.append(text)

    def add_code(self, line: str) -> None:
        if self.tag or self.pending_heading:
            self.text(line, breaks=False)
        else:
            self.code.append(line)

    def break_line(self) -> None:
        if self.words:
            self.words[-1] += "\n"

    def end_paragraph(self) -> None:
        body = " ".join(self.words).replace("\n ", "\n").strip()
        self.words.clear()
        code = "\n".join(self.code).strip("\n")
        self.code.clear()
        if self.prefix:
            body = f"{self.prefix}\n    {body}" if body and len(self.prefix) > 3 else f"{self.prefix} {body}"
            self.prefix = ""
        self.outline.block(body.rstrip())
        self.outline.block(code)

    def end_table(self) -> None:
        """tbl(1): format lines up to one that ends in a period, then rows; `T{ … T}` holds text with line breaks."""
        lines, self.table = self.table or [], None
        separator = "\t"
        body = 0
        for number, line in enumerate(lines):
            if number == 0 and line.rstrip().endswith(";"):
                match = re.search(r"tab\s*\((.)\)", line)
                separator = match[1] if match else "\t"
                continue
            if line.rstrip().endswith("."):
                body = number + 1
                break
        source = "\n".join(lines[body:])
        source = _joined_cells(source)
        first = True
        for line in source.split("\n"):
            if line.startswith((".", "'")) or re.fullmatch(r"[_=\s]*", line):
                continue
            cells = [self.plain(re.sub(r"(?:^|\s)\.(?:B|I|BR|IR)\s+", " ", c)).strip() for c in line.split(separator)]
            row = " | ".join(cell for cell in cells if cell)
            if first:
                self.outline.block(row)
                first = not row
            else:
                self.outline.line(row)


def _joined_cells(source: str) -> str:
    """The content of each `T{ … T}` in one line."""
    parts: list[str] = []
    position = 0
    while (start := source.find("T{", position)) >= 0 and (end := source.find("T}", start)) >= 0:
        parts += [source[position:start], " ".join(source[start + 2 : end].split())]
        position = end + 2
    return "".join(parts) + source[position:]


def _glyph(name: str) -> str:
    known = _GLYPHS.get(name)
    if known is not None:
        return known
    if match := re.fullmatch(r"u([0-9A-Fa-f]{4,6})(?:_([0-9A-Fa-f]{4,6}))?", name):
        codes = [int(part, 16) for part in match.groups() if part]
        return "".join(chr(c) for c in codes if c <= 0x10FFFF)
    if match := re.fullmatch(r"char(\d{1,3})", name):
        return chr(int(match[1]))
    if len(name) == 2 and name[0] in _ACCENTS and name[1].isalpha():
        from unicodedata import normalize

        return normalize("NFC", name[1] + _ACCENTS[name[0]])
    return name if len(name) == 1 else ""
