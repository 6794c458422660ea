"""Language models behind one Protocol, and the order in which one is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..errors import DeadlineExceeded, ModelError, SettingsError
from ..protocols import LLM

Choice = Literal["extractive", "auto", "ollama", "openai", "llama"]

OLLAMA_URL = "http://127.0.0.1:11434"
# Where OpenAI-compatible servers listen by default: llama-server, LM Studio, vLLM, Jan.
LOOPBACK_SERVERS = (
    "http://127.0.0.1:8080/v1",
    "http://127.0.0.1:1234/v1",
    "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:1337/v1",
)
PROBE_SECONDS = 0.5


def find_llm(
    choice: Choice = "extractive",
    *,
    model: str = "",
    base_url: str = "",
    api_key: str = "",
    gguf: Path | None = None,
    context: int = 0,
    threads: int = 0,
    sha256: str = "",
    keep_alive: str = "10m",
    state: Path | None = None,
    ollama_url: str = OLLAMA_URL,
    servers: Sequence[str] = LOOPBACK_SERVERS,
) -> LLM | None:
    """The model to generate with; None means extractive answers.

    "auto" takes the first there is: a running Ollama that has a model, an OpenAI-compatible server at one of
    `servers`, the configured `base_url`, the local file `gguf`, None. Only loopback addresses are probed, and only
    here: every other choice sends nothing before the first question. `context` bounds the window, or gives it where a
    server does not tell it; `state` is the file through which a warm local model is found again (llama.py). Raises
    SettingsError where a choice lacks what it needs.
    """
    match choice:
        case "extractive":
            return None
        case "ollama":
            return _ollama(base_url or ollama_url, model, context, keep_alive)
        case "openai":
            if not base_url:
                raise SettingsError(
                    "The choice 'openai' needs the address of a server.",
                    "Set answer.base_url, such as http://host:8080/v1.",
                )
            return _openai(base_url, model, api_key, context)
        case "llama":
            if gguf is None:
                raise SettingsError("The choice 'llama' needs a model file.", "Set answer.model to gguf:PATH.")
            return _llama(gguf, context, threads, sha256, state)
        case "auto":
            running = _running(model, context, keep_alive, ollama_url, servers)
            if running is not None:
                return running
            if base_url:
                return _openai(base_url, model, api_key, context)
            return None if gguf is None else _llama(gguf, context, threads, sha256, state)
        case _:
            raise SettingsError(
                f"{choice!r} is not a way to answer.", "Use extractive, auto, ollama, openai or llama (gguf)."
            )


def _running(model: str, context: int, keep_alive: str, ollama_url: str, servers: Sequence[str]) -> LLM | None:
    """What answers on loopback now. A server that does not answer, or has no such model, is simply not there."""
    from .transport import client, entries, get_json

    http = client()
    try:
        if on_loopback(ollama_url):
            try:
                tags = get_json(http, f"{ollama_url.rstrip('/')}/api/tags", name="Ollama", seconds=PROBE_SECONDS)
                installed = {str(entry["name"]) for entry in entries(tags, "models", "name")}
                if installed and (not model or {model, f"{model}:latest"} & installed):
                    ollama = _ollama(ollama_url, model, context, keep_alive)
                    if ollama.name:
                        return ollama
            except (ModelError, DeadlineExceeded):
                pass
        for server in filter(on_loopback, servers):
            try:
                answer = get_json(http, f"{server}/models", name="The model server", seconds=PROBE_SECONDS)
            except (ModelError, DeadlineExceeded):
                continue
            names = [str(entry["id"]) for entry in entries(answer, "data", "id")]
            if names and (not model or model in names):
                return _openai(server, model or names[0], "", context)
    finally:
        http.close()
    return None


def on_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _ollama(url: str, model: str, context: int, keep_alive: str) -> LLM:
    from .ollama import OllamaChat

    return OllamaChat(url, model, context=context, keep_alive=keep_alive)


def _openai(url: str, model: str, api_key: str, context: int) -> LLM:
    from .openai import OpenAIChat

    return OpenAIChat(url, model, api_key=api_key, context=context)


def _llama(gguf: Path, context: int, threads: int, sha256: str, state: Path | None) -> LLM:
    from .llama import LlamaServer

    return LlamaServer(gguf, context=context, threads=threads, sha256=sha256, state=state)
