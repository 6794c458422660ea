"""reStructuredText: the source is the text; sections by their underlines, in the order the styles first appear."""

from __future__ import annotations

import re

from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .text import decode

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*[ \t]*")
_LONG_TITLE = 1_000  # characters of a title that count
_FIELD = re.compile(r"^:([A-Za-z][\w -]{0,40}):[ \t]+(.+)$")
_ROLE = re.compile(r":[\w:.+-]+:`([^`<]+?)(?:\s*<[^>]*>)?`")
_MARKUP = re.compile(r"(\*\*|``|\*|`)(\S(?:.*?\S)?)\1_{0,2}")


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    text, encoding = decode(blob.data)
    headings = _headings(text)
    metadata: dict[str, MetadataValue] = {}
    for line in text[:4096].split("\n"):
        field = _FIELD.match(line)
        if field is not None:
            metadata.setdefault(field[1].lower(), field[2].strip())
        elif metadata and line.strip():
            break
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    return ParsedDocument(
        text=text,
        title=headings[0].title if headings else "",
        media_type="text/x-rst",
        headings=tuple(headings),
        metadata=metadata,
    )


def _headings(text: str) -> list[Heading]:
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    levels: dict[str, int] = {}
    headings: list[Heading] = []
    used = -1  # last line that belongs to a heading
    for number in range(1, len(lines)):
        line = lines[number]
        if not line or number <= used or _ADORNMENT.fullmatch(line) is None:
            continue
        title = lines[number - 1]
        if number - 1 <= used or not title.strip() or _ADORNMENT.fullmatch(title) is not None:
            continue
        width = len(line.rstrip())
        over = number >= 2 and lines[number - 2].rstrip() == line.rstrip() and number - 2 > used
        if width < min(len(title.strip()), 60) or width < 2 or (title[0].isspace() and not over):
            continue
        first = number - 2 if over else number - 1
        if first > 0 and lines[first - 1].strip() and first - 1 != used and not lines[first - 1].startswith(".. "):
            continue  # the line above belongs to a paragraph or a table
        level = levels.setdefault(("over" if over else "") + line[0], len(levels) + 1)
        headings.append(Heading(level, _plain(title), starts[first]))
        used = number
    return headings


def _plain(title: str) -> str:
    return _MARKUP.sub(r"\2", _ROLE.sub(r"\1", title[:_LONG_TITLE])).strip()
