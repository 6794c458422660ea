"""One pass over the body of a LaTeX document."""

from __future__ import annotations

import re
from unicodedata import normalize

from ...types import Heading
from .latex_names import COMBINING, DROPPED, GERMAN, IGNORED, LEVELS, LISTS, MATH, SYMBOLS, TABLES, VERBATIM

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
# What follows a length parameter or a command that takes lengths
_DIMENSION = re.compile(
    r"[ \t]*=[ \t]*-?[\d.]+(?:pt|em|ex|cm|mm|in|bp|sp)?(?![\w.])|[ \t]*-?[\d.]+(?:pt|em|ex|cm|mm|in|bp|sp)\b"
    r"|\{-?[\d.]*[ \t]*(?:pt|em|ex|cm|mm|in|bp|sp|\\[a-z]+(?:width|height|skip|sep))\}"
)


def closing(source: str, position: int) -> int:
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


class Scan:
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
                self.place(normalize("NFC", match[kind] + COMBINING[mark]))
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
                self.place(GERMAN[match["german"]] if self.german else value)
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
        if word in SYMBOLS:
            value = SYMBOLS[word]
            if value.isspace():
                self.gap = value if len(value) > len(self.gap) or value == "\n" else self.gap
            else:
                self.place(value)
                if value.isalpha() and len(value) == 1:  # a letter inside a word: `Stra\ss e`
                    while self.source.startswith((" ", "\t"), self.position):
                        self.position += 1
                self.eat_space()
        elif word in LEVELS:
            self.optional()
            self.gap = "\n\n"
            self.open("heading", LEVELS[word])
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
                self.position = min(len(self.source), closing(self.source, brace + 1) + 1)
        elif word in ("newcommand", "renewcommand", "providecommand", "DeclareRobustCommand"):
            self.definition()
        elif word in DROPPED:
            self.drop(DROPPED[word])
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
                inner = Scan(self.source[self.position : end], self.names, self.german)
                inner.run()
                self.place(inner.text() + ":")
                self.gap = " "
                self.position = end + 1

    def begin(self, name: str) -> None:
        plain = name.rstrip("*")
        if plain in IGNORED:
            self.verbatim_to(f"\\end{{{name}}}", keep=False)
            return
        if plain in VERBATIM:
            self.gap = "\n\n"
            self.optional()
            if plain == "minted":
                self.drop(1)
            self.verbatim_to(f"\\end{{{name}}}", keep=True, markers=False)
            self.gap = "\n\n"
            return
        if plain in MATH:
            self.gap = "\n\n"
            self.verbatim_to(f"\\end{{{name}}}", keep=True, markers=False)
            self.gap = "\n\n"
            return
        self.gap = "\n\n"
        self.optional()
        if plain in TABLES:
            self.tables += 1
            self.drop(2 if plain in ("tabularx", "tabulary", "xltabular") else 1)
        elif plain in LISTS:
            self.lists.append(0 if "enum" in plain else -1)
            self.gap = "\n"
        elif plain in ("minipage", "multicols", "thebibliography", "wrapfigure", "subfigure", "adjustbox", "tabbing"):
            self.optional()
            self.drop(2 if plain == "wrapfigure" else 0 if plain == "tabbing" else 1)

    def end(self, name: str) -> None:
        plain = name.rstrip("*")
        if plain in TABLES:
            self.tables = max(0, self.tables - 1)
        elif plain in LISTS and self.lists:
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
        end = closing(self.source, start)
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
