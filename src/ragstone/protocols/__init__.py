"""Every seam of the system.

Ids are chunk ids: signed 64-bit, given by the store, never reused. `Ids` are int64[n]; `Vectors` float32[n, d],
rows of unit length unless the space says otherwise. Scores are float32[n], larger is better.
"""

from __future__ import annotations

from .arrays import Ids, Scores, Vectors
from .cache import Cache
from .chats import ChatStore
from .graph import Extracted, Extractor, GraphSearch, GraphStore, Reached, Recognizer, Span, Theme, Unread
from .indexes import CollectionView, LexicalIndex, Owners, QueryTerms, VectorIndex
from .memory import Alike, MemoryCounts, MemoryRow, MemoryStore, Telling, Told, Wording
from .models import LLM, Embedder, LocalLLM, Reranker, Role
from .queue import Queue
from .store import ChangeSpaces, Guard, Known, Pending, PutResult, Segment, SegmentKind, Store

__all__ = [
    "LLM",
    "Alike",
    "Cache",
    "ChangeSpaces",
    "ChatStore",
    "CollectionView",
    "Embedder",
    "Extracted",
    "Extractor",
    "GraphSearch",
    "GraphStore",
    "Guard",
    "Ids",
    "Known",
    "LexicalIndex",
    "LocalLLM",
    "MemoryCounts",
    "MemoryRow",
    "MemoryStore",
    "Owners",
    "Pending",
    "PutResult",
    "QueryTerms",
    "Queue",
    "Reached",
    "Recognizer",
    "Reranker",
    "Role",
    "Scores",
    "Segment",
    "SegmentKind",
    "Span",
    "Store",
    "Telling",
    "Theme",
    "Told",
    "Unread",
    "VectorIndex",
    "Vectors",
    "Wording",
]
