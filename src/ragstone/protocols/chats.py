"""Sessions of chats, in the store."""

from __future__ import annotations

from typing import Protocol

from ..chat_types import ChatAnswer, ChatSession, ChatTurn


class ChatStore(Protocol):
    """Sessions of chats, by id. What returned is durable. Every method raises NotFound for a session that was
    forgotten, and StoreError."""

    def sessions(self) -> list[ChatSession]:
        """The one used last first."""
        ...

    def begin(self, name: str) -> ChatSession:
        """Raises Conflict where the name is taken, InputError where it cannot be one."""
        ...

    def turns(self, session: str) -> list[ChatTurn]:
        """In the order they were asked."""
        ...

    def questions(self, most: int) -> list[str]:
        """Of all sessions, each once, the latest first."""
        ...

    def ask(self, session: str, question: str) -> ChatTurn: ...

    def answer(self, turn: str, answer: ChatAnswer) -> bool:
        """Whether it was stored: not where a passage that it was made from was removed meanwhile."""
        ...

    def forget(self, session: str) -> int:
        """With its turns; how many there were."""
        ...

    def close(self) -> None: ...
