"""WebVTT captions: what is said, with the time of each cue; settings, styles and notes left out."""

from __future__ import annotations

import html
import re

from ...types import Blob, ParsedDocument
from ..limits import ReadLimits
from .text import decode

_TIMING = re.compile(r"((?:\d+:)?\d{1,2}:\d{2})[.,]\d{3}[ \t]+-->")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^>]*)>")
_TAG = re.compile(r"<[^>]*>")


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    source, _ = decode(blob.data)
    blocks = re.split(r"\n[ \t]*\n", source.strip())
    first = blocks[0].split("\n", 1)[0]
    title = first.removeprefix("WEBVTT").strip(" \t-") if first.startswith("WEBVTT") else ""
    lines: list[str] = []
    for block in blocks:
        rows = block.split("\n")
        at = next((i for i, row in enumerate(rows) if _TIMING.match(row.strip())), -1)
        if at < 0:
            continue
        timing = _TIMING.match(rows[at].strip())
        said = " ".join(_plain(row) for row in rows[at + 1 :] if row.strip())
        if said and timing is not None:
            lines.append(f"[{timing[1]}] {said}")
    return ParsedDocument(text="\n".join(lines), title=title, media_type="text/vtt")


def _plain(row: str) -> str:
    return html.unescape(_TAG.sub("", _VOICE.sub(r"\1: ", row))).strip()
