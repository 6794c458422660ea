"""What is made ready before somebody asks, in threads of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import RagstoneError
from .asking import Asking
from .parts import Parts
from .searching import Searching

log = logging.getLogger(__name__)


class Ahead:
    """The most frequent questions and the language model, where settings ask for them."""

    def __init__(self, parts: Parts, searching: Searching, asking: Asking) -> None:
        self._parts = parts
        self._searching = searching
        self._asking = asking
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        if self._parts.prewarm and self._parts.persistent is not None:
            self._start("ragstone-prewarm", self._questions)
        if self._parts.preload:
            self._start("ragstone-preload", self._language_models)

    def wait(self) -> None:
        """Until all is ready."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        self._closing.set()
        self.wait()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _questions(self) -> None:
        for asked in self._searching.frequent(self._parts.prewarm):
            if self._closing.is_set():
                return
            try:
                self._asking.prepare(asked)
            except RagstoneError as error:
                log.debug("a question was not prepared: %s", error)  # whoever asks it hears of what is wrong

    def _language_models(self) -> None:
        try:
            self._parts.language_models().load()
        except RagstoneError as error:
            log.warning("the language model was not loaded ahead: %s", error)  # the first question tells as well
