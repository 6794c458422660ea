from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compared import TEXT
from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import at
from ragstone.testing import HashEmbedder


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    """One document about a pump."""
    (tmp_path / "pump.txt").write_text(TEXT, encoding="utf-8")
    with open_knowledge_base(at(tmp_path / "data"), embedder=HashEmbedder()) as kb:
        kb.add([str(tmp_path / "pump.txt")])
        kb.embed_pending()
        yield kb
