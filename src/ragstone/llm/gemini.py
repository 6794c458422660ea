"""Gemini's own API: server-sent events from models/NAME:streamGenerateContent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from ..errors import ModelError, ModelUnavailable
from ..types import Call, Delta, Message, Usage
from .openai import estimated_usage, whole
from .sse import events
from .transport import SILENCE_SECONDS, chunks, client, decoded, exchange, read, refusal, server_message

DEFAULT_URL = "https://generativelanguage.googleapis.com/v1beta"
WINDOW = 1_000_000  # tokens of every current model

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}


class GeminiChat:
    """LLM over `POST {base_url}/models/{model}:streamGenerateContent?alt=sse`.

    System messages become `systemInstruction`. A schema is enforced (`responseJsonSchema`). Prompts are cached by the
    server itself, which tells what it reused. Thoughts are counted as written, which is how they are billed. An answer
    that the server stops for its content is an error, not a short answer.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = DEFAULT_URL,
        api_key: str = "",
        context: int = 0,
        silence: float = SILENCE_SECONDS,
        label: str = "Gemini",
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/models/{quote(model.removeprefix('models/'), safe='')}"
        self._model = model
        self._context = context or WINDOW
        self._silence = silence
        self._label = label
        self._http = client({"x-goog-api-key": api_key})

    @property
    def name(self) -> str:
        return self._model

    @property
    def context(self) -> int:
        return self._context

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        with exchange(
            self._http,
            "POST",
            f"{self._url}:streamGenerateContent?alt=sse",
            name=self._label,
            body=_body(messages, call),
            deadline=call.deadline,
            silence=self._silence,
        ) as response:
            if response.status_code != 200:
                said = read(response, self._label, call.deadline)
                raise refusal(response.status_code, said, self._label, response.headers)
            yield from self._deltas(response, messages, call)

    def _deltas(self, response: httpx2.Response, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        """The stream has no mark of its end but a reason to finish, after which usage may follow."""
        written, finish = 0, ""
        usage: Usage | None = None
        for payload in events(chunks(response, self._label, call.deadline)):
            part = _decode(payload, self._label)
            usage = _usage(part.usageMetadata) or usage
            blocked = (part.promptFeedback or {}).get("blockReason")
            for candidate in part.candidates or ():
                finish = candidate.finishReason or finish
                content = candidate.content
                for piece in (content.parts or ()) if content is not None else ():
                    if piece.text and not piece.thought:
                        written += len(piece.text)
                        yield Delta(piece.text)
            if blocked or (finish and finish not in _FINISH):
                raise ModelError(f"{self._label} declined to answer ({blocked or finish}).", "Ask another model.")
        if not finish:
            raise ModelUnavailable(f"{self._label} broke off in the middle of the answer.", "Try again.")
        yield Delta(finish=_FINISH[finish], usage=usage or estimated_usage(messages, written))

    def close(self) -> None:
        self._http.close()


class _Piece(msgspec.Struct):
    text: str | None = None
    thought: bool = False


class _Content(msgspec.Struct):
    parts: list[_Piece] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815 - the server's name


class _Part(msgspec.Struct):
    """What is read of one event."""

    candidates: list[_Candidate] | None = None
    usageMetadata: dict[str, Any] | None = None  # noqa: N815
    promptFeedback: dict[str, Any] | None = None  # noqa: N815
    error: Any = None


def _body(messages: Sequence[Message], call: Call) -> dict[str, object]:
    limits: dict[str, object] = {"maxOutputTokens": call.max_tokens, "temperature": 0.0, "candidateCount": 1}
    if call.schema is not None:
        limits |= {"responseMimeType": "application/json", "responseJsonSchema": call.schema}
    roles = {"user": "user", "assistant": "model"}
    turns = [{"role": roles[m.role], "parts": [{"text": m.content}]} for m in messages if m.role != "system"]
    body: dict[str, object] = {"contents": turns, "generationConfig": limits}
    if system := [{"text": m.content} for m in messages if m.role == "system"]:
        body["systemInstruction"] = {"parts": system}
    return body


def _decode(payload: str, name: str) -> _Part:
    try:
        part: _Part = decoded(payload, _Part)
    except msgspec.ValidationError as error:
        raise ModelError(f"{name} does not speak Gemini's dialect ({error}).", "Check the address.") from error
    except ValueError as error:
        raise ModelUnavailable(f"{name} sent something that is not JSON in its stream.", "Try again.") from error
    if part.error:
        raise ModelUnavailable(f"{name} reported: {server_message(payload.encode())[:300]}", "Try again later.")
    return part


def _usage(counts: dict[str, Any] | None) -> Usage | None:
    """A count that is 0 is left out of the JSON. Early events carry counts that still grow."""
    if counts is None or "promptTokenCount" not in counts:
        return None
    written = whole(counts.get("candidatesTokenCount")) + whole(counts.get("thoughtsTokenCount"))
    cached = whole(counts.get("cachedContentTokenCount"))
    return Usage(whole(counts["promptTokenCount"]), written, cached_tokens=cached)
