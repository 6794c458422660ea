"""The one object that every surface talks to: documents in, hits and cited answers out."""

from __future__ import annotations

from .knowledge_base import KnowledgeBase
from .names import DEFAULT_COLLECTION
from .parts import LanguageModels, Parts

__all__ = ["DEFAULT_COLLECTION", "KnowledgeBase", "LanguageModels", "Parts"]
