"""What repeats on the pages of a PDF, and what its headings are.

Both need the whole document: running heads and page numbers are known by repeating at one place, headings by standing
out from the size that most of the text has. An outline (bookmarks), where there is one, knows the headings better.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...types import Heading
from .pdf_layout import Block
from .pdf_page import Segment

# share of the page's height at top and bottom where running heads are looked for
_MARGIN = 0.12
_NUMBER_MARGIN = 0.2
_REPEATS = 3
_MAX_HEADING = 160
_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:seite|page|blatt|s\.|p\.)\s*)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:/|von|of|-)\s*\d{1,4})?\W*", re.I
)
_DIGITS = re.compile(r"\d+")
_NUMBERED = re.compile(r"(?:\d{1,2}\.){0,5}\d{1,2}\.?(?=\s)|[A-Z]\.\d{1,2}(?:\.\d{1,2})*(?=\s)")
_NUMBER_PREFIX = re.compile(
    r"^(?:(?:kapitel|chapter|abschnitt|section|anhang|appendix|teil|part)\s+)?[\divxlcA-Z]{0,4}(?:[.\d]*)[.:)]?\s+",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the outline. `y` is where it points to on the page, from the top, None if unknown."""

    level: int
    title: str
    page: int
    y: float | None


@dataclass(slots=True)
class Placed:
    """A block with its place in the document's text. `page` counts from 0."""

    block: Block
    page: int
    start: int


def running_lines(pages: Sequence[tuple[float, Sequence[Segment]]]) -> list[set[int]]:
    """For each page (height, segments) the indexes of running heads, feet and page numbers. The first page that has
    a running head keeps it; page numbers go everywhere."""
    keys: list[dict[int, tuple[int, str]]] = []
    seen: dict[tuple[int, str], list[int]] = {}
    for number, (height, segments) in enumerate(pages):
        found: dict[int, tuple[int, str]] = {}
        for i in _outermost(height, segments):
            s = segments[i]
            found[i] = (round(s.y / 4), _DIGITS.sub("#", s.text).lower())
        keys.append(found)
        for key in set(found.values()):
            for d in (-1, 0, 1):
                seen.setdefault((key[0] + d, key[1]), []).append(number)
    kept: set[tuple[int, str]] = set()
    result: list[set[int]] = []
    for (height, segments), found in zip(pages, keys, strict=True):
        drop: set[int] = set()
        for i, (row, text) in found.items():
            if len(pages) > 1 and _PAGE_NUMBER.fullmatch(segments[i].text) and _at_edge(segments[i], height, segments):
                drop.add(i)
            elif _is_running(seen[row, text]):
                if ("#" in text and len(text) < 12) or text in {t for _, t in kept}:
                    drop.add(i)
                else:
                    kept.add((row, text))
        result.append(drop if len(drop) < len(segments) else set())  # never all that a page has
    return result


def _is_running(numbers: Sequence[int]) -> bool:
    """On at least every third page of the part of the document where it stands."""
    return len(numbers) >= _REPEATS and 3 * len(numbers) >= numbers[-1] - numbers[0] + 1


def _outermost(height: float, segments: Sequence[Segment]) -> Iterable[int]:
    """Indexes of the segments on the two outermost lines of either margin."""
    for top in (True, False):
        edge = _MARGIN * height if top else (1 - _MARGIN) * height
        inside = [i for i, s in enumerate(segments) if (s.y < edge if top else s.y > edge)]
        lines = sorted({round(segments[i].y) for i in inside}, reverse=not top)[:3]
        yield from (i for i in inside if round(segments[i].y) in lines)
    if segments:
        last = max(range(len(segments)), key=lambda i: segments[i].y)
        if (1 - _NUMBER_MARGIN) * height < segments[last].y <= (1 - _MARGIN) * height:
            yield last


def _at_edge(segment: Segment, height: float, segments: Sequence[Segment]) -> bool:
    """Nothing but its own line is further out."""
    if segment.y < height / 2:
        return all(s.y > segment.y - 0.5 * segment.size for s in segments)
    return all(s.y < segment.y + 0.5 * segment.size for s in segments)


def headings(placed: Sequence[Placed], outline: Sequence[Bookmark]) -> tuple[Heading, ...]:
    """From the outline where most of its entries are found in the text, else from fonts."""
    if len(outline) >= 2:
        found, matched = _from_outline(placed, outline)
        if matched >= 0.5 * len(outline):
            return tuple(found)
    return tuple(_from_fonts(placed))


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text).lower() if c.isalnum())


def _from_outline(placed: Sequence[Placed], outline: Sequence[Bookmark]) -> tuple[list[Heading], int]:
    by_page: dict[int, list[Placed]] = {}
    for p in placed:
        by_page.setdefault(p.page, []).append(p)
    found: list[Heading] = []
    matched = 0
    for mark in outline:
        title = " ".join(mark.title.split())[:_MAX_HEADING]
        here = by_page.get(mark.page, [])
        if not title or not here:
            continue
        place = _find(here, title) or _find(by_page.get(mark.page + 1, []), title)
        matched += place is not None
        if place is None and mark.y is not None:
            place = next((p for p in here if p.block.y >= mark.y - 2), None)
        found.append(Heading(min(mark.level + 1, 6), title, (place or here[0]).start))
    found.sort(key=lambda h: h.start)
    return _distinct(found), matched


def _find(here: Sequence[Placed], title: str) -> Placed | None:
    exact, bare = _plain(title), _plain(_NUMBER_PREFIX.sub("", title))
    for p in here:
        text = _plain(p.block.text[: len(title) + 40])
        if text and text in (exact, bare):
            return p
    for p in here:
        text = _plain(p.block.text[: len(title) + 40])
        if len(bare) > 3 and text.endswith(bare) and len(p.block.text) < len(title) + 24:
            return p
    return next((p for p in here if len(exact) > 5 and _plain(p.block.text[:200]).startswith(exact)), None)


def _distinct(found: list[Heading]) -> list[Heading]:
    """Several at one place: the last (innermost) would hide the others, so each keeps its order but only one of
    equal titles."""
    result: list[Heading] = []
    for h in found:
        if not (result and result[-1].start == h.start and result[-1].title == h.title):
            result.append(h)
    return result


def _from_fonts(placed: Sequence[Placed]) -> list[Heading]:
    sizes: Counter[float] = Counter()
    bold = total = 0
    for p in placed:
        length = len(p.block.text)
        sizes[round(p.block.size * 2) / 2] += length
        bold += length if p.block.bold else 0
        total += length
    if not total:
        return []
    body = sizes.most_common(1)[0][0]
    may_be_bold = bold < 0.3 * total
    chosen = [p for i, p in enumerate(placed) if _looks_like_heading(placed, i, body, may_be_bold)]
    if len(chosen) > max(6, 0.4 * len(placed)):  # a form or a slide deck: everything stands out
        chosen = [p for p in chosen if p.block.size > 1.3 * body]
    levels = _levels([p.block.size for p in chosen], body)
    return [Heading(_level(p.block, levels), " ".join(p.block.text.split())[:_MAX_HEADING], p.start) for p in chosen]


def _looks_like_heading(placed: Sequence[Placed], index: int, body: float, may_be_bold: bool) -> bool:
    block = placed[index].block
    text = block.text
    larger = block.size >= 1.12 * body + 0.2
    if not (larger or (may_be_bold and block.bold and block.size >= 0.97 * body)):
        return False
    if len(text) > _MAX_HEADING or block.lines > 4 or block.mono:
        return False
    numbered = bool(_NUMBERED.match(text.replace("\t", " ")))
    letters = sum(c.isalpha() for c in text)
    if block.cells > (2 if numbered else 1) or letters < max(2, 0.4 * len(text.replace(" ", ""))):
        return False
    if text[-1] in ".,;" and not larger:
        return False
    if "...." in text or ". . . ." in text:
        return False
    following = placed[index + 1].block if index + 1 < len(placed) else None
    if not larger and (following is None or (following.bold and following.close)):
        return False  # bold lines in a row, or at the end: emphasis
    return larger or numbered or len(text) < 100


def _levels(sizes: Iterable[float], body: float) -> list[float]:
    """Distinct heading sizes, largest first; sizes within 6 % are one."""
    result: list[float] = []
    for size in sorted(sizes, reverse=True):
        if not result or size < result[-1] * 0.94:
            result.append(size)
    return [s for s in result if s > body * 1.05][:5]


def _level(block: Block, levels: Sequence[float]) -> int:
    for level, size in enumerate(levels, 1):
        if block.size > size * 0.94:
            return level
    return min(6, len(levels) + 1)
