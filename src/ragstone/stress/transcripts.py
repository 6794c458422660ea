"""A transcript that grows, and a memory that merges only what is said in the same words, so that it is known how often
each thing has to be remembered."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from ..assemble import open_knowledge_base
from ..knowledge_base import KnowledgeBase
from ..learn.learner import LearnReport
from ..learn.lines import whole_file
from ..testing import HashEmbedder
from .workload import DIMENSION, settings

STREAM: Final = "stress"
PAGE: Final = 100
_NOISE: Final = ("Thanks!", "Let me look at the log first.", "Could you run it again?", "Alles klar.", "")
_BEGAN: Final = 1_700_000_000


def open_memory(folder: Path) -> KnowledgeBase:
    """Raises StoreError."""
    chosen = settings(folder)
    chosen = replace(chosen, memory=replace(chosen.memory, merge_at=1.0))
    return open_knowledge_base(chosen, embedder=HashEmbedder(DIMENSION))


def learned(kb: KnowledgeBase, transcript: Path, *, piped: bool = False) -> LearnReport:
    """Raises StoreError."""
    learner = kb.learner(STREAM, with_intents=False)
    if piped:
        return learner.learn_stream(whole_file(transcript))
    return learner.learn_file(transcript, stop=threading.Event())


class Transcript:
    """Of `said`, each sentence with how often it was said. The last line may lack its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: Counter[str] = Counter()
        self.lines = 0
        self._rest = b""
        path.write_bytes(b"")

    def grow(self, chance: random.Random, lines: int) -> None:
        written = self._rest + b"".join(self._line(chance) for _ in range(lines))
        self._rest = b""
        if chance.random() < 0.3:
            cut = chance.randrange(1, min(40, len(written)))
            written, self._rest = written[:-cut], written[-cut:]
        with self.path.open("ab") as file:
            file.write(written)

    def end(self) -> None:
        """Completes the last line."""
        with self.path.open("ab") as file:
            file.write(self._rest)
        self._rest = b""

    def _line(self, chance: random.Random) -> bytes:
        self.lines += 1
        kind = chance.random()
        if kind < 0.05:
            return b'{"role": "user", "content": \n'
        if kind < 0.4:
            text = chance.choice(_NOISE)
        elif kind < 0.5 and self.said:
            text = chance.choice(list(self.said))
            self.said[text] += 1
        else:
            text = f"We decided to use tool {self.lines} for part {chance.randrange(10**9)}."
            self.said[text] += 1
        turn = {"role": chance.choice(("user", "assistant")), "content": text, "timestamp": _BEGAN + self.lines}
        return msgspec.json.encode(turn) + b"\n"


def remembered(kb: KnowledgeBase) -> Iterator[tuple[str, int]]:
    """Each item with how often it was told."""
    before = None
    while items := kb.memory.timeline(limit=PAGE, before=before):
        yield from ((item.text, item.told) for item in items)
        before = items[-1].at
