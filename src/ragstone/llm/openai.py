"""Any server that speaks the OpenAI chat dialect: llama-server, vLLM, LM Studio, Ollama's /v1, hosted providers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2
import msgspec

from ..errors import ModelError, ModelMissing, ModelUnavailable
from ..types import Call, Delta, Message, Usage
from .sse import events
from .transport import (
    SILENCE_SECONDS,
    chunks,
    client,
    decoded,
    entries,
    exchange,
    get_json,
    read,
    refusal,
    server_message,
)

DEFAULT_CONTEXT = 4096  # tokens; what nearly every chat model offers at least, used where the server does not tell

# Names under which servers tell the window of a model in /v1/models, at the top level or under "meta".
_WINDOW_KEYS = ("n_ctx", "max_model_len", "context_length", "max_context_length", "context_window", "n_ctx_train")


class OpenAIChat:
    """LLM over `POST {base_url}/chat/completions` with `stream: true`.

    `base_url` ends in the version part (`http://127.0.0.1:8080/v1`). `model` "" takes the first one the server
    lists. The window is what the server tells, at most `context` where that is set; `context` (else `DEFAULT_CONTEXT`)
    where it tells nothing. `extra` is added to every request body.
    """

    def __init__(
        self,
        base_url: str,
        model: str = "",
        *,
        api_key: str = "",
        context: int = 0,
        temperature: float = 0.0,
        silence: float = SILENCE_SECONDS,
        extra: Mapping[str, object] | None = None,
        label: str = "The model server",
    ) -> None:
        self._url = base_url.rstrip("/")
        self._model = model
        self._context = context
        self._window = 0
        self._silence = silence
        self._label = label
        self._http = client({"authorization": f"Bearer {api_key}"} if api_key else None)
        self._options: dict[str, object] = {
            "temperature": temperature,
            "stream_options": {"include_usage": True},
            **(extra or {}),
        }
        self._limit_key = "max_tokens"

    @property
    def name(self) -> str:
        if not self._model:
            self._model = str(self._listed()["id"])
        return self._model

    @property
    def context(self) -> int:
        if not self._window:
            entry = self._listed()
            meta = entry.get("meta")
            places = (entry, meta) if isinstance(meta, dict) else (entry,)
            told = [p[key] for p in places for key in _WINDOW_KEYS if isinstance(p.get(key), int) and p[key] > 0]
            self._window = min(told[0], self._context or told[0]) if told else self._context or DEFAULT_CONTEXT
        return self._window

    def _listed(self) -> dict[str, Any]:
        """The entry of this model (the first one where none is named) in /models; {} where it is not listed."""
        try:
            answer = get_json(self._http, f"{self._url}/models", name=self._label)
        except ModelMissing:  # a server without a list; one can still be named
            answer = None
        known = entries(answer, "data", "id")
        if not known and not self._model:
            raise ModelError(f"{self._label} lists no model.", "Load one there, or name one in the settings.")
        return next((e for e in known if not self._model or e["id"] == self._model), {})

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        body: dict[str, object] = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "stream": True,
        }
        while True:
            request = {**body, **self._options, self._limit_key: call.max_tokens}
            with exchange(
                self._http,
                "POST",
                f"{self._url}/chat/completions",
                name=self._label,
                body=request,
                deadline=call.deadline,
                silence=self._silence,
            ) as response:
                if response.status_code == 200:
                    yield from self._deltas(response, messages, call.deadline)
                    return
                said = read(response, self._label, call.deadline)
            if response.status_code not in (400, 422) or not self._adapt(server_message(said)):
                raise refusal(response.status_code, said, self._label)

    def _adapt(self, message: str) -> bool:
        """Leaves out what this server does not know, remembered for later calls; False when nothing is left to try."""
        if "max_completion_tokens" in message and self._limit_key == "max_tokens":
            self._limit_key = "max_completion_tokens"
            return True
        for option in ("stream_options", "temperature"):
            if option in message and option in self._options:
                self._options = {k: v for k, v in self._options.items() if k != option}
                return True
        return False

    def _deltas(
        self, response: httpx2.Response, messages: Sequence[Message], deadline: float | None
    ) -> Iterator[Delta]:
        if "json" in response.headers.get("content-type", ""):  # the server ignored `stream`
            payloads: Iterator[str] = iter((read(response, self._label, deadline).decode("utf-8", "replace"),))
        else:
            payloads = events(chunks(response, self._label, deadline))
        finish, usage, written = "", None, 0
        for payload in payloads:
            if payload.strip() == "[DONE]":
                finish = finish or "stop"
                break
            part = _decode(payload, self._label)
            usage = _usage(part.usage) or usage
            for choice in part.choices or ():
                text = next((p.content for p in (choice.delta, choice.message) if p is not None and p.content), "")
                finish = choice.finish_reason or finish
                if text:
                    written += len(text)
                    yield Delta(text)
        if not finish:
            raise ModelUnavailable(f"{self._label} broke off in the middle of the answer.", "Try again.")
        yield Delta(finish=finish, usage=usage or estimated_usage(messages, written))

    def close(self) -> None:
        self._http.close()


def estimated_usage(messages: Sequence[Message], written: int) -> Usage:
    """Tokens by four characters each, marked as an estimate. `written` are characters."""
    sent = sum(len(m.content) for m in messages)
    return Usage(math.ceil(sent / 4), math.ceil(written / 4), estimated=True)


class _Piece(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Piece | None = None
    message: _Piece | None = None  # in place of `delta`, where a server does not stream
    finish_reason: str | None = None


class _Part(msgspec.Struct):
    """What is read of one event."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


def _decode(payload: str, name: str) -> _Part:
    try:
        part: _Part = decoded(payload, _Part)
    except msgspec.ValidationError as error:
        raise ModelError(
            f"{name} does not speak the chat dialect ({error}).", "Check that the address ends in /v1."
        ) from error
    except ValueError as error:
        raise ModelUnavailable(f"{name} sent something that is not JSON in its stream.", "Try again.") from error
    if part.error:
        raise ModelUnavailable(f"{name} reported: {server_message(payload.encode())[:300]}", "Try again later.")
    return part


def _usage(counts: Any) -> Usage | None:
    if not isinstance(counts, dict) or not isinstance(counts.get("prompt_tokens"), int):
        return None
    completion = counts.get("completion_tokens")
    details = counts.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        counts["prompt_tokens"],
        completion if isinstance(completion, int) else 0,
        cached_tokens=cached if isinstance(cached, int) else 0,
    )
