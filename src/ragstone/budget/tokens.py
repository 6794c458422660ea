"""How many tokens a prompt can have at most, without the provider's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ..types import Call, Message

AROUND_MESSAGE: Final = 16
"""Tokens that a chat template puts around one message (role, separators); known ones take 3 to 8."""
AROUND_PROMPT: Final = 64
"""Tokens before the first and after the last message, and around a schema."""


def prompt_bound(messages: Sequence[Message], call: Call) -> int:
    """Tokens that the prompt cannot exceed. A byte-level tokenizer never makes more tokens than there are bytes of
    UTF-8, and neither does one of pieces with byte fallback; only one that first normalises text could. Where a
    provider counts more all the same, the ledger raises the bound of that model from then on."""
    size = AROUND_PROMPT + sum(AROUND_MESSAGE + size_of(message.content) for message in messages)
    return size + (len(msgspec.json.encode(call.schema)) if call.schema else 0)


def size_of(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate(size: int) -> int:
    """Tokens that so many bytes are likely to have; for counts, never for a bound."""
    return -(-size // 4)
