"""What a client asks first, answered before the package that carries the protocol is there: its import takes three
times as long as everything up to here. This is the plain way through the handshake, or what stands for it in versions
without one, and nothing else; the package takes over at the first message that is anything else, and hears the
handshake as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from .. import __version__
from .shapes import NOTICE
from .tools import Tool

INSTRUCTIONS: Final = (
    "Ragstone holds a person's documents and the memory of earlier work. Use recall before you decide or ask again; "
    "search or ask for what documents say; remember for what will matter later. Cite uri and characters. "
    f"{NOTICE} An error names its code, what happened and what to do; when it says it can be tried again, wait a "
    "moment and call once more."
)
SERVER: Final = {"name": "ragstone", "title": "Ragstone", "version": __version__}
_ABOUT: Final[Mapping[str, Any]] = {
    "instructions": INSTRUCTIONS,
    "capabilities": {
        "prompts": {"listChanged": False},
        "resources": {"listChanged": False, "subscribe": False},
        "tools": {"listChanged": False},
    },
}
"""As the package derives it from what `surface` registers; a test compares all that is said here with what it says."""
_COMPLETE: Final[Mapping[str, Any]] = {
    "resultType": "complete", "cacheScope": "private", "ttlMs": 0,
    "_meta": {"io.modelcontextprotocol/serverInfo": SERVER},
}  # fmt: skip
_DISCOVERED: Final[Mapping[str, Any]] = {**_ABOUT, "supportedVersions": ["2026-07-28"]}


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: str
    id: int | str | None = None
    params: dict[str, Any] = {}


class _Client(msgspec.Struct):
    name: str
    version: str


class _Hello(msgspec.Struct):
    protocolVersion: Literal["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]  # noqa: N815 - the wire's name
    capabilities: dict[str, dict[str, Any]]
    clientInfo: _Client  # noqa: N815


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """What every request of a version without a handshake has in `_meta`."""

    version: Literal["2026-07-28"] = msgspec.field(name="io.modelcontextprotocol/protocolVersion")
    client: _Client = msgspec.field(name="io.modelcontextprotocol/clientInfo")
    capabilities: dict[str, dict[str, Any]] = msgspec.field(name="io.modelcontextprotocol/clientCapabilities")


class _Alone(msgspec.Struct, forbid_unknown_fields=True):
    envelope: _Envelope = msgspec.field(name="_meta")


class Greeting:
    """`heard` is what the package has to hear of it; `told` the id of the request in it that was answered."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: Mapping[str, Any] = {"tools": [tool.described for tool in tools]}
        self.heard: list[bytes] = []
        self.told: int | str | None = None

    def answer(self, line: bytes | None) -> bytes | None:
        """The line that answers it, empty where none does; None: this is for the package."""
        try:
            message = msgspec.json.decode(line or b"", type=_Message)
            stage = (message.method, message.id is not None, len(self.heard))
            if stage == ("initialize", True, 0):
                hello = msgspec.convert(message.params, _Hello)
                self.told = message.id
                self.heard.append(line or b"")
                return _result(message.id, {**_ABOUT, "protocolVersion": hello.protocolVersion, "serverInfo": SERVER})
            if stage == ("notifications/initialized", False, 1) and not message.params:
                self.heard.append(line or b"")
                return b""
            if stage == ("tools/list", True, 2) and not message.params:
                return _result(message.id, self._tools)
            if stage in (("server/discover", True, 0), ("tools/list", True, 0)):
                msgspec.convert(message.params, _Alone)
                said = self._tools if message.method == "tools/list" else _DISCOVERED
                return _result(message.id, {**said, **_COMPLETE})
        except (msgspec.DecodeError, RecursionError):  # what is valid, but not this, is a DecodeError too
            pass
        return None


def _result(id: int | str | None, result: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "result": result}) + b"\n"
