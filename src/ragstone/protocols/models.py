"""Models: embedding, reranking, language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from ..types import Call, Delta, Message, ModelStatus, Space
from .arrays import Scores, Vectors

Role = Literal["query", "passage"]


class Embedder(Protocol):
    """Turns texts into vectors of one space."""

    @property
    def space(self) -> Space: ...

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """float32[len(texts), space.dimension]. Safe to call from several threads at once. Texts longer than the
        model's window are embedded in windows and averaged: nothing is dropped silently."""
        ...


class Reranker(Protocol):
    def score(self, query: str, texts: Sequence[str]) -> Scores: ...


class LLM(Protocol):
    """A language model that continues a conversation. `context` is its window in tokens."""

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int: ...

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        """Deltas as they come; the last has `finish` and `usage`. Closing the iterator stops the model.
        Raises ModelUnavailable, DeadlineExceeded."""
        ...

    def close(self) -> None: ...


class LocalLLM(LLM, Protocol):
    """A model whose memory is this machine's: it takes seconds to load, and others may have to go for it."""

    @property
    def lanes(self) -> int:
        """Calls that it works on at the same time."""
        ...

    def load(self, messages: Sequence[Message] = ()) -> float:
        """Loads it and computes the beginning of prompts, `messages`; returns the seconds that loading took, 0.0
        where it was loaded. Raises ModelError."""
        ...

    def unload(self) -> bool:
        """Frees its memory; False where another process uses it now."""
        ...

    def end(self, conversation: str) -> None:
        """A conversation is over: what was kept for its next question is removed."""
        ...

    def status(self) -> ModelStatus:
        """How it stands; starts and loads nothing. Raises ModelError."""
        ...
