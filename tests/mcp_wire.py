"""Bytes to and from `ragstone mcp` over real pipes, and the official client beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mcp.client.stdio import StdioServerParameters

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def arguments(data: Path, *more: str, **settings: Any) -> list[str]:
    chosen = [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
    return ["-m", "ragstone", "--data", str(data), *chosen, "mcp", *more]


def parameters(data: Path, *more: str, **settings: Any) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=arguments(data, *more, **settings), env={**os.environ}
    )  # fmt: skip


class Wire:
    """Everything that comes out of standard output has to be a message."""

    def __init__(self, data: Path, *more: str, **settings: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments(data, *more, **settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._id = 0

    def hello(self) -> Any:
        answer = self.ask("initialize", HELLO)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def send(self, message: Any) -> None:
        self.raw(json.dumps(message).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> Any:
        return json.loads(self.process.stdout.readline())

    def begin(self, method: str, given: Any = None) -> int:
        self._id += 1
        self.send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": given or {}})
        return self._id

    def ask(self, method: str, given: Any = None) -> Any:
        id = self.begin(method, given)
        answer = self.read()
        assert answer["id"] == id, answer
        return answer

    def tool(self, name: str, /, **given: Any) -> Any:
        return self.ask("tools/call", {"name": name, "arguments": given})["result"]

    def close(self) -> int:
        self.process.stdin.close()
        assert self.process.stdout.read() == b""
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.stdout.close()
