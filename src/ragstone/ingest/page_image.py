"""Pictures of pages of a PDF, and where on them a text stands. Runs in a parser worker (sandbox.py) as reading does."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pypdfium2.raw as raw

from ..types import Blob
from .frames import PageImage, Result
from .limits import ReadLimits
from .readers.pdf import open_document

TASK: Final = "ragstone.ingest.page_image:draw"
MOST_PIXELS: Final = 8_000_000
"""Of one picture: 24 MB while it is made."""
MOST_RECTANGLES: Final = 500
_LEFT_OUT: Final = re.compile(r"[\s\u00ad\ufffe\u2010-]+")
"""What the reader's text and the page's own may differ in: white space, and hyphens at the ends of lines."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    limits: ReadLimits


class PageRequest(msgspec.Struct, frozen=True):
    """`page` counts from 1. `width` in pixels; 0: no picture. `text`: what is looked for on the page."""

    page: int
    width: int = 0
    text: str = ""


def wanted(request: PageRequest, data: bytes) -> Blob:
    """What `draw` is given: the request travels as the name of the document."""
    return Blob(msgspec.json.encode(request).decode(), data)


def draw(blob: Blob, options: PageOptions) -> list[Result]:
    """Raises ReadError for what cannot be opened."""
    request = msgspec.json.decode(blob.uri, type=PageRequest)
    with open_document(blob.data, options.limits) as document:
        page = document[request.page - 1]
        width, height = page.get_size()
        if not (width > 0 and height > 0 and math.isfinite(width * height)):
            width, height = 595.0, 842.0
        png, across, down = b"", 0, 0
        if request.width:
            scale = min((request.width - 0.01) / width, math.sqrt(MOST_PIXELS / (width * height)))
            # pixels are rounded up
            bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False, may_draw_forms=False)
            across, down = bitmap.width, bitmap.height
            png = _png(bytes(bitmap.buffer), across, down, bitmap.stride, bitmap.n_channels)
        rectangles = list(_rectangles(page, request.text)) if request.text else []
    return [PageImage(blob.uri, png, across, down, rectangles)]


def _png(pixels: bytes, width: int, height: int, stride: int, channels: int) -> bytes:
    """Grey or RGB, 8 bits (PNG specification, 2nd edition, 11.2)."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + pixels[y * stride : y * stride + width * channels] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _rectangles(page: Any, text: str) -> Iterator[tuple[float, float, float, float]]:
    """One for each line that the text stands on: left, top, right, bottom as shares of the page as it is shown. Nothing
    where the page does not have the text in this order."""
    textpage = page.get_textpage()
    try:
        count = textpage.count_chars()
        letters, places = [], []
        for place in range(count):
            letter = _LEFT_OUT.sub("", chr(raw.FPDFText_GetUnicode(textpage.raw, place) or 0x20)).casefold()
            letters.append(letter)
            places += [place] * len(letter)
        looked = _LEFT_OUT.sub("", text).casefold()
        start = "".join(letters).find(looked) if looked else -1
        if start < 0:
            return
        boxes = (textpage.get_charbox(place) for place in dict.fromkeys(places[start : start + len(looked)]))
        for number, (left, bottom, right, top) in enumerate(_lines(boxes)):
            if number >= MOST_RECTANGLES:
                return
            yield _shown(page, left, bottom, right, top)
    finally:
        textpage.close()


def _lines(boxes: Iterator[tuple[float, float, float, float]]) -> Iterator[tuple[float, float, float, float]]:
    """Boxes of characters that follow each other on a line, as one."""
    held: tuple[float, float, float, float] | None = None
    for box in boxes:
        left, bottom, right, top = box
        if held is not None and bottom < held[3] and top > held[1] and left >= held[0]:
            held = (held[0], min(held[1], bottom), max(held[2], right), max(held[3], top))
            continue
        if held is not None:
            yield held
        held = box
    if held is not None:
        yield held


def _shown(page: Any, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
    """From the page's own points to shares of the picture, which may be turned."""
    x0, y0, x1, y1 = page.get_cropbox()
    across, down = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    corners = [((x - x0) / across, (y1 - y) / down) for x, y in ((left, top), (right, bottom))]
    for _ in range(page.get_rotation() // 90):
        corners = [(1 - y, x) for x, y in corners]
    xs, ys = sorted(min(1.0, max(0.0, c[0])) for c in corners), sorted(min(1.0, max(0.0, c[1])) for c in corners)
    return xs[0], ys[0], xs[1], ys[1]

