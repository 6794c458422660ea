"""A conversation: its next question goes to the model as a continuation, not as a new prompt."""

from __future__ import annotations

import secrets

from ..types import Message
from .prompt import Earlier, Prompt


class Conversation:
    """Kept by whoever asks, for one question at a time. `id` names it to the model's server."""

    def __init__(self, id: str = "") -> None:
        self.id = id or secrets.token_hex(16)
        self.earlier = Earlier()

    def add(self, question: str, prompt: Prompt, answer: str) -> None:
        """A question was answered; `answer` is what the model wrote, letter by letter."""
        said = Message("assistant", answer)
        self.earlier = Earlier(
            (*prompt.messages, said), prompt.hits, (*self.earlier.turns, Message("user", question), said)
        )

    def restart(self) -> None:
        """Forgets what was said: a document of it was removed."""
        self.earlier = Earlier()
