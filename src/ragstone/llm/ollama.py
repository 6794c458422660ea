"""Ollama over its own API: NDJSON from /api/chat, models from /api/tags and /api/ps, the window from /api/show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import msgspec

from ..errors import ModelMissing, ModelUnavailable
from ..types import Call, Delta, Message, Usage
from .openai import estimated_usage
from .sse import lines
from .transport import SILENCE_SECONDS, chunks, client, decoded, entries, exchange, get_json, read, refusal

DEFAULT_URL = "http://127.0.0.1:11434"
# The window asked for where no loaded model decides: a model's full window (128 k and more) would take gigabytes for
# its cache, and a request with another window than the loaded one makes Ollama load the model again.
DEFAULT_WINDOW = 8192


class OllamaChat:
    """LLM over `POST {url}/api/chat`.

    `model` "" takes a model that is loaded (/api/ps), else the newest installed one that completes text.
    The window is that of the loaded model, else the smaller of the model's own and `context` (`DEFAULT_WINDOW`).
    `keep_alive` is how long Ollama keeps the model loaded ("10m", "-1" for ever), part of the request itself.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        model: str = "",
        *,
        context: int = 0,
        keep_alive: str = "10m",
        temperature: float = 0.0,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._model = model
        self._context = context
        self._window = 0
        self._keep_alive = keep_alive
        self._temperature = temperature
        self._silence = silence
        self._http = client()

    @property
    def name(self) -> str:
        if not self._model:
            self._model = self._choose()
        return self._model

    @property
    def context(self) -> int:
        if not self._window:
            self._window = self._loaded_window() or min(self._own_window(), self._context or DEFAULT_WINDOW)
        return self._window

    def loaded(self) -> list[dict[str, Any]]:
        """Entries of /api/ps: what is in memory now."""
        return self._models("ps")

    def installed(self) -> list[dict[str, Any]]:
        """Entries of /api/tags."""
        return self._models("tags")

    def _models(self, which: str) -> list[dict[str, Any]]:
        answer = get_json(self._http, f"{self._url}/api/{which}", name="Ollama")
        return entries(answer, "models", "name")

    def _show(self, model: str) -> dict[str, Any]:
        answer = get_json(self._http, f"{self._url}/api/show", name="Ollama", body={"model": model})
        return _object(answer)

    def _choose(self) -> str:
        newest = sorted(self.installed(), key=lambda m: str(m.get("modified_at", "")), reverse=True)
        for model in (*self.loaded(), *newest):
            # Old servers tell no capabilities; then the family of the common embedding models decides.
            skills = self._show(model["name"]).get("capabilities")
            family = str(_object(model.get("details")).get("family", ""))
            if "completion" in skills if isinstance(skills, list) else "bert" not in family:
                return str(model["name"])
        raise ModelMissing("Ollama has no model that writes text.", "Fetch one with `ollama pull`.")

    def _loaded_window(self) -> int:
        wanted = self.name if ":" in self.name else f"{self.name}:latest"
        sizes = [m.get("context_length") for m in self.loaded() if m["name"] in (self.name, wanted)]
        return next((n for n in sizes if isinstance(n, int) and n > 0), 0)

    def _own_window(self) -> int:
        info = _object(self._show(self.name).get("model_info"))
        sizes = [v for k, v in info.items() if k.endswith(".context_length") and isinstance(v, int) and v > 0]
        return sizes[0] if sizes else DEFAULT_WINDOW

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        body = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "stream": True,
            "keep_alive": _keep_alive(self._keep_alive),
            "options": {"num_ctx": self.context, "num_predict": call.max_tokens, "temperature": self._temperature},
        }
        with exchange(
            self._http,
            "POST",
            f"{self._url}/api/chat",
            name="Ollama",
            body=body,
            deadline=call.deadline,
            silence=self._silence,
        ) as response:
            if response.status_code != 200:
                raise refusal(response.status_code, read(response, "Ollama", call.deadline), "Ollama")
            yield from self._deltas(response, messages, call.deadline)

    def _deltas(
        self, response: httpx2.Response, messages: Sequence[Message], deadline: float | None
    ) -> Iterator[Delta]:
        written = 0
        for line in lines(chunks(response, "Ollama", deadline)):
            if not line.strip():
                continue
            try:
                part: _Part = decoded(line, _Part)
            except ValueError as error:
                raise ModelUnavailable("Ollama sent a line that is not of its dialect.", "Try again.") from error
            if part.error:
                raise ModelUnavailable(f"Ollama reported: {str(part.error)[:300]}", "See Ollama's own log.")
            text = part.message.content if part.message is not None else None
            if text:
                written += len(text)
                yield Delta(text)
            if part.done:
                yield Delta(finish=part.done_reason or "stop", usage=_usage(part, messages, written))
                return
        raise ModelUnavailable("Ollama broke off in the middle of the answer.", "Try again.")

    def close(self) -> None:
        self._http.close()


class _Piece(msgspec.Struct):
    content: str | None = None


class _Part(msgspec.Struct):
    """What is read of one line."""

    message: _Piece | None = None
    done: bool = False
    done_reason: str | None = None
    error: Any = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _keep_alive(value: str) -> str | int:
    """Ollama reads a bare number as seconds only when it is a JSON number."""
    return int(value) if value.lstrip("-").isdigit() else value


def _usage(part: _Part, messages: Sequence[Message], written: int) -> Usage:
    """Ollama leaves `prompt_eval_count` out where the whole prompt was cached: then the count is an estimate."""
    prompt, completion = part.prompt_eval_count, part.eval_count
    if prompt is not None and completion is not None:
        return Usage(prompt, completion)
    guess = estimated_usage(messages, written)
    return Usage(
        guess.prompt_tokens if prompt is None else prompt,
        guess.completion_tokens if completion is None else completion,
        estimated=True,
    )
