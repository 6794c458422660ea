"""What every LocalLLM promises besides (protocols.LocalLLM): loading, unloading and a status that starts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models import end_server, smollm2
from model_servers import OllamaHandler, Script, serving
from ragstone.llm.llama import LlamaServer
from ragstone.llm.ollama import OllamaChat
from ragstone.llm.schedule import Scheduled, Scheduler
from ragstone.protocols import LocalLLM
from ragstone.types import Call, Message

BEGINNING = [Message("system", "Be brief.")]


@pytest.fixture(params=["llama", "llama of a process", "ollama", "scheduled"])
def llm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalLLM]:
    if request.param.startswith("llama"):
        state = tmp_path / "model.json" if request.param == "llama" else None
        server = LlamaServer(smollm2(), context=512, state=state)
        yield server
        server.close()
        if state is not None:
            end_server(state)
        return
    installed = {"name": "small:latest", "modified_at": "2026", "size": 2_000_000}
    with serving(OllamaHandler, Script(models=[installed], load_seconds=0.02)) as url:
        chat = OllamaChat(url, "small", keep_alive="30m")
        yield Scheduled(chat, Scheduler()) if request.param == "scheduled" else chat
        chat.close()


def test_it_is_loaded_and_unloaded_and_says_so(llm: LocalLLM) -> None:
    cold = llm.status()
    assert (cold.loaded, cold.ram, cold.calls) == (False, 0, 0)
    assert cold.size > 0
    assert llm.lanes >= 1
    assert llm.load(BEGINNING) > 0
    assert llm.load() == 0.0
    warm = llm.status()
    assert warm.loaded
    assert warm.ram > 0
    assert warm.context == llm.context
    assert warm.load_seconds
    assert list(llm.stream([*BEGINNING, Message("user", "Yes?")], Call(2, conversation="c")))[-1].finish
    used = llm.status()
    assert used.calls >= 1
    assert used.prompt_tokens > 0
    assert used.last_used
    llm.end("c")
    llm.end("never begun")
    assert llm.unload()
    assert llm.unload(), "again is no error"
    assert not llm.status().loaded
    assert list(llm.stream([*BEGINNING, Message("user", "Yes?")], Call(2)))[-1].finish, "it loads when it is needed"
