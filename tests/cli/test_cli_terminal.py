"""What reaches a terminal: no control characters from strangers, any encoding, plain text into pipes."""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.cli.progress import ProgressDisplay
from ragstone.cli.terminal import Column, Terminal, duration, escape, flat, plural, size, stream_safely
from ragstone.types import Progress


class FakeTerminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


@given(st.text())
def test_escaped_text_steers_nothing(text: str) -> None:
    for character in flat(text):
        assert character == " " or character.isprintable() or ord(character) > 0x9F
        assert character not in "\x1b\x07\u202e\u2066\u200b\ufeff"
        assert not 0xD800 <= ord(character) <= 0xDFFF


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ÄÖÜ 漢字 🙂", "plain ÄÖÜ 漢字 🙂"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\x00b\x9bc", "a\\x00b\\x9bc"),
        ("invoice\u202etxt.exe", "invoice\\u202etxt.exe"),
        ("bad\udcffname", "bad\\udcffname"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_lines_and_tabs_stay_or_are_flattened() -> None:
    assert escape("a\n\tb") == "a\n\tb"
    assert flat("a\n\tb\r\nc") == "a  b c"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_on_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    stream_safely(stream)
    terminal = Terminal({}, json=True, quiet=False, no_color=False)
    terminal.json({"text": "Größe 漢字 \udcff"})
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    assert json.loads(buffer.getvalue().decode(encoding)) == {"text": "Größe 漢字 \udcff"}


def test_tables_into_a_pipe_are_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal({}, json=False, quiet=False, no_color=False)
    terminal.table([Column("A"), Column("B")], [("x\ty", "1"), ("z\n", "2")])
    assert capsys.readouterr().out == "x y\t1\nz \t2\n"


@pytest.mark.parametrize(("environ", "no_color", "coloured"), [
    ({}, False, True), ({"NO_COLOR": "1"}, False, False), ({"TERM": "dumb"}, False, False), ({}, True, False),
])  # fmt: skip
def test_colour_only_where_wanted(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], no_color: bool, coloured: bool
) -> None:
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", stream)
    Terminal(environ, json=False, quiet=False, no_color=no_color).error("Wrong.", "Do this.", "X", 1)
    assert ("\x1b[" in stream.text()) is coloured
    assert "Wrong. Do this." in stream.text()


@pytest.mark.parametrize("columns", ["20", "60", "200"])
def test_table_on_terminals_of_any_width(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", columns)
    terminal = Terminal({}, json=False, quiet=False, no_color=True)
    terminal.table([Column("Document", wrap=True), Column("N", "right")], [("a/very/long/path/" * 5 + "\x1b[2J", "1")])
    shown = stream.text()
    assert "\x1b[2J" not in shown
    assert max(map(len, shown.splitlines())) <= int(columns)


def test_a_table_that_does_not_fit_becomes_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("Document", wrap=True), Column("Language"), Column("Characters", "right"), Column("Chunks")]
    rows = [("a/very/long/path.md", "de", "4711", "12"), ("b.md", "", "8", "1")]
    for width, fits in (("60", True), ("30", False)):
        stream = FakeTerminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", width)
        Terminal({}, json=False, quiet=False, no_color=True).table(columns, rows)
        lines = [line.rstrip() for line in stream.text().splitlines()]
        assert ("  Characters: 4711" in lines) is not fits
        assert "…" not in stream.text()
    first = ["a/very/long/path.md", "  Language: de", "  Characters: 4711", "  Chunks: 12"]
    assert lines == [*first, "b.md", "  Characters: 8", "  Chunks: 1"]


def test_quiet_and_json_silence_notes_but_not_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, as_json in ((True, False), (False, True)):
        terminal = Terminal({}, json=as_json, quiet=quiet, no_color=False)
        terminal.note("hello")
        assert capsys.readouterr().err == ""
        terminal.error("wrong", "", "X", 1)
        assert "rong" in capsys.readouterr().err


def test_progress_into_a_pipe_is_lines_with_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragstone.cli.progress.LINE_EVERY", 0.0)
    with ProgressDisplay(Terminal({}, json=False, quiet=False, no_color=False)) as progress:
        progress(Progress("read", 1, 4, "/x/a.md", "added"))
        progress(Progress("read", 2, 4, "/x/b\x1b.md", "added"))
        progress(Progress("read", 3, 4, "/x/c.md", "failed"))
    err = capsys.readouterr().err
    assert "Reading: 2 of 4 files" in err
    assert "files/s" in err
    assert "left" in err
    assert "b\\x1b.md" in err
    assert "failed: /x/c.md" in err


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressDisplay(Terminal({}, json=False, quiet=False, no_color=True)) as progress:
        progress(Progress("discover", 3, None))
        progress(Progress("read", 1, 2, "/x/\x1b]0;evil\x07.md", "added"))
        progress(Progress("embed", 1, 2))
    shown = stream.text()
    assert "Reading" in shown
    assert "]0;evil\x07" not in shown


def test_failures_are_named_once_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table at the end names them; where it does not come, the progress does."""
    for breaks_off in (False, True):
        stream = FakeTerminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", FakeTerminal())
        with suppress(KeyboardInterrupt), ProgressDisplay(Terminal({}, json=False, quiet=False, no_color=True)) as show:
            show(Progress("store", 1, 2, "/x/a.md", "failed"))
            if breaks_off:
                raise KeyboardInterrupt
        assert "1 failed" in stream.text()
        assert ("failed: /x/a.md" in stream.text()) is breaks_off


def test_a_stage_that_begins_anew_forgets_its_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("ragstone.cli.progress.time.monotonic", lambda: now)
    with ProgressDisplay(Terminal({}, json=False, quiet=False, no_color=False)) as progress:
        progress(Progress("verify", 1, 9))
        now = 200.0
        progress(Progress("verify", 9, 9))
        now = 300.0
        progress(Progress("verify", 1, 9))
        now = 304.0
        progress(Progress("verify", 8, 9))
    assert capsys.readouterr().err.splitlines() == [
        "Checking: 9 of 9 checks, 0.1 checks/s",
        "Checking: 8 of 9 checks, 2.0 checks/s, 0.5 s left",
    ]


def test_progress_is_silent_with_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragstone.cli.progress.LINE_EVERY", 0.0)
    with ProgressDisplay(Terminal({}, json=False, quiet=True, no_color=False)) as progress:
        progress(Progress("read", 1, 4, "a", "added"))
        progress(Progress("read", 2, 4, "b", "added"))
    assert capsys.readouterr().err == ""


def test_numbers_for_people() -> None:
    assert [size(n) for n in (0, 999, 1500, 2_500_000, 3.2e12)] == ["0 B", "999 B", "1.5 kB", "2.5 MB", "3.2 TB"]
    assert [duration(s) for s in (0.83, 12.3, 185, 3723)] == ["0.8 s", "12 s", "3:05", "1:02:03"]
    assert (plural(1, "chunk"), plural(1200, "chunk")) == ("1 chunk", "1,200 chunks")
