"""What is told, checked and made ready for the store."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, get_args

from ..errors import InputError
from ..memory_types import Kind, NewItem, Type
from ..protocols import Telling
from ..text.analysis import fold
from ..text.passage import one_passage
from ..text.turns import context_of

MOST_CHARACTERS: Final = 20_000
"""Of one item: longer things are documents."""
MOST_CONTEXT: Final = 600
"""Characters of what was said before, its end."""
MOST_NAME: Final = 200
_WORD = re.compile(r"\w+")
_SPEAKER = re.compile(r"^([^\W\d][\w .'-]{0,40}):\s+(?!\d)")
"""Not "Time: 12:30"."""
LATEST = 253402300800.0  # the year 10000


def checked(item: NewItem, project: str, now: float) -> NewItem:
    """With everything filled in that may be left out. Raises InputError."""
    if item.kind not in get_args(Kind) or item.type not in get_args(Type):
        raise InputError(
            f"{item.kind!r} of type {item.type!r} cannot be remembered.",
            f"Kinds are {', '.join(get_args(Kind))}; types {', '.join(get_args(Type))}.",
        )
    text, key, value = item.text.strip(), " ".join(item.key.split()), item.value.strip()
    if item.kind == "fact":
        if not key or not value:
            raise InputError("a fact has a key and a value.", "Give both, or remember it as knowledge.")
        text = text or f"{key}: {value}"
    elif key or value:
        raise InputError("only a fact has a key and a value.", "Use kind fact, or put them into the text.")
    if not any(map(str.isalnum, text)):
        raise InputError("there is nothing to remember.", "Give a text with at least one word.")
    for name, length, most in (
        ("text", len(text), MOST_CHARACTERS), ("value", len(value), MOST_CHARACTERS), ("key", len(key), MOST_NAME),
        ("speaker", len(item.who), MOST_NAME), ("idempotency key", len(item.idempotency_key), MOST_NAME),
    ):  # fmt: skip
        if length > most:
            raise InputError(f"the {name} has {length} characters, {most} may be.", "Add long texts as documents.")
    if not 0.0 <= item.confidence <= 1.0:
        raise InputError(f"a confidence of {item.confidence} is not between 0 and 1.")
    at = now if item.at is None else float(item.at)
    if not (math.isfinite(at) and -LATEST < at < LATEST):
        raise InputError(f"{item.at} is not a time.", "Give POSIX seconds.")
    who = item.who.strip()
    if item.kind == "episode" and not who and (said := _SPEAKER.match(text)):
        who = said[1]
    return replace(
        item,
        text=text,
        key=key,
        value=value,
        project=project_name(project if item.project is None else item.project),
        at=at,
        who=who,
        participants=tuple(dict.fromkeys(name.strip() for name in item.participants if name.strip())),
        context=item.context.strip()[-MOST_CONTEXT:],
    )


def project_name(name: str) -> str:
    """Raises InputError."""
    cleaned = " ".join(name.split())
    if len(cleaned) > MOST_NAME or any(ord(c) < 32 for c in cleaned):
        raise InputError(f"{name[:40]!r} cannot be the name of a project.", f"Use up to {MOST_NAME} letters.")
    return cleaned


def telling(item: NewItem, previous: str = "") -> Telling:
    """Of a checked item. `previous`: the episode before it in its session."""
    context = context_of(item.who, item.text, previous) if item.kind == "episode" else item.context
    document = one_passage(
        secrets.token_hex(8), item.text, title=item.key, context=context, modified=item.at or 0.0
    )
    fact = item.kind == "fact"
    return Telling(
        item, document, words_hash(item.text), fold(item.key) if fact else "",
        _squeezed(item.value) if fact else "", {}, text_hash(item.text),
    )  # fmt: skip


def words_hash(text: str) -> bytes:
    """BLAKE2b-128 of the words alone, but with the question mark: "Is it on?" is not "It is on."."""
    said = " ".join(_WORD.findall(fold(text))) + ("?" if text.rstrip().endswith("?") else "")
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def text_hash(text: str) -> bytes:
    """BLAKE2b-128 of the text to the letter."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _squeezed(value: str) -> str:
    return " ".join(fold(value).split()).rstrip(".!")


def texts_to_embed(tellings: Sequence[Telling]) -> list[str]:
    """As the store has it for a chunk: context and text."""
    return [
        f"{chunk.context}\n{chunk.text}" if chunk.context else chunk.text
        for chunk in (telling.document.chunks[0] for telling in tellings)
    ]
