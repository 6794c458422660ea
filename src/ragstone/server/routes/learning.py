"""Learning from a transcript that is sent as it grows, and what turns want and where they go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, TypedDict, TypeVar

from msgspec import Meta, Struct

from ...errors import InputError
from ...intent.trajectory import Said, trajectory
from ...knowledge_base import KnowledgeBase
from ...learn.gleaning import REPLY_SECONDS, Gleaning
from ...learn.learner import Learner
from ...learn.lines import Place
from ...learn.turns import TurnRole
from ...learn_records import (
    IntentRecord,
    LearnRecord,
    TrajectoryRecord,
    intent_record,
    learn_record,
    trajectory_record,
)
from ...memory_types import GENERAL
from ..operations import Call, Operation, Reply
from ..wire import Text
from .memory import Label
from .uploads import room

T = TypeVar("T")

STEP_BYTES: Final = 1 << 18
"""Learned at once. A stream keeps no thread but while that much, or what came in STEP_SECONDS, is learned."""
STEP_SECONDS: Final = 0.05
QUIET_SECONDS: Final = 1.0
"""After so long without a byte what came is written."""
MOST_TURNS: Final = 10_000
MOST_TEXTS: Final = 100

Stream = Annotated[str, Meta(min_length=1, max_length=500, description="what the transcript is known by")]


class StreamPlace(TypedDict):
    bytes: Annotated[int, "of the stream that are learned: send what comes after them, with ?offset="]
    lines: int


class StreamItem(TypedDict):
    stream: str
    place: StreamPlace


class Learned(LearnRecord):
    stream: str
    place: StreamPlace


class StreamQuery(Struct, forbid_unknown_fields=True):
    stream: Stream


class LearnQuery(Struct, forbid_unknown_fields=True):
    stream: Stream
    offset: Annotated[int, Meta(ge=0, le=1 << 50, description="bytes of the stream that come before the body")] = 0
    project: Annotated[
        Label | None, Meta(description="without one, the folder that the transcript names, else the general one")
    ] = None
    intents: Annotated[bool, Meta(description="weigh sentences against examples, and tell what they wanted")] = True
    model: Annotated[
        bool, Meta(description="let the model of `memory.model` read behind; the answer waits for it for 20 s at most")
    ] = True


class IntentBody(Struct, forbid_unknown_fields=True):
    texts: Annotated[list[Text], Meta(min_length=1, max_length=MOST_TEXTS)]


class Intents(TypedDict):
    items: Annotated[list[IntentRecord], "one for each text"]


class TurnBody(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=100_000)]
    role: TurnRole = "user"
    failed: Annotated[bool, Meta(description="a tool told an error")] = False


class TrajectoryBody(Struct, forbid_unknown_fields=True):
    turns: Annotated[list[TurnBody], Meta(max_length=MOST_TURNS)]
    intents: Annotated[bool, Meta(description="tell each turn's intent first")] = True


async def learn(call: Call) -> Reply:
    """What came is remembered, whatever becomes of the request: the stream goes on at its place."""
    service = call.service
    query: LearnQuery = call.query
    held = contextlib.ExitStack()

    async def step(work: Callable[[KnowledgeBase], T]) -> T:
        deadline = max(call.deadline, time.monotonic() + service.deadline)  # of this step: a stream may last
        return await service.bridge.work.run(lambda: service.with_data(call, lambda _, kb: work(kb)), deadline)

    def begin(kb: KnowledgeBase) -> tuple[Learner, Gleaning | None]:
        room(call, kb)
        held.enter_context(service.tenants.use(call.tenant))  # what the learner writes to stays open
        made = kb.learner(_name(query.stream), project=query.project, elsewhere=GENERAL, with_intents=query.intents)
        made.begin(query.offset)
        gleaning = None
        if query.model:
            gleaning = kb.gleaner(
                _name(query.stream), project=query.project, elsewhere=GENERAL, admit=lambda: room(call, kb)
            )
        if gleaning is not None:
            gleaning.begin(made.stands() if query.offset else Place())
        return made, gleaning

    def push(kb: KnowledgeBase, block: bytes) -> None:
        if block:
            room(call, kb)
        learner.push(block)
        if gleaning is not None:
            gleaning.hear(block)

    body = _Body(call)
    gleaning = gleaned = None
    try:
        learner, gleaning = await step(begin)
        while (block := await body.next()) is not None:
            await step(lambda kb, block=block: push(kb, block))  # type: ignore[misc]
        report = await step(lambda _: learner.end(cut=body.cut))
        if gleaning is not None:
            gleaned = await asyncio.to_thread(gleaning.ended, 0.0 if body.cut else REPLY_SECONDS)
    finally:
        await asyncio.shield(asyncio.to_thread(_let_go, gleaning, held))
        await body.close()
    if not body.size:
        raise InputError("the transcript is empty.", "Send its lines as the body.")
    if body.cut:
        raise InputError("the stream ended before its body did.", "Send what comes after its place.")
    return Reply({**learn_record(report, gleaned), "stream": query.stream, "place": _place(learner)})


def _let_go(gleaning: Gleaning | None, held: contextlib.ExitStack) -> None:
    """The data stay open for as long as the model's finds are written."""
    if gleaning is not None:
        gleaning.stop()
        gleaning.running(REPLY_SECONDS)
    held.close()


class _Body:
    """The body in blocks of a size that is worth a step; b"" where nothing came for a while; None at its end."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._next: asyncio.Task[Any] | None = None
        self._over = False
        self._quiet = True
        self.size = 0
        self.cut = False
        """The client went away before the end."""

    async def next(self) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while not self._over and size < STEP_BYTES:
            if self._next is None:
                self._next = asyncio.ensure_future(self._call.receive())
            wait = STEP_SECONDS if parts else None if self._quiet else QUIET_SECONDS
            done, _ = await asyncio.wait([self._next], timeout=wait)
            if not done:
                break
            message = self._next.result()
            self._next = None
            if message["type"] == "http.disconnect":
                self._over = self.cut = True
                break
            part = message.get("body", b"")
            if part:
                parts.append(part)
                size += len(part)
                self.size += len(part)
            self._over = not message.get("more_body", False)
        if not parts and self._over:
            return None
        self._quiet = not parts
        return b"".join(parts)

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._next


def place(call: Call, kb: KnowledgeBase) -> Any:
    stream = call.query.stream
    return {"stream": stream, "place": _place(kb.learner(_name(stream)))}


def _name(stream: str) -> str:
    """A client's name is never that of a file which was learned here."""
    return f"stream:{stream}"


def _place(learner: Learner) -> StreamPlace:
    stands = learner.stands()
    return {"bytes": stands.offset, "lines": stands.lines}


def intent(call: Call, kb: KnowledgeBase) -> Any:
    body: IntentBody = call.body
    return {"items": [intent_record(found) for found in kb.intents.classify_many(body.texts)]}


def course(call: Call, kb: KnowledgeBase) -> Any:
    body: TrajectoryBody = call.body
    names = [""] * len(body.turns)
    if body.intents:
        spoken = [i for i, turn in enumerate(body.turns) if turn.role in ("user", "assistant") and turn.text.strip()]
        for i, found in zip(spoken, kb.intents.classify_many([body.turns[i].text for i in spoken]), strict=True):
            names[i] = found.name if found.in_scope else ""
    said = [Said(turn.text, turn.role, name, turn.failed) for turn, name in zip(body.turns, names, strict=True)]
    return trajectory_record(trajectory(said), names)


_LINES: Final[dict[str, Any]] = {
    "application/x-ndjson": {"schema": {"type": "string", "format": "binary"}},
    "text/plain": {"schema": {"type": "string", "format": "binary"}},
}

OPERATIONS = [
    Operation(
        "POST", "/v1/learn", "learn", "Remember what is worth it of a transcript, as it is sent.", learn,
        scope="write", lane="loop", query=LearnQuery, upload=True, content=_LINES, result=Learned, group="learning",
        errors=(409, 507),
        description="The body is the transcript: JSON lines of common chat and agent formats, or plain text "
        '"user: …". It may last for as long as it grows; each line is learned within two seconds. Broken lines are '
        "counted and skipped. A stream that broke off goes on with the rest and ?offset= (GET /v1/learn tells "
        "where), or is sent again from its beginning: nothing is remembered twice.",
    ),
    Operation(
        "GET", "/v1/learn", "learnPlace", "Where a stream stands.", place, query=StreamQuery, result=StreamItem,
        group="learning",
    ),
    Operation(
        "POST", "/v1/intent", "intent", "Tell what turns want.", intent, lane="search", body=IntentBody,
        result=Intents, group="learning", example={"texts": ["Der Build bricht schon wieder ab."]},
    ),
    Operation(
        "POST", "/v1/trajectory", "trajectory",
        "Tell where a conversation goes: exploring, on track, stuck, looping or drifting.", course, large=True,
        body=TrajectoryBody, result=TrajectoryRecord, group="learning",
        example={"turns": [{"text": "Run the tests again."}, {"text": "2 failed", "role": "tool", "failed": True}]},
    ),
]  # fmt: skip
