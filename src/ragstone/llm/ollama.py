"""Ollama over its own API: NDJSON from /api/chat, models from /api/tags and /api/ps, the window from /api/show.

Ollama cuts a prompt that is too long without a word. So it is asked not to (`truncate`, `shift`; servers before these
fields ignore them), what is certainly too long is not sent, and an answer to a prompt that filled the whole window is
an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import httpx2
import msgspec

from ..errors import ModelMissing, ModelUnavailable, PromptTooLong
from ..types import Call, Delta, Message, ModelStatus, Usage
from .openai import estimated_usage
from .sse import lines
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

DEFAULT_URL = "http://127.0.0.1:11434"
# The window asked for where no loaded model decides: a model's full window (128 k and more) would take gigabytes for
# its cache, and a request with another window than the loaded one makes Ollama load the model again.
DEFAULT_WINDOW = 8192
LOAD_SECONDS = 600.0
# Of a token in any language and vocabulary in use, at most: what has more tokens than fit by this does not fit.
MOST_BYTES_PER_TOKEN = 8
_TOO_LONG = ("context length", "context size", "exceeds the available context", "input length")


class OllamaChat:
    """LocalLLM over `POST {url}/api/chat`.

    `model` "" takes a model that is loaded (/api/ps), else the newest installed one that completes text.
    The window is that of the loaded model, else the smaller of the model's own and `context` (`DEFAULT_WINDOW`).
    `keep_alive` is how long Ollama keeps the model loaded ("10m", "-1" for ever), part of the request itself;
    `threads` 0 leaves the choice to it. Ollama finds the slot of a conversation by its longest common prefix.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        model: str = "",
        *,
        context: int = 0,
        keep_alive: str = "10m",
        threads: int = 0,
        lanes: int = 1,
        temperature: float = 0.0,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._model = model
        self._context = context
        self._window = 0
        self._keep_alive = keep_alive
        self._threads = threads
        self._lanes = lanes
        self._load_seconds: float | None = None
        self._last_used: float | None = None
        self._counted = [0, 0]  # calls, prompt tokens
        self._temperature = temperature
        self._silence = silence
        self._http = client()

    @property
    def url(self) -> str:
        return self._url

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
        names = _names(self.name)
        sizes = [m.get("context_length") for m in self.loaded() if m["name"] in names]
        return next((n for n in sizes if isinstance(n, int) and n > 0), 0)

    def _own_window(self) -> int:
        info = _object(self._show(self.name).get("model_info"))
        sizes = [v for k, v in info.items() if k.endswith(".context_length") and isinstance(v, int) and v > 0]
        return sizes[0] if sizes else DEFAULT_WINDOW

    @property
    def lanes(self) -> int:
        return self._lanes

    def load(self, messages: Sequence[Message] = ()) -> float:
        """As Ollama documents it, by a request without a prompt; `messages` then as the beginning of a prompt."""
        loaded = self._entry() is not None
        body = {"model": self.name, "keep_alive": _keep_alive(self._keep_alive), "options": self._options()}
        started = time.monotonic()
        get_json(self._http, f"{self._url}/api/generate", name="Ollama", body=body, seconds=LOAD_SECONDS)
        seconds = time.monotonic() - started
        if messages:
            for _ in self.stream(messages, Call(1)):
                pass
        if loaded:
            return 0.0
        self._load_seconds = seconds
        return seconds

    def unload(self) -> bool:
        body = {"model": self.name, "keep_alive": 0}
        get_json(self._http, f"{self._url}/api/generate", name="Ollama", body=body, seconds=LOAD_SECONDS)
        return True

    def end(self, conversation: str) -> None:
        """Ollama keeps nothing of a conversation that others could not overwrite."""

    def status(self) -> ModelStatus:
        entry = self._entry()
        names = _names(self.name)
        size = next((m.get("size") for m in self.installed() if m["name"] in names), 0)
        total, vram = _count(entry, "size"), _count(entry, "size_vram")
        return ModelStatus(
            self.name,
            "ollama",
            entry is not None,
            size if isinstance(size, int) else 0,
            ram=max(0, total - vram),
            vram=vram,
            context=_count(entry, "context_length") or self._window,
            slots=self._lanes,
            last_used=self._last_used,
            expires=_time((entry or {}).get("expires_at")),
            load_seconds=self._load_seconds,
            calls=self._counted[0],
            prompt_tokens=self._counted[1],
        )

    def _entry(self) -> dict[str, Any] | None:
        """Of /api/ps, where the model is loaded."""
        names = _names(self.name)
        return next((m for m in self.loaded() if m["name"] in names), None)

    def _options(self) -> dict[str, object]:
        """Those that decide how the model is loaded; other ones would load it again."""
        threads: dict[str, object] = {"num_thread": self._threads} if self._threads else {}
        return {"num_ctx": self.context, **threads}

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        least = sum(len(m.content.encode("utf-8", "surrogatepass")) for m in messages) // MOST_BYTES_PER_TOKEN
        if least + call.max_tokens > self.context:
            raise _too_long(self.name, self.context, f"at least {least}")
        body = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "stream": True,
            "keep_alive": _keep_alive(self._keep_alive),
            "truncate": False,
            "shift": False,
            **({} if call.schema is None else {"format": call.schema}),
            "options": {**self._options(), "num_predict": call.max_tokens, "temperature": self._temperature},
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
                said = read(response, "Ollama", call.deadline)
                if response.status_code == 400 and any(w in server_message(said).lower() for w in _TOO_LONG):
                    raise _too_long(self.name, self.context, "too many")
                raise refusal(response.status_code, said, "Ollama")
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
                usage = _usage(part, messages, written)
                self._note(part, usage)
                if not usage.estimated and usage.prompt_tokens >= self.context:
                    raise _too_long(self.name, self.context, "too many, so it was cut by a server that does not say so")
                yield Delta(finish=part.done_reason or "stop", usage=usage)
                return
        raise ModelUnavailable("Ollama broke off in the middle of the answer.", "Try again.")

    def _note(self, part: _Part, usage: Usage) -> None:
        self._last_used = time.time()
        self._counted = [self._counted[0] + 1, self._counted[1] + usage.prompt_tokens]
        if part.load_duration and part.load_duration > 1e8:  # a loaded model tells some milliseconds
            self._load_seconds = part.load_duration / 1e9

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
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(entry: dict[str, Any] | None, key: str) -> int:
    value = (entry or {}).get(key)
    return value if isinstance(value, int) else 0


def _time(value: object) -> float | None:
    """POSIX seconds of Ollama's timestamps, which have nanoseconds and a zone."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None


def _names(model: str) -> tuple[str, str]:
    return model, model if ":" in model else f"{model}:latest"


def _too_long(model: str, window: int, tokens: str) -> PromptTooLong:
    return PromptTooLong(
        f"The prompt has {tokens} tokens for the window of {model} ({window}, with the answer).",
        "Ask for less, or raise answer.context.",
    )


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
