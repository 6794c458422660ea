"""A chat through a pipe: a question or a command on each line, answers without any control character."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from ...errors import RagstoneError
from ..chat_records import chat_command_record, chat_record
from ..terminal import Terminal
from . import commands, showing
from .chat import Chat, Step
from .rendering import Output


class Plain:
    """`run` returns the exit code: 0, or that of the first line that failed."""

    def __init__(self, chat: Chat, terminal: Terminal) -> None:
        self._chat = chat
        self._terminal = terminal
        self._output = Output(self._write)
        self._done = False
        self._lines = ""  # of a command, where JSON is wanted
        self._room = commands.Room(chat, self._output, self._ask, self._show, None, self._quit)

    def run(self, lines: Iterable[str]) -> int:
        code = 0
        for line in lines:
            text = line.strip()
            if not text:
                continue
            try:
                self._command(text) if text.startswith("/") else self._ask(text)
            except RagstoneError as error:
                self._terminal.error(error.message, error.hint, error.code, error.exit_code)
                code = code or error.exit_code
            sys.stdout.flush()
            if self._done:
                break
        return code

    def _command(self, line: str) -> None:
        commands.run(self._room, line)
        if self._lines:
            print(json.dumps(chat_command_record(self._chat.name, line, self._lines.splitlines())))
            self._lines = ""

    def _ask(self, question: str, *, anew: bool = False) -> None:
        for step in self._chat.ask(question, anew=anew):
            if step.kind == "end":
                self._show(step)

    def _show(self, step: Step) -> None:
        turn = step.turn
        assert turn is not None  # noqa: S101 - what "end" means
        if self._terminal.as_json:
            print(json.dumps(chat_record(self._chat.name, turn)))
            return
        if turn.answer is not None:
            self._output.line(turn.answer.text)
        showing.foot(self._output, turn)
        self._output.line()

    def _write(self, text: str) -> None:
        if self._terminal.as_json:
            self._lines += text
        else:
            sys.stdout.write(text)

    def _quit(self) -> None:
        self._done = True
