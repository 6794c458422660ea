"""Intents and their examples: those that ship, and files of one's own.

The set that ships, `conversation`, is what people and agents want from each other while they work, in German and
English, written for Ragstone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from ..errors import DamagedFile, NotFound

SHIPPED = "conversation"


@cache
def shipped(name: str = SHIPPED) -> Mapping[str, tuple[str, ...]]:
    """For each intent its examples, in both languages."""
    text = resources.files(__package__).joinpath("sets", f"{name}.json").read_text("utf-8")
    return {intent: tuple(examples) for intent, examples in json.loads(text).items()}


def read(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Of a file: a JSON object {intent: [turn, …]}, or JSON lines {"text": …, "intent": …}. Raises NotFound,
    DamagedFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", "See setting memory.intents.") from error
    try:
        if path.suffix == ".jsonl":
            found: dict[str, list[str]] = {}
            for line in data.splitlines():
                if line.strip():
                    pair = msgspec.json.decode(line, type=_Labelled)
                    found.setdefault(pair.intent, []).append(pair.text)
            return {intent: tuple(texts) for intent, texts in found.items()}
        return msgspec.json.decode(data, type=dict[str, tuple[str, ...]])
    except msgspec.DecodeError as error:
        raise DamagedFile(
            f"{path} holds no intents: {error}.", 'Write {"intent": ["turn", …], …}, or lines {"text": …, "intent": …}.'
        ) from error


class _Labelled(msgspec.Struct):
    text: str
    intent: str
