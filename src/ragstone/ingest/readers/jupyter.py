"""Jupyter notebooks: the cells in order, text outputs included, pictures left out."""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import DamagedFile
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .html import read_html
from .markdown import markdown_headings
from .outline import Outline
from .text import decode, tidy


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    try:
        notebook = msgspec.json.decode(decode(blob.data)[0])
    except msgspec.DecodeError as error:
        raise DamagedFile(f"It is not a notebook: {error}.", "Open it in Jupyter and save it again.") from error
    cells = _cells(notebook)
    language = _path(notebook, "metadata", "language_info", "name") or _path(
        notebook, "metadata", "kernelspec", "language"
    )
    outline = Outline()
    headings: list[Heading] = []
    for cell in cells:
        kind = cell.get("cell_type")
        source = tidy(_joined(cell.get("source", cell.get("input"))))
        body = source.strip("\n").rstrip()
        if kind == "code":
            outline.block(f"```{language}\n{body}\n```" if body.strip() else "")
            for output in cell.get("outputs") or ():
                if isinstance(output, dict):
                    outline.block(_output(output, limits))
        elif kind in ("markdown", "heading", "raw") and body.strip():
            if kind == "heading":
                body = "#" * int(cell.get("level") or 1) + " " + body
            start = outline.block(body)
            headings += [Heading(h.level, h.title, start + h.start) for h in markdown_headings(body)]
    title = _path(notebook, "metadata", "title") or next((h.title for h in headings), "")
    metadata: dict[str, MetadataValue] = {"programming_language": language} if language else {}
    return ParsedDocument(
        text=outline.text(),
        title=title,
        media_type="application/x-ipynb+json",
        headings=tuple(headings),
        metadata=metadata,
    )


def _cells(notebook: Any) -> list[dict[str, Any]]:
    if isinstance(notebook, dict):
        cells = notebook.get("cells")
        if not isinstance(cells, list):  # format 3
            cells = [c for w in notebook.get("worksheets") or () if isinstance(w, dict) for c in w.get("cells") or ()]
        if cells or "nbformat" in notebook:
            return [cell for cell in cells if isinstance(cell, dict)]
    raise DamagedFile("It is JSON, but not a notebook: there are no cells.", "Name it .json to read it as data.")


def _path(value: Any, *keys: str) -> str:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _joined(value: Any) -> str:
    """Notebooks store text as a string or as a list of lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _output(output: dict[str, Any], limits: ReadLimits) -> str:
    if output.get("output_type") == "error":
        return tidy(f"{output.get('ename', '')}: {output.get('evalue', '')}")
    data = output.get("data")
    if not isinstance(data, dict):
        return tidy(_joined(output.get("text")))
    if "text/markdown" in data:
        return tidy(_joined(data["text/markdown"]))
    if "text/html" in data:  # tables: the plain form cuts their columns
        return read_html(tidy(_joined(data["text/html"])), limits).text
    return tidy(_joined(data.get("text/plain")))
