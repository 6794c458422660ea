"""OpenDocument text and presentations: headings, numbered lists, tables as rows, notes; slides as pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ...types import Blob, MetadataValue, Page, ParsedDocument
from ..limits import ReadLimits
from .outline import Outline
from .package import Package, Properties

_TEXT = "application/vnd.oasis.opendocument.text"
_SLIDES = "application/vnd.oasis.opendocument.presentation"
_SKIPPED = frozenset(
    [
        "text:tracked-changes",
        "text:table-of-content",
        "text:alphabetical-index",
        "text:illustration-index",
        "text:table-index",
        "text:sequence-decls",
        "office:forms",
        "office:scripts",
        "office:font-face-decls",
        "office:styles",
        "office:master-styles",
        "office:settings",
        "presentation:settings",
        "text:note-citation",
        "text:ruby-text",
        "office:annotation",
    ]
)
_MAX_REPEAT = 64


@dataclass(slots=True)
class _Table:
    rows: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    cell: list[str] | None = None
    repeat: int = 1


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    level: int = 0
    title: bool = False


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile."""
    package = Package(blob, limits, "OpenDocument")
    if "content.xml" not in package:
        raise DamagedFile("The OpenDocument file has no content.", "Open it in LibreOffice and save it again.")
    manifest = _Manifest()
    package.parse("META-INF/manifest.xml", manifest, doctype=True)
    if manifest.encrypted:
        raise EncryptedFile(
            "The OpenDocument file is encrypted.", "Open it in LibreOffice and save it without a password."
        )
    media_type = package.read("mimetype").decode("ascii", "replace").strip() or _TEXT
    content = _Content(limits)
    package.parse("content.xml", content)
    properties = Properties()
    package.parse("meta.xml", properties)
    text = content.outline.text()
    if not text:
        raise EmptyFile("There is no text in the OpenDocument file.")
    metadata: dict[str, MetadataValue] = dict(properties.metadata())
    pages = content.finished_pages()
    if pages:
        metadata["pages"] = len(pages)
    return ParsedDocument(
        text,
        properties.values.get("dc:title", "") or content.title,
        _SLIDES if "presentation" in media_type else _TEXT,
        properties.language,
        pages,
        tuple(content.outline.headings),
        metadata,
    )


class _Manifest:
    def __init__(self) -> None:
        self.encrypted = False

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        self.encrypted = self.encrypted or name == "manifest:encryption-data"

    def end(self, name: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


class _Content:
    """content.xml as an outline. A note follows the paragraph that refers to it."""

    def __init__(self, limits: ReadLimits) -> None:
        self.outline = Outline()
        self.title = ""
        self._limit = limits.text_characters
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._lists: list[list[int | bool]] = []  # per open list: number of the item, numbered?, bullet due?
        self._note: list[str] | None = None
        self._notes: list[str] = []
        self._skipped = 0
        self._styles: dict[str, bool] = {}  # list style → numbered on its first level
        self._style = ""
        self._parents: dict[str, str] = {}  # automatic paragraph style → the named style it comes from
        self._frame = ""
        self._in_notes = 0
        self._slides: list[tuple[int, str]] = []
        self._last_was_item = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped or name in _SKIPPED:
            self._skipped += 1
        elif name in ("text:p", "text:h"):
            self._start_paragraph(name, attributes)
        elif name in ("text:s", "text:tab", "text:line-break"):
            self._space(name, attributes)
        elif name == "style:style":
            self._parents[attributes.get("style:name", "")] = attributes.get("style:parent-style-name", "")
        elif name == "text:list-style":
            self._style = attributes.get("style:name", "")
        elif name in ("text:list-level-style-number", "text:list-level-style-bullet") and self._style:
            self._styles.setdefault(self._style, name.endswith("number") and bool(attributes.get("style:num-format")))
        elif name == "text:list":
            outer = self._lists[-1][1] if self._lists else False
            style = attributes.get("text:style-name", "")
            self._lists.append([0, self._styles.get(style, bool(outer)), False])
        elif name == "text:list-item" and self._lists:
            self._lists[-1][0] = int(self._lists[-1][0]) + 1
            self._lists[-1][2] = True
        elif name == "text:note-body":
            self._note = []
        elif name == "table:table":
            self._tables.append(_Table())
        elif name == "table:table-row" and self._tables:
            self._tables[-1].cells = []
        elif name in ("table:table-cell", "table:covered-table-cell") and self._tables:
            repeat = attributes.get("table:number-columns-repeated", "1")
            self._tables[-1].repeat = min(int(repeat), _MAX_REPEAT) if repeat.isdigit() and len(repeat) < 6 else 1
            self._tables[-1].cell = []
        elif name == "draw:page":
            self._slides.append((-1, attributes.get("draw:name", "")))
        elif name == "draw:frame":
            self._frame = attributes.get("presentation:class", "")
        elif name == "presentation:notes":
            self._in_notes += 1

    def _start_paragraph(self, name: str, attributes: dict[str, str]) -> None:
        level = attributes.get("text:outline-level", "1")
        style = attributes.get("text:style-name", "")
        style = self._parents.get(style) or style
        heading = int(level) if name == "text:h" and level.isdigit() and len(level) < 3 else 0
        slide_title = bool(self._slides) and self._frame == "title" and not self._in_notes
        self._paragraphs.append(_Paragraph(level=1 if slide_title else heading, title=style in ("Title", "Titel")))

    def _space(self, name: str, attributes: dict[str, str]) -> None:
        if self._paragraphs:
            count = attributes.get("text:c", "1")
            spaces = " " * (int(count) if count.isdigit() and len(count) < 3 else 1)
            self._paragraphs[-1].text.append({"text:s": spaces, "text:tab": "\t"}.get(name, "\n"))

    def data(self, text: str) -> None:
        if self._paragraphs and not self._skipped:
            self._paragraphs[-1].text.append(text)

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name in ("text:p", "text:h") and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "text:list" and self._lists:
            self._lists.pop()
        elif name == "text:list-style":
            self._style = ""
        elif name == "text:note-body":
            if self._note:
                self._notes.append(f"[{' '.join(' '.join(self._note).split())}]")
            self._note = None
        elif name in ("table:table-cell", "table:covered-table-cell") and self._tables:
            table = self._tables[-1]
            text = " ".join(" ".join(table.cell or []).split())
            table.cells.extend([text] + [""] * (table.repeat - 1))
            table.cell = None
        elif name == "table:table-row" and self._tables:
            row = "\t".join(self._tables[-1].cells).rstrip("\t")
            if row.strip():
                self._tables[-1].rows.append(row)
        elif name == "table:table" and self._tables:
            self._end_table(self._tables.pop())
        elif name == "draw:frame":
            self._frame = ""
        elif name == "presentation:notes":
            self._in_notes -= 1

    def _end_table(self, table: _Table) -> None:
        outer = self._tables[-1].cell if self._tables else None
        if outer is not None:
            outer.append("; ".join(row.replace("\t", ", ") for row in table.rows))
        elif table.rows:
            self._block("\n".join(table.rows))

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).strip()
        if self._note is not None:
            self._note.append(text)
            return
        cell = self._tables[-1].cell if self._tables else None
        if cell is not None:
            cell.append(text)
            cell.extend(self._notes)
            self._notes = []
            return
        if not text:
            return
        if paragraph.title:
            self.title = self.title or " ".join(text.split())
        item = bool(self._lists) and not paragraph.level and not (self._slides and self._frame == "title")
        if paragraph.level:
            self._mark_slide()
            self.outline.heading(paragraph.level, text)
        elif item:
            self._item(text)
        else:
            self._block(text)
        self._last_was_item = item
        for note in self._notes:
            self.outline.line(note)
        self._notes = []

    def _item(self, text: str) -> None:
        number, numbered, due = self._lists[-1]
        mark = ("  " * (len(self._lists) - 1) + (f"{number}. " if numbered else "• ")) if due else ""
        self._lists[-1][2] = False
        if self._last_was_item:
            self._mark_slide()
            self.outline.line(mark + text)
            self._check()
        else:
            self._block(mark + text)

    def _block(self, text: str) -> None:
        self._mark_slide()
        self.outline.block(text)
        self._check()

    def _check(self) -> None:
        if self.outline.length > self._limit:
            raise LimitExceeded(
                f"The OpenDocument file has more than {self._limit:,} characters.",
                "Split it, or raise ingest.text_characters.",
            )

    def _mark_slide(self) -> None:
        """The first text of a slide begins its page, after the blank line that Outline puts before a block."""
        for i in range(len(self._slides) - 1, -1, -1):
            if self._slides[i][0] >= 0:
                break
            begin = self.outline.length + (2 if self.outline.length else 0)
            self._slides[i] = (begin, self._slides[i][1])
            self._last_was_item = False

    def finished_pages(self) -> tuple[Page, ...]:
        end = self.outline.length
        starts = [begin if begin >= 0 else end for begin, _ in self._slides] + [end]
        return tuple(Page(i + 1, starts[i], max(starts[i], starts[i + 1])) for i in range(len(self._slides)))
