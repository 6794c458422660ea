"""Word documents: paragraphs, headings by style and outline level, numbered lists, tables as rows, footnotes.

One pass over `word/document.xml` as events; the memory needed is that of the text. Page headers and footers, deleted
text (tracked changes) and field codes are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...errors import DamagedFile, EmptyFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .outline import Outline
from .package import Package, Properties
from .wordnumbering import Numbering

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
# names as Word writes them, as LibreOffice does, and as style ids of localised versions
_HEADING = re.compile(r"(?:heading|überschrift|berschrift|titre|titolo|encabezado|título|rubrik|kop)\s*([1-9])\b", re.I)
_TITLE = re.compile(r"(?:title|titel|titre|titolo|título)$", re.I)
_OFF = frozenset({"0", "false", "off", "none"})
# bold paragraphs are taken for headings only where there are no real ones and they are short
_BOLD_HEADING = 90


@dataclass(slots=True)
class _Style:
    name: str = ""
    based_on: str = ""
    level: int | None = None
    number_id: str = ""
    number_level: int = 0


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    style: str = ""
    level: int | None = None
    number_id: str | None = None
    number_level: int | None = None
    notes: list[str] = field(default_factory=list)
    bold: int = 0
    length: int = 0


@dataclass(slots=True)
class _Table:
    rows: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    cell: list[str] | None = None
    merged: bool = False


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile."""
    package = Package(blob, limits, "Word")
    main = next((r.target for r in package.relations("") if r.kind == "officeDocument"), "word/document.xml")
    if main not in package:
        raise DamagedFile("The Word file has no document in it.", "Open it in Word and save it again.")
    targets = {r.kind: r.target for r in package.relations(main)}
    styles = _Styles()
    package.parse(targets.get("styles", "word/styles.xml"), styles)
    numbering = Numbering()
    package.parse(targets.get("numbering", "word/numbering.xml"), numbering)
    notes: dict[str, str] = {}
    for kind in ("footnotes", "endnotes"):
        if kind in targets:
            handler = _Notes(styles, kind[0], limits)
            package.parse(targets[kind], handler)
            notes.update(handler.notes)
    body = _Body(styles, numbering, notes, limits)
    package.parse(main, body)
    properties = Properties()
    core = next((r.target for r in package.relations("") if r.kind == "core-properties"), "docProps/core.xml")
    package.parse(core, properties)
    text, headings = body.finish()
    if not text:
        raise EmptyFile("There is no text in the Word file.")
    metadata: dict[str, MetadataValue] = dict(properties.metadata())
    title = properties.values.get("dc:title", "") or body.title
    return ParsedDocument(text, title, MEDIA_TYPE, "", (), headings, metadata)


class _Styles:
    """styles.xml: which styles are headings, and of what level."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        self._open: _Style | None = None
        self.default = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("w:val", "")
        if name == "w:style":
            self._open = self._styles.setdefault(attributes.get("w:styleId", ""), _Style())
            if attributes.get("w:type") == "paragraph" and attributes.get("w:default") in ("1", "true", "on"):
                self.default = attributes.get("w:styleId", "")
        elif self._open is None:
            return
        elif name == "w:name":
            self._open.name = value
        elif name == "w:basedOn":
            self._open.based_on = value
        elif name == "w:outlineLvl" and value.isdigit():
            self._open.level = int(value)
        elif name == "w:numId":
            self._open.number_id = value
        elif name == "w:ilvl" and value.isdigit():
            self._open.number_level = int(value)

    def end(self, name: str) -> None:
        if name == "w:style":
            self._open = None

    def data(self, text: str) -> None:
        pass

    def _chain(self, style_id: str) -> list[_Style]:
        chain: list[_Style] = []
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            chain.append(self._styles[style_id])
            style_id = chain[-1].based_on
        return chain

    def level(self, style_id: str) -> int | None:
        """Heading level from 1; None for other paragraphs."""
        for style in self._chain(style_id):
            if style.level is not None:
                return style.level + 1 if style.level < 9 else None
            match = _HEADING.match(style.name)
            if match:
                return int(match[1])
        match = _HEADING.match(style_id)
        return int(match[1]) if match else None

    def is_title(self, style_id: str) -> bool:
        return any(_TITLE.match(s.name) for s in self._chain(style_id)) or bool(_TITLE.match(style_id))

    def numbering(self, style_id: str) -> tuple[str, int]:
        for style in self._chain(style_id):
            if style.number_id:
                return style.number_id, style.number_level
        return "", 0


class _Story:
    """Paragraphs and tables of one part. `take` gets every finished block outside of tables."""

    def __init__(self, styles: _Styles, limits: ReadLimits) -> None:
        self._styles = styles
        self._limit = limits.text_characters
        self._characters = 0
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._in_text = self._in_properties = self._bold = False
        self._skipped = 0

    def take(self, paragraph: _Paragraph) -> None:
        raise NotImplementedError

    def take_table(self, rows: list[str]) -> None:
        raise NotImplementedError

    def prefix(self, paragraph: _Paragraph) -> str:  # noqa: ARG002 - only the body numbers its paragraphs
        return ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped or name in ("mc:Fallback", "w:del", "w:moveFrom"):
            self._skipped += 1
            return
        if name == "w:p":
            self._paragraphs.append(_Paragraph())
        elif name == "w:tbl":
            self._tables.append(_Table())
        elif name in ("w:tc", "w:tr") and self._tables:
            table = self._tables[-1]
            if name == "w:tc":
                table.cell, table.merged = [], False
            else:
                table.cells = []
        elif name == "w:vMerge" and self._tables:
            self._tables[-1].merged = attributes.get("w:val", "continue") == "continue"
        elif self._paragraphs:
            self._inside(name, attributes, self._paragraphs[-1])

    def _inside(self, name: str, attributes: dict[str, str], paragraph: _Paragraph) -> None:
        value = attributes.get("w:val", "")
        if name in ("w:t", "m:t"):
            self._in_text = True
        elif name == "w:r":
            self._bold = False
        elif name == "w:b":
            self._bold = value not in _OFF
        elif name == "w:pPr":
            self._in_properties = True
        elif name in ("w:tab", "w:ptab") and not self._in_properties:
            paragraph.text.append("\t")
        elif name in ("w:br", "w:cr"):
            paragraph.text.append("\n")
        elif name == "w:noBreakHyphen":
            paragraph.text.append("-")
        elif name == "w:pStyle":
            paragraph.style = value
        elif name == "w:outlineLvl" and value.isdigit():
            paragraph.level = int(value) + 1 if int(value) < 9 else 0
        elif name == "w:numId":
            paragraph.number_id = value
        elif name == "w:ilvl" and value.isdigit():
            paragraph.number_level = int(value)
        elif name in ("w:footnoteReference", "w:endnoteReference"):
            paragraph.notes.append(name[2] + attributes.get("w:id", ""))

    def data(self, text: str) -> None:
        if self._in_text and self._paragraphs and not self._skipped:
            paragraph = self._paragraphs[-1]
            paragraph.text.append(text)
            paragraph.length += len(text)
            paragraph.bold += len(text) if self._bold else 0
            self._characters += len(text)
            if self._characters > self._limit:
                raise LimitExceeded(
                    f"The Word file has more than {self._limit:,} characters.",
                    "Split it, or raise ingest.text_characters.",
                )

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name in ("w:t", "m:t"):
            self._in_text = False
        elif name == "w:pPr":
            self._in_properties = False
        elif name == "w:p" and self._paragraphs:
            paragraph = self._paragraphs.pop()
            cell = self._tables[-1].cell if self._tables else None
            if cell is None:
                self.take(paragraph)
            else:
                cell.append((self.prefix(paragraph) + "".join(paragraph.text)).strip())
                cell.extend(self.note(n) for n in paragraph.notes)
        elif name in ("w:tc", "w:tr", "w:tbl") and self._tables:
            self._end_of_table(name, self._tables[-1])

    def note(self, key: str) -> str:  # noqa: ARG002 - notes have no notes
        return ""

    def _end_of_table(self, name: str, table: _Table) -> None:
        if name == "w:tc":
            cell = "" if table.merged else " ".join(" ".join(filter(None, table.cell or [])).split())
            table.cells.append(cell)
            table.cell = None
        elif name == "w:tr":
            row = "\t".join(table.cells).rstrip("\t")
            if row.strip():
                table.rows.append(row)
        else:
            self._tables.pop()
            outer = self._tables[-1].cell if self._tables else None
            if outer is not None:
                outer.append("; ".join(row.replace("\t", ", ") for row in table.rows))
            else:
                self.take_table(table.rows)


class _Notes(_Story):
    """footnotes.xml or endnotes.xml as text by "f" or "e" and id."""

    def __init__(self, styles: _Styles, kind: str, limits: ReadLimits) -> None:
        super().__init__(styles, limits)
        self._kind = kind
        self._id = ""
        self.notes: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("w:footnote", "w:endnote"):
            self._id = "" if "w:type" in attributes else self._kind + attributes.get("w:id", "")
        super().start(name, attributes)

    def take(self, paragraph: _Paragraph) -> None:
        text = " ".join("".join(paragraph.text).split())
        if self._id and text:
            self.notes[self._id] = f"{self.notes[self._id]} {text}" if self._id in self.notes else text

    def take_table(self, rows: list[str]) -> None:
        if self._id and rows:
            self.notes[self._id] = " ".join([self.notes.get(self._id, ""), *rows]).strip()


class _Body(_Story):
    """document.xml as an outline. A note follows the paragraph that refers to it."""

    def __init__(self, styles: _Styles, numbering: Numbering, notes: dict[str, str], limits: ReadLimits) -> None:
        super().__init__(styles, limits)
        self._numbering = numbering
        self._notes = notes
        self._blocks: list[tuple[int, str]] = []  # level: 0 text, -1 list item, -2 bold paragraph, else heading
        self.title = ""

    def prefix(self, paragraph: _Paragraph) -> str:
        style_id, style_level = self._styles.numbering(paragraph.style or self._styles.default)
        number_id = paragraph.number_id if paragraph.number_id is not None else style_id
        level = paragraph.number_level if paragraph.number_level is not None else style_level
        return self._numbering.next(number_id, level) if number_id and number_id != "0" else ""

    def note(self, key: str) -> str:
        note = self._notes.get(key, "")
        return f"[{note}]" if note else ""

    def take(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).strip()
        if not text:
            return
        level = paragraph.level if paragraph.level is not None else self._styles.level(paragraph.style)
        if paragraph.style and self._styles.is_title(paragraph.style):
            self.title = self.title or " ".join(text.split())
        number = self.prefix(paragraph)
        if level:
            self._blocks.append((min(level, 9), number + " ".join(text.split())))
        elif number:
            self._blocks.append((-1, number + text))
        else:
            strong = paragraph.bold >= 0.95 * paragraph.length and len(text) <= _BOLD_HEADING and text[-1] not in ".,;"
            self._blocks.append((-2 if strong else 0, text))
        self._blocks.extend((-1, note) for note in map(self.note, paragraph.notes) if note)

    def take_table(self, rows: list[str]) -> None:
        if rows:
            self._blocks.append((0, "\n".join(rows)))

    def finish(self) -> tuple[str, tuple[Heading, ...]]:
        outline = Outline()
        real = any(level > 0 for level, _ in self._blocks)
        strong = sum(level == -2 for level, _ in self._blocks)
        by_weight = not real and 0 < strong <= 0.4 * len(self._blocks)
        previous = 0
        for i, (level, text) in enumerate(self._blocks):
            following = self._blocks[i + 1][0] if i + 1 < len(self._blocks) else -2
            if level > 0:
                outline.heading(level, text)
            elif by_weight and level == -2 and following != -2 and sum(c.isalpha() for c in text) > 2:
                outline.heading(1, text)
            elif level == -1 and previous == -1:
                outline.line(text)
            else:
                outline.block(text)
            previous = level
        return outline.text(), tuple(outline.headings)
