"""One moment of the graph of a collection, as arrays: what walks, communities and layouts read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..graph_types import Entity
from ..protocols import Ids

Numbers = NDArray[np.int32]
Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class GraphView:
    """Entities and chunks are numbered by their place in `entities` and `chunks`.

    chunks    int64[c], rising
    starts    int64[c + 1]: chunk i mentions `members[starts[i]:starts[i + 1]]`, each entity once, rising
    members   int32[m]: entities; shares float32[m]: summed weights of their mentions in the chunk
    heads     int32[r] < tails int32[r]: the two ends of each edge, ordered by both
    strengths float32[r]: summed weights of the relations of an edge, over all chunks
    forms     entities by the folded form (`Mention.norm`) of a mention or alias
    """

    entities: Sequence[Entity]
    chunks: Ids
    starts: Ids
    members: Numbers
    shares: Weights
    heads: Numbers
    tails: Numbers
    strengths: Weights
    forms: Mapping[str, Sequence[int]]
    revision: int = 0
