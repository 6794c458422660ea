"""Tables: XLSX, XLSB, XLS and ODS (through calamine), CSV and TSV with any delimiter and encoding.

A sheet is a page. Where a table has a header row, every row is written as "header: value; header: value", so that a
row that is found alone, in a chunk of its own, still says what its numbers are; other rows are cells between tabs.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import python_calamine as calamine

from ...errors import DamagedFile, EmptyFile, EncryptedFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, Page, ParsedDocument
from ..limits import MIB, ReadLimits
from .package import Package
from .text import decode

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_XLS = "application/vnd.ms-excel"
_DEFAULT_NAME = re.compile(r"(?:sheet|tabelle|feuil|hoja|foglio|blatt|table)\s?\d*$", re.I)
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*\s?[%€$]?$")
_YEAR = re.compile(r"(?:19|20)\d\d$")
_DIMENSION = re.compile(rb'<dimension ref="[A-Z]{1,3}\d+:([A-Z]{1,3})(\d{1,7})"')
# calamine holds the whole rectangle of a sheet; beyond this many cells that alone fills a worker's memory
_MAX_AREA = 8_000_000
_MAX_HEADER = 80


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Raises DamagedFile, EncryptedFile, LimitExceeded, EmptyFile, UnsupportedFormat (binary data named .csv)."""
    if not blob.data:
        raise EmptyFile("The file is empty (0 bytes).")
    if blob.data.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        return _workbook(blob, limits)
    return _delimited(blob, limits)


class _Writer:
    """Rows to text, with the limits counted."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._cells = 0
        self.parts: list[str] = []
        self.length = 0

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)
        if self.length > self._limits.text_characters:
            raise LimitExceeded(
                f"The table has more than {self._limits.text_characters:,} characters.",
                "Split it, or raise ingest.text_characters.",
            )

    def table(self, rows: Iterable[Sequence[Any]]) -> None:
        """Writes rows; an empty row ends a table, and the next one may have its own header."""
        block: list[list[str]] = []
        header: list[str] | None = None
        for row in rows:
            cells = [_cell(v) for v in row]
            filled = sum(1 for c in cells if c)
            self._cells += filled
            if self._cells > self._limits.sheet_cells:
                raise LimitExceeded(
                    f"The table has more than {self._limits.sheet_cells:,} filled cells.",
                    "Split it, or raise ingest.sheet_cells.",
                )
            if header is None and filled:
                block.append(cells)
                if len(block) < 24:
                    continue
            if block:
                header = self._begin(block)
                block = []
                if filled:
                    continue
            if not filled:
                header = None
                if self.parts and not self.parts[-1].endswith("\n\n"):
                    self.write("\n")
            else:
                self.write(_line(cells, header or []))
        if block:
            self._begin(block)

    def _begin(self, block: list[list[str]]) -> list[str]:
        """Writes the first rows of a table; gives its header ([] for none)."""
        at = _header_row(block)
        header = block[at] if at is not None else []
        for i, cells in enumerate(block):
            named = at is not None and i > at
            self.write(_line(cells, header if named else []))
        return header


def _line(cells: Sequence[str], header: Sequence[str]) -> str:
    if not header:
        return "\t".join(cells).strip("\t") + "\n"
    pairs = []
    for i, cell in enumerate(cells):
        if cell:
            name = header[i] if i < len(header) else ""
            pairs.append(f"{name}: {cell}" if name else cell)
    return "; ".join(pairs) + "\n"


def _header_row(block: list[list[str]]) -> int | None:
    """The first row that fills the table's width with distinct short words, with rows below it to name."""
    width = max(sum(1 for c in row if c) for row in block)
    if width < 2:
        return None
    for i, row in enumerate(block[:6]):
        names = [c for c in row if c]
        if len(names) < max(2, 0.7 * width):
            continue
        below = block[i + 1 : i + 9]
        plain = all(map(_is_name, names)) and not _YEAR.match(names[0])
        if not plain or len(set(names)) < len(names) or not below:
            return None
        if len(names) > 2 or any(_NUMBER.match(c) for r in below for c in r[1:] if c):
            return i
        # two columns of words: names of columns, or the first of many pairs of a name and its value
        return i if len(block) > 2 and max(len(n) for n in names) <= 24 else None
    return None


def _is_name(cell: str) -> bool:
    if _YEAR.match(cell):
        return True
    return len(cell) <= _MAX_HEADER and not _NUMBER.match(cell) and any(c.isalpha() for c in cell)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(value.split()) if value else ""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".15g")
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "seconds")
    return str(value)


def _workbook(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    media_type = _XLS
    if blob.data.startswith(b"PK"):
        media_type = _check_package(blob, limits)
    writer = _Writer(limits)
    pages: list[Page] = []
    headings: list[Heading] = []
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(blob.data)) as book:
            visible = [s for s in book.sheets_metadata if s.typ == calamine.SheetTypeEnum.WorkSheet]
            for number, sheet in enumerate(visible, 1):
                start = writer.length
                if not _DEFAULT_NAME.match(sheet.name):
                    headings.append(Heading(1, sheet.name, start))
                    writer.write(sheet.name + "\n\n")
                body = writer.length
                writer.table(book.get_sheet_by_name(sheet.name).iter_rows())
                if writer.length > body:
                    writer.write("\n")
                pages.append(Page(number, start, writer.length, sheet.name))
    except calamine.PasswordError as error:
        raise EncryptedFile(
            "The workbook is encrypted.", "Open it in its own program and save it without a password."
        ) from error
    except calamine.CalamineError as error:
        if "EncryptedPackage".encode("utf-16-le") in blob.data:
            raise EncryptedFile(
                "The workbook is encrypted.", "Open it in its own program and save it without a password."
            ) from error
        raise DamagedFile(
            f"The workbook is damaged ({str(error)[:200]}).", "Open it in its own program and save it again."
        ) from error
    if not _has_rows(pages, headings):
        raise EmptyFile("There is nothing in the cells of the workbook.")
    metadata: dict[str, MetadataValue] = {"pages": len(pages)}
    return ParsedDocument("".join(writer.parts), "", media_type, "", tuple(pages), tuple(headings), metadata)


def _has_rows(pages: list[Page], headings: list[Heading]) -> bool:
    named = {h.start for h in headings}
    return any(p.end - p.start > (len(p.label) + 2 if p.start in named else 0) for p in pages)


def _check_package(blob: Blob, limits: ReadLimits) -> str:
    """calamine unpacks without counting, so this counts before. Gives the media type."""
    package = Package(blob, limits, "spreadsheet")
    for name in package.names:
        if name.endswith((".xml", ".bin")) and name.startswith(("xl/", "content.xml")):
            package.count(name)
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            _check_area(package.head(name, 4096), limits)
    return _ODS if "content.xml" in package else _XLSX


def _check_area(head: bytes, limits: ReadLimits) -> None:
    match = _DIMENSION.search(head)
    if match is None:
        return
    column = 0
    for letter in match[1]:
        column = column * 26 + letter - 64
    if column * int(match[2]) > max(_MAX_AREA, 4 * limits.sheet_cells):
        raise LimitExceeded(
            f"A sheet of the workbook spans {column:,} columns and {int(match[2]):,} rows.",
            "Delete the unused rows and columns (or stray cells far out), and save it again.",
        )


def _delimited(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    text, _ = decode(blob.data)
    if not text.strip():
        raise EmptyFile("There is no text in it.")
    tabs = blob.uri.lower().endswith((".tsv", ".tab"))
    delimiter = "\t" if tabs and "\t" in text[:100_000] else _delimiter(text)
    writer = _Writer(limits)
    try:
        writer.table(_rows(text, delimiter, csv.QUOTE_MINIMAL))
    except csv.Error:
        # a quote that is never closed swallows the rest: quotes are plain characters then
        writer = _Writer(limits)
        writer.table(_rows(text, delimiter, csv.QUOTE_NONE))
    media_type = "text/tab-separated-values" if delimiter == "\t" else "text/csv"
    return ParsedDocument("".join(writer.parts), "", media_type)


def _rows(text: str, delimiter: str, quoting: Any) -> Iterator[list[str]]:
    csv.field_size_limit(10 * MIB)
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=quoting == csv.QUOTE_MINIMAL)


def _delimiter(text: str) -> str:
    """The one that gives most rows the same number of cells, more than one. Excel's "sep=" line decides."""
    if text[:4].lower() == "sep=" and text[4:5]:
        return text[4]
    sample = text[:65_536]
    best, chosen = 0.0, ","
    for delimiter in _DELIMITERS:
        if delimiter not in sample:
            continue
        try:
            widths = [len(r) for r in islice(_rows(sample, delimiter, csv.QUOTE_MINIMAL), 200) if r]
        except csv.Error:
            widths = [line.count(delimiter) + 1 for line in sample.split("\n")[:200] if line]
        common = max(set(widths), key=widths.count) if widths else 1
        score = 0.0 if common < 2 else widths.count(common) / len(widths) + min(common, 20) / 100
        if score > best:
            best, chosen = score, delimiter
    return chosen
