"""Memory, and what fills it from conversations as they grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from ..intent.classifier import IntentClassifier
from ..learn.gleaning import Gleaning, GleaningLearner
from ..learn.judging import Judge
from ..learn.learner import Learner
from ..learn.turns import Turn
from ..memory.memory import Memory, Surroundings
from ..memory_types import MEMORY
from ..protocols import Embedder
from ..types import ProgressCallback
from .parts import Parts
from .running import Running


class Learning:
    """Holds the memory and the classifiers, each made when it is first asked for."""

    def __init__(self, parts: Parts, running: Running) -> None:
        self._parts = parts
        self._running = running
        self._embedders: dict[str, Embedder] = {}

    @cached_property
    def memory(self) -> Memory:
        spaces = self._parts.spaces
        return Memory(
            Surroundings(
                self._parts.store, self._running.index, lambda: spaces.recorded(MEMORY), self._embedder,
                lambda space: self._parts.shipped(spaces.embedder(space)),
                lambda removed: self._running.after_write(MEMORY, removed=removed),
            ),
            merge_at=self._parts.merge_at,
        )  # fmt: skip

    @cached_property
    def intents(self) -> IntentClassifier:
        embedder = self._default()
        return IntentClassifier(embedder, self._parts.intents(), learned=self._parts.learned(embedder))

    def learner(
        self, name: str, project: str | None, elsewhere: str | None, progress: ProgressCallback | None,
        heard: Callable[[Turn], None] | None, *, with_intents: bool,
    ) -> Learner:  # fmt: skip
        def wanted(texts: Sequence[str]) -> list[str]:
            return [found.name if found.in_scope else "" for found in self.intents.classify_many(texts)]

        def judge(texts: Sequence[str]) -> list[Mapping[str, float]]:
            return self._judge(texts)

        return Learner(
            name, remember=self.memory.remember_many, state=self._parts.store, project=project,
            elsewhere=elsewhere, intents=wanted if with_intents else None, judge=judge if with_intents else None,
            progress=progress, heard=heard,
        )  # fmt: skip

    def gleaner(
        self, name: str, project: str | None, elsewhere: str | None, admit: Callable[[], None]
    ) -> Gleaning | None:
        llm = self._parts.gleans()
        if llm is None:
            return None
        return Gleaning(
            GleaningLearner(
                name, llm=llm, admit=admit, remember=self.memory.remember_many, state=self._parts.store,
                project=project, elsewhere=elsewhere,
            )
        )  # fmt: skip

    @cached_property
    def _judge(self) -> Judge:
        embedder = self._default()
        return Judge(self._parts.skimming(embedder), learned=self._parts.shipped(embedder))

    def _default(self) -> Embedder:
        return self._embedder(self._parts.spaces.default().id)

    def _embedder(self, space: str) -> Embedder:
        """What is judged, told what it wants and remembered is embedded once."""
        found = self._embedders.get(space)
        if found is None:
            found = self._embedders.setdefault(space, self._parts.lately(self._parts.spaces.embedder(space)))
        return found
