"""MCP over HTTP: the keys, tenants and limits of the API hold for every tool and resource."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from model_servers import OpenAIHandler, Script
from model_servers import serving as model_serving
from ragstone.server.accounts import Quotas
from ragstone.settings import AnswerSettings
from server.conftest import serving

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
WRITERS = {"add_document", "remember", "forget", "learn", "change_project", "graph_merge", "graph_split"}
CANARY = "kestrel 90210"


@dataclass
class Agent:
    """A session of its own; every call has the id that is asked for."""

    http: httpx2.Client
    headers: dict[str, str]

    def post(self, message: Any, **headers: str) -> httpx2.Response:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.http.post("/mcp", content=data, headers={**self.headers, **headers})

    def ask(self, method: str, given: Any = None, id: int = 1) -> Any:
        return answered(self.post({"jsonrpc": "2.0", "id": id, "method": method, "params": given or {}}))

    def tool(self, name: str, /, **given: Any) -> Any:
        return self.ask("tools/call", {"name": name, "arguments": given})["result"]

    def hello(self) -> None:
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO})
        assert answer.status_code == 200, answer.text
        self.headers |= {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202


def answered(answer: httpx2.Response) -> Any:
    for line in answer.text.splitlines():
        if line.startswith("data:") and '"id"' in line:
            return json.loads(line[5:])
    return answer.json()


def agent(running: Any, key: str) -> Agent:
    plain = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    made = Agent(running.client(key), plain)
    made.hello()
    return made


@pytest.fixture
def writer(running: Any) -> Iterator[Agent]:
    made = agent(running, running.key("read", "write"))
    yield made
    assert made.http.delete("/mcp", headers=made.headers).status_code == 200


def test_nobody_comes_in_without_a_key_or_from_elsewhere(running: Any) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    plain = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    with running.client() as nobody:
        assert nobody.post("/mcp", json=hello, headers=plain).status_code == 401
    with running.client(running.key("read")) as reader:
        assert reader.post("/mcp", json=hello, headers={**plain, "origin": "http://evil.example"}).status_code == 403
        assert reader.post("/mcp", json=hello, headers={**plain, "host": "evil.example"}).status_code == 421
        refused = reader.get("/mcp")
        assert (refused.status_code, refused.json()["code"]) == (405, "MethodNotAllowed")


def test_a_key_that_may_only_read_has_no_tools_that_write(running: Any) -> None:
    reader = agent(running, running.key("read"))
    names = {tool["name"] for tool in reader.ask("tools/list")["result"]["tools"]}
    assert "search" in names
    assert not names & WRITERS
    for name in WRITERS:
        fault = reader.tool(name)["structuredContent"]["error"]
        assert fault["code"] == "Forbidden", name


def test_a_session_belongs_to_its_key(running: Any, writer: Agent) -> None:
    other = Agent(running.client(running.key("read", "write")), dict(writer.headers))
    assert other.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).status_code == 404
    assert writer.ask("tools/list")["result"]["tools"]


def test_tenants_see_nothing_of_each_other(running: Any, writer: Agent) -> None:
    writer.tool("add_document", uri="notes/canary", text=f"The {CANARY} is ours.", collection="birds")
    told = writer.tool("remember", text=f"The {CANARY} nests here.")["structuredContent"]["item"]["id"]
    writer.tool("change_project", action="create", name="kestrels")
    tenant = running.service.accounts.create_tenant("other")
    stranger = agent(running, running.key("read", "write", tenant=tenant.id))
    seen = [
        stranger.tool("search", query=CANARY), stranger.tool("ask", question=f"Whose is the {CANARY}?"),
        stranger.tool("list_collections"), stranger.tool("recall", question="birds that nest", all_projects=True),
        stranger.tool("timeline", all_projects=True), stranger.tool("list_projects"), stranger.tool("status"),
        stranger.ask("resources/list"), stranger.ask("tools/list"),
    ]  # fmt: skip
    shown = json.dumps(seen).lower()
    assert "is ours" not in shown
    assert "nests here" not in shown
    assert "notes/canary" not in shown
    assert "kestrels" not in shown
    assert '"birds"' not in shown
    for name, given in (
        ("get_span", {"uri": "notes/canary", "collection": "birds"}), ("describe_collection", {"name": "birds"}),
        ("forget", {"ids": [told]}), ("search", {"query": "kestrel", "collections": ["birds"]}),
    ):  # fmt: skip
        assert stranger.tool(name, **given)["structuredContent"]["error"]["code"] == "NotFound", name
    missing = stranger.ask("resources/read", {"uri": "ragstone://documents/birds/notes%2Fcanary"})
    assert missing["error"]["code"] == -32002
    assert writer.tool("get_span", uri="notes/canary", collection="birds")["structuredContent"]["characters"] > 0


def test_clients_with_equal_ids_get_their_own_answers(running: Any, writer: Agent) -> None:
    """Within one key, at the same time, all with the id 7."""
    key = running.key("read", "write")
    agents = [agent(running, key) for _ in range(4)]
    for n in range(4):
        writer.tool("add_document", uri=f"ids/{n}", text=f"Signal number{n}x means go.", collection="ids")
    wrong: list[Any] = []

    def work(n: int) -> None:
        for _ in range(10):
            asked = {"name": "search", "arguments": {"query": f"number{n}x", "collections": ["ids"], "k": 1}}
            found = agents[n].ask("tools/call", asked, id=7)
            if found["id"] != 7 or found["result"]["structuredContent"]["passages"][0]["uri"] != f"ids/{n}":
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_what_is_no_message_is_refused_and_the_server_goes_on(writer: Agent) -> None:
    for body, code in ((b"{bad", -32700), (b'"text"', -32602), (b'{"jsonrpc": "2.0"}', -32602)):
        answer = writer.post(body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == code
    assert writer.post(b'{"x": "' + b"x" * (9 << 20) + b'"}').status_code == 413
    assert writer.post(b"{}", **{"content-type": "text/plain"}).status_code in (400, 415)
    assert writer.ask("tools/call", {"name": "nothing"})["error"]["code"] == -32602
    assert writer.tool("search", query="x", k=1_000)["structuredContent"]["error"]["code"] == "InputError"
    assert writer.ask("tools/list")["result"]["tools"]


def test_quotas_hold(running: Any) -> None:
    tenant = running.service.accounts.create_tenant("small", quotas=Quotas(documents=1))
    small = agent(running, running.key("read", "write", tenant=tenant.id))
    assert not small.tool("add_document", uri="a", text="One document.").get("isError")
    fault = small.tool("add_document", uri="b", text="Another one.")["structuredContent"]["error"]
    assert (fault["code"], fault["retryable"]) == ("TooManyRequests", True)
    assert fault["id"]
    for tool, given in (("remember", {"text": "One item."}), ("learn", {"stream": "s", "turns": [{"role": "user", "text": "We decided."}]})):
        assert small.tool(tool, **given)["structuredContent"]["error"]["code"] == "TooManyRequests"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_the_official_client(running: Any, mode: str) -> None:
    key = running.key("read", "write")

    async def talk() -> None:
        async with (
            httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http,
            Client(streamable_http_client(f"{running.url}/mcp", http_client=http), mode=mode) as client,
        ):
            assert "ask" in {tool.name for tool in (await client.list_tools()).tools}
            added = await client.call_tool("add_document", {"uri": f"official/{mode}", "text": "The mast is oak."})
            assert added.structured_content["state"] == "added"
            searched = asyncio.Event()

            async def progress(done: float, total: float | None, message: str | None) -> None:
                if message == "search":
                    searched.set()

            asked = await client.call_tool("ask", {"question": "Of what is the mast?"}, progress_callback=progress)
            assert "oak" in asked.content[0].text
            await asyncio.wait_for(searched.wait(), 10)  # the client hands on notices beside results
            assert (await client.call_tool("status", {})).structured_content["writable"]
            assert (await client.list_resources()).resources

    asyncio.run(talk())


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_cancelled_ask_stops_the_model(tmp_path: Any, mode: str) -> None:
    script = Script(words=("word ",) * 2_000, pause=0.02)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(model_serving(OpenAIHandler, script))
        chosen = AnswerSettings(model="openai:fake", base_url=f"{url}/v1")
        running = stack.enter_context(serving(tmp_path, answer=chosen))
        key = running.key("read", "write")

        async def talk() -> None:
            async with (
                httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http,
                Client(streamable_http_client(f"{running.url}/mcp", http_client=http), mode=mode) as client,
            ):
                await client.call_tool("add_document", {"uri": "a", "text": "The mast is oak."})
                begun = asyncio.Event()

                async def progress(done: float, total: float | None, message: str | None) -> None:
                    if message == "20 tokens":
                        begun.set()

                asking = asyncio.create_task(
                    client.call_tool("ask", {"question": "Of what is the mast?"}, progress_callback=progress)
                )
                await asyncio.wait_for(begun.wait(), 20)
                asking.cancel()
                assert await asyncio.to_thread(script.stopped.wait, 10)
                assert not (await client.call_tool("search", {"query": "mast"})).is_error

        asyncio.run(talk())
