"""Ask: an answer whole, or as it comes; and what people think of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct

from ...errors import InputError, TooManyRequests
from ...knowledge_base import KnowledgeBase
from ...records import AnswerRecord, CitationRecord, answer_record, citation_record
from ...types import Answer, AnswerEvent, Citation
from ..events import Event, send_events
from ..ids import public
from ..operations import Call, Operation, Reply
from ..wire import AskBody
from .documents import FROM_DOCUMENT


class GivenCitation(CitationRecord):
    document_id: Annotated[str, "empty where the document was removed meanwhile"]


class Given(AnswerRecord):
    id: Annotated[str, "names this answer in feedback"]
    citations: list[GivenCitation]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Found:
    """Records of the citations of all the text up to and with the next token."""

    citations: list[Any]


class FeedbackBody(Struct, forbid_unknown_fields=True):
    """What somebody thinks of an answer: its `answer_id`, or the question."""

    rating: Annotated[int, Meta(ge=-1, le=1, description="1: good, -1: bad")]
    answer_id: Annotated[str, Meta(max_length=64)] = ""
    question: Annotated[str, Meta(max_length=8_192)] = ""
    comment: Annotated[str, Meta(max_length=4_096)] = ""


async def ask(call: Call) -> Reply | None:
    body: AskBody = call.body
    events = answer_events(call, body, as_found=body.stream)
    if body.stream:
        await send_events(call, _told(events))
        return None
    async with aclosing(events):
        final = None
        async for event in events:
            final = event
    if not isinstance(final, dict):
        raise InputError("the answer ended without a result.")
    call.stages = final["timings"]
    return Reply(final)


async def _told(events: AsyncGenerator[AnswerEvent | Found | dict[str, Any], None]) -> AsyncIterator[Event]:
    """As server-sent events: stage, token, citation, final. A citation comes before the token that names it. Where a
    model broke off, those of the extractive answer come at the end, and `final` tells which count."""
    told: list[Any] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, AnswerEvent):
                yield event.kind, {"name" if event.kind == "stage" else "text": event.text}
                continue
            for citation in event.citations if isinstance(event, Found) else event["citations"]:
                if citation not in told:
                    told.append(citation)
                    yield "citation", citation
            if not isinstance(event, Found):
                yield "final", event


async def answer_events(
    call: Call, body: AskBody, *, as_found: bool = False
) -> AsyncGenerator[AnswerEvent | Found | dict[str, Any], None]:
    """Stages and tokens as they come, with `as_found` also citations; the last one is the answer's record. Tokens count
    against the tenant's quota."""
    service, tenant = call.service, call.service.tenant(call)
    deadline = call.deadline
    if "x-deadline-ms" not in call.headers:
        deadline = time.monotonic() + service.answer_deadline
    quota = tenant.quotas.tokens_per_day
    collections = None if body.collections is None else tuple(dict.fromkeys(body.collections))
    wanted = body.filter.chosen() if body.filter is not None else None

    def stream() -> Iterator[AnswerEvent | Found | dict[str, Any]]:
        told = 0
        if quota and service.accounts.tokens_today(tenant.id) >= quota:
            raise TooManyRequests("today's tokens are used up.", "They renew at midnight UTC.", retry_after=3_600)
        with ExitStack() as held:
            kb, conversation = held.enter_context(service.tenants.use(tenant.id)), None
            if body.conversation is not None:
                conversation = held.enter_context(service.conversations.use(kb.store, call.who.id, body.conversation))
            for event in kb.ask_stream(
                body.question, collections=collections, filter=wanted, deadline=deadline, conversation=conversation,
                mode=body.mode,
            ):  # fmt: skip
                if event.answer is None:
                    if as_found and len(event.citations) > told:
                        told = len(event.citations)
                        yield Found(cited(kb, event.citations, tenant.secret))
                    yield event
                    continue
                usage = event.answer.usage
                spent = 0 if event.answer.model == "extractive" else usage.prompt_tokens + usage.completion_tokens
                if spent:
                    service.accounts.count_tokens(tenant.id, spent)
                yield answered(kb, event.answer, tenant.secret)

    async with aclosing(service.bridge.answer.stream(stream, deadline)) as events:
        async for event in events:
            yield event


def answered(kb: KnowledgeBase, answer: Answer, secret: bytes) -> dict[str, Any]:
    record: Any = answer_record(answer)
    record["id"] = secrets.token_hex(12)
    record["citations"] = cited(kb, answer.citations, secret)
    return dict(record)


def cited(kb: KnowledgeBase, citations: Sequence[Citation], secret: bytes) -> list[Any]:
    """Records of citations, with the public names of their documents."""
    if not citations:
        return []
    owners = {chunk.id: chunk.document_id for chunk in kb.store.chunks([c.chunk_id for c in citations])}
    return [
        {**citation_record(c), "document_id": public("doc", owners[c.chunk_id], secret) if c.chunk_id in owners else ""}
        for c in citations
    ]


def feedback(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001 - every operation has one shape
    body: FeedbackBody = call.body
    if not body.answer_id and not body.question.strip():
        raise InputError("feedback is about an answer_id or a question.", "Send one of them.")
    call.service.accounts.add_feedback(
        call.tenant, call.who.id, body.answer_id, body.question, body.rating, body.comment
    )
    return Reply(None, 204)


OPERATIONS = [
    Operation(
        "POST", "/v1/ask", "ask", "Answer a question with citations.", ask, lane="loop", body=AskBody, result=Given,
        streams=True,
        group="questions", errors=(404, 409, 429, 504),
        example={"question": "How long does the battery last?", "stream": False},
        links={name: {"document": "$response.body#/citations/0/document_id"} for name in FROM_DOCUMENT},
        description="With `stream`, server-sent events: `stage` {name}, `token` {text}, `citation` (before the "
        "token that names its number; each once), then one `final` (the whole answer; its citations count) or `error` "
        "(a problem document). Each has an id; comments keep the connection alive.",
    ),
    Operation(
        "POST", "/v1/feedback", "feedback", "Say whether an answer was good.", feedback, body=FeedbackBody,
        status=204, group="questions", example={"answer_id": "0123456789abcdef01234567", "rating": 1},
        rule={
            "anyOf": [
                {"required": ["answer_id"], "properties": {"answer_id": {"minLength": 1}}},
                {"required": ["question"], "properties": {"question": {"pattern": "\\S"}}},
            ]
        },
    ),
]  # fmt: skip
