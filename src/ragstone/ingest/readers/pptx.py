"""Presentations: a slide is a page, its title a heading; text by position, tables as rows, then the speaker's notes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import DamagedFile, EmptyFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, Page, ParsedDocument
from ..limits import ReadLimits
from .package import Package, Properties

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
# placeholders that repeat on every slide
_FURNITURE = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})
# English Metric Units: shapes whose tops differ by less than this (0.5 cm) stand side by side
_BAND = 180_000


@dataclass(slots=True)
class _Shape:
    """`kind` is the type of placeholder, "" for others; `x`, `y` in EMU, None where the layout places it."""

    kind: str = ""
    x: int | None = None
    y: int | None = None
    lines: list[str] = field(default_factory=list)


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile."""
    package = Package(blob, limits, "PowerPoint")
    main = next((r.target for r in package.relations("") if r.kind == "officeDocument"), "ppt/presentation.xml")
    order = _SlideOrder()
    if not package.parse(main, order):
        raise DamagedFile("The PowerPoint file has no presentation in it.", "Open it in PowerPoint and save it again.")
    targets = {r.id: r.target for r in package.relations(main)}
    slides = [targets[i] for i in order.ids if i in targets]
    if len(slides) > limits.pdf_pages:
        raise LimitExceeded(
            f"The presentation has {len(slides):,} slides; the limit is {limits.pdf_pages:,}.",
            "Split it, or raise ingest.pdf_pages.",
        )
    parts: list[str] = []
    pages: list[Page] = []
    headings: list[Heading] = []
    length = 0
    for number, slide in enumerate(slides, 1):
        title, text = _slide(package, slide, limits)
        start = length
        if title:
            headings.append(Heading(1, title, start))
            text = f"{title}\n\n{text}" if text else title
        if text:
            text += "\n\n"
        parts.append(text)
        length += len(text)
        pages.append(Page(number, start, length))
        if length > limits.text_characters:
            raise LimitExceeded(
                f"The presentation has more than {limits.text_characters:,} characters.",
                "Split it, or raise ingest.text_characters.",
            )
    text = "".join(parts)
    if not text.strip():
        raise EmptyFile("There is no text on the slides.", "Text in pictures is not read.")
    properties = Properties()
    core = next((r.target for r in package.relations("") if r.kind == "core-properties"), "docProps/core.xml")
    package.parse(core, properties)
    metadata: dict[str, MetadataValue] = {**properties.metadata(), "pages": len(slides)}
    title = properties.values.get("dc:title", "")
    if not title or title.lower().startswith(("powerpoint", "präsentation", "presentation")):
        title = headings[0].title if headings and headings[0].start == 0 else ""
    return ParsedDocument(text, title, MEDIA_TYPE, "", tuple(pages), tuple(headings), metadata)


def _slide(package: Package, slide: str, limits: ReadLimits) -> tuple[str, str]:
    """(title, the rest of the text with the notes)."""
    drawing = _Drawing(limits)
    package.parse(slide, drawing)
    title = ""
    blocks: list[str] = []
    for shape in _in_reading_order(drawing.shapes):
        if shape.kind in ("title", "ctrTitle") and not title:
            title = " ".join(" ".join(shape.lines).split())
        elif shape.kind not in _FURNITURE:
            blocks.append("\n".join(shape.lines))
    for relation in package.relations(slide):
        if relation.kind == "notesSlide":
            notes = _Drawing(limits)
            package.parse(relation.target, notes)
            blocks.extend("\n".join(s.lines) for s in notes.shapes if s.kind not in _FURNITURE)
        elif relation.kind == "chart":
            chart = _Chart()
            package.parse(relation.target, chart)
            blocks.append("\n".join(chart.lines()))
        elif relation.kind == "diagramData":
            diagram = _Drawing(limits)
            package.parse(relation.target, diagram)
            blocks.append("\n".join(diagram.loose))
    return title, "\n\n".join(b for b in blocks if b.strip())


def _in_reading_order(shapes: list[_Shape]) -> list[_Shape]:
    """Titles, then placed shapes by rows from the top; those that the layout places keep their order and come first,
    as they are the slide's main text."""
    titles = [s for s in shapes if s.kind in ("title", "ctrTitle")]
    rest = [s for s in shapes if s.kind not in ("title", "ctrTitle")]
    placed = sorted((s for s in rest if s.y is not None), key=lambda s: s.y or 0)
    rows: list[list[_Shape]] = []
    for shape in placed:
        if rows and (shape.y or 0) - (rows[-1][0].y or 0) < _BAND:
            rows[-1].append(shape)
        else:
            rows.append([shape])
    return [
        *titles,
        *(s for s in rest if s.y is None),
        *(s for row in rows for s in sorted(row, key=lambda s: s.x or 0)),
    ]


class _SlideOrder:
    """presentation.xml: relation ids of the slides in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "p:sldId":
            self.ids.append(attributes.get("r:id", ""))

    def end(self, name: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


class _Chart:
    """Title and series of a chart, a series per line with its categories and values."""

    def __init__(self) -> None:
        self._open: list[str] | None = None
        self._part = ""
        self._title: list[str] = []
        self._series: list[dict[str, list[str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        if name == "c:ser":
            self._series.append({})
        elif name in ("c:tx", "c:cat", "c:val", "c:xVal", "c:yVal"):
            self._part = name
        elif name in ("c:v", "a:t"):
            self._open = []

    def data(self, text: str) -> None:
        if self._open is not None:
            self._open.append(text)

    def end(self, name: str) -> None:
        if name in ("c:v", "a:t") and self._open is not None:
            value = " ".join("".join(self._open).split())
            if self._series and name == "c:v":
                self._series[-1].setdefault(self._part, []).append(value)
            elif name == "a:t" and not self._series:
                self._title.append(value)
            self._open = None

    def lines(self) -> list[str]:
        result = [" ".join(filter(None, self._title))]
        for series in self._series:
            names = series.get("c:cat") or series.get("c:xVal") or []
            values = series.get("c:val") or series.get("c:yVal") or []
            pairs = [f"{n} {v}" for n, v in zip(names, values, strict=False)] or values
            result.append(": ".join(filter(None, (" ".join(series.get("c:tx", [])), ", ".join(pairs)))))
        return [line for line in result if line]


class _Drawing:
    """Shapes of a slide, of its notes, or the text of a diagram (`loose`: paragraphs outside of shapes)."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limit = limits.text_characters
        self._characters = 0
        self.shapes: list[_Shape] = []
        self.loose: list[str] = []
        self._open: list[_Shape] = []
        self._groups: list[tuple[int, int] | None] = []
        self._text: list[str] = []
        self._cells: list[str] | None = None
        self._cell: list[str] | None = None
        self._level = 0
        self._in_text = False
        self._skipped = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped or name == "mc:Fallback":
            self._skipped += 1
        elif name in ("p:sp", "p:graphicFrame"):
            self._open.append(_Shape())
        elif name == "p:grpSp":
            self._groups.append(None)
        elif name == "p:ph" and self._open:
            self._open[-1].kind = attributes.get("type", "body")
        elif name == "a:off":
            self._place(attributes)
        elif name == "a:p":
            self._text, self._level = [], 0
        elif name == "a:pPr":
            level = attributes.get("lvl", "0")
            self._level = int(level) if level.isdigit() and len(level) == 1 else 0
        elif name == "a:t":
            self._in_text = True
        elif name == "a:br":
            self._text.append("\n")
        elif name == "a:tab":
            self._text.append("\t")
        elif name == "a:tr":
            self._cells = []
        elif name == "a:tc":
            self._cell = []

    def _place(self, attributes: dict[str, str]) -> None:
        try:
            x, y = int(attributes.get("x", "")), int(attributes.get("y", ""))
        except ValueError:
            return
        if self._open:
            if self._open[-1].y is None:
                group = next((g for g in reversed(self._groups) if g is not None), None)
                # inside of a group, coordinates are the group's own: the group's place decides
                self._open[-1].x, self._open[-1].y = group or (x, y)
        elif self._groups and self._groups[-1] is None:
            outer = next((g for g in reversed(self._groups) if g is not None), None)
            self._groups[-1] = outer or (x, y)

    def data(self, text: str) -> None:
        if self._in_text and not self._skipped:
            self._text.append(text)
            self._characters += len(text)
            if self._characters > self._limit:
                raise LimitExceeded(
                    f"A slide has more than {self._limit:,} characters.", "Raise ingest.text_characters."
                )

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name == "a:t":
            self._in_text = False
        elif name == "a:p":
            self._paragraph("".join(self._text).strip())
        elif name == "a:tc" and self._cells is not None:
            self._cells.append(" ".join(" ".join(self._cell or []).split()))
            self._cell = None
        elif name == "a:tr" and self._cells is not None:
            if self._open and any(self._cells):
                self._open[-1].lines.append("\t".join(self._cells).rstrip("\t"))
            self._cells = None
        elif name in ("p:sp", "p:graphicFrame") and self._open:
            shape = self._open.pop()
            if shape.lines:
                self.shapes.append(shape)
        elif name == "p:grpSp" and self._groups:
            self._groups.pop()

    def _paragraph(self, text: str) -> None:
        if not text:
            return
        if self._cell is not None:
            self._cell.append(text)
        elif self._open:
            self._open[-1].lines.append("  " * self._level + text)
        else:
            self.loose.append(text)
