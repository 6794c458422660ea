"""What is written where: data on stdout, everything else on stderr; colour and width only on terminals.

File names and text come from strangers, so every character that could steer a terminal is shown as an escape.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# C0 (but for tab and line feed) and C1 controls, soft hyphen's neighbours that reorder text (bidirectional
# overrides and isolates), zero-width characters that hide text, line and paragraph separators, lone surrogates.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

Align = Literal["left", "right"]

WIDE = 110
"""Characters of a terminal that has room for every column."""
NARROWEST = 12
"""Characters at which a column of wrapped cells can still be read."""
BETWEEN = 3
"""Characters between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `wrap` breaks long cells and keeps at least `least` characters; `optional` columns are
    left out on terminals narrower than WIDE (never from piped output)."""

    title: str
    align: Align = "left"
    wrap: bool = False
    least: int | None = None
    optional: bool = False


class Terminal:
    """Output of one command. `json` and `quiet` silence notes on stderr; errors are always written."""

    def __init__(self, environ: Mapping[str, str], *, json: bool, quiet: bool, no_color: bool) -> None:
        self.as_json = json
        self.quiet = quiet
        plain = no_color or bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.out_is_terminal = sys.stdout.isatty()
        self.err_is_terminal = sys.stderr.isatty()
        self.color_out = self.out_is_terminal and not plain
        self.color_err = self.err_is_terminal and not plain

    # ------------------------------------------------------------------ stdout: data
    def json(self, record: Mapping[str, Any]) -> None:
        """One JSON object. Characters that the output's encoding lacks are written as \\u escapes."""
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        print(json.dumps(record, ensure_ascii=not unicode, indent=2 if self.out_is_terminal else None))

    def line(self, text: str = "", *, style: str = "") -> None:
        """A line of the command's result; already escaped text may hold line feeds and tabs."""
        if self.out_is_terminal:
            from rich.text import Text

            self.console().print(Text(text, style=style), soft_wrap=True)
        else:
            print(text)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """A table on a terminal, or blocks of lines where it is too narrow for one; tab-separated lines without a
        heading elsewhere."""
        if not self.out_is_terminal:
            for row in rows:
                print("\t".join(flat(cell) for cell in row))
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        console = self.console()
        shown = [i for i, column in enumerate(columns) if console.width >= WIDE or not column.optional]
        cells = [[flat(row[i]) for i in shown] for row in rows]
        if _least_width([columns[i] for i in shown], cells, console.width) > console.width:
            self._blocks([columns[i].title for i in shown], cells)
            return
        grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in (columns[i] for i in shown):
            grid.add_column(
                column.title,
                justify=column.align,
                overflow="fold" if column.wrap else "ellipsis",
                no_wrap=not column.wrap,
                min_width=_least(column, console.width) if column.least else None,
            )
        for row in cells:
            grid.add_row(*map(Text, row))
        console.print(grid)

    def _blocks(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Each row's first cell, and under it the others that hold something, with their titles."""
        for first, *others in rows:
            self.line(first, style="bold")
            for title, cell in zip(titles[1:], others, strict=True):
                if cell:
                    self.line(f"  {title}: {cell}" if title else f"  {cell}")

    def console(self) -> Console:
        """rich's console on stdout: for terminals only, since it wraps to a width."""
        from rich.console import Console

        system: Literal["auto"] | None = "auto" if self.color_out else None  # None: no styles at all
        return Console(file=sys.stdout, color_system=system, highlight=False, markup=False, emoji=False)

    # ------------------------------------------------------------------ stderr: everything else
    def note(self, text: str) -> None:
        """Something a person may want to know."""
        if not self.quiet and not self.as_json:
            print(escape(text), file=sys.stderr)

    def warn(self, text: str) -> None:
        if not self.quiet:
            print(f"{self._paint('warning', '33')}: {escape(text)}", file=sys.stderr)

    def error(self, message: str, hint: str, code: str, exit_code: int) -> None:
        """One line for people, or one JSON object."""
        if self.as_json:
            from ..records import SCHEMA_VERSION
            from .records.errors import ErrorRecord

            record: ErrorRecord = {
                "schema_version": SCHEMA_VERSION,
                "error": {"code": code, "message": message, "hint": hint, "exit_code": exit_code},
            }
            print(json.dumps(record), file=sys.stderr)
            return
        text = flat(f"{message} {hint}".strip())
        print(f"{self._paint('error', '31;1')}: {text}", file=sys.stderr)

    def _paint(self, word: str, code: str) -> str:
        return f"\x1b[{code}m{word}\x1b[0m" if self.color_err else word


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> int:
    """Characters of the narrowest table that shows every title, and every cell whole or wrapped with sense."""
    from rich.cells import cell_len

    longest = [max(map(cell_len, (column.title, *cells))) for column, *cells in zip(columns, *rows, strict=True)]
    needed = [
        max(cell_len(column.title), min(_least(column, width), most)) if column.wrap else most
        for column, most in zip(columns, longest, strict=True)
    ]
    return sum(needed) + BETWEEN * (len(columns) - 1)


def _least(column: Column, width: int) -> int:
    return min(column.least, width // 3) if column.least else NARROWEST


def stream_safely(stream: TextIO) -> None:
    """Lets a stream write any text: what its encoding lacks becomes a \\u escape, so an ASCII or Latin-1 console
    shows something instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def escape(text: str) -> str:
    """`text` with control characters visible (`\\x1b`, `\\u202e`); line feeds and tabs stay."""
    return _STEERING.sub(_visible, text)


def flat(text: str) -> str:
    """`escape`, and on one line: line feeds and tabs become spaces."""
    return escape(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def size(count: float) -> str:
    """Bytes for people: 1.4 MB. Powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for people: 0.8 s, 12 s, 3:05, 1:02:03."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(at: float | None) -> str:
    """POSIX seconds as the time here, to the minute; "" for none and 0."""
    return instant(at)[:-3] if at else ""


def instant(at: float) -> str:
    """The same to the second."""
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
