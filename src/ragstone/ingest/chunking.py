"""Documents into chunks: a partition of the text with page, line and heading path.

A piece that does not fit is cut in two at its best boundary, and so are the halves, until every piece fits. The best
boundary is the one of the highest rank (outer heading, inner heading, paragraph, line that ends a sentence, sentence,
line, word, character), and among equals the one before the text with the largest hash. Where a text is cut thus
depends on what stands there and not on what was counted before it: an edit moves boundaries near it and no others.
A cut that would leave little on one side is not made, so a heading stays with its text and chunks are well filled.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..text.sentences import sentence_spans
from ..types import ChunkSpan, Heading, ParsedDocument, Turn

CHUNKER_VERSION: Final = 1
"""Part of every document's content hash: raise it whenever the same text would be cut elsewhere."""

MAX_TOKENS: Final = 200
_LEAST_TOKENS = 16
_MARGIN = 0.3  # of the limit: what a cut leaves on either side at least
_NEAR = 40  # characters after a boundary that make its hash; not those before it, or an edit would move two
_DEPTH = 64  # a chain of cuts this long is no accident of hashes: from there on, cut near the middle
_STRIDE = 8  # characters between possible cuts inside a word that does not fit
_LARGE = 64  # limits: a longer paragraph is cut at any line or word first, which bounds the memory of finer rules
_MOST_PLACES = 200_000
_BLOCK = 1 << 20  # characters measured in one array operation

_PARAGRAPH = re.compile(r"(?:\n[ \t\r]*(?=\n)|\f)\s*(?:\n|\f)")
_VISIBLE = re.compile(r"\S")
_NEWLINE = re.compile(r"\n")
_WHITE_SPACE = re.compile(r"\s+")

# Ranks of boundaries; a heading of level n has _HEADING - n.
_HEADING, _PARAGRAPH_RANK, _LINE, _SENTENCE, _WRAP = 32, 8, 5, 3, 2

# Hundredths of a token: what a character costs, and what the first one of a run of its kind costs more. Fitted to
# the XLM-R vocabulary on German, English, code, manual pages and tables, then raised by a tenth.
_SPACE, _LOWER, _UPPER, _LATIN, _OTHER, _DIGIT, _MARK, _CJK = range(_KINDS := 8)
_ONE = np.array([0, 9, 50, 5, 14, 12, 52, 64], dtype=np.uint8)
_COST = np.concatenate([_ONE, _ONE + np.array([0, 92, 92, 92, 92, 75, 50, 0], dtype=np.uint8)])
# Letters of every kind make one run.
_RUN = np.array([_SPACE, _LOWER, _LOWER, _LOWER, _LOWER, _DIGIT, _MARK, _CJK], dtype=np.uint8)

Positions = NDArray[np.int64]
_Places = tuple[Positions, NDArray[np.uint64]]
"""Places to cut, rising, and their ranks."""


@dataclass(frozen=True, slots=True)
class _Boundaries:
    """Places to cut, rising; `tokens` (hundredths) before each; `keys`, larger is better: rank, then hash."""

    at: Positions
    tokens: Positions
    keys: NDArray[np.uint64]
    steps: list[int]  # `tokens` again, for bisection: ten times as quick as on an array

    @classmethod
    def of(cls, text: str, at: Positions, tokens: Positions, rank: NDArray[np.uint64]) -> _Boundaries:
        return cls(at, tokens, _keys(text, at, rank), tokens.tolist())


@dataclass(frozen=True, slots=True)
class _Piece:
    """`text[start:end]` and the tokens (hundredths) before `start` and `end`."""

    start: int
    end: int
    first: int
    last: int
    depth: int = 0


def estimate_tokens(text: str) -> int:
    """About the tokens that the multilingual unigram tokenizers (XLM-R, E5) make of the text, rather too many than
    too few: 0.97 to 1.2 times the true number for 80 % of passages of 1,500 characters."""
    total = int(_measure(text, np.array([len(text)], dtype=np.int64))[0])
    return -(-total // 100)


def chunk(doc: ParsedDocument, *, max_tokens: int = MAX_TOKENS) -> list[ChunkSpan]:
    """Spans that follow each other without gap from 0 to len(text), none above `max_tokens` by `estimate_tokens`'
    count. None for an empty text. `page`, `line` and `section` are those of a chunk's first visible character."""
    text = doc.text
    if not text:
        return []
    limit = max(max_tokens, _LEAST_TOKENS) * 100
    at, rank = _coarse(text, doc.headings)
    tokens = _measure(text, np.append(at, len(text)))
    whole = _Piece(0, len(text), 0, int(tokens[-1]))
    pieces = _split(whole, _Boundaries.of(text, at, tokens[:-1], rank), limit)
    pieces = _cut(text, pieces, limit * _LARGE, lambda p: _uniform(_line_starts(text, p)))
    pieces = _cut(text, pieces, limit * _LARGE, lambda p: _uniform(_word_starts(text, p)))
    pieces = _cut(text, pieces, limit, lambda p: _fine(text, p))
    pieces = _cut(text, pieces, limit, lambda p: _uniform(_word_starts(text, p)))
    pieces = _cut(text, pieces, limit, lambda p: _uniform(_strides(text, p)))
    return _located(doc, [p.start for p in pieces])


def _cut(text: str, pieces: list[_Piece], limit: int, find: Callable[[_Piece], _Places]) -> list[_Piece]:
    """Splits the pieces that are too large at the places that `find` names."""
    large = [p for p in pieces if p.last - p.first > limit]
    if not large:
        return pieces
    found = [find(p) for p in large]
    # Measured and hashed together: a text has many pieces, and most have few places.
    at, rank = np.concatenate([at for at, _ in found]), np.concatenate([rank for _, rank in found])
    bounds = _Boundaries.of(text, at, _measure(text, at), rank)
    parts = iter([_split(p, bounds, limit) for p in large])
    return [part for p in pieces for part in (next(parts) if p.last - p.first > limit else (p,))]


def _split(whole: _Piece, bounds: _Boundaries, limit: int) -> list[_Piece]:
    """Cuts until every piece fits or has no boundary away from its ends."""
    done: list[_Piece] = []
    stack = [whole]
    margin = int(limit * _MARGIN)
    while stack:
        piece = stack.pop()
        if piece.last - piece.first <= limit:
            done.append(piece)
            continue
        low = bisect_left(bounds.steps, piece.first + margin)
        high = bisect_right(bounds.steps, piece.last - margin)
        if low >= high:
            done.append(piece)
            continue
        best = _best(bounds, low, high, piece)
        at, tokens = int(bounds.at[best]), bounds.steps[best]
        stack.append(_Piece(at, piece.end, tokens, piece.last, piece.depth + 1))
        stack.append(_Piece(piece.start, at, piece.first, tokens, piece.depth + 1))
    return done


def _best(bounds: _Boundaries, low: int, high: int, piece: _Piece) -> int:
    middle = (piece.first + piece.last) // 2
    if piece.depth > _DEPTH:
        return min(max(bisect_left(bounds.steps, middle), low), high - 1)
    keys = bounds.keys[low:high]
    best = low + int(keys.argmax())
    if piece.depth > 4:
        # Equal neighbourhoods (a line repeated a thousand times): the one nearest the middle.
        equal = low + np.flatnonzero(keys == bounds.keys[best])
        best = int(equal[np.abs(bounds.tokens[equal] - middle).argmin()])
    return best


def _coarse(text: str, headings: tuple[Heading, ...]) -> _Places:
    """Starts of sections and of paragraphs of the whole text."""
    # A paragraph that is not indented comes first: code is cut between two functions rather than inside one.
    ends = [end for m in _PARAGRAPH.finditer(text) if (end := m.end()) < len(text)]
    ranks = {end: _PARAGRAPH_RANK - text[end].isspace() for end in ends}
    for heading in headings:
        if 0 < heading.start < len(text):
            rank = max(_HEADING - max(heading.level, 1), _PARAGRAPH_RANK + 1)
            ranks[heading.start] = max(rank, ranks.get(heading.start, 0))
    return _ranked(ranks, 0)


def _fine(text: str, piece: _Piece) -> _Places:
    """Starts of sentences and of lines."""
    part = text[piece.start : piece.end]
    ranks = {m.end(): _WRAP for m in _NEWLINE.finditer(part)}
    last = 0
    for start, end in sentence_spans(part):
        line = part.rfind("\n", last, start) + 1
        if line:
            blank = part.find("\n", last, line - 1) >= 0
            ranks[line] = _LINE + 1 - (start > line) + 2 * blank
        elif start:
            ranks[start] = _SENTENCE
        last = end
    ranks.pop(len(part), None)
    return _ranked(ranks, piece.start)


def _ranked(ranks: dict[int, int], start: int) -> _Places:
    places = sorted(ranks)
    return np.array(places, dtype=np.int64) + start, np.array([ranks[p] for p in places], dtype=np.uint64)


def _uniform(at: Positions) -> _Places:
    return at, np.zeros(len(at), dtype=np.uint64)


def _line_starts(text: str, piece: _Piece) -> Positions:
    return _thinned(m.end() for m in _NEWLINE.finditer(text, piece.start, piece.end - 1))


def _word_starts(text: str, piece: _Piece) -> Positions:
    return _thinned(m.end() for m in _WHITE_SPACE.finditer(text, piece.start, piece.end - 1))


def _strides(text: str, piece: _Piece) -> Positions:
    """Inside a word that does not fit; not before a combining mark where one of the next places will do."""
    step = max(_STRIDE, (piece.end - piece.start) // _MOST_PLACES)
    places = range(piece.start + 1, piece.end - step, step)
    return _thinned(next((p for p in range(at, at + step) if not unicodedata.combining(text[p])), at) for at in places)


def _thinned(places: Iterator[int]) -> Positions:
    """Of very many places, evenly some: a line of millions of words needs no more."""
    at = np.fromiter(places, dtype=np.int64)
    return at[:: len(at) // _MOST_PLACES + 1]


def _measure(text: str, at: Positions) -> Positions:
    """Tokens (hundredths) before each of the rising positions `at`."""
    result = np.empty(len(at), dtype=np.int64)
    start = tokens = done = 0
    while done < len(at):
        stop = min(start + _BLOCK, int(at[-1]))
        part = text[max(start - 1, 0) : stop]
        codes = np.frombuffer(part.encode("ascii"), np.uint8) if part.isascii() else np.minimum(_codes(part), 0xFFFF)
        kinds = _kinds()[codes]
        runs = _RUN[kinds]
        fresh = np.ones(len(codes), dtype=np.uint8)
        fresh[1:] = (runs[1:] != runs[:-1]) | ((kinds[1:] == _MARK) & (codes[1:] != codes[:-1]))
        costs = _COST[kinds + fresh * np.uint8(_KINDS)]
        sums = np.empty(stop - start + 1, dtype=np.int64)
        sums[0] = 0
        np.cumsum(costs[1 if start else 0 :], out=sums[1:])
        sums += tokens
        here = int(np.searchsorted(at, stop, "right"))
        result[done:here] = sums[at[done:here] - start]
        done, tokens, start = here, int(sums[-1]), stop
    return result


@cache
def _kinds() -> NDArray[np.uint8]:
    """Kind of each code point below 65,536; those above count as the last."""
    table = np.full(1 << 16, _OTHER, dtype=np.uint8)
    table[: ord(" ") + 1] = _SPACE
    table[ord(" ") + 1 : 0xC0] = _MARK
    table[[0x85, 0xA0]] = _SPACE
    table[ord("0") : ord("9") + 1] = _DIGIT
    table[ord("A") : ord("Z") + 1] = _UPPER
    table[ord("a") : ord("z") + 1] = _LOWER
    table[0xC0:0x250] = _LATIN
    table[0x2000:0x2E80] = _MARK
    table[0x2E80:0xA000] = _CJK
    table[0xAC00:0xFFFF] = _CJK  # Hangul, compatibility forms, private use, surrogates
    table[0xFFFF] = _CJK  # everything above: emoji, rare ideographs
    return table


def _keys(text: str, at: Positions, rank: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Rank, then 32 bits of a hash of the `_NEAR` characters after each position."""
    near = [text[p : p + _NEAR].encode("utf-8", "surrogatepass") for p in at.tolist()]
    return (rank << np.uint64(56)) | np.fromiter(map(crc32, near), dtype=np.uint64, count=len(at))


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _located(doc: ParsedDocument, starts: list[int]) -> list[ChunkSpan]:
    text = doc.text
    headings = sorted(doc.headings, key=lambda h: h.start)
    heading_starts = [h.start for h in headings]
    page_starts = [p.start for p in doc.pages]
    path: list[Heading] = []
    spans: list[ChunkSpan] = []
    line, counted, passed = 1, 0, 0

    def pass_headings(until: int) -> tuple[str, ...]:
        nonlocal passed
        while passed < len(headings) and headings[passed].start <= until:
            while path and path[-1].level >= headings[passed].level:
                path.pop()
            path.append(headings[passed])
            passed += 1
        return tuple(" ".join(h.title.split()) for h in path)

    def page_at(position: int) -> int | None:
        return doc.pages[max(bisect_right(page_starts, position) - 1, 0)].number if doc.pages else None

    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        visible = _VISIBLE.search(text, start, end)
        at = visible.start() if visible else start
        line += text.count("\n", counted, at)
        counted = at
        section = pass_headings(at)
        inside = {h.start for h in headings[passed : bisect_left(heading_starts, end, passed)]}
        inside.update(page_starts[bisect_right(page_starts, at) : bisect_left(page_starts, end)])
        turns = tuple(Turn(place - start, page_at(place), pass_headings(place)) for place in sorted(inside))
        spans.append(ChunkSpan(start, end, page_at(at), line, section, turns))
    return spans
