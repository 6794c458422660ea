"""The dialects of hosted providers: what is sent, what is read, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hosted_servers import AnthropicHandler, GeminiHandler
from model_servers import WORDS, OpenAIHandler, Script, _Handler, serving
from ragstone.errors import KeyRefused, ModelError, ModelMissing, ModelUnavailable, PromptTooLong, RagstoneError
from ragstone.llm.anthropic import AnthropicChat
from ragstone.llm.gemini import GeminiChat
from ragstone.llm.openai import OpenAIChat
from ragstone.llm.transport import LONGEST_WAIT, retry_after
from ragstone.protocols import LLM
from ragstone.types import Call, Delta, Message, Usage

ASK = [
    Message("system", "Be brief."),
    Message("user", "Wie hoch?"),
    Message("assistant", "330 m."),
    Message("user", "Wo?"),
]
TEXT = "".join(WORDS)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
HANDLERS: dict[str, type[_Handler]] = {
    "openai": OpenAIHandler,
    "anthropic": AnthropicHandler,
    "gemini": GeminiHandler,
}


def made(dialect: str, url: str) -> LLM:
    if dialect == "openai":
        return OpenAIChat(f"{url}/v1", "m", api_key="geheim")
    if dialect == "anthropic":
        return AnthropicChat("m", base_url=f"{url}/v1", api_key="geheim")
    return GeminiChat("models/m", base_url=f"{url}/v1beta", api_key="geheim")


def asked(dialect: str, script: Script, call: Call | None = None) -> list[Delta]:
    with serving(HANDLERS[dialect], script) as url:
        llm = made(dialect, url)
        try:
            return list(llm.stream(ASK, call or Call(50)))
        finally:
            llm.close()


def said(deltas: list[Delta]) -> str:
    return "".join(d.text for d in deltas)


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
@pytest.mark.parametrize(("dialect", "usage"), [("anthropic", Usage(7, 6, cached_tokens=2)),
                                                ("gemini", Usage(7, 9, cached_tokens=2))])  # fmt: skip
def test_chunks_of_any_size(dialect: str, usage: Usage, piece: int) -> None:
    deltas = asked(dialect, Script(piece=piece))
    assert said(deltas) == TEXT
    assert deltas[-1] == Delta(finish="stop", usage=usage)


@pytest.mark.parametrize("dialect", HANDLERS)
def test_usage_is_estimated_where_it_is_not_told(dialect: str) -> None:
    usage = asked(dialect, Script(usage=False))[-1].usage
    assert usage is not None
    assert usage.estimated
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0


def test_what_anthropic_is_sent() -> None:
    script = Script()
    asked("anthropic", script, Call(50, schema=SCHEMA))
    path, body, headers = script.requests[0]
    mark = {"cache_control": {"type": "ephemeral"}}
    assert path == "/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("geheim", "2023-06-01")
    assert body == {
        "model": "m",
        "max_tokens": 50,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", **mark}],
        "messages": [
            {"role": "user", "content": "Wie hoch?"},
            {"role": "assistant", "content": "330 m."},
            {"role": "user", "content": [{"type": "text", "text": "Wo?", **mark}]},
        ],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }


def test_what_gemini_is_sent() -> None:
    script = Script()
    asked("gemini", script, Call(50, schema=SCHEMA))
    path, body, headers = script.requests[0]
    assert path == "/v1beta/models/m:streamGenerateContent?alt=sse"
    assert headers["x-goog-api-key"] == "geheim"
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["generationConfig"] == {
        "maxOutputTokens": 50, "temperature": 0.0, "candidateCount": 1,
        "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
    }  # fmt: skip


def test_a_schema_for_openai_gets_weaker_where_the_server_does_not_know_it() -> None:
    no = '{"error": {"message": "This response_format is unavailable now"}}'
    script = Script(refuse=[(400, no), (400, no)])
    with serving(OpenAIHandler, script) as url:
        llm = OpenAIChat(f"{url}/v1", "m")
        for _ in range(2):
            assert said(list(llm.stream(ASK, Call(50, schema=SCHEMA)))) == TEXT
    formats = [body.get("response_format") for _, body, _ in script.requests]
    assert formats[0] == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    assert formats[1:] == [{"type": "json_object"}, None, None]


def test_anthropic_without_schemas_is_asked_without() -> None:
    script = Script(refuse=[(400, '{"error": {"message": "output_config: Extra inputs are not permitted"}}')])
    assert said(asked("anthropic", script, Call(50, schema=SCHEMA))) == TEXT
    assert ["output_config" in body for _, body, _ in script.requests] == [True, False]


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (b'{"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}', Usage(9, 2, cached_tokens=8)),
        (b'{"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}', Usage(9, 2, cached_tokens=4)),
        (b'{"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": null}', Usage(9, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["usage", "x_groq"])
def test_usage_in_the_places_where_servers_put_it(raw: bytes, usage: Usage, place: str) -> None:
    told = raw if place == "usage" else b'{"usage": ' + raw + b"}"
    body = b'data: {"choices": [{"delta": {"content": "Ja"}, "finish_reason": "stop"}], "%s": %s}\n\ndata: [DONE]\n\n'
    assert asked("openai", Script(raw=body % (place.encode(), told)))[-1].usage == usage


@pytest.mark.parametrize("dialect", HANDLERS)
@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "so nicht", ModelError),
        (401, "so nicht", KeyRefused),
        (400, "API key not valid: so nicht", KeyRefused),
        (404, "so nicht", ModelMissing),
        (413, "so nicht", PromptTooLong),
        (400, "prompt is too long: 210000 tokens > 200000 maximum, so nicht", PromptTooLong),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (8), so nicht", PromptTooLong),
        (400, "This model's maximum context length is 8 tokens, so nicht", PromptTooLong),
        (429, "so nicht", ModelUnavailable),
        (529, "so nicht", ModelUnavailable),
    ],
)
def test_refusals_are_typed(dialect: str, status: int, message: str, kind: type[RagstoneError]) -> None:
    error = json.dumps({"error": {"type": "x", "message": message}})
    with pytest.raises(kind, match="so nicht") as caught:
        asked(dialect, Script(refuse=[(status, error)]))
    assert type(caught.value) is kind
    assert caught.value.hint
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:09 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 9.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:09 GMT", "date": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
    ],
)
def test_retry_after_in_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


GARBAGE: dict[str, list[Any]] = {
    "anthropic": [
        b"data: {bad\n\n", b"data: 3\n\n", b'data: {"type": 3}\n\n', b'data: {"type": "message_start"}\n\n',
        b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 5}}\n\n',
        b'data: {"type": "content_block_delta", "delta": "x"}\n\n', b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"type": "message_delta", "delta": {"stop_reason": "refusal"}}\n\ndata: {"type": "message_stop"}\n\n',
    ],
    "gemini": [
        b"data: {bad\n\n", b"data: 3\n\n", b'data: {"candidates": 3}\n\n', b'data: {"candidates": [{"content": 3}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": 5}]}}]}\n\n', b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"error": {"code": 503, "message": "overloaded"}}\n\n', b'data: {"candidates": []}\n\n',
        b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\n\n',
        b'data: {"candidates": [{"finishReason": "SAFETY"}]}\n\n',
    ],
}  # fmt: skip


@pytest.mark.parametrize(("dialect", "raw"), [(d, raw) for d, bodies in GARBAGE.items() for raw in bodies])
def test_garbage_and_errors_inside_a_stream(dialect: str, raw: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        asked(dialect, Script(raw=raw))
    assert caught.value.hint


def test_thoughts_are_not_part_of_the_answer() -> None:
    body = b"""data: {"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "Ja"}]}}]}

data: {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]}

"""
    deltas = asked("gemini", Script(raw=body))
    assert (said(deltas), deltas[-1].finish) == ("Ja", "length")
    body = b"""data: {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}

data: {"type": "something_new", "delta": {}}

data: {"type": "message_delta", "delta": {"stop_reason": "model_context_window_exceeded"}}

data: {"type": "message_stop"}

"""
    deltas = asked("anthropic", Script(raw=body))
    assert (said(deltas), deltas[-1].finish) == ("", "length")


@pytest.mark.parametrize("dialect", HANDLERS)
def test_connections_are_used_again_after_a_whole_answer(dialect: str) -> None:
    script = Script()
    with serving(HANDLERS[dialect], script) as url:
        llm = made(dialect, url)
        ports = set()
        for _ in range(3):
            for _ in llm.stream(ASK, Call(50)):
                pass
        pool = llm._http._transport._pool  # type: ignore[attr-defined]
        ports = {id(connection) for connection in pool.connections}
        llm.close()
    assert len(ports) == 1
