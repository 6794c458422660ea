"""How like a sentence is to labelled examples: which kind of thing it states, or that it is not worth remembering.

The examples ship (examples.json, German and English, written for Ragstone); the classifier is that of intents. It takes
away from what words found, and adds what words do not tell where it is nearly sure. Both bounds were chosen on the
labelled turns `dev` and on chats of LiHuaWorld, see docs/learn.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final, cast

from ..intent.classifier import IntentClassifier
from ..memory_types import Type
from ..protocols import Embedder

NOTHING: Final = "nothing"
DOUBTED: Final = 0.7
"""Probability of being nothing from which a find of the words is dropped."""
ADDED: Final = 0.9
"""Probability of a type from which a sentence without a telling word becomes an item."""


@cache
def shipped() -> Mapping[str, tuple[str, ...]]:
    text = resources.files(__package__).joinpath("examples.json").read_text("utf-8")
    return {type: tuple(examples) for type, examples in json.loads(text).items()}


class Judge:
    """Safe from several threads. A sentence costs its embedding."""

    def __init__(self, embedder: Embedder, *, learned: Embedder | None = None) -> None:
        """`learned`: see `IntentClassifier`. Raises ModelError."""
        self._classifier = IntentClassifier(embedder, shipped(), learned=learned)

    def __call__(self, sentences: Sequence[str]) -> list[Mapping[str, float]]:
        """Of each the probabilities of the types that are among the four best, and of "nothing". Raises ModelError."""
        return [
            {found.name: found.confidence, **dict(found.alternatives)}
            for found in self._classifier.classify_many(sentences)
        ]


def doubted(likely: Mapping[str, float]) -> bool:
    return likely.get(NOTHING, 0.0) >= DOUBTED


def told(likely: Mapping[str, float], role: str) -> tuple[Type, float] | None:
    """What a sentence without a telling word states. Questions and what a model likes are left to the words."""
    name, share = max(likely.items(), key=lambda one: one[1])
    if share < ADDED or name in (NOTHING, "question") or (name == "preference" and role == "assistant"):
        return None
    return cast(Type, name), round(share, 3)
