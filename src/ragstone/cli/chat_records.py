"""The JSON of chats, as records.py describes JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

from ..chat_types import ChatSession, ChatTurn
from ..records import SCHEMA_VERSION


class ChatCitationRecord(TypedDict):
    number: Annotated[int, "what `[n]` in the answer refers to"]
    collection: Annotated[str, "`:memory` for what was remembered; `uri` is then the id of the item"]
    uri: str
    title: str
    page: int | None
    line: int
    section: list[str]
    start: int
    end: int


class ChatRecord(TypedDict):
    """`chat`, a line for each question. The session keeps all of it but what was withdrawn."""

    schema_version: int
    session: Annotated[str, "its name"]
    question: str
    answer: Annotated[str, "with `[n]`; empty where it was withdrawn"]
    state: Annotated[str, "answered; stopped or failed: the part that came; withdrawn: made from what is removed"]
    model: Annotated[str, "extractive, memory, or the model's name"]
    citations: list[ChatCitationRecord]
    unsupported: Annotated[list[str], "sentences that nothing supports"]
    notes: list[str]
    timings: dict[str, float]
    prompt_tokens: int
    completion_tokens: int
    cost: Annotated[float | None, "dollars; null: no model was asked"]


class ChatCommandRecord(TypedDict):
    """`chat`, a line for each command."""

    schema_version: int
    session: str
    command: str
    lines: Annotated[list[str], "what it shows"]


class ChatSessionDetail(TypedDict):
    name: str
    created: float
    changed: float
    questions: int
    first: Annotated[str, "the first question"]


class ChatSessionsRecord(TypedDict):
    """`chat --list`."""

    schema_version: int
    sessions: list[ChatSessionDetail]


def chat_record(session: str, turn: ChatTurn) -> ChatRecord:
    answer = turn.answer
    return {
        "schema_version": SCHEMA_VERSION,
        "session": session,
        "question": turn.question,
        "answer": answer.text if answer else "",
        "state": answer.state if answer else "withdrawn",
        "model": answer.model if answer else "",
        "citations": [
            {
                "number": c.number,
                "collection": c.collection,
                "uri": c.uri,
                "title": c.title,
                "page": c.page,
                "line": c.line,
                "section": list(c.section),
                "start": c.start,
                "end": c.end,
            }
            for c in (answer.citations if answer else ())
        ],
        "unsupported": list(answer.unsupported) if answer else [],
        "notes": list(answer.notes) if answer else [],
        "timings": dict(answer.timings) if answer else {},
        "prompt_tokens": answer.prompt_tokens if answer else 0,
        "completion_tokens": answer.completion_tokens if answer else 0,
        "cost": answer.cost if answer else None,
    }


def chat_command_record(session: str, command: str, lines: Sequence[str]) -> ChatCommandRecord:
    return {"schema_version": SCHEMA_VERSION, "session": session, "command": command, "lines": list(lines)}


def chat_sessions_record(sessions: Sequence[ChatSession]) -> ChatSessionsRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "sessions": [
            {"name": s.name, "created": s.created, "changed": s.changed, "questions": s.turns, "first": s.first}
            for s in sessions
        ],
    }
