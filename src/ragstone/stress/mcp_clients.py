"""Clients of the MCP server that add nothing of their own to the time a call takes: JSON-RPC over a process's pipes,
and over HTTP. Every client numbers its calls from 1, so that all of them use equal ids."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from ..errors import RagstoneError

VERSION: Final = "2025-11-25"
HELLO: Final = {
    "protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "stress", "version": "1"}
}  # fmt: skip


class CallFailed(RagstoneError):
    """A call was answered with an error, or not at all."""


class Client(Protocol):
    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """The structured result. Raises CallFailed."""
        ...

    def close(self) -> None: ...


def result(answer: Mapping[str, Any], id: int) -> Any:
    if answer.get("id") != id:
        raise CallFailed(f"an answer to call {answer.get('id')!r} came for call {id}.")
    if "error" in answer:
        raise CallFailed(str(answer["error"]))
    given = answer["result"]
    if given.get("isError"):
        raise CallFailed(given["content"][0]["text"])
    return given.get("structuredContent", given)


def _log(data: Path) -> int:
    """What the processes write to standard error stands beside the data; it is kept with them."""
    return os.open(data.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class StdioClient:
    """With a server process of its own."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ragstone", "--data", str(data), "mcp"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=_log(data),
        )  # fmt: skip
        self._id = 0

    def hello(self) -> None:
        self._ask("initialize", HELLO)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        return self._ask("tools/call", {"name": tool, "arguments": arguments})

    def _ask(self, method: str, parameters: Mapping[str, Any]) -> Any:
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": parameters})
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise CallFailed("the process ended.")
        return result(json.loads(line), self._id)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()


class HttpClient:
    """With a connection and a session of its own."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        self._id = 0

    def hello(self) -> None:
        self._ask("initialize", HELLO)
        self._headers["MCP-Protocol-Version"] = VERSION
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        return self._ask("tools/call", {"name": tool, "arguments": arguments})

    def _ask(self, method: str, parameters: Mapping[str, Any]) -> Any:
        self._id += 1
        body = self._post({"jsonrpc": "2.0", "id": self._id, "method": method, "params": parameters})
        for line in body.decode().splitlines():
            if line.startswith("data:") and '"id"' in line:
                return result(json.loads(line[5:]), self._id)
        return result(json.loads(body), self._id)

    def _post(self, message: Mapping[str, Any]) -> bytes:
        self._connection.request("POST", "/mcp", json.dumps(message).encode(), self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise CallFailed(f"status {answer.status}: {body[:300].decode(errors='replace')}")
        session = answer.getheader("mcp-session-id")
        if session:
            self._headers["Mcp-Session-Id"] = session
        return body

    def close(self) -> None:
        self._connection.request("DELETE", "/mcp", headers=self._headers)
        self._connection.getresponse().read()
        self._connection.close()


class Server:
    """`ragstone serve` on a free port."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ragstone", "--data", str(data), "--json", "--set",
             "server.requests_per_minute=0", "serve", "--port", "0"],
            stdout=subprocess.PIPE, stderr=_log(data),
        )  # fmt: skip
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise CallFailed("the server did not start.")
        shown = json.loads(line)
        place = shown["url"].partition("//")[2].partition("/")[0]
        self.host, _, port = place.rpartition(":")
        self.port = int(port)
        self.key = Path(shown["token_file"]).read_text(encoding="ascii").strip()

    def client(self) -> HttpClient:
        return HttpClient(self.host, self.port, self.key)

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()
