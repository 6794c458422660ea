"""LaTeX source as text: sections as headings, formatting commands dropped, mathematics kept as it is written.

One pass without recursion. Not a TeX engine: parameterless abbreviations (`\\newcommand{\\x}{text}`) are expanded
once, everything else that a document defines for itself is dropped with its arguments kept.
"""

from __future__ import annotations

import re

from ...types import Blob, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .latex_names import LANGUAGES
from .latex_scan import Scan, closing
from .text import decode

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*(?=\S))?")
_ABBREVIATION = re.compile(
    r"\\(?:re|provide)?newcommand\*?[ \t]*(?:\{\\([A-Za-z]+)\}|\\([A-Za-z]+))[ \t]*"
    r"\{((?:[^{}\\]|\\(?:xspace|&|%|_| ))*)\}"
    r"|\\def[ \t]*\\([A-Za-z]+)[ \t]*\{((?:[^{}\\]|\\(?:xspace|&|%|_| ))*)\}"
)
_BABEL = re.compile(r"\\usepackage[ \t]*\[([^\]]*)\][ \t]*\{babel\}|\\setmainlanguage[^{]*\{(\w+)\}|\{(n?german)\}")


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
    scan = Scan(body, names, german)
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
    return LANGUAGES.get(main, "")


def _argument_text(source: str, name: str, names: dict[str, str], german: bool) -> str:
    match = re.search(rf"\\{name}[ \t]*(?:\[[^\]]*\])?[ \t\n]*\{{", source)
    if match is None:
        return ""
    inner = source[match.end() : closing(source, match.end())]
    inner = re.sub(r"\\(?:thanks|footnote|inst)\b[ \t]*\{[^{}]*\}|\\\\(?:\[[^\]]*\])?", " ", inner)
    scan = Scan(inner, names, german)
    scan.run()
    return " ".join(scan.text().split())
