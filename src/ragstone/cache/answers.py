"""Answers by evidence: what was asked, by whom it is answered, and exactly which passages it is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..types import Answer, Hit
from .file import Kept, digest


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """`evidence` are (chunk id, document id) of the passages it was made from, cited or not."""

    answer: Answer
    evidence: tuple[tuple[int, int], ...]


def evidence_key(question: str, language: str, made_by: str, hits: Sequence[Hit]) -> bytes:
    """Equal for the same question, the same way of answering and the same passages in the same order, at the same
    places of the same documents. Their scores are left out: they move with every write anywhere in the collection,
    and what an answer says and cites is made from the passages."""
    passages = [
        (
            c.id, c.document_id, c.content_hash, c.collection, c.uri, c.title, c.language, c.ordinal, c.start, c.end,
            c.page, c.line, c.section, c.turns,
        )
        for c in (hit.chunk for hit in hits)
    ]  # fmt: skip
    asked = question.encode("utf-8", "surrogatepass")
    return digest([asked, language.encode(), made_by.encode(), msgspec.msgpack.encode(passages)])


def keep(answer: Answer, hits: Sequence[Hit]) -> KeptAnswer:
    return KeptAnswer(answer, tuple(dict.fromkeys((hit.chunk.id, hit.chunk.document_id) for hit in hits)))


def encode(kept: KeptAnswer) -> Kept:
    return Kept(msgspec.msgpack.encode(kept), kept.evidence)


def decode(data: bytes) -> KeptAnswer:
    """Raises ValueError."""
    return msgspec.msgpack.decode(data, type=KeptAnswer)
