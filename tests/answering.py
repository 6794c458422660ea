"""Hits made by hand, for the tests of answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragstone.protocols import Role, Vectors
from ragstone.text.analysis import analyzer
from ragstone.types import Chunk, Hit, ScoreParts, Space

TOWER_DE = (
    "Der Eiffelturm steht in Paris. Er wurde von Gustave Eiffel entworfen und 1889 eröffnet. Der Turm ist 330 Meter "
    "hoch und wiegt 10.100 Tonnen. Jedes Jahr kommen sieben Millionen Besucher. Am 3. Mai bleibt er geschlossen."
)
CHEESE_DE = "Emmentaler ist ein Käse aus der Schweiz. Ein Laib wiegt bis zu 120 Kilogramm. Er reift vier Monate."
TOWER_EN = (
    "The Eiffel Tower stands in Paris. It was designed by Gustave Eiffel and opened in 1889. The tower is 330 metres "
    "tall and weighs 10,100 tonnes. Seven million visitors come every year."
)


def hit(text: str, *, rank: int = 0, language: str = "de", title: str = "", uri: str = "", start: int = 0) -> Hit:
    """A hit whose chunk begins at `start` of its document; every rank is another document and chunk."""
    chunk = Chunk(
        id=rank + 1, document_id=rank + 1, collection="c", uri=uri or f"/d/{rank}.txt", title=title,
        media_type="text/plain", language=language, ordinal=0, start=start, end=start + len(text), page=None, line=1,
        section=(), text=text, context=title, content_hash=b"", metadata={},
    )  # fmt: skip
    return Hit(chunk, 1.0 / (rank + 1), ScoreParts())


class TermEmbedder:
    """Vectors that count index terms, hashed into `dimension` places: equal words, equal directions."""

    def __init__(self, model: str = "terms", dimension: int = 256) -> None:
        self._space = Space(model, "1", dimension)

    @property
    def space(self) -> Space:
        return self._space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        rows = np.zeros((len(texts), self._space.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in analyzer("de").words(text):
                row[sum(term.encode()) % len(row)] += 1.0
            row /= np.linalg.norm(row) or 1.0
        return rows
