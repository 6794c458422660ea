"""A language model reads behind what comes over HTTP and from agents: real processes, its server a stand-in on a real
socket."""

from __future__ import annotations

from pathlib import Path

from learn.test_gleaning import Pointing, said
from mcp_wire import Wire
from model_servers import Script, serving
from ragstone.assemble import open_knowledge_base
from ragstone.settings import at, load
from served import served

DECIDED = '{"role": "user", "content": "We decided to use SQLite for the store because it is simple."}\n'


def test_over_http_and_recalled_at_once_from_another_process(tmp_path: Path) -> None:
    """And what another process remembers is recalled by one that leaves the upkeep to others, and the other way
    round."""
    with serving(Pointing, Script()) as url:
        options = ["--set=memory.model=openai:m", f"--set=answer.base_url={url}/v1", "--set=embedding.background=false"]
        with served(tmp_path / "data", *options) as server:
            body = (said(1) + DECIDED + said(2)).encode()
            first = server.ask("/v1/learn?intents=false&stream=s", "POST", content=body).json()
            assert "gleaned" in first, first
            assert (first["gleaned"]["items"], first["gleaned"]["stopped"]) == (2, "")
            rest = server.ask(f"/v1/learn?intents=false&stream=s&offset={len(body)}", "POST", content=said(3).encode()).json()
            assert (rest["gleaned"]["turns"], rest["gleaned"]["items"]) == (1, 1)
            alone = server.ask("/v1/learn?intents=false&stream=t&model=false", "POST", content=said(4).encode()).json()
            assert alone["gleaned"] is None
            server.ask("/v1/learn?intents=false&stream=s", "POST", content=body + said(3).encode())  # all of it again
            listed = server.ask("/v1/memory/timeline?limit=100").json()["items"]
            assert sorted(item["told"] for item in listed) == [1, 1, 1, 1]

            settings = at(server.data, load(overrides={"embedding.background": False}))
            with open_knowledge_base(settings, role="answers") as kb:
                def recalled(question: str) -> list[str]:
                    asked = server.ask("/v1/memory:recall", "POST", json={"question": question})
                    return [hit["item"]["text"] for hit in asked.json()["hits"]]

                item = kb.memory.remember("The kestrel nests under the roof.").item
                assert recalled("Where does the kestrel nest?")[0] == item.text
                kb.memory.forget(item.id)
                assert item.text not in recalled("Where does the kestrel nest?")
                told = server.ask("/v1/memory", "POST", json={"text": "The heron stands in the pond."}).json()["item"]
                assert kb.memory.recall("Where does the heron stand?").hits[0].item.id == told["id"]
                server.ask(f"/v1/memory/items/{told['id']}", "DELETE")
                assert told["id"] not in [hit.item.id for hit in kb.memory.recall("Where does the heron stand?").hits]


def test_what_the_model_finds_counts_against_the_quota(tmp_path: Path) -> None:
    """It is not asked where nothing of it may be kept."""
    script = Script()
    with serving(Pointing, script) as url:
        options = ["--set=memory.model=openai:m", f"--set=answer.base_url={url}/v1", "--set=embedding.background=false"]
        with served(tmp_path / "data", *options) as server:
            tenant = server.ask("/v1/tenants", "POST", json={"name": "Small", "quotas": {"documents": 1}}).json()["id"]
            key = server.ask("/v1/keys", "POST", json={"name": "k", "tenant": tenant, "scopes": ["read", "write"]})
            small = {"Authorization": f"Bearer {key.json()['key']}"}
            body = (DECIDED + said(1)).encode()
            learned = server.ask("/v1/learn?intents=false&stream=s", "POST", content=body, headers=small).json()
            assert (learned["items"], learned["gleaned"]["items"]) == (1, 0)
            assert "all the documents" in learned["gleaned"]["stopped"]
            assert not script.requests


def test_from_an_agent(tmp_path: Path) -> None:
    with serving(Pointing, Script()) as url:
        wire = Wire(tmp_path / "data", memory__model="openai:m", answer__base_url=f"{url}/v1")
        wire.hello()
        turns = [{"role": "user", "text": f"Valve number {n} carries the valve mark V{n * 7919}."} for n in range(3)]
        found = wire.tool("learn", turns=turns, stream="s")["structuredContent"]
        assert "gleaned" in found, found
        assert (found["gleaned"], found["note"]) == (3, "")
        wire.tool("learn", turns=turns, stream="s")
        items = wire.tool("timeline", limit=100)["structuredContent"]["items"]
        assert sorted(item["text"] for item in items) == sorted(turn["text"] for turn in turns)
        assert [item["told"] for item in items] == [1, 1, 1]  # also what likeness to examples found as well
        assert wire.close() == 0
