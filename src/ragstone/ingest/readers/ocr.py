"""Text in pictures, with the `ocr` extra (RapidOCR on onnxruntime). Imported and started on first use.

Measured on rendered German and English pages (10 pt, one core): 3 to 4 s a page, 95 to 100 % of the words exact,
umlauts included; 600 MiB resident and 1.1 GiB of address space, which is more than a worker has by default.
"""

from __future__ import annotations

import io
import time
from functools import lru_cache
from importlib.util import find_spec
from statistics import median
from typing import Any

from ...errors import DamagedFile, LimitExceeded, NoTextLayer
from ...types import Blob, Page, ParsedDocument
from ..limits import ReadLimits
from .pdf_layout import blocks, in_reading_order
from .pdf_page import Segment

HINT = (
    "Install the extra (pip install 'ragstone[ocr]') and set ingest.ocr = true, or recognise the text with another "
    "program."
)
# longest side of a page's picture; text is found on a smaller copy and read from this one
_SIDE = 2_000
_DETECTION_SIDE = 1_280
_MAX_PIXELS = 60_000_000
_GOOD = 0.8
_PAGE_SECONDS = 5.0


def available() -> bool:
    return find_spec("rapidocr") is not None


class Budget:
    """Processor time for recognition. A worker is killed at its limit, and the text of all pages would be lost; so no
    page is begun that may not be finished."""

    def __init__(self, limits: ReadLimits) -> None:
        self._end = time.process_time() + 0.9 * limits.cpu_seconds
        self._page = _PAGE_SECONDS
        self.spent = False

    def has_time(self) -> bool:
        self.spent = self.spent or time.process_time() + self._page > self._end
        return not self.spent

    def recognise(self, page: Any) -> list[Segment]:
        """The text of a pypdfium2 page, in reading order, coordinates in points."""
        begin = time.process_time()
        scale = _SIDE / max(*page.get_size(), 1.0)
        bitmap = page.render(scale=scale, prefer_bgrx=True)
        try:
            pixels = bitmap.to_numpy()[..., :3].copy()
        finally:
            bitmap.close()
        segments = recognise(pixels, 1 / scale)
        self._page = max(self._page, 1.2 * (time.process_time() - begin))
        return segments


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    """A picture as a document; pages of a TIFF are pages. Raises NoTextLayer, DamagedFile, LimitExceeded."""
    if not limits.ocr or not available():
        raise NoTextLayer("A picture holds no text.", HINT)
    parts: list[str] = []
    pages: list[Page] = []
    length = 0
    for number, pixels in enumerate(_frames(blob.data, limits), 1):
        text = "\n\n".join(b.text for b in blocks(recognise(pixels, 0.5))) + "\n\n"
        parts.append(text if text.strip() else "")
        pages.append(Page(number, length, length + len(parts[-1])))
        length += len(parts[-1])
    if not length:
        raise NoTextLayer("No text was recognised in the picture.", "Scan it at 300 dpi, upright.")
    return ParsedDocument("".join(parts), "", "image/*", "", tuple(pages))


def _frames(data: bytes, limits: ReadLimits) -> Any:
    import numpy as np
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            for number, frame in enumerate(ImageSequence.Iterator(image)):
                if number >= limits.pdf_pages or frame.width * frame.height > _MAX_PIXELS:
                    raise LimitExceeded(
                        f"The picture has {frame.width} × {frame.height} pixels or too many pages.", "Scale it down."
                    )
                picture = frame.convert("RGB")
                picture.thumbnail((_SIDE, _SIDE))
                yield np.asarray(picture)[..., ::-1].copy()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DamagedFile(f"The picture cannot be read ({error}).", "Save it again as PNG or JPEG.") from error


@lru_cache(maxsize=1)
def _engine() -> Any:
    from rapidocr import RapidOCR

    # the classifier of upside-down lines turns good lines over (2 of 45 on a German page); batches of one line each
    # take half the memory of six, at the same speed
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.max_side_len": 2 * _SIDE,
            "Det.limit_type": "max",
            "Det.limit_side_len": _DETECTION_SIDE,
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def recognise(pixels: Any, scale: float) -> list[Segment]:
    """Lines of text in a picture (uint8[height, width, 3], blue first) in reading order, upright; a picture that lies
    on its side or head is turned. `scale` is points per pixel."""
    import numpy as np

    best, score, lying = _lines(pixels)
    if lying:
        turns: tuple[int, ...] = (1, 3)
        score = 0.0  # single lines were turned upright and read well, but their order is that of a page on its side
    elif best and score < _GOOD:
        turns = (2,)
    else:
        turns = ()
    for turn in turns:
        lines, other, _ = _lines(np.ascontiguousarray(np.rot90(pixels, turn)))
        if other > score:
            best, score = lines, other
    segments = [
        Segment(text, x0 * scale, x1 * scale, y1 * scale, 0.7 * (y1 - y0) * scale, False, False, first * scale)
        for text, x0, y0, x1, y1 in best
        for first in ((x1 - x0) * len(text.split(" ", 1)[0]) / len(text),)
    ]
    return in_reading_order(segments)


_Line = tuple[str, float, float, float, float]


def _lines(pixels: Any) -> tuple[list[_Line], float, bool]:
    """(lines with x0, y0, x1, y1; median confidence; most of them stand upright, so the page lies on its side)."""
    result = _engine()(pixels)
    if result.boxes is None or not result.txts:
        return [], 0.0, False
    lines: list[_Line] = []
    tall = 0
    for corners, text in zip(result.boxes.tolist(), result.txts, strict=True):
        xs, ys = [c[0] for c in corners], [c[1] for c in corners]
        tall += max(ys) - min(ys) > 1.5 * (max(xs) - min(xs)) and len(text) > 2
        if text.strip():
            lines.append((" ".join(text.split()), min(xs), min(ys), max(xs), max(ys)))
    lines.sort(key=lambda line: (line[4], line[1]))
    return lines, median(result.scores), tall > 0.5 * len(lines)
