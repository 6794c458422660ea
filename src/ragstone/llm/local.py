"""The language models of this machine as one thing: in one order of calls, loaded ahead, shown, forgotten."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..protocols import LLM
from ..types import Message, ModelStatus

if TYPE_CHECKING:
    from .schedule import Scheduled, Scheduler

FOLDER = "llama"
"""In the data folder: state files of warm servers and their slots."""


class LocalModels:
    """Those in use (`take`), and what all ever left in `folder`. `memory` in bytes bounds them together, 0 does not.
    `opening` makes those that answer (it is called before they are loaded or shown); `beginning` is what every prompt
    begins with. Safe from several threads."""

    def __init__(
        self, folder: Path, *, memory: int, opening: Callable[[], object], beginning: Sequence[Message] = ()
    ) -> None:
        self._folder = folder
        self._memory = memory
        self._scheduler: Scheduler | None = None
        self._opening = opening
        self._beginning = tuple(beginning)
        self._lock = threading.Lock()
        self._models: list[Scheduled] = []

    def state(self, model: Path) -> Path:
        """The state file of a gguf model."""
        mark = hashlib.sha256(str(model.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return self._folder / f"{model.stem}-{mark}.json"

    def take(self, llm: LLM) -> LLM:
        """The same model, with its calls in the common order where it takes memory of this machine."""
        from .llama import LlamaServer
        from .ollama import OllamaChat
        from .schedule import Scheduled, Scheduler

        if not (isinstance(llm, LlamaServer) or (isinstance(llm, OllamaChat) and _here(llm.url))):
            return llm
        with self._lock:
            self._scheduler = self._scheduler or Scheduler(self._memory)
            scheduled = Scheduled(llm, self._scheduler)
            self._models.append(scheduled)
        return scheduled

    def status(self) -> list[ModelStatus]:
        return [model.status() for model in self._opened()]

    def load(self) -> list[tuple[str, float]]:
        loads = [(model.name, model.load(self._beginning)) for model in self._opened()]
        return [(name, seconds) for name, seconds in loads if seconds]

    def unload(self) -> None:
        for model in self._opened():
            model.unload()

    def end(self, conversation: str) -> None:
        with self._lock:
            models = list(self._models)
        for model in models:
            model.end(conversation)

    def forget(self, *, erase: bool = False) -> None:
        if self._folder.is_dir():  # most data folders have none, and then this costs nothing
            from .llama import forget_prompts

            forget_prompts(self._folder, erase=erase)

    def _opened(self) -> list[Scheduled]:
        self._opening()
        with self._lock:
            return list(self._models)


def _here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
