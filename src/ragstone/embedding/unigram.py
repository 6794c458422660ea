"""A unigram tokenizer that is read from a memory-mapped file: ready at once, with next to no memory for a few texts.

Each word is segmented on its own by the best sum of piece scores, which is exact because no piece has `▁`
anywhere but at its start (`write` checks that). Words repeat, so a cache of words turns usual text into a few
look-ups. A general tokenizer needs 0.6 s and 300 MB for the same 250,000 pieces.

The file, little endian: `HEADER` (magic, pieces, unknown, begin, end, blob bytes, slots, charmap bytes, characters of
the longest piece, least score), uint32[pieces + 1] offsets into the blob, float32[pieces] scores, uint32[slots] hash
table, the charmap as JSON, the blob. The table is probed linearly from the CRC-32 of a piece's UTF-8; an entry is
piece + 1 in the low 18 bits and the checksum's high 14 bits, 0 is empty.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from zlib import crc32

from ..errors import ModelMismatch

SPACE_MARK = "▁"
CACHED_WORDS = 50_000  # about 10 MB when full
LONGEST_CACHED = 40  # characters; longer "words" (tables, Chinese without spaces) rarely repeat
HEADER = struct.Struct("<8s8If")
MAGIC = b"RSUNIG01"
INDEX_BITS = 18  # of a table entry; the others are those of the piece's checksum, which rule out most strangers
INDEX = (1 << INDEX_BITS) - 1
SPREAD = 8  # slots for a piece: a sparse table answers "no such piece" at the first look
UNKNOWN_PENALTY = 10.0  # an unknown character costs this more than the worst piece, the rule of unigram models


def write(
    path: Path,
    pieces: Sequence[bytes],
    scores: Sequence[float],
    charmap: Mapping[int, str],
    *,
    unknown: int,
    begin: int,
    end: int,
    special: Sequence[int],
) -> None:
    """Piece `i` has id `i`; those in `special` are never found in text. `charmap` maps code points to their normal
    form ("" drops them)."""
    mark = SPACE_MARK.encode()
    if len(pieces) > INDEX:
        raise ModelMismatch(f"a vocabulary of {len(pieces)} pieces is too large.", f"At most {INDEX} are possible.")
    slots = 1 << (SPREAD * len(pieces) - 1).bit_length()
    table = [0] * slots
    offsets = [0]
    hidden = set(special)
    for i, piece in enumerate(pieces):
        offsets.append(offsets[-1] + len(piece))
        if i in hidden:
            continue
        if mark in piece[1:]:
            raise ModelMismatch(f"piece {i} crosses a space.", "This vocabulary cannot be segmented word by word.")
        crc = crc32(piece)
        slot = crc & (slots - 1)
        while table[slot]:
            slot = (slot + 1) & (slots - 1)
        table[slot] = (crc >> INDEX_BITS) << INDEX_BITS | (i + 1)
    chars = json.dumps(charmap, ensure_ascii=True).encode()
    chars += b" " * (-len(chars) % 4)
    blob = b"".join(pieces)
    with path.open("wb") as out:
        longest = max(len(piece.decode()) for piece in pieces)
        sizes = (len(blob), slots, len(chars), longest)
        out.write(HEADER.pack(MAGIC, len(pieces), unknown, begin, end, *sizes, min(scores)))
        out.write(struct.pack(f"<{len(offsets)}I", *offsets))
        out.write(struct.pack(f"<{len(scores)}f", *scores))
        out.write(struct.pack(f"<{slots}I", *table))
        out.write(chars)
        out.write(blob)


class UnigramTokenizer:
    """Text to piece ids. `prefix` and `suffix` are the marks that the model expects around them."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if sys.byteorder != "little" or len(data) < HEADER.size or data[:8] != MAGIC:
            raise ModelMismatch(f"{path} is not a vocabulary of this version.", "Delete its folder; it is made anew.")
        _, pieces, self._unknown, begin, end, blob, slots, chars, self._longest, least = HEADER.unpack_from(data)
        at = HEADER.size
        self._offsets: memoryview[int] = data[at : at + 4 * (pieces + 1)].cast("I")
        at += 4 * (pieces + 1)
        self._scores: memoryview[float] = data[at : at + 4 * pieces].cast("f")
        at += 4 * pieces
        self._table: memoryview[int] = data[at : at + 4 * slots].cast("I")
        at += 4 * slots
        self._charmap = {int(k): v for k, v in json.loads(bytes(data[at : at + chars])).items()}
        at += chars
        self._blob = data[at : at + blob]
        self._mask = slots - 1
        self._worst = least - UNKNOWN_PENALTY
        self.prefix: tuple[int, ...] = (begin,)
        self.suffix: tuple[int, ...] = (end,)
        self._word = lru_cache(maxsize=CACHED_WORDS)(self._segment)

    def encode(self, text: str) -> list[int]:
        """Ids of the text's pieces, without `prefix` and `suffix`. Safe from several threads.

        The text is composed (NFC) first, so that a letter with a combining mark, as some PDFs and file systems
        write it, gives the tokens of the composed letter; then the charmap is applied; spaces only separate.
        """
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        ids: list[int] = []
        for word in text.translate(self._charmap).split(" "):
            if word:
                ids.extend(self._word(word) if len(word) <= LONGEST_CACHED else self._segment(word))
        return ids

    def _id(self, entry: int, slot: int, crc: int, piece: bytes) -> int:
        """Id of a piece whose checksum leads to `entry` at `slot`, -1 where there is none."""
        while entry:
            if entry >> INDEX_BITS == crc >> INDEX_BITS:
                found = (entry & INDEX) - 1
                if self._blob[self._offsets[found] : self._offsets[found + 1]] == piece:
                    return found
            slot = (slot + 1) & self._mask
            entry = self._table[slot]
        return -1

    def _segment(self, word: str) -> tuple[int, ...]:
        """Best segmentation of one word; neighbouring unknown characters become one unknown piece."""
        letters = [c.encode("utf-8", "replace") for c in SPACE_MARK + word]
        text = b"".join(letters)
        places = [0, *accumulate(map(len, letters))]
        table, mask, scores, size, unknown = self._table, self._mask, self._scores, len(letters), self._unknown
        best = [0.0] + [-1e30] * size
        piece = [unknown] * (size + 1)
        origin = [0] * (size + 1)
        for start in range(size):
            score = best[start]
            if score + self._worst > best[start + 1]:
                best[start + 1], piece[start + 1], origin[start + 1] = score + self._worst, unknown, start
            crc = 0
            for end in range(start + 1, min(size, start + self._longest) + 1):
                crc = crc32(letters[end - 1], crc)
                entry = table[crc & mask]
                if not entry:  # true of most candidates, so this is the loop's whole cost
                    continue
                found = self._id(entry, crc & mask, crc, text[places[start] : places[end]])
                if found >= 0 and score + scores[found] > best[end]:
                    best[end], piece[end], origin[end] = score + scores[found], found, start
        ids: list[int] = []
        at = size
        while at:
            if piece[at] != unknown or not ids or ids[-1] != unknown:
                ids.append(piece[at])
            at = origin[at]
        return tuple(reversed(ids))
