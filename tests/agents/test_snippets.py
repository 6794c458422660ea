"""What docs/mcp.md says to write into a client's settings for HTTP, against a server as a person starts it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from ragstone.cli.app import run
from ragstone.mcp.tools import TOOLS, offered
from served import ROOT, served


def snippets() -> dict[str, tuple[str, dict[str, str]]]:
    """Address and headers of each, by its client."""
    page = (ROOT / "docs" / "mcp.md").read_text("utf-8").partition("### Over HTTP")[2]
    (shell,) = re.findall(r"```sh\n(claude mcp add --transport http.*?)\n```", page, re.DOTALL)
    command = shlex.split(shell)
    name, _, value = command[command.index("--header") + 1].partition(": ")
    (settings,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (server,) = json.loads(settings)["servers"].values()
    assert server["type"] == "http"
    return {"Claude Code": (command[command.index("ragstone") + 1], {name: value}), "VS Code": (server["url"], server["headers"])}


def test_what_the_documentation_says_to_write_where_reaches_the_server(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def names(address: str, headers: dict[str, str]) -> set[str]:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            return {tool.name for tool in (await client.list_tools()).tools}

    with served(tmp_path / "data") as server:
        keys: dict[str, set[str]] = {server.key: set(TOOLS)}  # what DATA/server.token has
        assert server.key == (server.data / "server.token").read_text().strip()
        for scopes, wanted in ((("read", "write"), set(TOOLS)), (("read",), {tool.name for tool in offered(False)})):
            given = [part for scope in scopes for part in ("--scope", scope)]
            capfd.readouterr()
            assert run(["keys", "create", "agent", *given, "--data", str(server.data)], {}) == 0
            (key,) = re.findall(r"rgs_[\w-]+", capfd.readouterr().out)
            keys[key] = wanted
        for address, headers in snippets().values():
            address = address.replace("http://127.0.0.1:8765", server.url)
            for key, wanted in keys.items():
                filled = {name: re.sub(r"rgs_…|\$\{input:ragstone\}", key, value) for name, value in headers.items()}
                assert key in "".join(filled.values())
                assert asyncio.run(names(address, filled)) == wanted
