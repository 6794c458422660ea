"""Tools over conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..intent.trajectory import Said
from ..intent.trajectory import trajectory as judged
from ..types import Progress
from . import shapes
from .documents import moment
from .reach import ToolCall

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase


async def learn(call: ToolCall) -> shapes.LearnedResult:
    given: shapes.LearnArguments = call.arguments
    lines = [_line(turn) for turn in given.turns]

    def told(progress: Progress) -> None:
        call.tell(progress.done, len(lines), progress.item)

    def go(kb: KnowledgeBase) -> shapes.LearnedResult:
        from ..learn.gleaning import REPLY_SECONDS

        call.reach.room(kb)
        name = f"mcp:{given.stream}"
        learner = kb.learner(name, project=given.project, progress=told)
        gleaning = kb.gleaner(name, project=given.project, admit=lambda: call.reach.room(kb))
        try:
            report = learner.learn_stream(iter(lines) if gleaning is None else gleaning.listen(iter(lines)))
            gleaned = None if gleaning is None else gleaning.ended(REPLY_SECONDS)
        finally:
            if gleaning is not None:
                gleaning.stop()
        return {
            "turns": report.turns, "items": report.items, "by_type": dict(report.by_type),
            "outcomes": dict(report.outcomes), "gleaned": 0 if gleaned is None else gleaned.items,
            "note": "" if gleaned is None else gleaned.stopped,
        }  # fmt: skip

    return await call.reach.run("work", go)


async def intent(call: ToolCall) -> shapes.IntentResult:
    given: shapes.IntentArguments = call.arguments
    found = await call.reach.run("search", lambda kb: kb.intents.classify(given.text))
    return {
        "name": found.name,
        "confidence": round(found.confidence, 4),
        "in_scope": found.in_scope,
        "alternatives": [{"name": name, "confidence": round(share, 4)} for name, share in found.alternatives],
    }


async def trajectory(call: ToolCall) -> shapes.TrajectoryResult:
    given: shapes.TrajectoryArguments = call.arguments

    def go(kb: KnowledgeBase) -> shapes.TrajectoryResult:
        names = _intents(kb, given.turns)
        found = judged([Said(t.text, t.role, name) for t, name in zip(given.turns, names, strict=True)])
        return {
            "course": found.course,
            "evidence": [{"reason": one.reason, "turns": list(one.turns)} for one in found.evidence],
            "intents": names,
        }

    return await call.reach.run("search", go)


def _intents(kb: KnowledgeBase, turns: Sequence[shapes.TurnArgument]) -> list[str]:
    names = [""] * len(turns)
    spoken = [i for i, turn in enumerate(turns) if turn.role in ("user", "assistant") and turn.text.strip()]
    for i, wanted in zip(spoken, kb.intents.classify_many([turns[i].text for i in spoken]), strict=True):
        names[i] = wanted.name if wanted.in_scope else ""
    return names


def _line(turn: shapes.TurnArgument) -> bytes:
    said: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.who:
        said["name"] = turn.who
    at = moment(turn.at)
    if at is not None:
        said["timestamp"] = at
    return msgspec.json.encode(said) + b"\n"
