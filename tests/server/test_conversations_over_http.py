"""Conversations over HTTP: any process may answer the next question, and what was removed is in none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_servers import OpenAIHandler, Script, serving
from ragstone.answer.conversation import Conversation
from ragstone.answer.prompt import Prompt
from ragstone.assemble import open_knowledge_base
from ragstone.errors import Conflict
from ragstone.knowledge_base import KnowledgeBase
from ragstone.server import conversations
from ragstone.server.conversations import Conversations
from ragstone.settings import load
from ragstone.storage.layout import CONVERSATIONS
from ragstone.stress.server_process import ServerProcess
from ragstone.testing import HashEmbedder
from ragstone.types import Hit, Message, ScoreParts

TEXT = "The pump in hall B needs new seals every spring."


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    chosen = load(overrides={"data.folder": str(tmp_path / "data"), "embedding.background": False})
    with open_knowledge_base(chosen, embedder=HashEmbedder()) as kb:
        kb.add_texts([("pump", "Pump", TEXT, {})])
        yield kb


def said(kb: KnowledgeBase, talk: Conversation, question: str) -> None:
    chunk = kb.store.chunks(kb.store.chunk_ids("default").tolist())[0]
    asked = Prompt((*talk.earlier.messages, Message("user", question)), (Hit(chunk, 1.0, ScoreParts()),), 0)
    talk.add(question, asked, f"answer to {question}")


def questions(talk: Conversation) -> list[str]:
    return [turn.content for turn in talk.earlier.turns if turn.role == "user"]


def test_another_process_goes_on_and_the_same_one_only_adds(kb: KnowledgeBase) -> None:
    one, other = Conversations(), Conversations()
    with one.use(kb.store, "key", "talk") as talk:
        said(kb, talk, "first?")
    with one.use(kb.store, "key", "talk") as talk:
        assert talk.earlier.messages  # as they were sent
        said(kb, talk, "second?")
    with other.use(kb.store, "key", "talk") as talk:
        assert talk.earlier.messages == ()
        assert questions(talk) == ["first?", "second?"]
        said(kb, talk, "third?")
    with one.use(kb.store, "key", "talk") as talk:
        assert questions(talk) == ["first?", "second?", "third?"]
    for key, name in (("another", "talk"), ("key", "another"), ("", "key\0talk")):
        with other.use(kb.store, key, name) as talk:
            assert questions(talk) == []


def test_one_question_at_a_time(kb: KnowledgeBase) -> None:
    second = Conversations().use(kb.store, "key", "talk")
    with Conversations().use(kb.store, "key", "talk"), pytest.raises(Conflict):
        second.__enter__()
    with Conversations().use(kb.store, "key", "talk") as talk:
        assert questions(talk) == []


def test_it_begins_anew_where_a_passage_was_removed(kb: KnowledgeBase) -> None:
    one, other = Conversations(), Conversations()
    with one.use(kb.store, "key", "talk") as talk:
        said(kb, talk, "first?")
    kb.remove_documents(["pump"])
    for process in (one, other):
        with process.use(kb.store, "key", "talk") as talk:
            assert talk.earlier.turns == ()


def test_purge_leaves_nothing_of_it(kb: KnowledgeBase) -> None:
    with Conversations().use(kb.store, "key", "talk") as talk:
        said(kb, talk, "first?")
    assert list((kb.store.folder / CONVERSATIONS).iterdir())
    kb.purge()
    assert not (kb.store.folder / CONVERSATIONS).exists()


def test_what_a_kill_cut_off_begins_anew(kb: KnowledgeBase) -> None:
    with Conversations().use(kb.store, "key", "talk") as talk:
        said(kb, talk, "first?")
    (kept,) = (kb.store.folder / CONVERSATIONS).iterdir()
    kept.write_bytes(kept.read_bytes()[:-5])
    with Conversations().use(kb.store, "key", "talk") as talk:
        assert questions(talk) == []


def test_the_silent_ones_are_forgotten(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "KEPT", 3)
    for number in range(6):
        with Conversations().use(kb.store, "key", str(number)) as talk:
            said(kb, talk, f"{number}?")
    assert len(list((kb.store.folder / CONVERSATIONS).iterdir())) == 3
    monkeypatch.setattr(conversations, "SILENT_SECONDS", 0.0)
    with Conversations().use(kb.store, "key", "new") as talk:
        said(kb, talk, "new?")
    assert len(list((kb.store.folder / CONVERSATIONS).iterdir())) == 1


def test_a_follow_up_reaches_any_of_two_processes(tmp_path: Path) -> None:
    script = Script(words=("The ", "pump ", "needs ", "new ", "seals ", "every ", "spring."))
    with serving(OpenAIHandler, script) as model:
        (tmp_path / "config.toml").write_text(
            f'[server]\nworkers = 2\njob_workers = 1\n[answer]\nmodel = "gateway"\n'
            f'[providers.fake]\nmodel = "fake"\nbase_url = "{model}/v1"\n'
        )
        with ServerProcess(tmp_path / "data", tmp_path / "config.toml") as server:
            with server.client() as client:
                documents = {"documents": [{"uri": "pump", "text": TEXT}]}
                url = server.url("/v1/collections/default/documents:batch?wait=20")
                assert client.post(url, json=documents).json()["state"] == "done"
            for number in range(8):
                asked = {"question": f"What does the pump in hall B need, number {number}?", "conversation": "c"}
                with server.client() as client:  # a connection each: any process may take it
                    answer = client.post(server.url("/v1/ask"), json=asked)
                assert answer.json()["model"] == "fake/fake", answer.text
    asked_of_model = [" ".join(m["content"] for m in body["messages"]) for _, body, _ in script.requests if "messages" in body]
    assert len(asked_of_model) == 8
    for number, prompt in enumerate(asked_of_model):
        assert all(f"number {earlier}?" in prompt for earlier in range(number + 1))
