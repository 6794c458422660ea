"""A conversation through the knowledge base with a real local model: what is kept for it, and when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models import end_server, smollm2
from ragstone.answer.conversation import Conversation
from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import load
from ragstone.testing import HashEmbedder

TEXTS = [
    ("pump", "Pump", "The filter of the pump is changed every two weeks. The pump runs at 3 bar.", {}),
    ("boat", "Boat", "The boat has a red sail. Its mast is 9 metres tall.", {}),
]
FILTER = "When is the filter of the pump changed?"


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    overrides = {
        "data.folder": str(tmp_path), "embedding.background": False, "answer.model": f"gguf:{smollm2()}",
        "answer.context": 1024, "answer.max_tokens": 24, "models.slots": 1,
    }  # fmt: skip
    with open_knowledge_base(load(overrides=overrides), embedder=HashEmbedder()) as opened:
        opened.add_texts(TEXTS)
        opened.embed_pending()
        yield opened
    for state in (tmp_path / "llama").glob("*.json"):
        end_server(state)


def saved(folder: Path) -> int:
    return len(list((folder / "llama").glob("*.slots/*.kv")))


@pytest.mark.slow
def test_only_what_is_new_is_computed_until_a_document_of_it_is_removed(kb: KnowledgeBase, tmp_path: Path) -> None:
    [(name, seconds)] = kb.load_models()
    assert name
    assert seconds > 0
    talk, other = Conversation(), Conversation()
    first = kb.ask(FILTER, conversation=talk)
    again = kb.ask(FILTER, conversation=talk)
    assert again.usage.cached_tokens >= first.usage.prompt_tokens - 8
    kb.ask(FILTER, conversation=other)
    assert saved(tmp_path) == 1
    third = kb.ask(FILTER, conversation=talk)
    assert third.usage.cached_tokens >= again.usage.prompt_tokens - 8
    [status] = kb.model_status()
    assert status.hit_rate > 0.4
    assert status.conversations == 1
    kb.end(other)
    assert saved(tmp_path) == 0, "restored ones are overwritten, ended ones removed"
    kb.ask(FILTER, conversation=other)
    assert saved(tmp_path) == 1
    kb.add_texts([("new", "", "Nothing was removed here.", {})])
    assert saved(tmp_path) == 1
    kb.remove(["pump"])
    assert saved(tmp_path) == 0
    assert talk.earlier.hits
    kb.ask(FILTER, conversation=talk)
    assert all(hit.chunk.uri != "pump" for hit in talk.earlier.hits)
    kb.purge()


def test_an_extractive_answer_leaves_a_conversation_as_it_is(tmp_path: Path) -> None:
    chosen = load(overrides={"data.folder": str(tmp_path), "embedding.background": False})
    with open_knowledge_base(chosen, embedder=HashEmbedder()) as kb:
        kb.add_texts(TEXTS)
        kb.embed_pending()
        talk = Conversation()
        kb.ask(FILTER, conversation=talk)
        assert talk.earlier.messages == ()
        assert kb.model_status() == []
        assert kb.load_models() == []
        kb.end(talk)
        kb.purge()
    assert not (tmp_path / "llama").exists()
