"""Anthropic's Messages API: server-sent events from /v1/messages, the stable part of a prompt marked for its cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import msgspec

from ..errors import ModelError, ModelUnavailable
from ..types import Call, Delta, Message, Usage
from .openai import estimated_usage, whole
from .sse import events
from .transport import SILENCE_SECONDS, chunks, client, decoded, drain, exchange, read, refusal, server_message

DEFAULT_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"
WINDOW = 200_000  # tokens of every current model; some have more

_FINISH = {"max_tokens": "length", "model_context_window_exceeded": "length"}


class AnthropicChat:
    """LLM over `POST {base_url}/messages` with `stream: true`.

    System messages become the top-level `system`. The end of the system text and the last message carry cache
    markers, so the next question over the same beginning reads it for a tenth of the price. A schema goes into
    `output_config.format`, which needs no tool; a model that does not know it is asked without, from then on.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = DEFAULT_URL,
        api_key: str = "",
        context: int = 0,
        silence: float = SILENCE_SECONDS,
        label: str = "Anthropic",
    ) -> None:
        self._url = base_url.rstrip("/")
        self._model = model
        self._context = context or WINDOW
        self._silence = silence
        self._label = label
        self._http = client({"x-api-key": api_key, "anthropic-version": VERSION})
        self._schemas = True

    @property
    def name(self) -> str:
        return self._model

    @property
    def context(self) -> int:
        return self._context

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        body = _body(self._model, messages, call)
        while True:
            enforced = call.schema is not None and self._schemas
            if enforced:
                body["output_config"] = {"format": {"type": "json_schema", "schema": call.schema}}
            with exchange(
                self._http,
                "POST",
                f"{self._url}/messages",
                name=self._label,
                body=body,
                deadline=call.deadline,
                silence=self._silence,
            ) as response:
                if response.status_code == 200:
                    yield from self._deltas(response, messages, call)
                    return
                said = read(response, self._label, call.deadline)
            if not (enforced and response.status_code == 400 and "output_config" in server_message(said)):
                raise refusal(response.status_code, said, self._label, response.headers)
            self._schemas = False
            del body["output_config"]

    def _deltas(self, response: httpx2.Response, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        written, finish = 0, ""
        counts: dict[str, Any] = {}
        payloads = events(chunks(response, self._label, call.deadline))
        for payload in payloads:
            event = _decode(payload, self._label)
            match event.type:
                case "message_start":
                    counts.update(_counts((event.message or {}).get("usage")))
                case "content_block_delta":
                    if event.delta.get("type") == "text_delta" and (text := _text(event.delta, self._label)):
                        written += len(text)
                        yield Delta(text)
                case "message_delta":
                    counts.update(_counts(event.usage))
                    finish = str(event.delta.get("stop_reason") or finish)
                case "message_stop":
                    if finish == "refusal":
                        raise ModelError(f"{self._label} declined to answer.", "Ask differently, or another model.")
                    drain(response, payloads)
                    usage = _usage(counts) or estimated_usage(messages, written)
                    yield Delta(finish=_FINISH.get(finish, "stop"), usage=usage)
                    return
                case "error":
                    said = server_message(payload.encode())[:300]
                    raise ModelUnavailable(f"{self._label} reported: {said}", "Try again later.")
                case _:  # pings, beginnings and ends of blocks, and what may come in later versions
                    continue
        raise ModelUnavailable(f"{self._label} broke off in the middle of the answer.", "Try again.")

    def close(self) -> None:
        self._http.close()


class _Event(msgspec.Struct):
    """What is read of one event."""

    type: str = ""
    message: dict[str, Any] | None = None
    delta: dict[str, Any] = {}
    usage: dict[str, Any] | None = None


def _body(model: str, messages: Sequence[Message], call: Call) -> dict[str, object]:
    marker = {"cache_control": {"type": "ephemeral"}}
    turns: list[dict[str, object]] = [{"role": m.role, "content": m.content} for m in messages if m.role != "system"]
    if turns:
        turns[-1]["content"] = [{"type": "text", "text": turns[-1]["content"], **marker}]
    body: dict[str, object] = {"model": model, "max_tokens": call.max_tokens, "messages": turns, "stream": True}
    if system := "\n\n".join(m.content for m in messages if m.role == "system"):
        body["system"] = [{"type": "text", "text": system, **marker}]
    return body


def _decode(payload: str, name: str) -> _Event:
    try:
        event: _Event = decoded(payload, _Event)
    except msgspec.ValidationError as error:
        raise ModelError(f"{name} does not speak the Messages dialect ({error}).", "Check the address.") from error
    except ValueError as error:
        raise ModelUnavailable(f"{name} sent something that is not JSON in its stream.", "Try again.") from error
    return event


def _text(delta: dict[str, Any], name: str) -> str:
    text = delta.get("text", "")
    if not isinstance(text, str):
        raise ModelError(f"{name} does not speak the Messages dialect (a text is none).", "Check the address.")
    return text


def _counts(usage: object) -> dict[str, int]:
    return {k: v for k, v in usage.items() if isinstance(v, int)} if isinstance(usage, dict) else {}


def _usage(counts: dict[str, int]) -> Usage | None:
    """`input_tokens` leaves out what the cache read or took: the whole prompt is the sum."""
    if "input_tokens" not in counts or "output_tokens" not in counts:
        return None
    cached = whole(counts.get("cache_read_input_tokens"))
    prompt = whole(counts["input_tokens"]) + cached + whole(counts.get("cache_creation_input_tokens"))
    return Usage(prompt, whole(counts["output_tokens"]), cached_tokens=cached)
