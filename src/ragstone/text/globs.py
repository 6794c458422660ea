"""Path patterns: `*` and `?` stay inside a folder, `**` crosses folders, `[abc]` is one of these characters.

A pattern that begins with `/` (or names a scheme, as `mail://…`) is about the whole path; any other fits from any
folder on, as `*.md` or `manuals/**`. A pattern without wildcards also fits everything inside what it names: a
folder's files, an archive's members. Matching takes time proportional to pattern times path, whatever the pattern.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache

_MAGIC = re.compile(r"[*?\[]")
_INSIDE_ARCHIVE = re.compile(r"!(?=/)")

Segment = Callable[[str], object]


def has_magic(pattern: str) -> bool:
    return _MAGIC.search(pattern) is not None


@lru_cache(maxsize=256)
def path_matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a path (or uri) fits the pattern."""
    anchored = pattern.startswith("/") or "://" in pattern
    parts = [part for part in _split(pattern) if part != "."]
    if pattern.endswith("/") or not has_magic(pattern):
        parts = [*(parts[:-1] if pattern.endswith("/") else parts), "**"]
    if not anchored:
        parts = ["**", *parts]
    segments = [None if part == "**" else _segment(part) for part in parts]
    return lambda path: _fits(segments, _split(path))


def _split(path: str) -> list[str]:
    """Segments; the `!` that ends an archive's name in "archive.zip!/member" belongs to none."""
    return _INSIDE_ARCHIVE.sub("", path).split("/")


def _segment(pattern: str) -> Segment:
    if not has_magic(pattern):
        return pattern.__eq__
    return re.compile(fnmatch.translate(pattern)).match


def _fits(segments: list[Segment | None], path: list[str]) -> bool:
    """Two pointers; after a mismatch only the last `**` takes one more segment, which suffices because anything an
    earlier `**` could take, the last one can take as well."""
    at = place = 0
    star = resume = -1
    while place < len(path):
        segment = segments[at] if at < len(segments) else _nothing
        if segment is None:
            star, resume = at, place
            at += 1
        elif segment(path[place]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return all(segment is None for segment in segments[at:])


def _nothing(_segment: str) -> bool:
    return False
