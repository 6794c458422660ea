"""What holds in every prepared document, checked where one comes from outside: from a parser worker, which a hostile
file may have taken over, and from an export, which anybody may have edited."""

from __future__ import annotations

import math

from ..text.passage import chunk_hash
from ..types import ChunkSpan, PreparedDocument

_MOST = 1 << 53
"""Of every count and position: what JSON and SQLite both hold exactly."""


def require_sound(document: PreparedDocument) -> None:
    """Raises ValueError where chunks do not follow each other, a position lies outside of what it is in, a hash is
    not that of its chunk (vectors are shared by it, with other documents too), or a number is none to be stored."""
    place = 0
    for chunk in document.chunks:
        span = chunk.span
        if span.start != place or span.end != place + len(chunk.text):
            raise ValueError("the chunks do not cover the text")
        if not _placed(span):
            raise ValueError("a chunk's page or line is not one")
        if chunk.content_hash != chunk_hash(chunk.context, chunk.text, document.language):
            raise ValueError("a chunk's hash is not that of its text")
        place = span.end
    before = 0
    for page in document.pages:
        if not (before <= page.start <= page.end <= place and 0 <= page.number < _MOST):
            raise ValueError("the pages do not lie in the text one after the other")
        before = page.end
    numbers = (document.modified, *(v for v in document.metadata.values() if isinstance(v, float)))
    if not 0 <= document.size < _MOST or not all(map(math.isfinite, numbers)):
        raise ValueError("a number is out of range")


def _placed(span: ChunkSpan) -> bool:
    """Whether page and line, also where they change inside, are possible."""
    pages = [page for page in (span.page, *(turn.page for turn in span.turns)) if page is not None]
    places = [turn.at for turn in span.turns]
    inside = all(0 <= at <= span.end - span.start for at in places) and places == sorted(places)
    return inside and 1 <= span.line < _MOST and all(0 <= page < _MOST for page in pages)
