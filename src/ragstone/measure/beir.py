"""Reads BEIR-format folders: corpus and queries as JSON lines, judgments as tab-separated lines, gzipped or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DamagedFile, InputError, NotFound


@dataclass(frozen=True, slots=True)
class Record:
    """A document or a question: `id`, `title` ("" for questions), `text`."""

    id: str
    title: str
    text: str


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) of a text file, gzipped or not (told by its first bytes). Raises NotFound, DamagedFile."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DamagedFile(f"{path} cannot be read: {error}") from error


def records(path: Path) -> Iterator[Record]:
    """Records of a JSON-lines file; the id is `_id` or `id`. Raises NotFound, DamagedFile."""
    for number, line in lines(path):
        try:
            item: dict[str, Any] = json.loads(line)
            identity = item["_id"] if "_id" in item else item["id"]
            text = item["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(
                f"{path}, line {number} is not a record: {wrong(error)}.", "Each line is an object with id and text."
            ) from error
        yield Record(str(identity), str(item.get("title") or ""), str(text or ""))


def wrong(error: Exception) -> str:
    """What a reader of JSON lines found, in words."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def judgments(path: Path) -> dict[str, dict[str, int]]:
    """query id → document id → grade. Lines of 3 fields (query, document, grade, with or without a header) or of
    4 as TREC writes them (query, iteration, document, grade). Raises NotFound, DamagedFile."""
    table: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) == 4:
            fields = [fields[0], fields[2], fields[3]]
        try:
            query, document, grade = fields
            value = int(float(grade))
        except ValueError:
            if number == 1:
                continue
            raise DamagedFile(f"{path}, line {number}: expected query, document and grade.") from None
        table.setdefault(query, {})[document] = value
    if not table:
        raise DamagedFile(f"{path} has no judgments.")
    return table


def locate(folder: Path, given: Path | None, kind: str, patterns: tuple[str, ...]) -> Path:
    """`given` (relative to the working directory or else to the folder), or the only file that fits a pattern."""
    if given is not None:
        for candidate in (given, folder / given):
            if candidate.is_file():
                return candidate
        raise NotFound(f"{given} does not exist.", f"Give the {kind} file's path.")
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder.", "Give a folder with a corpus, queries and judgments.")
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(p.name for p in found)
            raise InputError(f"{folder} has several {kind} files: {names}.", f"Choose one with --{kind}.")
    raise NotFound(f"{folder} has no {kind} file.", f"Name one with --{kind}.")
