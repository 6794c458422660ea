"""Documents that a test can tell again by their uri."""

from __future__ import annotations

import random

from prepared import prepared
from ragstone.types import PreparedDocument


def document(uri: str) -> PreparedDocument:
    """The same text for the same uri, of 1 to 8 chunks of up to 3 kB; one chunk is shared by all."""
    seeded = random.Random(uri)
    texts = [f"{uri} {number} " * seeded.randint(1, 300) for number in range(seeded.randint(1, 7))]
    return prepared(uri, [*texts, "shared by all"])
