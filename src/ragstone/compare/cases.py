"""What every model is given for a question: the same passages, as the same messages, made once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..answer.prompt import Earlier, build
from ..errors import InputError, NotFound
from ..knowledge_base import KnowledgeBase
from ..types import Hit, Message
from .questions import Gold, Question


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` of the document `uri`."""

    uri: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Case:
    """A question with its evidence. `gold` are all places where its quotes stand; `found` tells of each quote whether
    it is in the passages at all, which bounds what any model can do."""

    question: Question
    hits: tuple[Hit, ...]
    messages: tuple[Message, ...]
    gold: tuple[Span, ...]
    found: tuple[bool, ...]


def prepare(
    kb: KnowledgeBase,
    questions: Sequence[Question],
    *,
    passages: int,
    context: int,
    max_tokens: int,
    collections: Sequence[str] | None = None,
) -> list[Case]:
    """A case for each question. `context` is the smallest window among the models, so that all see the same. Raises
    InputError where a gold quote does not stand in its document."""
    by_id = {question.id: question for question in questions}
    names = list(collections or [status.name for status in kb.collections()])
    return [_case(kb, question, by_id, names, passages, context, max_tokens) for question in questions]


def _case(
    kb: KnowledgeBase,
    question: Question,
    by_id: dict[str, Question],
    collections: Sequence[str],
    passages: int,
    context: int,
    max_tokens: int,
) -> Case:
    earlier = by_id.get(question.after)
    asked = question.text if earlier is None else f"{earlier.text} {question.text}"
    hits = kb.search(asked, collections=collections, k=passages, highlights=False, cache=False).hits
    turns = () if earlier is None else (Message("user", earlier.text), Message("assistant", earlier.answer))
    prompt = build(
        question.text,
        hits,
        language=question.language,
        context=context,
        max_tokens=max_tokens,
        earlier=Earlier(turns=turns),
    )
    places = [_places(kb, question, gold, collections) for gold in question.gold]
    found = tuple(any(overlaps(span, _span(hit)) for span in spans for hit in prompt.hits) for spans in places)
    return Case(question, prompt.hits, prompt.messages, tuple(span for spans in places for span in spans), found)


def overlaps(one: Span, other: Span) -> bool:
    return one.uri == other.uri and one.start < other.end and other.start < one.end


def fingerprint(cases: Sequence[Case]) -> str:
    """Equal exactly where every model would be sent the same, and judged by the same."""
    digest = hashlib.blake2b(digest_size=16)
    for case in cases:
        for message in case.messages:
            digest.update(f"{message.role}\0{message.content}\0".encode("utf-8", "surrogatepass"))
        digest.update(repr((case.question, [(s.start, s.end) for s in case.gold])).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _span(hit: Hit) -> Span:
    return Span(hit.chunk.uri, hit.chunk.start, hit.chunk.end)


def _places(kb: KnowledgeBase, question: Question, gold: Gold, collections: Sequence[str]) -> list[Span]:
    pattern = re.compile(r"\s+".join(map(re.escape, gold.quote.split())))
    for collection in collections:
        try:
            uri, text = kb.document(gold.document, collection).uri, kb.text(gold.document, collection)
        except NotFound:
            continue
        if spans := [Span(uri, match.start(), match.end()) for match in pattern.finditer(text)]:
            return spans
        raise InputError(
            f"Question {question.id}: {gold.document} does not contain its gold quote “{gold.quote[:80]}”.",
            "Quote the document word by word; `ragstone show` prints its text.",
        )
    raise InputError(
        f"Question {question.id}: there is no document {gold.document}.",
        "Name the documents with --documents, or add them first.",
    )
