"""What all vectors of a sentence model have in common, taken away: without that, unrelated sentences have a cosine of
.80 in the packaged model and everything looks alike."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..protocols import Embedder, Vectors

UNRELATED: Final = (
    "The meeting is on Tuesday.", "Die Pumpe wird jedes Jahr gewartet.", "I like strong coffee.",
    "How do I reset my password?", "Der Server läuft auf Port 8080.", "She moved to Berlin in spring.",
    "Wir haben uns für PostgreSQL entschieden.", "The test fails when the disk is full.",
    "Wer ist für das Projekt zuständig?", "Cats sleep most of the day.", "Das Rezept braucht drei Eier.",
    "The contract ends in December.", "Use tabs, not spaces.", "Es regnet seit gestern.",
    "The bridge was built in 1932.", "Was kostet die Lizenz?",
)  # fmt: skip
"""Sentences that have nothing in common: the mean of their vectors is what every vector of a model has in it."""


class Centre:
    """The mean of unrelated sentences in the space of an embedder, which is asked once."""

    def __init__(self, embedder: Embedder) -> None:
        self.mean: Vectors = embedder.embed(UNRELATED, "passage").mean(axis=0)

    def away(self, vectors: Vectors) -> Vectors:
        """The vectors without it, of unit length."""
        moved = vectors - self.mean
        lengths = np.linalg.norm(moved, axis=-1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-9), dtype=np.float32)
