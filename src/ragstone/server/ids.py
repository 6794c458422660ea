"""Ids that leave the server: the store's number, and a proof that it was given to this tenant. A number that is
guessed, or is another tenant's, is not found, without a look at any data."""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import Final

from ..errors import NotFound

PROOF_BYTES: Final = 8


def public(kind: str, number: int, secret: bytes) -> str:
    text = f"{kind}_{number:x}"
    return f"{text}_{_proof(text, secret)}"


def number(kind: str, id: str, secret: bytes) -> int:
    """Raises NotFound."""
    text, _, proof = id.rpartition("_")
    if not text.startswith(kind + "_") or not hmac.compare_digest(
        proof.encode("utf-8", "surrogatepass"), _proof(text, secret).encode()
    ):
        raise NotFound(f"there is no such {_WORDS[kind]}.", "It was removed, or never was here.")
    return int(text.removeprefix(kind + "_"), 16)


_WORDS = {"doc": "document", "chunk": "chunk"}


def _proof(text: str, secret: bytes) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=PROOF_BYTES).hexdigest()
