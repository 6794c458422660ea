"""A turn of a conversation is found with the words of the one before it: "Yes, on Tuesday" says nothing alone."""

from __future__ import annotations

from typing import Final

MOST: Final = 300
"""Characters of the turn before."""
LONG: Final = 600
"""Characters from which on a turn speaks for itself."""


def as_context(who: str, text: str) -> str:
    """What a turn is to the one after it."""
    return (text if not who or text.startswith(f"{who}:") else f"{who}: {text}")[:MOST]


def context_of(who: str, text: str, previous: str) -> str:
    """Of a turn by `who` that comes after `previous`."""
    name = f"{who}:" if who and not text.startswith(f"{who}:") else ""
    return "\n".join(part for part in ("" if len(text) > LONG else previous, name) if part)
