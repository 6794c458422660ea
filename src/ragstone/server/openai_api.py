"""What clients of OpenAI's API call: chat completions, embeddings, models. A model's name says which collection is
asked: `ragstone/<collection>`, or `ragstone` for all of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from ..errors import InputError, NotFound
from ..knowledge_base import KnowledgeBase
from ..types import AnswerEvent
from .events import Event, send_events
from .operations import Call, Operation, Reply
from .routes.asking import answer_events
from .wire import AskBody

MODEL: Final = "ragstone"
EMBEDDED: Final = 256
"""Texts of one request."""
QUESTION_BYTES: Final = 8_192

Text = Annotated[str, Meta(min_length=1, max_length=100_000)]


class Part(Struct):
    type: str
    text: str = ""


class ChatMessage(Struct):
    """Fields that other servers know are taken and have no effect, here and below."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class ChatBody(Struct):
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1_000)]
    stream: bool | None = False


class EmbeddingBody(Struct):
    model: Annotated[str, Meta(min_length=1, max_length=1_000)]
    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=EMBEDDED)]
    encoding_format: Literal["float", "base64"] = "float"


async def chat(call: Call) -> Reply | None:
    """The last message of the user is the question. Citations come as annotations of the answer."""
    body: ChatBody = call.body
    made = {"id": f"chatcmpl-{call.request_id}", "created": int(time.time()), "model": body.model}
    events = answer_events(call, AskBody(_question(body), collections=_collections(body.model)))
    if body.stream:
        await send_events(call, _chunks(events, {**made, "object": "chat.completion.chunk"}), numbered=False)
        return None
    async with aclosing(events):
        final: Any = None
        async for event in events:
            final = event
    message = {"role": "assistant", "content": final["answer"], "annotations": _annotations(final), "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return Reply({**made, "object": "chat.completion", "choices": [choice], "usage": _usage(final)})


async def _chunks(events: Any, made: dict[str, Any]) -> AsyncIterator[Event]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> Event:
        return "", {**made, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}

    async with aclosing(events):
        yield chunk({"role": "assistant", "content": ""})
        async for event in events:
            if isinstance(event, AnswerEvent):
                if event.kind == "token":
                    yield chunk({"content": event.text})
                continue
            yield chunk({"annotations": _annotations(event)})
            yield chunk({}, "stop", usage=_usage(event))
    yield "", b"[DONE]"


def _annotations(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Where each [n] stands in the text, and what it stands for."""
    found = []
    for citation in answer["citations"]:
        mark = f"[{citation['number']}]"
        start = answer["answer"].find(mark)
        place = {"start_index": max(0, start), "end_index": max(0, start) + len(mark), "title": citation["title"]}
        cited = {**place, "url": f"/v1/documents/{citation['document_id']}"}
        found.append({"type": "url_citation", "url_citation": cited, "ragstone": citation})
    return found


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    prompt, completion = answer["tokens"]["prompt"], answer["tokens"]["completion"]
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _question(body: ChatBody) -> str:
    """Raises InputError."""
    asked = next((m for m in reversed(body.messages) if m.role == "user"), None)
    content = "" if asked is None else asked.content or ""
    text = content if isinstance(content, str) else "\n".join(p.text for p in content if p.type == "text")
    if not text.strip() or len(text.encode()) > QUESTION_BYTES:
        raise InputError(f"the last message of the user has to be text of 1 to {QUESTION_BYTES} bytes.")
    return text


def _collections(model: str) -> list[str] | None:
    """Raises NotFound."""
    head, slash, name = model.partition("/")
    if head != MODEL or (slash and not name):
        raise NotFound("there is no such model.", "GET /v1/models lists them.")
    return [name] if slash else None


def models(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    names = [MODEL, *(f"{MODEL}/{name}" for name in kb.store.collections()), kb.embedder().space.model]
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "ragstone"} for name in names],
    }


def embeddings(call: Call, kb: KnowledgeBase) -> Any:
    import base64

    body: EmbeddingBody = call.body
    embedder = kb.embedder()
    if body.model != embedder.space.model:
        raise NotFound("there is no such embedding model.", "GET /v1/models lists them.")
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors = embedder.embed(texts, "passage")
    shown = (
        [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        if body.encoding_format == "base64"
        else [row.tolist() for row in vectors]
    )
    words = sum(len(text.split()) for text in texts)
    return {
        "object": "list",
        "model": body.model,
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(shown)],
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }


OPERATIONS = [
    Operation(
        "POST", "/v1/chat/completions", "chatCompletion", "Answer as OpenAI's chat completions do.", chat, lane="loop",
        body=ChatBody, result=dict[str, Any], streams=True, group="openai", errors=(404,),
        example={"model": "ragstone", "messages": [{"role": "user", "content": "How long does the battery last?"}]},
        description="The model `ragstone/NAME` asks the collection NAME, `ragstone` all. Citations are annotations.",
    ),
    Operation(
        "POST", "/v1/embeddings", "embeddings", "Embed texts as OpenAI's API does.", embeddings, body=EmbeddingBody,
        result=dict[str, Any], group="openai", errors=(404,),
        example={"model": "multilingual-e5-small", "input": "A passage."},
    ),
    Operation("GET", "/v1/models", "models", "The models' names.", models, result=dict[str, Any], group="openai"),
]  # fmt: skip
