"""The JSON of models, embedding and language ones."""

from __future__ import annotations

from typing import Annotated, TypedDict

from ...types import ModelStatus


class ModelsRecord(TypedDict):
    """`models list`, or `models` alone."""

    schema_version: int
    models: Annotated[list[dict[str, object]], "one object for each known embedding model"]


class LanguageModelRecord(TypedDict):
    name: str
    kind: Annotated[str, "gguf (a process of Ragstone's own) or ollama"]
    loaded: bool
    size: Annotated[int, "bytes of the weights"]
    ram: Annotated[int, "bytes it takes while loaded"]
    vram: Annotated[int, "bytes of a GPU's memory"]
    context: Annotated[int, "window of one call in tokens; 0: not known before it is loaded"]
    slots: Annotated[int, "calls it works on at once"]
    last_used: float | None
    expires: Annotated[float | None, "when it is unloaded unless it is used"]
    load_seconds: Annotated[float | None, "what loading took the last time"]
    conversations: Annotated[int, "conversations that have a slot now"]
    calls: Annotated[int, "since it was loaded"]
    prompt_tokens: Annotated[int, "tokens of their prompts"]
    cached_tokens: Annotated[int, "of these, tokens that had been computed before"]
    hit_rate: Annotated[float, "cached_tokens / prompt_tokens"]
    saved: Annotated[int, "bytes of conversations on the disk"]


class ModelStatusRecord(TypedDict):
    """`models status`."""

    schema_version: int
    models: list[LanguageModelRecord]


class PreloadedRecord(TypedDict):
    name: str
    seconds: Annotated[float, "of loading; 0: it was loaded"]


class PreloadRecord(TypedDict):
    """`models preload`."""

    schema_version: int
    models: list[PreloadedRecord]


def model_record(status: ModelStatus) -> LanguageModelRecord:
    return {
        "name": status.name,
        "kind": status.kind,
        "loaded": status.loaded,
        "size": status.size,
        "ram": status.ram,
        "vram": status.vram,
        "context": status.context,
        "slots": status.slots,
        "last_used": status.last_used,
        "expires": status.expires,
        "load_seconds": status.load_seconds,
        "conversations": status.conversations,
        "calls": status.calls,
        "prompt_tokens": status.prompt_tokens,
        "cached_tokens": status.cached_tokens,
        "hit_rate": status.hit_rate,
        "saved": status.saved,
    }
