r"""Names of files as uris: absolute paths that are valid Unicode, one line, and harmless on a terminal.

A byte that is not UTF-8, a control or bidirectional character, is written `\xHH` (byte by byte); so is a backslash
that would otherwise read as such an escape, and the `!` of a folder name that would read as an archive's end. The
mapping can be undone. Members of an archive are named "archive.zip!/inner/name".
"""

from __future__ import annotations

import os
import re
from typing import Final

MEMBER: Final = "!/"

# Undecodable bytes as Python holds them, C0 and C1 controls, line and paragraph separators, direction marks.
_ESCAPED = re.compile(
    "[\ud800-\udfff\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
    r"|\\(?=x[0-9a-f]{2})|!(?=/)"
)
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def uri_of(path: str) -> str:
    return _ESCAPED.sub(_escape, path)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(match[0]))


def path_of(uri: str) -> str:
    """The path of the file that `uri` names, or in which the member lies."""
    file = uri.partition(MEMBER)[0]
    if "\\x" not in file:
        return file
    data = bytearray()
    place = 0
    for match in _ESCAPE.finditer(file):
        data += file[place : match.start()].encode() + bytes([int(match[1], 16)])
        place = match.end()
    return os.fsdecode(bytes(data + file[place:].encode()))


def source_of(uri: str) -> str:
    """The uri without the part that names a member of an archive."""
    return uri.partition(MEMBER)[0]
