"""Calls of language models, and how local ones stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .answers import Usage


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt to a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


Purpose = Literal["chat", "extraction", "classification"]
"""What a call of a language model is for. "chat" is somebody waiting; the others are work in the background."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who pays for a call: each name counts against the budget of that key, person and team; "" is nobody's."""

    key: str = ""
    person: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of a language model may use, what it is for, and for whom.

    `max_tokens`: of the answer. `deadline`: `time.monotonic()` seconds. `schema`: a JSON Schema of the answer; where a
    provider cannot enforce one, the caller still has to check. `conversation`: calls of one conversation share a
    prompt's beginning, so a local server keeps it in one slot.
    """

    max_tokens: int
    deadline: float | None = None
    schema: Mapping[str, object] | None = None
    purpose: Purpose = "chat"
    caller: Caller = Caller()
    conversation: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed completion; the last one carries `usage` and `finish` ("stop", "length"), and `model`, who
    wrote it, where one of several did."""

    text: str = ""
    finish: str = ""
    usage: Usage | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A language model on this machine, as it stands now. Sizes are bytes; `size` is that of its weights, `ram` and
    `vram` what it takes while loaded. `last_used` and `expires` (when it will be unloaded) are POSIX seconds, None
    where nobody tells. `prompt_tokens` of which `cached_tokens` had been computed before, and `calls`, count since it
    was loaded; `saved` are bytes of conversations on the disk."""

    name: str
    kind: Literal["gguf", "ollama"]
    loaded: bool
    size: int = 0
    ram: int = 0
    vram: int = 0
    context: int = 0
    slots: int = 1
    last_used: float | None = None
    expires: float | None = None
    load_seconds: float | None = None
    conversations: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    saved: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens that did not have to be computed."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0
