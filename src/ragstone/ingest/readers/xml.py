"""Any XML: its text in document order. A `title` element inside a section (JATS, DocBook, DITA, OPML) is a heading.

Entities are never expanded and nothing is ever fetched: a document type with entity declarations is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.entities import html5
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ...errors import DamagedFile, LimitExceeded, UnsupportedFormat
from ...types import Blob, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .outline import Outline
from .text import decode

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_TITLES = frozenset(("title", "article-title", "head", "caption-title", "titel"))
_SECTIONS = frozenset(
    (
        *("sec", "section", "sect1", "sect2", "sect3", "sect4", "chapter", "article", "book", "appendix", "part"),
        *("topic", "concept", "task", "reference", "div", "abstract", "app", "item", "entry", "channel", "feed"),
    )
)
_INLINE = frozenset(
    (
        *("b", "i", "u", "em", "strong", "bold", "italic", "sub", "sup", "sc", "code", "span", "a", "xref", "link"),
        *("ext-link", "ulink", "emphasis", "literal", "styled-content", "underline", "monospace", "tspan", "uri"),
        *("named-content", "citetitle", "command", "option", "filename", "term", "quote", "ref", "hi", "email"),
    )
)
# Titles inside of these belong to them, not to a section
_ASIDE = frozenset(
    ("caption", "fig", "figure", "table-wrap", "table", "ref", "ref-list", "image", "media", "bibliography")
)
# Roots of documents; in any other file a short element is a value with a name
_DOCUMENTS = frozenset(
    (
        *("article", "book", "chapter", "html", "rss", "feed", "tei", "topic", "concept", "task", "reference"),
        *("opml", "svg", "section", "refentry", "set", "map", "fictionbook", "document", "office", "package"),
    )
)
_PROSE = frozenset(("p", "para", "simpara", "text", "paragraph", "line", "li", "item", "note", "quote", "body"))
_SHORT = 200  # characters of a named value
_ROWS = frozenset(("tr", "row"))
_SKIPPED = frozenset(("script", "style", "tex-math", "binary"))


# `&nbsp;` and its like, which a DTD that is not read would declare; expat resolves its own five itself
_ENTITIES = {name[:-1]: value for name, value in html5.items() if name.endswith(";")}


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    walk = _Walk(limits)
    parser = DefusedXMLParser(target=walk, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    parser.entity.update(_ENTITIES)
    try:
        parser.feed(_recoded(blob.data.lstrip()))
        parser.close()
    except DefusedXmlException as error:
        raise UnsupportedFormat(
            "The XML declares entities, which are never expanded.", "Remove the DOCTYPE and save the file again."
        ) from error
    except (ParseError, LookupError) as error:
        raise DamagedFile(f"It is not well-formed XML ({error}).", "Check the file with an XML validator.") from error
    outline = walk.outline
    metadata: dict[str, MetadataValue] = {"root": walk.root} if walk.root else {}
    language = walk.language[:2].lower()
    return ParsedDocument(
        text=outline.text(),
        title=walk.title or next((h.title for h in outline.headings), ""),
        media_type="application/xml",
        language=language if len(language) == 2 and language.isalpha() else "",
        headings=tuple(outline.headings),
        metadata=metadata,
    )


def _recoded(data: bytes) -> bytes:
    """UTF-16 and UTF-32 as UTF-8 without their declaration: expat wants the two to agree, files in the wild do not."""
    if b"\x00" not in data[:64]:
        return data
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", decode(data)[0]).encode("utf-8", "replace")


class _Walk:
    """Target of the parser: receives the document in order, so memory holds the text and one path."""

    def __init__(self, limits: ReadLimits) -> None:
        self.outline = Outline()
        self.limits = limits
        self.path: list[str] = []
        self.root = self.title = self.language = ""
        self.buffer: list[str] = []
        self.row: list[str] | None = None
        self.row_depth = 0
        self.skipping = 0
        self.leaf = False  # nothing but text since the last start tag
        self.record = 0  # depth of the values that stand together

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2].lower()
        self.leaf = True
        if not self.path:
            self.root = name
            self.language = attributes.get(_XML_LANG) or attributes.get("lang") or ""
        if len(self.path) >= self.limits.element_depth:
            raise LimitExceeded(f"Elements are nested more than {self.limits.element_depth} deep.", "Flatten the file.")
        if name not in _INLINE:
            self.flush()
            if self.record > len(self.path) + 1:
                self.record = 0  # a new record begins
        self.path.append(name)
        if name in _SKIPPED:
            self.skipping += 1
        elif name in _ROWS and self.row is None:
            self.row, self.row_depth = [], len(self.path)
        elif name == "outline" and self.row is None:  # OPML keeps its text in an attribute
            self.outline.block(attributes.get("text", ""))

    def data(self, data: str) -> None:
        if not self.skipping:
            self.buffer.append(data)

    def end(self, _tag: str) -> None:
        name = self.path[-1]
        if name not in _INLINE or len(self.path) == 1:
            self.flush()
        self.leaf = False
        self.path.pop()
        if name in _SKIPPED:
            self.skipping -= 1
        elif self.row is not None and len(self.path) < self.row_depth:
            row, self.row = self.row, None
            self.outline.line(" | ".join(row))

    def close(self) -> None:
        self.flush()

    def flush(self) -> None:
        """What was collected since the last boundary becomes a block, a heading or a cell."""
        text = " ".join("".join(self.buffer).split())
        self.buffer.clear()
        if not text:
            return
        if self.row is not None:
            self.row.append(text)
        elif self.path and self.path[-1] in _TITLES and not _ASIDE.intersection(self.path):
            self.outline.heading(max(1, sum(part in _SECTIONS for part in self.path)), text)
            self.title = self.title or text
        elif self.leaf and len(text) <= _SHORT and self.root not in _DOCUMENTS and self.path[-1] not in _PROSE:
            named = f"{self.path[-1]}: {text}"
            if self.record == len(self.path):
                self.outline.line(named)
            else:
                self.outline.block(named)
            self.record = len(self.path)
        else:
            self.outline.block(text)
