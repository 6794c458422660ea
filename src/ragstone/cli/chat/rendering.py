"""What a chat shows: plain lines into a pipe; markdown, colours and marks at the width of a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from ..terminal import escape, flat

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

CITED: Final = ("»", "«")
"""Around a cited part where nothing can be coloured."""
NARROWEST: Final = 20
BETWEEN: Final = 2
LEAST: Final = 16
"""Columns that the last cell of a row needs beside the others."""


class Output:
    """Writes text that is ready for where it goes. `width` is asked anew for everything that is rendered; None: a pipe,
    where nothing is wrapped or styled. What is rendered was written by others: no character of it can steer the
    terminal, and no link or picture of it is opened."""

    def __init__(self, write: Callable[[str], None], width: Callable[[], int] | None = None, *, color: bool = False):
        self.write = write
        self._width = width
        self._color = color

    @property
    def plain(self) -> bool:
        return self._width is None

    def line(self, text: str = "", style: str = "") -> None:
        if self.plain:
            self.write(escape(text) + "\n")
            return
        from rich.text import Text

        self.write(self.rendered(Text(escape(text), style=style)))

    def markdown(self, text: str) -> None:
        if self.plain:
            self.write(escape(text) + "\n")
        else:
            self.write(self.markdown_text(text))

    def markdown_text(self, text: str) -> str:
        from rich.markdown import Markdown

        # ANSI colours only: they are readable on light and on dark, and code gets no background of its own
        return self.rendered(Markdown(escape(text), code_theme="ansi_light", hyperlinks=False))

    def cited(self, before: str, cited: str, after: str) -> None:
        """A text with its cited part marked."""
        if self.plain or not self._color:
            self.line(f"{before}{CITED[0]}{cited}{CITED[1]}{after}")
            return
        from rich.text import Text

        self.write(self.rendered(Text.assemble(escape(before), (escape(cited), "reverse"), escape(after))))

    def rows(self, rows: Iterable[Sequence[str]]) -> None:
        """A table without a heading; the last column is wrapped, and where there is no room for it, it stands below."""
        if self.plain:
            self.write("".join("\t".join(map(flat, row)).rstrip() + "\n" for row in rows))
            return
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        held = [[flat(cell) for cell in row] for row in rows]
        if not held:
            return
        head = sum(max(len(row[at]) for row in held) + BETWEEN for at in range(len(held[0]) - 1))
        if head + LEAST > self._columns():
            for *first, last in held:
                self.line("  ".join(filter(None, first)), "cyan")
                self.write(self.rendered(Padding(Text(last), (0, 0, 0, BETWEEN))))
            return
        grid = Table.grid(padding=(0, BETWEEN))
        for at in range(len(held[0])):
            grid.add_column(overflow="fold", style="cyan" if at == 0 else "")
        for row in held:
            grid.add_row(*map(Text, row))
        self.write(self.rendered(grid))

    def rendered(self, what: RenderableType) -> str:
        """With ANSI codes, ending in a line feed, and without blanks at the ends of lines: a terminal that becomes
        narrower would give them lines of their own."""
        console = self._console()
        console.print(what)
        file = console.file
        assert isinstance(file, io.StringIO)  # noqa: S101 - _console made it
        return "\n".join(line.rstrip(" ") for line in file.getvalue().split("\n"))

    def _columns(self) -> int:
        return max(NARROWEST, self._width() if self._width is not None else 80)

    def _console(self) -> Console:
        from rich.console import Console
        from rich.theme import Theme

        system: Literal["standard"] | None = "standard" if self._color else None
        width = self._columns()
        quiet = Theme({"markdown.code": "cyan", "markdown.h1": "bold underline", "markdown.h2": "bold underline"})
        return Console(
            file=io.StringIO(), force_terminal=True, color_system=system, width=width, highlight=False, markup=False,
            emoji=False, theme=quiet, legacy_windows=False,
        )  # fmt: skip


def complete_blocks(text: str) -> int:
    """How many characters of growing markdown stand in blocks that nothing can change any more: all but the last."""
    from markdown_it import MarkdownIt

    blocks = [t.map[0] for t in MarkdownIt().enable("table").parse(text) if t.level == 0 and t.map is not None]
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: blocks[-1]])) if len(blocks) > 1 else 0
