"""Bytes in, plain text with positions out. One module per family of formats, imported when first needed.

Every reader module has `read(blob, limits) -> ParsedDocument` and raises errors of errors.ReadError; whatever else
a parser throws at hostile bytes is mapped here, at the edge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

from ...errors import DamagedFile, EmptyFile, LimitExceeded, ReadError
from ...types import Blob, Heading, Metadata, Page, ParsedDocument
from ..limits import ReadLimits
from .registry import Format, choose

_ARCHIVE = "zip_"
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_NAME = 1_000


def read(blob: Blob, limits: ReadLimits) -> list[tuple[str, ParsedDocument | ReadError]]:
    """One entry per document: a single one, or one per member of an archive (`archive.zip!/inner/name`). Errors are
    returned, not raised, so that one bad member does not hide the others."""
    results: list[tuple[str, ParsedDocument | ReadError]] = []
    _read_into(results, blob, limits, depth=0)
    return results


def _read_into(
    results: list[tuple[str, ParsedDocument | ReadError]], blob: Blob, limits: ReadLimits, depth: int
) -> None:
    try:
        kind = _choose(blob, limits)
        if kind.module != _ARCHIVE:
            results.append((blob.uri, read_as(kind, blob, limits)))
            return
        if depth >= limits.archive_depth:
            raise LimitExceeded(
                f"Archives are nested more than {limits.archive_depth} deep.",
                "Unpack the inner archive, or raise ingest.archive_depth.",
            )
        before = len(results)
        for uri, member in _members(blob, limits):
            _read_into(results, replace(member, uri=uri), limits, depth + 1)
        if len(results) == before:
            raise EmptyFile("The archive holds no files.")
    except ReadError as error:
        results.append((blob.uri, error))


def _choose(blob: Blob, limits: ReadLimits) -> Format:
    if not blob.data:
        raise EmptyFile("The file is empty (0 bytes).")
    if len(blob.data) > limits.file_bytes:
        raise LimitExceeded(
            f"The file has {len(blob.data):,} bytes; the limit is {limits.file_bytes:,}.",
            "Split it, or raise ingest.file_bytes.",
        )
    return choose(blob)


def read_as(kind: Format, blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """Reads `blob` with the reader of `kind`. Raises ReadError only."""
    with _Edge(kind.name):
        reader = import_module(f"{__name__}.{kind.module}")
        parsed: ParsedDocument = reader.read(blob, limits)
        return _checked(parsed, limits)


def _members(blob: Blob, limits: ReadLimits) -> Iterator[tuple[str, Blob]]:
    with _Edge("archive"):
        yield from import_module(f"{__name__}.{_ARCHIVE}").read_members(blob, limits)


class _Edge:
    """Maps what parsers raise on bad bytes to the errors of this project."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, ReadError) or not isinstance(error, Exception):
            return
        if isinstance(error, MemoryError):
            raise LimitExceeded(
                f"Reading this {self.kind} file takes more memory than a worker may use.",
                "Split the file, or raise ingest.memory_bytes.",
            ) from error
        if isinstance(error, RecursionError):
            raise LimitExceeded(f"This {self.kind} file is nested too deep.", "Flatten or split the file.") from error
        raise DamagedFile(
            f"This {self.kind} file could not be read ({type(error).__name__}: {str(error)[:200]}).",
            "Open it in its own program and save it again.",
        ) from error


def _checked(parsed: ParsedDocument, limits: ReadLimits) -> ParsedDocument:
    if len(parsed.text) > limits.text_characters:
        raise LimitExceeded(
            f"The text has {len(parsed.text):,} characters; the limit is {limits.text_characters:,}.",
            "Split the file, or raise ingest.text_characters.",
        )
    if not parsed.text or parsed.text.isspace():
        raise EmptyFile("There is no text in it.")
    return replace(
        parsed,
        text=_encodable(parsed.text),
        title=_line(parsed.title),
        headings=tuple(Heading(h.level, _line(h.title), h.start) for h in parsed.headings),
        pages=tuple(Page(p.number, p.start, p.end, _line(p.label)) for p in parsed.pages),
        metadata=_plain(parsed.metadata),
    )


def _encodable(text: str) -> str:
    """Lone surrogates and NULs, which neither UTF-8 nor SQLite take, become U+FFFD; offsets stay."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def _line(text: str) -> str:
    return _encodable(" ".join(text.split())[:_MAX_NAME])


def _plain(metadata: Metadata) -> Metadata:
    return {_encodable(key): _encodable(value) if isinstance(value, str) else value for key, value in metadata.items()}
