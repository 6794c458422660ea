"""JSON and JSON Lines as `path: value` lines, so that a value is found together with the keys that lead to it."""

from __future__ import annotations

import json

import msgspec

from ...errors import DamagedFile, LimitExceeded
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .text import decode, tidy

_TITLES = ("title", "name", "titel", "subject", "headline", "label")
_MAX_HEADINGS = 100_000


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    source, _ = decode(blob.data)
    stripped = source.strip()
    try:
        value = _load(stripped)
    except ValueError as whole:
        try:
            return _read_lines(stripped, limits)
        except ValueError:
            raise DamagedFile(f"It is not valid JSON ({whole}).", "Check the file with a JSON validator.") from whole
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return _records(value, "application/json", limits)
    lines: list[str] = []
    _lines("", value, lines, limits)
    title = _title(value)
    return ParsedDocument("\n".join(lines), title, "application/json", metadata=_language(value))


def _read_lines(source: str, limits: ReadLimits) -> ParsedDocument:
    """Raises ValueError when a line is not JSON (the last may be cut off)."""
    rows = [line for line in source.split("\n") if line.strip()]
    values = []
    for number, row in enumerate(rows):
        try:
            values.append(_load(row))
        except ValueError:
            if number == 0 or number < len(rows) - 1:
                raise
    return _records(values, "application/x-ndjson", limits)


def _load(source: str) -> object:
    """Raises ValueError for what is not JSON, LimitExceeded for nesting that neither parser follows. msgspec is
    strict and fast; the standard parser also takes NaN, which many writers produce."""
    try:
        return msgspec.json.decode(source.encode("utf-8", "replace"))
    except RecursionError as error:
        raise LimitExceeded("The values are nested too deep.", "Flatten the file.") from error
    except msgspec.DecodeError:
        try:
            return json.loads(source, strict=False)
        except RecursionError as error:
            raise LimitExceeded("The values are nested too deep.", "Flatten the file.") from error


def _records(values: list[object], media_type: str, limits: ReadLimits) -> ParsedDocument:
    """One paragraph per record; a record with a title of its own begins a section."""
    blocks: list[str] = []
    headings: list[Heading] = []
    position = 0
    for value in values:
        lines: list[str] = []
        _lines("", value, lines, limits)
        block = "\n".join(lines)
        if not block:
            continue
        title = _title(value)
        if title and len(headings) < _MAX_HEADINGS:
            headings.append(Heading(1, title, position))
        blocks.append(block)
        position += len(block) + 2
    return ParsedDocument("\n\n".join(blocks), "", media_type, headings=tuple(headings))


def _lines(path: str, value: object, lines: list[str], limits: ReadLimits) -> None:
    """Appends a line for each scalar under `value`. Lists of scalars stand in one line. No recursion."""
    todo: list[tuple[str, object]] = [(path, value)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            if path.count(".") > limits.element_depth:
                raise LimitExceeded(
                    f"The values are nested more than {limits.element_depth} deep.", "Flatten the file."
                )
            todo += [(f"{path}.{k}" if path else str(k), v) for k, v in reversed(value.items())]
        elif isinstance(value, list):
            if all(not isinstance(v, dict | list) for v in value):
                text = ", ".join(_scalar(v) for v in value)
                if text:
                    lines.append(f"{path}: {text}" if path else text)
            else:
                if path.count("[") > limits.element_depth:
                    raise LimitExceeded(
                        f"The values are nested more than {limits.element_depth} deep.", "Flatten the file."
                    )
                todo += [(f"{path}[{i}]", v) for i, v in reversed(list(enumerate(value)))]
        else:
            text = _scalar(value)
            if text:
                lines.append(f"{path}: {text}" if path else text)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return tidy(value) if isinstance(value, str) else str(value)


def _title(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    for key in _TITLES:
        title = value.get(key)
        if isinstance(title, str) and title.strip():
            return title.strip()[:200]
    return ""


def _language(value: object) -> dict[str, MetadataValue]:
    language = value.get("language", value.get("lang")) if isinstance(value, dict) else None
    return {"language": language} if isinstance(language, str) else {}
