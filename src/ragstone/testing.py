"""Real implementations of the Protocols that need no model: for our tests and yours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .protocols import Role, Vectors
from .text.analysis import analyzer
from .types import Call, Delta, Message, Space, Usage


@dataclass(frozen=True, slots=True)
class HashEmbedder:
    """A bag of hashed words: every index term has a fixed random direction, a text is the sum of its terms'. Texts
    that share words are close; nothing else is. Deterministic on every machine."""

    dimension: int = 64
    language: str = "en"

    @property
    def space(self) -> Space:
        return Space("hash", "1", self.dimension)

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:  # noqa: ARG002 - questions and passages alike
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        words = analyzer(self.language).words
        for row, text in zip(rows, texts, strict=True):
            for term in words(text):
                row += self._direction(term)
            length = float(np.linalg.norm(row))
            row /= length if length else 1.0
        return rows

    def _direction(self, term: str) -> Vectors:
        digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        random = np.random.default_rng(int.from_bytes(digest, "little"))
        return random.standard_normal(self.dimension, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class EchoLLM:
    """Repeats the last message word by word; with `reply`, gives that instead."""

    reply: str = ""
    context: int = 4096

    @property
    def name(self) -> str:
        return "echo"

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        words = (self.reply or messages[-1].content).split(" ")
        for number, word in enumerate(words[: call.max_tokens]):
            yield Delta(word if number == 0 else " " + word)
        prompt = sum(len(message.content.split(" ")) for message in messages)
        finish = "stop" if len(words) <= call.max_tokens else "length"
        yield Delta(finish=finish, usage=Usage(prompt, min(len(words), call.max_tokens), estimated=True))

    def close(self) -> None:
        """Holds nothing."""
