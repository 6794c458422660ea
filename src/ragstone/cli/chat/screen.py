"""A chat in a terminal. The line that is typed stays at the bottom all the time; above it grows what is written now,
and what is finished moves up into the terminal's own history.

Two threads: the terminal's, which never waits, and a worker that takes what was typed, one after another.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus, is_searching
from prompt_toolkit.formatted_text import ANSI, FormattedText, merge_formatted_text
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from ...errors import RagstoneError, StoreError
from ..terminal import Terminal, escape, flat, plural
from . import commands, showing
from .chat import Chat, Step
from .lines import Lines
from .rendering import Output, complete_blocks
from .typed import Asked, Words

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import AnyFormattedText

FRAME: Final = 0.05
"""Seconds between two pictures, at least."""
LOOK: Final = 2.0
"""Seconds between two looks at work in the background."""
BELOW: Final = 6
"""Lines that the growing answer leaves to what is typed."""
QUEUED_SHOWN: Final = 3
ECHOED: Final = 12
"""Lines of what was asked that are repeated above its answer; all of them are stored."""
END: Final = LOOK + 3.0
_WAITING: Final = {
    "search": "searching", "memory": "remembering", "evidence": "reading", "generate": "writing", "extract": "choosing",
    "cache": "looking it up",
}  # fmt: skip
_STYLE: Final = {
    "quiet": "dim",
    "bottom-toolbar": "noreverse",
    "bottom-toolbar.text": "",
    "completion-menu": "noinherit",
    "completion-menu.completion": "noinherit",
    "completion-menu.completion.current": "noinherit reverse",
}


class Forwarded(io.TextIOBase):
    """Takes the place of stderr, so that a log line does not land in the middle of what is typed."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, text: str) -> int:
        self._screen.print(text.replace("\r", ""))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""



class Screen:
    def __init__(self, chat: Chat, terminal: Terminal) -> None:
        self._chat = chat
        self._lock = threading.Lock()
        self._ready = ""  # what waits to be printed above
        self._growing = ""  # markdown of the block that is written now
        self._growing_shown: tuple[str, int, str] = ("", 0, "")
        self._doing = ""
        self._since = 0.0
        self._lines = Lines()
        self._stopped = threading.Event()  # of the line that is worked on
        self._typed_meanwhile = False  # what stands in the input was begun or changed while something was done
        self._hint = ""
        self._background = ""
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._prompt: PromptSession[None] = PromptSession(
            message=self._message,
            multiline=True,
            prompt_continuation="  ",
            key_bindings=self._keys(),
            history=Asked(chat),
            completer=Words(chat),
            complete_in_thread=True,
            complete_while_typing=Condition(self._is_command),
            bottom_toolbar=self._toolbar,
            style=Style.from_dict(_STYLE),
            color_depth=None if terminal.color_out else ColorDepth.DEPTH_1_BIT,
            erase_when_done=True,
            enable_suspend=True,
            search_ignore_case=True,
            reserve_space_for_menu=6,
        )
        self._prompt.default_buffer.on_text_changed += self._typing
        self._output = Output(self.print, self._columns, color=terminal.color_out)
        self._room = commands.Room(chat, self._output, self._ask, self._show, self._edit, self._quit)

    def run(self) -> int:
        """Until the end of the chat; gives the exit code."""
        former, sys.stderr = sys.stderr, Forwarded(self)
        moved = [h for name in ("ragstone",) for h in logging.getLogger(name).handlers]
        for handler in moved:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
        self._greet()
        threads = [
            threading.Thread(target=self._work, name="ragstone-chat", daemon=True),
            threading.Thread(target=self._watch, name="ragstone-chat-watch", daemon=True),
        ]
        try:
            asyncio.run(self._run(threads))
        finally:
            self._ended.set()
            self._lines.end()
            for thread in threads:
                if thread.is_alive():
                    thread.join(END)
            sys.stderr = former
            for handler in moved:
                if isinstance(handler, logging.StreamHandler):
                    handler.setStream(former)
            sys.stdout.write(self._take())
            sys.stdout.flush()
        return 0

    async def _run(self, threads: list[threading.Thread]) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._changed.set()
        for thread in threads:
            thread.start()

        def begin() -> None:
            self._prompt.app.create_background_task(self._paint())

        await self._prompt.prompt_async(pre_run=begin, handle_sigint=True)

    def _greet(self) -> None:
        if self._chat.turns:
            showing.resumed(self._chat, self._output)
        else:
            self._output.line(f"Ragstone chat, session {self._chat.name}. /help shows what there is.", "dim")

    # ------------------------------------------------------------------ from any thread
    def print(self, text: str) -> None:
        """Ready text, above what is typed."""
        with self._lock:
            self._ready += text
        self._refresh()

    def _refresh(self) -> None:
        self._call(self._changed.set)

    def _call(self, work: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the end: `run` prints the rest
                self._loop.call_soon_threadsafe(work)

    def _columns(self) -> int:
        return self._prompt.app.output.get_size().columns

    def _take(self) -> str:
        with self._lock:
            text, self._ready = self._ready, ""
        return text

    # ------------------------------------------------------------------ the worker
    def _work(self) -> None:
        while (line := self._lines.next()) is not None:
            text, self._stopped = line.text, line.stopped
            back: Callable[[], None] | None = None
            self._echo(text)
            try:
                commands.run(self._room, text) if text.startswith("/") else self._ask(text)
            except RagstoneError as error:
                self._failed(f"{error.message} {error.hint}".strip())
                back = partial(self._put_back, text, only_if_long=not isinstance(error, StoreError))
            except Exception as error:  # noqa: BLE001 - the chat goes on; what was asked is stored
                self._failed(f"Ragstone failed unexpectedly: {type(error).__name__}: {error}. This is a defect.")
            finally:
                self._doing, self._growing = "", ""
                self._lines.done()
                self._output.line()
            if back:
                self._call(back)

    def _echo(self, text: str) -> None:
        lines = text.splitlines()
        left_out = len(lines) - ECHOED
        self._output.line("> " + "\n  ".join(lines[:ECHOED]), "bold")
        if left_out > 0:
            self._output.line(f"  … {plural(left_out, 'line')} more", "dim")

    def _failed(self, text: str) -> None:
        self._output.line(f"error: {flat(text)}", "red")

    def _ask(self, question: str, *, anew: bool = False) -> None:
        self._since, self._doing = time.monotonic(), "asking"
        for step in self._chat.ask(question, anew=anew, stopped=self._stopped):
            if step.kind == "stage":
                self._doing = _WAITING.get(step.text, step.text)
            elif step.kind == "text":
                self._grow(step.text)
            elif step.kind == "void":
                self._settle()
                self._output.line(f"({step.text})", "yellow")
                self._output.line()
            else:
                self._settle()
                self._show(step)
            self._refresh()

    def _grow(self, text: str) -> None:
        """Blocks that are complete move up."""
        growing = self._growing + text
        done = complete_blocks(growing)
        if done:
            self._block(growing[:done])
        self._growing = growing[done:]

    def _settle(self) -> None:
        """What was written stands."""
        if self._growing.strip():
            self._block(self._growing)
        self._growing = ""

    def _block(self, text: str) -> None:
        self.print(self._output.markdown_text(text).strip("\n") + "\n\n")

    def _show(self, step: Step) -> None:
        turn = step.turn
        assert turn is not None  # noqa: S101 - what "end" means
        if step.text and turn.answer is not None:
            showing.body(self._output, turn.answer)
            self._output.line()
        showing.foot(self._output, turn)

    def _watch(self) -> None:
        """Work in the background, for the line at the bottom."""
        while not self._ended.wait(LOOK):
            try:
                waiting = self._chat.kb.waiting(self._chat.collections)
                now = f"embedding, {plural(waiting, 'passage')} to go" if waiting else ""
            except RagstoneError:
                now = ""  # no documents yet, or the knowledge base is being changed
            if now != self._background:
                self._background = now
                self._refresh()

    # ------------------------------------------------------------------ the terminal's thread
    async def _paint(self) -> None:
        app = self._prompt.app
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.5 if self._doing else None)
            self._changed.clear()
            await app.renderer.wait_for_cpr_responses()
            if app.is_running and (text := self._take()):
                self._print_above(text)
            app.invalidate()
            await asyncio.sleep(FRAME)

    def _print_above(self, text: str) -> None:
        """Not by prompt_toolkit's `in_terminal`, which gives the terminal back to the kernel for the time of printing:
        the kernel would echo what is typed then into the answer, and throw it away with a Ctrl-C."""
        app, renderer = self._prompt.app, self._prompt.app.renderer
        renderer._bracketed_paste_enabled = False  # else `erase` ends it, and what is pasted now counts as typed
        renderer.erase()
        app.output.write_raw(text.replace("\n", "\r\n"))
        app.output.flush()
        renderer.request_absolute_cursor_position()
        renderer.render(app, app.layout)

    def _message(self) -> AnyFormattedText:
        parts: list[AnyFormattedText] = []
        size = self._prompt.app.output.get_size()
        room = max(2, size.rows - BELOW - min(self._prompt.default_buffer.document.line_count, size.rows // 2))
        growing = self._growing
        if growing.strip():
            if self._growing_shown[:2] != (growing, size.columns):
                self._growing_shown = (growing, size.columns, self._output.markdown_text(growing))
            lines = self._growing_shown[2].strip("\n").split("\n")
            parts.append(ANSI("\n".join(lines[-room:]) + "\n"))
        if self._doing:
            seconds = time.monotonic() - self._since
            took = f" {seconds:.0f} s" if seconds >= 1 else ""
            parts.append(FormattedText([("class:quiet", f"{self._doing} …{took}\n")]))
        for line in map(flat, self._lines.waiting()[:QUEUED_SHOWN]):
            parts.append(FormattedText([("class:quiet", f"next: {line[: max(10, size.columns - 8)]}\n")]))
        parts.append(FormattedText([("bold", "> ")]))
        return merge_formatted_text(parts)

    def _toolbar(self) -> AnyFormattedText:
        """As many of its parts, by weight, as have room."""
        columns = self._columns()
        chat = self._chat
        parts = [self._hint, self._background, chat.model, ",".join(chat.collections or ["all"]), chat.name]
        shown = ""
        for part in filter(None, parts):
            longer = f"{shown} · {part}" if shown else part
            if len(longer) <= columns - 1:
                shown = longer
        return FormattedText([("class:quiet", escape(shown))])

    def _is_command(self) -> bool:
        return self._prompt.default_buffer.text.startswith("/")

    def _edit(self, text: str) -> None:
        self._call(partial(self._put_back, text, told="/edit wants an empty line"))

    def _put_back(self, text: str, *, only_if_long: bool = False, told: str = "") -> None:
        """What could not be asked goes back to where it was typed, unless something else is there by now: `told`."""
        buffer = self._prompt.default_buffer
        if not buffer.text and (not only_if_long or "\n" in text or len(text) > 200):
            buffer.insert_text(text)
            self._typed_meanwhile = False
        elif told:
            self._hint = told

    def _typing(self, buffer: Buffer) -> None:
        self._hint = ""
        self._typed_meanwhile = bool(buffer.text) and (self._typed_meanwhile or self._lines.busy())

    def _interrupt(self, buffer: Buffer) -> None:
        """Who wants to stop an answer may be late by a moment: what was typed while it came stays then."""
        if self._lines.stop():
            return
        if not buffer.text:
            self._hint = "Ctrl-D ends the chat"
        elif self._typed_meanwhile:
            self._typed_meanwhile = False
            self._hint = "Ctrl-C again clears the line"
        else:
            self._clear(buffer)
            self._hint = "Up brings it back"

    def _clear(self, buffer: Buffer) -> None:
        buffer.reset(append_to_history=True)
        self._typing(buffer)

    def _quit(self) -> None:
        self._call(self._leave)

    def _leave(self) -> None:
        if self._prompt.app.is_running and not self._prompt.app.is_done:
            self._prompt.app.exit()

    def _submit(self, text: str) -> None:
        if text.strip() in ("/quit", "/exit"):
            self._leave()
            return
        self._lines.add(text)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = has_focus(DEFAULT_BUFFER) & ~is_searching

        @keys.add("enter", filter=typing)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            text = buffer.text.strip()
            if text:
                self._clear(buffer)
                self._submit(text)

        @keys.add("escape", "enter", filter=typing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c", filter=typing)
        @keys.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            self._interrupt(event.app.current_buffer)
            event.app.invalidate()

        @keys.add("c-d", filter=typing & Condition(lambda: not self._prompt.default_buffer.text))
        def _(_event: KeyPressEvent) -> None:
            self._leave()

        return keys
