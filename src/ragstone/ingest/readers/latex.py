"""LaTeX source as text: sections as headings, formatting commands dropped, mathematics kept as it is written.

One pass without recursion. Not a TeX engine: parameterless abbreviations (`\\newcommand{\\x}{text}`) are expanded
once, everything else that a document defines for itself is dropped with its arguments kept.
"""

from __future__ import annotations

import re
from unicodedata import normalize

from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .text import decode

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*(?=\S))?")
_TOKEN = re.compile(
    r"\\begin[ \t]*\{(?P<begin>[^}\n]*)\}"
    r"|\\end[ \t]*\{(?P<end>[^}\n]*)\}"
    r"|\\(?P<accent>[\"'`^~=.])[ \t]*(?:\{\\?(?P<a1>[A-Za-z])\}|\\?(?P<a2>[A-Za-z]))"
    r"|\\(?P<accent_word>[cvHkudbrt])(?:[ \t]*\{\\?(?P<a3>[A-Za-z])\}|[ \t]+\\?(?P<a4>[A-Za-z])(?![A-Za-z]))"
    r"|\\verb\*?(?P<fence>[^A-Za-z*\s])(?P<verbatim>[^\n]*?)(?P=fence)"
    r"|\\(?P<word>[A-Za-z@]+)\*?"
    r"|\\(?P<symbol>[^A-Za-z])"
    r"|(?P<math>\$\$?)"
    r"|(?P<brace>[{}])"
    r"|(?P<blank>\n[ \t]*\n\s*)"
    r"|(?P<space>\s+)"
    r"|(?P<ligature>---?|``|''|~)"
    r"|(?P<cell>&)"
    r"|\"(?P<german>[aouAOUsS`'=~|<>-])"
    r"|(?P<text>[^\\${}\s\-`'~&\"]+|.)",
    re.S,
)
_LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6, "frametitle": 4}
_LEVELS["subparagraph"] = 7
_COMBINING = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "H": "\u030b", "k": "\u0328", "u": "\u0306", "d": "\u0323", "b": "\u0331",
    "r": "\u030a", "t": "\u0361",
}  # fmt: skip
_SYMBOLS = {
    "ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "l": "ł",
    "L": "Ł", "i": "ı", "j": "ȷ", "S": "§", "P": "¶", "dag": "†", "ddag": "‡", "copyright": "©", "pounds": "£",
    "ldots": "…", "dots": "…", "textellipsis": "…", "LaTeX": "LaTeX", "TeX": "TeX", "LaTeXe": "LaTeX2e",
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textbar": "|", "textless": "<",
    "textgreater": ">", "textendash": "–", "textemdash": "—", "textregistered": "®", "texttrademark": "™",
    "textdegree": "°", "degree": "°", "celsius": "°C", "euro": "€", "texteuro": "€", "EUR": "€", "textmu": "µ",
    "glqq": "„", "grqq": "“", "glq": "‚", "grq": "‘", "flqq": "«", "frqq": "»", "textquotedblleft": "“",
    "textquotedblright": "”", "quotedblbase": "„", "textbullet": "•", "textunderscore": "_", "slash": "/",
    "textquoteright": "’", "textquoteleft": "‘", "textasteriskcentered": "*", "newline": "\n", "linebreak": "\n",
    "quad": " ", "qquad": " ", "space": " ", "par": "\n\n", "today": "", "and": ", ",
    "textonehalf": "½", "backslash": "\\",
}  # fmt: skip
_GERMAN = {"a": "ä", "o": "ö", "u": "ü", "A": "Ä", "O": "Ö", "U": "Ü", "s": "ß", "S": "ẞ", "`": "„", "'": "“",
           "=": "-", "~": "-", "-": "", "|": "", "<": "«", ">": "»"}  # fmt: skip
# Commands whose arguments are no text; the number is how many braces follow
_DROPPED = {
    "label": 1, "ref": 1, "eqref": 1, "pageref": 1, "autoref": 1, "cref": 1, "Cref": 1, "vref": 1, "nameref": 1,
    "cite": 1, "citep": 1, "citet": 1, "citeauthor": 1, "citeyear": 1, "citealp": 1, "parencite": 1, "textcite": 1,
    "footcite": 1, "autocite": 1, "nocite": 1, "bibliography": 1, "bibliographystyle": 1, "addbibresource": 1,
    "usepackage": 1, "RequirePackage": 1, "documentclass": 1, "PassOptionsToPackage": 2, "usetikzlibrary": 1,
    "input": 1, "include": 1, "includegraphics": 1, "graphicspath": 1, "includepdf": 1, "lstinputlisting": 1,
    "vspace": 1, "hspace": 1, "setlength": 2, "addtolength": 2, "setcounter": 2, "addtocounter": 2, "pagestyle": 1,
    "thispagestyle": 1, "newcommand": 2, "renewcommand": 2, "providecommand": 2, "DeclareMathOperator": 2,
    "newenvironment": 3, "renewenvironment": 3, "newtheorem": 2, "theoremstyle": 1, "definecolor": 3, "color": 1,
    "pagecolor": 1, "rowcolor": 1, "cellcolor": 1, "columncolor": 1, "textcolor": 1, "colorbox": 1, "geometry": 1,
    "hypersetup": 1, "lstset": 1, "sisetup": 1, "captionsetup": 1, "fontsize": 2, "selectlanguage": 1, "rule": 2,
    "multicolumn": 2, "multirow": 2, "cmidrule": 1, "cline": 1, "resizebox": 2, "scalebox": 1, "raisebox": 1,
    "adjustbox": 1, "parbox": 1, "makebox": 0, "index": 1, "glsadd": 1, "hyphenation": 1, "phantom": 1, "vphantom": 1,
    "hphantom": 1, "setstretch": 1, "linespread": 1, "newcolumntype": 2, "renewbibmacro": 2, "titleformat": 5,
    "titlespacing": 4, "addcontentsline": 3, "foreignlanguage": 1, "hypertarget": 1, "hyperlink": 1, "tikzset": 1,
    "pgfplotsset": 1, "newlength": 1, "newcounter": 1, "refstepcounter": 1, "stepcounter": 1, "bibitem": 1,
    "author": 1, "date": 1, "institute": 1, "thanks": 1, "subtitle": 1, "title": 1, "titlerunning": 1,
    "authorrunning": 1, "markboth": 2, "markright": 1, "pdfinfo": 1, "keyword": 0, "textheight": 0, "crefname": 3,
    "email": 0, "affil": 1, "vskip": 0, "hskip": 0, "lstdefinestyle": 2, "lstdefinelanguage": 2, "newif": 0,
    "fancyhead": 1, "fancyfoot": 1, "lhead": 1, "rhead": 1, "chead": 1, "lfoot": 1, "rfoot": 1, "cfoot": 1,
    "setbeamertemplate": 1, "usetheme": 1, "usecolortheme": 1, "newacronym": 0, "let": 0, "special": 1,
    "fontfamily": 1, "fontseries": 1, "fontshape": 1, "newfont": 1, "font": 0, "arraystretch": 0, "href": 1,
}  # fmt: skip
_MATH = frozenset(
    (
        *("equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat"),
        *("dmath", "subequations", "split", "IEEEeqnarray"),
    )
)
_VERBATIM = frozenset(("verbatim", "lstlisting", "minted", "Verbatim", "alltt", "code", "listing"))
_IGNORED = frozenset(("comment", "tikzpicture", "pgfpicture", "axis", "filecontents", "picture", "asy", "forest"))
_TABLES = frozenset(("tabular", "tabularx", "longtable", "tabulary", "tabu", "supertabular", "array", "xltabular"))
_LISTS = frozenset(("itemize", "enumerate", "description", "compactitem", "compactenum"))
_ABBREVIATION = re.compile(
    r"\\(?:re|provide)?newcommand\*?[ \t]*(?:\{\\([A-Za-z]+)\}|\\([A-Za-z]+))[ \t]*"
    r"\{((?:[^{}\\]|\\(?:xspace|&|%|_| ))*)\}"
    r"|\\def[ \t]*\\([A-Za-z]+)[ \t]*\{((?:[^{}\\]|\\(?:xspace|&|%|_| ))*)\}"
)
# What follows a length parameter or a command that takes lengths
_DIMENSION = re.compile(
    r"[ \t]*=[ \t]*-?[\d.]+(?:pt|em|ex|cm|mm|in|bp|sp)?(?![\w.])|[ \t]*-?[\d.]+(?:pt|em|ex|cm|mm|in|bp|sp)\b"
    r"|\{-?[\d.]*[ \t]*(?:pt|em|ex|cm|mm|in|bp|sp|\\[a-z]+(?:width|height|skip|sep))\}"
)
_BABEL = re.compile(r"\\usepackage[ \t]*\[([^\]]*)\][ \t]*\{babel\}|\\setmainlanguage[^{]*\{(\w+)\}|\{(n?german)\}")
_LANGUAGES = {"german": "de", "ngerman": "de", "austrian": "de", "naustrian": "de", "english": "en", "french": "fr",
              "british": "en", "american": "en", "spanish": "es", "italian": "it", "dutch": "nl"}  # fmt: skip


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    source, _ = decode(blob.data)
    source = _COMMENT.sub(r"\1", source)
    language = _language(source)
    names = {m[1] or m[2] or m[4]: (m[3] or m[5] or "") for m in _ABBREVIATION.finditer(source)}
    german = language == "de"
    start = source.find("\\begin{document}")
    body = source[start + len("\\begin{document}") :] if start >= 0 else source
    end = body.find("\\end{document}")
    body = body[:end] if end >= 0 else body
    front = {name: _argument_text(source, name, names, german) for name in ("title", "author", "date")}
    scan = _Scan(body, names, german)
    if front["title"]:
        scan.place(front["title"])
        scan.gap = "\n\n"
    scan.run()
    headings = scan.leveled_headings()
    title = front["title"] or next((h.title for h in headings if h.level == 1), "")
    metadata: dict[str, MetadataValue] = {k: v for k, v in front.items() if v and k != "title"}
    text = scan.text()
    if not text.strip():
        text, headings = source, ()  # definitions only: what it is found by is the source
    return ParsedDocument(text, title, "application/x-tex", language, headings=headings, metadata=metadata)


def _language(source: str) -> str:
    match = _BABEL.search(source[:20_000])
    if match is None:
        return ""
    options = [o.strip() for o in (match[1] or match[2] or match[3]).split(",")]
    main = next((o.partition("=")[2] for o in options if o.startswith("main=")), "") or options[-1]
    return _LANGUAGES.get(main, "")


def _argument_text(source: str, name: str, names: dict[str, str], german: bool) -> str:
    match = re.search(rf"\\{name}[ \t]*(?:\[[^\]]*\])?[ \t\n]*\{{", source)
    if match is None:
        return ""
    inner = source[match.end() : _close(source, match.end())]
    inner = re.sub(r"\\(?:thanks|footnote|inst)\b[ \t]*\{[^{}]*\}|\\\\(?:\[[^\]]*\])?", " ", inner)
    scan = _Scan(inner, names, german)
    scan.run()
    return " ".join(scan.text().split())


def _close(source: str, position: int) -> int:
    """Where the brace opened before `position` closes; the end of the text where it does not."""
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.S).finditer(source, position):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if not depth:
                return match.start()
    return len(source)


class _Scan:
    """One pass over the body. `braces` remembers what to do when a brace closes; `gap` is what must stand between
    what is there and what comes."""

    def __init__(self, source: str, names: dict[str, str], german: bool) -> None:
        self.source = source
        self.names = names
        self.german = german
        self.position = 0
        self.parts: list[str] = []
        self.length = 0
        self.gap = ""
        self.braces: list[tuple[str, int, int]] = []  # what the closing brace does, level, index in parts
        self.headings: list[Heading] = []
        self.tables = 0
        self.lists: list[int] = []
        self.missing: set[str] = set()

    def run(self) -> None:
        match_at = _TOKEN.match
        while match := match_at(self.source, self.position):
            self.position = match.end()
            kind = match.lastgroup
            value = match[0]
            if kind == "text":
                self.place(value)
            elif kind == "space":
                self.gap = self.gap or " "
            elif kind == "blank":
                self.gap = "\n\n"
            elif kind == "word":
                self.command(match["word"])
            elif kind in ("a1", "a2", "a3", "a4"):
                mark = match["accent"] or match["accent_word"]
                self.place(normalize("NFC", match[kind] + _COMBINING[mark]))
            elif kind == "symbol":
                self.symbol(match["symbol"])
            elif kind == "brace":
                self.brace(value)
            elif kind == "math":
                self.verbatim_to(value, keep=True)
            elif kind == "ligature":
                self.ligature(value)
            elif kind == "cell":
                if not self.tables:
                    self.place("&")
                elif "\n" not in self.gap:  # empty cells are left out
                    self.gap = " | "
            elif kind == "german":
                self.place(_GERMAN[match["german"]] if self.german else value)
            elif kind == "verbatim":
                self.place(match["verbatim"])
            elif kind == "begin":
                self.begin(match["begin"].strip())
            elif kind == "end":
                self.end(match["end"].strip())
        while self.braces:
            self.brace("}")

    def place(self, text: str) -> None:
        if not text:
            return
        if self.gap == " " and text[0] in ".,;:)":
            self.gap = ""  # a reference stood between
        if self.gap and self.length:
            self.parts.append(self.gap)
            self.length += len(self.gap)
        self.gap = ""
        self.parts.append(text)
        self.length += len(text)

    def ligature(self, value: str) -> None:
        if value == "~":
            self.gap = self.gap or " "
        else:
            self.place({"--": "–", "---": "—", "``": "“", "''": "”"}.get(value, value))

    def symbol(self, value: str) -> None:
        if value in "([":
            self.verbatim_to("\\)" if value == "(" else "\\]", keep=True, opening="\\" + value)
        elif value == "\\":
            self.optional()
            self.gap = "\n" if self.gap != "\n\n" else self.gap
        elif value in "&%$#_{}":
            self.place(value)
        elif value in " ,;:~\n\t":
            self.gap = self.gap or " "
        elif value in "-/!@":
            return
        else:
            self.place(value if value not in ")]" else "")

    def brace(self, value: str) -> None:
        if value == "{":
            self.braces.append(("", 0, 0))
            return
        if not self.braces:
            return
        action, level, index = self.braces.pop()
        if action == "heading":
            title = "".join(self.parts[index:])
            clean = " ".join(title.split())
            if clean:
                lead = len(title) - len(title.lstrip())
                self.headings.append(Heading(level, clean, self.length - len(title) + lead))
            self.gap = "\n\n"
        elif action == "block":
            self.gap = "\n\n"
        elif action:
            self.gap = ""
            self.place(action)

    def command(self, word: str) -> None:
        if word in _SYMBOLS:
            value = _SYMBOLS[word]
            if value.isspace():
                self.gap = value if len(value) > len(self.gap) or value == "\n" else self.gap
            else:
                self.place(value)
                if value.isalpha() and len(value) == 1:  # a letter inside a word: `Stra\ss e`
                    while self.source.startswith((" ", "\t"), self.position):
                        self.position += 1
                self.eat_space()
        elif word in _LEVELS:
            self.optional()
            self.gap = "\n\n"
            self.open("heading", _LEVELS[word])
        elif word == "item":
            self.item()
        elif word in ("footnote", "footnotetext", "marginpar"):
            self.optional()
            if self.peek("{"):
                self.place(" (")
                self.open(")")
        elif word in ("caption", "captionof", "abstract", "keywords"):
            self.optional()
            self.gap = "\n\n"
            self.open("block")
        elif word in ("url", "path", "nolinkurl"):
            self.place(self.argument())
        elif word == "href":
            target = self.argument()
            self.open(f" ({target})")
        elif word in ("def", "gdef", "edef", "xdef"):
            brace = self.source.find("{", self.position, self.position + 100)
            if brace >= 0:
                self.position = min(len(self.source), _close(self.source, brace + 1) + 1)
        elif word in ("newcommand", "renewcommand", "providecommand", "DeclareRobustCommand"):
            self.definition()
        elif word in _DROPPED:
            self.drop(_DROPPED[word])
        elif word in self.names:
            self.place(re.sub(r"\\xspace|\\", "", self.names[word]).replace("~", " ").strip())
            if "xspace" not in self.names[word]:
                self.eat_space()
        else:
            self.optional()
            while dimension := _DIMENSION.match(self.source, self.position):
                self.position = dimension.end()
            if not self.peek("{"):
                self.eat_space()

    def definition(self) -> None:
        self.skip_space()
        if self.source.startswith("\\", self.position):
            name = re.compile(r"\\[A-Za-z@]+").match(self.source, self.position)
            self.position = name.end() if name else self.position + 1
            self.drop(1)
        else:
            self.drop(2)

    def item(self) -> None:
        self.gap = "\n" if self.gap != "\n\n" or self.lists else self.gap
        if self.lists and self.lists[-1] >= 0:
            self.lists[-1] += 1
            self.place(f"{self.lists[-1]}.")
        else:
            self.place("-")
        self.gap = " "
        self.skip_space()
        if self.peek("["):
            self.position += 1
            end = self.source.find("]", self.position, self.position + 500)
            if end >= 0:
                inner = _Scan(self.source[self.position : end], self.names, self.german)
                inner.run()
                self.place(inner.text() + ":")
                self.gap = " "
                self.position = end + 1

    def begin(self, name: str) -> None:
        plain = name.rstrip("*")
        if plain in _IGNORED:
            self.verbatim_to(f"\\end{{{name}}}", keep=False)
            return
        if plain in _VERBATIM:
            self.gap = "\n\n"
            self.optional()
            if plain == "minted":
                self.drop(1)
            self.verbatim_to(f"\\end{{{name}}}", keep=True, markers=False)
            self.gap = "\n\n"
            return
        if plain in _MATH:
            self.gap = "\n\n"
            self.verbatim_to(f"\\end{{{name}}}", keep=True, markers=False)
            self.gap = "\n\n"
            return
        self.gap = "\n\n"
        self.optional()
        if plain in _TABLES:
            self.tables += 1
            self.drop(2 if plain in ("tabularx", "tabulary", "xltabular") else 1)
        elif plain in _LISTS:
            self.lists.append(0 if "enum" in plain else -1)
            self.gap = "\n"
        elif plain in ("minipage", "multicols", "thebibliography", "wrapfigure", "subfigure", "adjustbox", "tabbing"):
            self.optional()
            self.drop(2 if plain == "wrapfigure" else 0 if plain == "tabbing" else 1)

    def end(self, name: str) -> None:
        plain = name.rstrip("*")
        if plain in _TABLES:
            self.tables = max(0, self.tables - 1)
        elif plain in _LISTS and self.lists:
            self.lists.pop()
            self.gap = "\n" if self.lists else "\n\n"
            return
        self.gap = "\n\n"

    def verbatim_to(self, end: str, *, keep: bool, opening: str | None = None, markers: bool = True) -> None:
        """Takes the source as it is up to `end`; an end that does not come leaves the opening as text."""
        at = -1 if end in self.missing else self.source.find(end, self.position)
        if at < 0:
            self.missing.add(end)  # nor will it be found further on
        if at < 0 or (end == "$" and self.source.find("\n\n", self.position, at) >= 0):
            if keep and markers:
                self.place(opening if opening is not None else end)
            return
        inner = self.source[self.position : at]
        self.position = at + len(end)
        if keep:
            inner = re.sub(r"\\label\{[^}]*\}", "", inner)
            shown = (opening if opening is not None else end) + inner + end if markers else inner.strip("\n").rstrip()
            self.place(shown)

    def open(self, action: str, level: int = 0) -> None:
        """The next brace does `action` when it closes; without one nothing happens."""
        if self.peek("{"):
            self.position = self.source.index("{", self.position) + 1
            self.braces.append((action, level, len(self.parts)))

    def peek(self, char: str) -> bool:
        at = self.position
        while at < len(self.source) and self.source[at] in " \t\n":
            at += 1
        return self.source.startswith(char, at)

    def skip_space(self) -> None:
        while self.position < len(self.source) and self.source[self.position] in " \t\n":
            self.position += 1

    def eat_space(self) -> None:
        """TeX swallows the space after a command word; text after `\\ss{}` keeps it."""
        if self.source.startswith("{}", self.position):
            self.position += 2

    def optional(self) -> None:
        while self.source.startswith("[", self.position):
            end = self.source.find("]", self.position, self.position + 2000)
            if end < 0:
                return
            self.position = end + 1

    def argument(self) -> str:
        if not self.peek("{"):
            return ""
        start = self.source.index("{", self.position) + 1
        end = _close(self.source, start)
        self.position = min(len(self.source), end + 1)
        return self.source[start:end].replace("\\", "")

    def drop(self, count: int) -> None:
        self.optional()
        for _ in range(count):
            if not self.peek("{"):
                return
            self.argument()
            self.optional()

    def text(self) -> str:
        return "".join(self.parts)

    def leveled_headings(self) -> tuple[Heading, ...]:
        """Levels from 1: in an article the sections are outermost, in a book the chapters."""
        top = min((h.level for h in self.headings), default=1)
        return tuple(Heading(h.level - top + 1, h.title, h.start) for h in self.headings)
