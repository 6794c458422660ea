"""One PDF page as positioned segments of text.

PDFium keeps a flat list of characters per page. Asking for each one through the usual wrapper costs about a
microsecond a call and several calls a character; here the library's functions are bound once with plain integer
arguments and driven by `map`, so that a page of 3,000 characters costs about 2 ms with all positions.

Coordinates are turned upright: x runs along the page's main writing direction, y runs down the page, in points.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pypdfium2.raw as pdfium

LINE_HYPHENS = "\ufffe\x02"
_TOKEN = re.compile(rf"[^\s{LINE_HYPHENS}]+")
# a horizontal gap wider than this many times the font size separates columns or table cells, not words
_CELL_GAP = 1.6
# text smaller than this (points) in white or transparent is there to be found by machines only
_HIDDEN_SIZE = 4.0
_MONOSPACED = re.compile(r"mono|courier|consol|typewriter|cmtt|sftt|inconsol|menlo|fixed|lucidacons", re.I)
_BOLD = re.compile(r"bold|black|heavy|semibd|demi|cmbx|sfbx|cmssbx|-bd\b|medi$", re.I)
_DIACRITIC = {"¨": {"a": "ä", "o": "ö", "u": "ü", "A": "Ä", "O": "Ö", "U": "Ü"}}
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_SPLIT_UMLAUT = re.compile(r"¨ ?([aouAOU])")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xad": None}
    | {c: None for c in range(32) if c not in (9, 10)}
    | {"\u200b": None, "\ufeff": None}
)


def _bind(function: Any, result: Any, *arguments: Any) -> Any:
    """The same C function with plain integers for handles and addresses (pointer objects cost most of a call)."""
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_P, _I = ctypes.c_void_p, ctypes.c_int
_loose_box = _bind(pdfium.FPDFText_GetLooseCharBox, _I, _P, _I, _P)
_origin = _bind(pdfium.FPDFText_GetCharOrigin, _I, _P, _I, _P, _P)
_text_object = _bind(pdfium.FPDFText_GetTextObject, _P, _P, _I)
_unicode = _bind(pdfium.FPDFText_GetUnicode, ctypes.c_uint, _P, _I)
_matrix = _bind(pdfium.FPDFText_GetMatrix, _I, _P, _I, _P)
_char_size = _bind(pdfium.FPDFText_GetFontSize, ctypes.c_double, _P, _I)
_object_font = _bind(pdfium.FPDFTextObj_GetFont, _P, _P)
_render_mode = _bind(pdfium.FPDFTextObj_GetTextRenderMode, _I, _P)
_fill_color = _bind(pdfium.FPDFPageObj_GetFillColor, _I, _P, _P, _P, _P, _P)
_font_flags = _bind(pdfium.FPDFFont_GetFlags, _I, _P)
_font_name = _bind(pdfium.FPDFFont_GetBaseFontName, ctypes.c_size_t, _P, _P, ctypes.c_size_t)


_Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Segment:
    """A run of words on one line without a gap that separates cells. `y` is the baseline; `size` the font size as
    drawn; `first_width` the width of the first word; `hyphen` says that the line ends inside a word."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    mono: bool
    first_width: float
    hyphen: bool = False


@dataclass(slots=True)
class PageText:
    """`segments` in the order of the page's content; `strays` run in another direction (stamps, side notes).
    `height` is the page's extent along y, and y of a segment lies in [0, height] unless it overflows the page.
    `hidden` counts characters that a reader of the page does not see, `unmapped` those whose font does not say which
    letter they are."""

    segments: list[Segment]
    strays: list[Segment]
    width: float
    height: float
    hidden: int = 0
    unmapped: int = 0


@dataclass(slots=True)
class _Style:
    size: float
    bold: bool
    mono: bool
    turn: int
    hidden: bool


@dataclass(slots=True)
class _Word:
    start: int
    end: int
    style: _Style
    breaks: bool
    hyphen: bool


class PageReader:
    """Reads the pages of one document. Holds what is learnt of its fonts."""

    def __init__(self) -> None:
        self._fonts: dict[int, tuple[bool, bool]] = {}

    def read(self, page: Any) -> PageText:
        """`page` is a pypdfium2 PdfPage; nothing of it is kept."""
        textpage = page.get_textpage()
        try:
            left, bottom, right, top = page.get_bbox()
            return self._read(ctypes.cast(textpage.raw, _P).value or 0, (left, bottom, right, top))
        finally:
            textpage.close()

    def _read(self, handle: int, box: _Box) -> PageText:
        count = max(0, pdfium.FPDFText_CountChars(ctypes.cast(handle, pdfium.FPDF_TEXTPAGE)))
        text = _characters(handle, count)
        words = list(self._words(handle, text))
        turns = Counter[int]()
        for word in words:
            turns[word.style.turn] += word.end - word.start
        turn = turns.most_common(1)[0][0] if turns else 0
        x_low, y_low, x_high, y_high = _turned_box(box, turn)
        page = PageText([], [], x_high - x_low, y_high - y_low)
        boxes = _boxes(handle, words)
        for segment, same_way in _segments(words, text, boxes, turn, page):
            segment.x0 -= x_low
            segment.x1 -= x_low
            segment.y -= y_low
            if same_way:
                # beside the page: the other half of a spread. Below it: tables that ran over, which are read
                aside = segment.x1 < -2 or segment.x0 > page.width + 2
                if aside or not -2 <= segment.y <= page.height + segment.size:
                    page.hidden += len(segment.text)
                if aside:
                    continue
            if segment.text:
                (page.segments if same_way else page.strays).append(segment)
        return page

    def _words(self, handle: int, text: str) -> Iterator[_Word]:
        spans = [m.span() for m in _TOKEN.finditer(text)]
        objects = list(map(_text_object, repeat(handle), [s for s, _ in spans]))
        styles: dict[int, _Style] = {}
        last = 0
        for (start, end), key in zip(spans, objects, strict=True):
            style = styles.get(key or 0)
            if style is None:
                style = styles[key or 0] = self._style(handle, start, key)
            between = text[last:start]
            hyphen = between != "" and between[0] in LINE_HYPHENS
            yield _Word(start, end, style, "\n" in between or "\r" in between, hyphen)
            last = end

    def _style(self, handle: int, index: int, key: int | None) -> _Style:
        matrix = (ctypes.c_float * 6)(1, 0, 0, 1, 0, 0)
        _matrix(handle, index, ctypes.addressof(matrix))
        a, b, c, d = matrix[0], matrix[1], matrix[2], matrix[3]
        size = abs(_char_size(handle, index)) * (math.hypot(c, d) or math.hypot(a, b) or 1.0)
        angle = math.atan2(b, a)
        turn = round(angle / (math.pi / 2)) % 4
        if abs(angle / (math.pi / 2) - round(angle / (math.pi / 2))) > 0.12:
            turn = 4 + int(math.degrees(angle)) % 360  # slanted: a direction of its own
        bold, mono = self._font(_object_font(key) or 0) if key else (False, False)
        return _Style(size, bold, mono, turn, bool(key) and size < _HIDDEN_SIZE and _invisible(key))

    def _font(self, font: int) -> tuple[bool, bool]:
        known = self._fonts.get(font)
        if known is None and font:
            buffer = ctypes.create_string_buffer(256)
            _font_name(font, ctypes.addressof(buffer), 256)
            name = buffer.value.decode("utf-8", "replace")
            flags = _font_flags(font)
            bold = bool(_BOLD.search(name)) or bool(flags > 0 and flags & 1 << 18)
            mono = bool(_MONOSPACED.search(name)) or bool(flags > 0 and flags & 1)
            known = self._fonts[font] = (bold, mono)
        return known or (False, False)

    def forget_page(self) -> None:
        """Font handles may be used again for another font after a page is closed."""
        self._fonts.clear()


def _invisible(key: int | None) -> bool:
    """White or transparent fill. Render mode 3 (no paint) is the text layer of a scan and stays."""
    if _render_mode(key) == 3:
        return False
    rgba = (ctypes.c_uint * 4)()
    base = ctypes.addressof(rgba)
    if not _fill_color(key, base, base + 4, base + 8, base + 12):
        return False
    return rgba[3] == 0 or min(rgba[0], rgba[1], rgba[2]) >= 250


def _characters(handle: int, count: int) -> str:
    """Exactly `count` characters, so that string index = PDFium's index. Unmapped ones are U+FFFD."""
    if not count:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(ctypes.cast(handle, pdfium.FPDF_TEXTPAGE), 0, count, buffer)
    text = bytes(memoryview(buffer).cast("B"))[: 2 * max(0, written - 1)].decode("utf-16-le", "replace")
    if len(text) == count and "\0" not in text:
        return text
    codes = map(_unicode, repeat(handle), range(count))
    return "".join(chr(c) if 0 < c < 0x110000 and not 0xD800 <= c < 0xE000 else "\ufffd" for c in codes)


def _boxes(handle: int, words: list[_Word]) -> list[tuple[float, float, _Box]]:
    """(x and y of the first origin, (left, bottom, right, top) as the hull of first and last character)."""
    n = len(words)
    origins, firsts, lasts = (ctypes.c_double * (2 * n))(), (ctypes.c_float * (4 * n))(), (ctypes.c_float * (4 * n))()
    starts, ends = [w.start for w in words], [w.end - 1 for w in words]
    at = ctypes.addressof(origins)
    for _ in map(_origin, repeat(handle), starts, range(at, at + 16 * n, 16), range(at + 8, at + 8 + 16 * n, 16)):
        pass
    for indexes, array in ((starts, firsts), (ends, lasts)):
        at = ctypes.addressof(array)
        for _ in map(_loose_box, repeat(handle), indexes, range(at, at + 16 * n, 16)):
            pass
    o, f, e = list(origins), list(firsts), list(lasts)
    result = []
    for i in range(n):
        j = 4 * i
        xs = (f[j], f[j + 2], e[j], e[j + 2])
        ys = (f[j + 1], f[j + 3], e[j + 1], e[j + 3])
        result.append((o[2 * i], o[2 * i + 1], (min(xs), min(ys), max(xs), max(ys))))
    return result


def _turned_box(box: _Box, turn: int) -> _Box:
    """(x_low, y_low, x_high, y_high) after turning text that runs in direction `turn` (quarter turns) upright."""
    left, bottom, right, top = box
    if turn == 1:
        return bottom, left, top, right
    if turn == 2:
        return -right, bottom, -left, top
    if turn == 3:
        return -top, -right, -bottom, -left
    return left, -top, right, -bottom


def _segments(
    words: list[_Word], text: str, boxes: list[tuple[float, float, _Box]], turn: int, page: PageText
) -> Iterator[tuple[Segment, bool]]:
    """Words joined to segments; the flag says whether the segment runs in direction `turn`."""
    current: Segment | None = None
    style: _Style | None = None
    pieces: list[str] = []
    sizes: dict[float, int] = {}
    for word, (ox, oy, hull) in zip(words, boxes, strict=True):
        if word.style.hidden:
            page.hidden += word.end - word.start
            continue
        piece = text[word.start : word.end]
        page.unmapped += piece.count("\ufffd")
        way = word.style.turn if word.style.turn < 4 else turn
        x0, _, x1, _ = _turned_box(hull, way)
        y = (-oy, ox, oy, -ox)[way] if way < 4 else -oy
        size = word.style.size or 1.0
        if current is not None and style is not None:
            same_way = style.turn == word.style.turn and not word.hyphen
            if same_way and _goes_on(current, pieces[-1], word, piece, x0, x1, y):
                if word.breaks and x0 - current.x1 < 0.12 * size and not _RIGHT_TO_LEFT.search(piece):
                    pieces[-1] += piece
                else:
                    pieces.append(piece)
                current.x0, current.x1 = min(current.x0, x0), max(current.x1, x1)
                current.bold = current.bold and word.style.bold
                current.mono = current.mono and word.style.mono
                sizes[size] = sizes.get(size, 0) + len(piece)
                current.size = max(sizes, key=sizes.__getitem__) if len(sizes) > 1 else size
                continue
            current.hyphen = word.hyphen
            yield _finished(current, pieces), style.turn == turn
        current = Segment("", x0, x1, y, size, word.style.bold, word.style.mono, x1 - x0)
        style, pieces, sizes = word.style, [piece], {size: len(piece)}
    if current is not None and style is not None:
        yield _finished(current, pieces), style.turn == turn


def _goes_on(current: Segment, last: str, word: _Word, piece: str, x0: float, x1: float, y: float) -> bool:
    """Whether a word at x0..x1 on baseline y continues a segment whose last word is `last`."""
    size = word.style.size or 1.0
    gap = max(x0 - current.x1, current.x0 - x1)  # to the right, or to the left as in Arabic
    if _RIGHT_TO_LEFT.search(piece) or _RIGHT_TO_LEFT.search(last):
        # the hull of a word in two directions is that of its first and last letter only
        return -size < gap < 3 * size and abs(y - current.y) < 0.3 * size
    if word.breaks:  # after raised or lowered characters PDFium sees a new line where there is none
        return -0.3 * size < x0 - current.x1 < 0.6 * size and abs(y - current.y) < 0.2 * size
    return -size < gap < _CELL_GAP * size and abs(y - current.y) < 0.6 * max(size, current.size)


def _finished(segment: Segment, pieces: list[str]) -> Segment:
    text = " ".join(pieces)
    if "¨" in text:
        text = _SPLIT_UMLAUT.sub(lambda m: _DIACRITIC["¨"][m[1]], text)
    segment.hyphen = segment.hyphen or text.endswith("\xad")
    segment.text = text.translate(_LIGATURES).strip()
    return segment
