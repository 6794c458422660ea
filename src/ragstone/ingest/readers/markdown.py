"""Markdown: the source is the text, so that offsets and lines are those of the file.

Front matter becomes metadata; its lines stay as empty lines, for the same reason.
"""

from __future__ import annotations

import re

from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .text import decode

_FRONT_YAML = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_FRONT_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)\+\+\+[ \t]*(?:\n|\Z)", re.S)
_KEY = re.compile(r"^([A-Za-z_][\w.-]*)[ \t]*[:=][ \t]*(.*)$")
# One pass over the lines that matter: fences, ATX headings, setext underlines, HTML comments
_FENCE = r"^ {0,3}(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})"
_ATX = r"^ {0,3}(?P<hashes>#{1,6})(?:[ \t](?P<atx>[^\n]*))?$"
_SETEXT = r"^(?P<setext> {0,3}\S[^\n]*)\n {0,3}(?P<rule>=+|-{2,})[ \t]*$"
_COMMENT = r"(?P<comment><!--)"
_MARK = re.compile(f"{_FENCE}|{_ATX}|{_SETEXT}|{_COMMENT}", re.M)
# Most texts have no underlines, and to try them costs most of the pass.
_MARK_WITHOUT_SETEXT = re.compile(f"{_FENCE}|{_ATX}|{_COMMENT}", re.M)
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t]*$", re.M)
_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_PLAIN_LINE = re.compile(r" {0,3}(?:[>|#]|[-*+][ \t]|\d{1,9}[.)][ \t]|`{3}|~{3})")
_LONG_TITLE = 1_000  # characters of a heading that count
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_ATTRIBUTES = re.compile(r"[ \t]*\{[#.:][^}]*\}[ \t]*$")
_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_EMPHASIS = re.compile(r"(\*{1,3}|_{2,3}|`+|~~)(?=\S)(.+?)(?<=\S)\1")
_INLINE = re.compile(r"[\[\]<*_`~{\\]")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    text, encoding = decode(blob.data)
    metadata: dict[str, MetadataValue] = {}
    front = _FRONT_YAML.match(text) or _FRONT_TOML.match(text)
    if front is not None and _KEY.search(front[1].split("\n", 1)[0] + "") is None and ":" not in front[1]:
        front = None  # a thematic break, not front matter
    if front is not None:
        metadata = front_matter(front[1])
        text = "\n" * front[0].count("\n") + text[front.end() :]
    headings = markdown_headings(text)
    title = str(metadata.pop("title", ""))
    if not title:
        title = next((h.title for h in headings if h.level == 1), headings[0].title if headings else "")
    language = str(metadata.get("lang") or metadata.get("language") or "")[:2].lower()
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    return ParsedDocument(
        text=text,
        title=title,
        media_type="text/markdown",
        language=language if language.isalpha() else "",
        headings=headings,
        metadata=metadata,
    )


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """ATX and setext headings outside of code fences and comments."""
    headings = []
    position = 0
    comments = True
    mark = _MARK if _UNDERLINE.search(text) else _MARK_WITHOUT_SETEXT
    while match := mark.search(text, position):
        position = match.end()
        if fence := match["fence"]:
            close = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.M).search(text, position)
            position = close.end() if close else len(text)
        elif match["comment"]:
            end = text.find("-->", position) if comments else -1
            comments = end >= 0  # one that is never closed is text, and so is every later one
            position = end + 3 if end >= 0 else position
        elif match["hashes"]:
            title = plain_inline(_CLOSING.sub("", (match["atx"] or "").strip()))
            if title:
                headings.append(Heading(len(match["hashes"]), title, match.start()))
        elif not _PLAIN_LINE.match(match["setext"]) and _starts_paragraph(text, match.start()):
            title = plain_inline(match["setext"])
            if title:
                headings.append(Heading(1 if match["rule"][0] == "=" else 2, title, match.start()))
        else:
            # the underline belongs to a list, a table or a longer paragraph; the line after it may start anew
            position = match.start("rule")
    return tuple(headings)


def _starts_paragraph(text: str, start: int) -> bool:
    before = text.rfind("\n", 0, max(0, start - 1))
    previous = text[before + 1 : max(0, start - 1)]
    return start == 0 or not previous.strip() or previous.lstrip().startswith(("#", "<!--", "```"))


def plain_inline(text: str) -> str:
    """A line without its inline markup."""
    if not _INLINE.search(text):
        return text[:_LONG_TITLE].strip()
    text = _ATTRIBUTES.sub("", text[:_LONG_TITLE])
    if "[" in text:
        text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    if "<" in text:
        text = _TAG.sub("", text)
    for _ in range(2):
        text = _EMPHASIS.sub(r"\2", text)
    return _ESCAPE.sub(r"\1", text).strip()


def front_matter(source: str) -> dict[str, MetadataValue]:
    """Scalars and flat lists of YAML or TOML front matter; a list becomes `a, b`. Deeper structure is left out:
    metadata are plain values."""
    values: dict[str, MetadataValue] = {}
    key = ""
    items: list[str] = []
    for line in [*source.splitlines(), "end: "]:
        stripped = line.strip()
        if key and stripped.startswith("- "):
            items.append(_unquote(stripped[2:]))
            continue
        if key and items:
            values[key] = ", ".join(items)
        if line[:1].isspace() or stripped.startswith("#"):
            continue
        match = _KEY.match(line)
        if match is None:
            continue
        key, items = match[1].lower(), []
        value = match[2].strip()
        if value.startswith("[") and value.endswith("]"):
            values[key] = ", ".join(_unquote(part) for part in value[1:-1].split(",") if part.strip())
        elif value and value not in ("|", ">", "|-", ">-", "{}"):
            values[key] = _scalar(value)
    values.pop("end", None)
    return values


def _unquote(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _scalar(value: str) -> MetadataValue:
    if value[:1] in "\"'":
        return _unquote(value)
    value = value.split(" #", 1)[0].rstrip()
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if re.fullmatch(r"-?[1-9]\d{0,14}|0", value):
        return int(value)
    return value
