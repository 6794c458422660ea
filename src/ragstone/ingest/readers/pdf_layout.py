"""Reading order and paragraphs of a PDF page.

A page's content stream is in reading order for nearly every producer, also inside of tables (cell by cell), so it is
kept wherever it is plausible. It is not where it jumps back up into what was written (headers drawn last, frames in
any order, labels first and values later) or runs across columns line by line; then geometry decides: flows are sorted
as wholes, or the page is cut at its column gutter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import pairwise
from statistics import median

from .pdf_page import Segment

# a table row whose cells are longer than this is text in columns
_CELL_LINES, _CELL_CHARS = 10, 600
# segments of at least so many characters side by side are lines of text, not cells
_PROSE = 28
_BIN = 2.0
_ITEM = re.compile(r"(?:[•◦▪■□●○◆☐☑☒\uf000-\uf0ff‣⁃∙·–—*►➢✓✔❖-]|\(?(?:\d{1,3}|[a-zA-Z])[.)])(?=\s|$)")
# German (and English) words that continue a list of compounds: "Ein- und Ausgang" keeps its hyphen
_LAST_WORD, _FIRST_WORD = re.compile(r"[^\W\d_]+$"), re.compile(r"[^\W\d_]+")
_CONJUNCTION = re.compile(r"(?:und|oder|bzw|sowie|als|bis|noch|aber|and|or|to)\b")


@dataclass(slots=True)
class Block:
    """A paragraph, list item or table row (`cells` > 1; cells are separated by tabs). `close` says that it follows
    the block before it without a gap. `y` is its first baseline."""

    text: str
    size: float
    bold: bool
    mono: bool
    y: float
    x0: float
    x1: float
    cells: int = 1
    lines: int = 1
    close: bool = False


def in_reading_order(segments: Sequence[Segment]) -> list[Segment]:
    if len(segments) < 2:
        return list(segments)
    if _runs_across_columns(segments):
        return list(_by_geometry(list(segments), 0))
    flows = _flows(segments)
    if len(flows) == 1:
        return list(segments)
    boxes = [_hull(f) for f in flows]
    clashes = sum(_clash(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 : i + 40])
    if clashes > len(flows) // 4 or len(flows) > 60:
        return list(_by_geometry(list(segments), 0))

    def compare(a: int, b: int) -> int:
        return _before(boxes[a], boxes[b])

    order = sorted(range(len(flows)), key=cmp_to_key(compare))
    return [s for k in order for s in flows[k]]


_Box = tuple[float, float, float, float]


def _hull(segments: Sequence[Segment]) -> _Box:
    return (
        min(s.x0 for s in segments),
        min(s.y - s.size for s in segments),
        max(s.x1 for s in segments),
        max(s.y for s in segments),
    )


def _clash(a: _Box, b: _Box) -> bool:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return False
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return across * down > 0.3 * max(smaller, 1.0)


def _before(a: _Box, b: _Box) -> int:
    """Negative where box a is read first: side by side from the left, else from the top."""
    down = min(a[3], b[3]) - max(a[1], b[1])
    if down > 0.4 * min(a[3] - a[1], b[3] - b[1]) and (a[2] <= b[0] + 4 or b[2] <= a[0] + 4):
        return -1 if a[0] < b[0] else 1
    return -1 if a[1] < b[1] else int(a[1] > b[1])


def _flows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Maximal runs that only move down, or up and to the right (next column, next cell of a row)."""
    flows: list[list[Segment]] = []
    for s in segments:
        if flows:
            last = flows[-1][-1]
            slack = 0.5 * max(s.size, last.size)
            rises = s.y < last.y - slack
            level = not rises and s.y <= last.y + slack
            if not (rises or level) or s.x0 >= last.x0 + 2 * slack:
                flows[-1].append(s)
                continue
        flows.append([s])
    return flows


def _runs_across_columns(segments: Sequence[Segment]) -> bool:
    """Many lines of text follow each other side by side with a gutter between that no line crosses."""
    pairs = [
        (a, b)
        for a, b in pairwise(segments)
        if abs(a.y - b.y) < 0.4 * a.size and b.x0 > a.x1 and min(len(a.text), len(b.text)) >= _PROSE
    ]
    if len(pairs) < 5:
        return False
    gutter = median((a.x1 + b.x0) / 2 for a, b in pairs)
    through = [a for a, b in pairs if a.x1 <= gutter + 4 and b.x0 >= gutter - 4]
    return len(through) >= 0.7 * len(pairs)


def _by_geometry(segments: list[Segment], depth: int) -> Iterator[Segment]:
    gutter = _gutter(segments) if depth < 4 else None
    if gutter is None:
        yield from _by_rows(segments)
        return
    band: list[Segment] = []
    for s in [*sorted(segments, key=lambda s: s.y), None]:
        if s is not None and (s.x1 <= gutter or s.x0 >= gutter):
            band.append(s)
            continue
        if band:
            yield from _by_geometry([b for b in band if b.x1 <= gutter], depth + 1)
            yield from _by_geometry([b for b in band if b.x1 > gutter], depth + 1)
            band = []
        if s is not None:
            yield s


def _gutter(segments: list[Segment]) -> float | None:
    """Middle of the widest vertical strip that few lines cross and that has text of many lines on either side."""
    if len(segments) < 8:
        return None
    low, high = min(s.x0 for s in segments), max(s.x1 for s in segments)
    bins = min(2_000, int((high - low) / _BIN) + 1)
    crossing = [0] * (bins + 1)
    for s in segments:
        crossing[max(0, min(bins, int((s.x0 - low) / _BIN)))] += 1
        crossing[max(0, min(bins, int((s.x1 - low) / _BIN) + 1))] -= 1
    allowed, depth, start = 0.12 * len(segments), 0, -1
    best: tuple[int, float] | None = None
    for i in range(bins):
        depth += crossing[i]
        if depth <= allowed and i < bins - 1:
            start = i if start < 0 else start
            continue
        if start > 0.1 * bins and i < 0.92 * bins:
            middle = low + (start + i) / 2 * _BIN
            left = [s for s in segments if s.x1 <= middle]
            right = [s for s in segments if s.x0 >= middle]
            if _is_column(left) and _is_column(right) and (best is None or i - start > best[0]):
                best = (i - start, middle)
        start = -1
    return best[1] if best else None


def _is_column(segments: list[Segment]) -> bool:
    return len(segments) >= 4 and median(len(s.text) for s in segments) >= _PROSE * 0.6


def _by_rows(segments: list[Segment]) -> Iterator[Segment]:
    row: list[Segment] = []
    for s in sorted(segments, key=lambda s: s.y):
        if row and s.y - row[0].y > 0.45 * max(s.size, row[0].size):
            yield from sorted(row, key=lambda r: r.x0)
            row = []
        row.append(s)
    yield from sorted(row, key=lambda r: r.x0)


def blocks(segments: Sequence[Segment], compounds: frozenset[str] = frozenset()) -> list[Block]:
    """Segments in reading order as paragraphs and table rows. `compounds` are words in lower case that the document
    writes with a hyphen inside of a line; at a line's end they keep it."""
    result: list[Block] = []
    row: list[list[Segment]] = []  # finished cells of the row that is being read
    stack: list[Segment] = []  # lines below each other: a cell if `row`, else running text

    def flush() -> None:
        nonlocal row, stack
        if row:
            result.append(_row([*row, stack], compounds))
        elif stack:
            result.extend(_paragraphs(stack, segments, compounds))
        row, stack = [], []

    for s in segments:
        if not stack:
            stack = [s]
            continue
        last = stack[-1]
        slack = 0.35 * max(s.size, last.size)
        if s.y <= last.y + slack and s.x0 >= min(last.x1, max(c.x1 for c in stack)) - slack:
            cut = next((k for k, c in enumerate(stack) if c.y >= s.y - slack), len(stack) - 1)
            cell = stack[cut:]
            if len(cell) > _CELL_LINES or sum(len(c.text) for c in cell) > _CELL_CHARS:
                flush()
            elif row and not cut:
                row.append(cell)
            else:
                stack = stack[:cut]
                flush()
                row = [cell]
            stack = [s]
            continue
        drop = s.y - last.y
        overlap = min(s.x1, max(c.x1 for c in stack)) - max(s.x0, min(c.x0 for c in stack))
        goes_on = 0 < drop < 1.9 * max(s.size, last.size) and overlap > 0
        if goes_on and (not row or s.x0 >= min(c.x0 for c in stack) - slack):
            stack.append(s)
            continue
        flush()
        stack = [s]
    flush()
    _mark_close(result)
    return result


def _mark_close(result: list[Block]) -> None:
    for above, below in pairwise(result):
        tall = max(above.size, below.size)
        drop = below.y - (above.y + (above.lines - 1) * 1.2 * above.size)
        if above.cells > 1 and below.cells > 1:
            below.close = below.close or 0 < drop < 3 * tall
        elif above.cells > 1 or below.cells > 1:
            below.close = below.close or (0 < drop < 1.7 * tall and abs(above.size - below.size) < 0.5)


def _row(cells: list[list[Segment]], compounds: frozenset[str]) -> Block:
    flat = [s for cell in cells for s in cell]
    texts = []
    for i, cell in enumerate(cells):
        parts = [b.text for b in _paragraphs(cell, cell, compounds)]
        texts.append(("\n" if i == len(cells) - 1 and len(cell) > 4 else " ").join(parts))
    bullet = len(texts) == 2 and _ITEM.fullmatch(texts[0])
    return Block(
        (" " if bullet else "\t").join(texts),
        max(s.size for s in flat),
        all(s.bold for s in flat),
        all(s.mono for s in flat),
        min(s.y for s in flat),
        flat[0].x0,
        max(s.x1 for s in flat),
        1 if bullet else len(cells),
        max(len(c) for c in cells),
    )


def _paragraphs(stack: list[Segment], page: Sequence[Segment], compounds: frozenset[str]) -> list[Block]:
    result: list[Block] = []
    leading = _leading(stack)
    left = min(s.x0 for s in stack)
    # a few lines that are wider than the others ran over the margin
    right = sorted((s.x1 for s in stack), reverse=True)[len(stack) // 8]
    if len(stack) < 3 and page is not stack:
        right = max([right, *(s.x1 for s in page if abs(s.x0 - left) < 2 * s.size)])
    above: Segment | None = None
    for s in stack:
        text = _indented(s, left)
        if above is None or not result:
            result.append(_block(s, text))
        else:
            block = result[-1]
            ends = _ends_line(above, s, right)
            new = s.y - above.y > leading * 1.3 + 0.5 or _restyled(above, s) or (ends and above.mono != s.mono)
            if new or ends:
                result.append(_block(s, text))
                result[-1].close = not new
            else:
                block.text = _joined(block.text, s.text, above.hyphen, compounds)
                block.x0, block.x1 = min(block.x0, s.x0), max(block.x1, s.x1)
                block.bold, block.lines = block.bold and s.bold, block.lines + 1
        above = s
    return result


def _block(s: Segment, text: str) -> Block:
    return Block(text, s.size, s.bold, s.mono, s.y, s.x0, s.x1)


def _leading(stack: list[Segment]) -> float:
    drops = [b.y - a.y for a, b in pairwise(stack) if b.y > a.y]
    return median(drops) if len(drops) > 2 else 1.35 * max(s.size for s in stack)


def _restyled(above: Segment, below: Segment) -> bool:
    if abs(above.size - below.size) > 0.08 * max(above.size, below.size) + 0.2:
        return True
    return above.bold != below.bold


def _ends_line(above: Segment, below: Segment, right: float) -> bool:
    """The line break is the author's: the next word would still have fitted, an item begins, or it is code."""
    if above.hyphen:
        return False
    if (above.mono and below.mono) or _ITEM.match(below.text):
        return True
    space = 0.3 * above.size
    fits = above.x1 + space + below.first_width <= right + 0.1 * above.size
    if fits and below.x0 - above.x0 < -1.5 * above.size and above.x0 > below.x0:
        return False  # a first line that is indented and ragged
    return fits and not (above.text[-1:] == "," and below.text[:1].islower())


def _indented(s: Segment, left: float) -> str:
    """Code keeps its indentation, in spaces."""
    if not s.mono or s.x0 - left < s.size:
        return s.text
    width = (s.x1 - s.x0) / max(1, len(s.text))
    return " " * min(60, round((s.x0 - left) / max(width, 1.0))) + s.text


def _joined(above: str, below: str, hyphen: bool, compounds: frozenset[str]) -> str:
    if not hyphen and not (above.endswith("-") and above[-2:-1].isalpha()):
        return f"{above} {below}"
    stem = above.rstrip("-\xad")
    if not below[:1].islower() or not stem[-1:].isalpha():
        return f"{stem}-{below}"  # SPS-Programm
    if _CONJUNCTION.match(below):
        return f"{stem}- {below}"
    last, first = _LAST_WORD.search(stem), _FIRST_WORD.match(below)
    if last and first and f"{last[0]}-{first[0]}".lower() in compounds:
        return f"{stem}-{below}"  # dual-encoder
    return stem + below
