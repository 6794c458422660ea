"""Shapes of transcripts, as their programs write them."""

from __future__ import annotations

import json

import pytest

from ragstone.errors import DamagedFile
from ragstone.learn.turns import plain_start, read_line

SHAPES = {
    "chat message": ({"role": "user", "content": "hi"}, [("user", "hi")]),
    "content parts": ({"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, [("user", "hi")]),
    "tool calls": (
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "run", "arguments": "{}"}}]},
        [("tool", "run {}")],
    ),
    "tool message": ({"role": "tool", "tool_call_id": "1", "content": "42"}, [("tool", "42")]),
    "content blocks": (
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ok"},
            {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}]},
        [("assistant", "ok"), ("tool", 'Bash {"command":"ls"}')],
    ),
    "coding agent": (
        {"type": "user", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "boom"}], "is_error": True}
        ]}, "timestamp": "2026-05-01T10:00:00.000Z", "cwd": "/home/a/press", "sessionId": "s"},
        [("tool", "boom")],
    ),
    "rollout": (
        {"timestamp": "2026-05-01T10:00:00Z", "type": "response_item", "payload": {
            "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hey"}]}},
        [("assistant", "hey")],
    ),
    "rollout call": (
        {"type": "response_item", "payload": {"type": "function_call_output", "output": "exit code 1"}},
        [("tool", "exit code 1")],
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        [("user", "a"), ("assistant", "b")],
    ),
    "conversation": (
        {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "a"}]},
        [("system", "be kind"), ("user", "a")],
    ),
    "Gemini": ({"role": "model", "parts": [{"text": "g"}]}, [("assistant", "g")]),
    "speaker": ({"speaker": "Anna", "text": "Hallo"}, [("user", "Hallo")]),
    "summary of a session": ({"type": "summary", "summary": "x", "leafUuid": "1"}, []),
    "settings of a session": ({"type": "session_meta", "payload": {"id": "1"}}, []),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    value, wanted = SHAPES[shape]
    assert [(t.role, t.text) for t in read_line(json.dumps(value))] == wanted


def test_surroundings() -> None:
    value, _ = SHAPES["coding agent"]
    (turn,) = read_line(json.dumps(value))
    assert (turn.failed, turn.at, turn.project) == (True, 1777629600.0, "press")
    assert read_line('{"speaker": "A", "text": "b", "ts": "1777629600.5"}')[0].at == 1777629600.5
    assert read_line('{"speaker": "A", "text": "b", "timestamp": 1777629600000}')[0].at == 1777629600.0


@pytest.mark.parametrize("line", ["{", "[1]", '{"a": 1}', '{"role": 1}', "[" * 100_000, '{"speaker": "A", "text": 3}'])
def test_broken(line: str) -> None:
    with pytest.raises(DamagedFile):
        read_line(line)


def test_plain() -> None:
    for line, who, role, text in (
        ("user: hallo", "user", "user", "hallo"),
        ("**Anna:** Wir nehmen SQLite.", "Anna", "user", "Wir nehmen SQLite."),
        ("Assistant: ok", "Assistant", "assistant", "ok"),
    ):
        turn = plain_start(line)
        assert turn is not None
        assert (turn.who, turn.role, turn.text) == (who, role, text)
    timed = plain_start("[2026-05-01T10:00:00Z] Bob: hi")
    assert timed is not None
    assert timed.at == 1777629600.0
    for line in ("Note: x", "Problem: it fails", "https://a.b: c", "  and so on", "this goes on: it does"):
        assert plain_start(line) is None, line
