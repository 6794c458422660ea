"""Framing of streamed bodies: server-sent events and newline-delimited JSON, whatever the chunks look like.

Chunks come as the network gives them: a chunk may hold half a character, half a line or many events. Lines are cut
on bytes (the bytes of CR and LF never occur inside a longer UTF-8 sequence) and only whole lines are decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..errors import ModelError

MAX_LINE = 1 << 20  # one delta is some bytes; a megabyte without a line end is not a token stream

_LINE_END = re.compile(rb"\r\n|\r|\n")


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends (LF, CRLF or CR); a last line without an end is given too.

    Bytes that are not UTF-8 become U+FFFD. Raises ModelError for a line longer than `MAX_LINE`.
    """
    pending = b""
    for chunk in chunks:
        pending += chunk
        # A CR at the very end may be half of a CRLF: it waits for the next chunk.
        hold = pending.endswith(b"\r")
        parts = _LINE_END.split(pending[:-1] if hold else pending)
        pending = parts.pop() + (b"\r" if hold else b"")
        for part in parts:
            yield part.decode("utf-8", "replace")
        if len(pending) > MAX_LINE:
            raise ModelError(
                f"The model server sent more than {MAX_LINE} bytes without a line end.",
                "Check that the address is that of a chat endpoint.",
            )
    tail = pending.rstrip(b"\r")
    if tail:
        yield tail.decode("utf-8", "replace")


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The `data` of each server-sent event: several data lines of one event are joined by a line feed, comments and
    other fields are skipped, an event that the end of the stream cuts off before its blank line is given too (some
    servers leave out the last blank line)."""
    data: list[str] = []
    first = True
    for raw in lines(chunks):
        line = raw.removeprefix("\ufeff") if first else raw
        first = False
        if not line:
            if data:
                yield "\n".join(data)
                data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
    if data:
        yield "\n".join(data)
