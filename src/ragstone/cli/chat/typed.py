"""What is typed at the prompt: what was typed before, and what it may become."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from ...errors import RagstoneError
from . import commands
from .chat import Chat

HISTORY: Final = 2_000
"""Questions that Ctrl-R searches."""


class Asked(History):
    """What was asked in every session of the data folder, and the commands of this one."""

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self._chat = chat

    def load_history_strings(self) -> Iterable[str]:
        return self._chat.chats.questions(HISTORY)

    def store_string(self, string: str) -> None:
        """The store has it with the question."""


class Words(Completer):
    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        line = document.text_before_cursor
        if not line.startswith("/") or "\n" in line:
            return
        last = line if " " not in line else line.partition(" ")[2]
        with contextlib.suppress(RagstoneError):
            for word in commands.words(self._chat, line):
                yield Completion(word, start_position=-len(last))
