"""Puts a text together block by block, and notes where its headings begin."""

from __future__ import annotations

from ...types import Heading


class Outline:
    """Blocks are separated by one blank line, lines by a line break; both are added lazily, so the text never ends
    in white space. Used by readers whose source is not the text itself."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.headings: list[Heading] = []

    @property
    def length(self) -> int:
        return self._length

    def block(self, text: str) -> int:
        """A paragraph of its own. Returns where it begins; blank text adds nothing."""
        return self._add(text, "\n\n")

    def line(self, text: str) -> int:
        """The next line of the block before it."""
        return self._add(text, "\n")

    def heading(self, level: int, title: str) -> None:
        title = " ".join(title.split())
        if title:
            start = self.block(title)
            self.headings.append(Heading(max(1, level), title, start))

    def _add(self, text: str, separator: str) -> int:
        text = text.strip("\n").rstrip()
        if not text.strip():
            return self._length
        if self._parts:
            self._parts.append(separator)
            self._length += len(separator)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        return start

    def text(self) -> str:
        return "".join(self._parts)
