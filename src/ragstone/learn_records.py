"""The JSON of intents, trajectories and learning, as the command line prints it and servers send it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypedDict

from .records import SCHEMA_VERSION

if TYPE_CHECKING:
    from .intent.classifier import Intent
    from .intent.trajectory import Trajectory
    from .learn.gleaning import GleanReport
    from .learn.learner import LearnReport


class IntentRecord(TypedDict):
    """`intent`."""

    schema_version: int
    name: Annotated[str, "the most likely intent"]
    confidence: Annotated[float, "share of such predictions that is right, for turns in scope"]
    in_scope: Annotated[bool, "whether the turn is like the examples at all"]
    scope: Annotated[float, "how much it is like them, from 0 to about 1"]
    alternatives: Annotated[list[list[str | float]], "the next best: intent and confidence"]


class EvidenceRecord(TypedDict):
    reason: str
    turns: Annotated[list[int], "numbers of the turns that show it, from 0"]


class TrajectoryRecord(TypedDict):
    """`trajectory`."""

    schema_version: int
    turns: int
    intents: Annotated[list[str], "of each turn; empty where none was told"]
    course: Annotated[str, "exploring, on track, stuck, looping or drifting"]
    evidence: list[EvidenceRecord]
    others: Annotated[list[dict[str, str | list[int]]], "what speaks for other courses: course, reason, turns"]


class LearnProblemRecord(TypedDict):
    line: int
    reason: str


class GleanedRecord(TypedDict):
    turns: Annotated[int, "that the model was shown"]
    items: Annotated[int, "that patterns had not found"]
    by_type: dict[str, int]
    answers: int
    broken: Annotated[int, "answers that were not what was asked for"]
    refused: Annotated[int, "finds that do not stand in the transcript"]
    stopped: Annotated[str, "why it ended early; empty: it did not"]


class LearnRecord(TypedDict):
    """`learn`."""

    schema_version: int
    lines: Annotated[int, "read in this run"]
    turns: int
    items: Annotated[int, "told to memory"]
    by_type: Annotated[dict[str, int], "items by type"]
    outcomes: Annotated[dict[str, int], "what memory did with them: added, merged, replaced, unchanged"]
    broken: Annotated[int, "lines that could not be read"]
    resumed: Annotated[int, "lines that an earlier run had read"]
    problems: Annotated[list[LearnProblemRecord], "the first of the broken lines"]
    gleaned: Annotated[GleanedRecord | None, "null: no language model read it"]
    seconds: float


def intent_record(found: Intent) -> IntentRecord:
    return {
        "schema_version": SCHEMA_VERSION, "name": found.name, "confidence": found.confidence,
        "in_scope": found.in_scope, "scope": found.scope,
        "alternatives": [[name, share] for name, share in found.alternatives],
    }  # fmt: skip


def trajectory_record(found: Trajectory, intents: Sequence[str]) -> TrajectoryRecord:
    """`intents`: one for each turn."""
    return {
        "schema_version": SCHEMA_VERSION, "turns": len(intents), "intents": list(intents), "course": found.course,
        "evidence": [{"reason": e.reason, "turns": list(e.turns)} for e in found.evidence],
        "others": [{"course": course, **asdict(e)} for course, e in found.others],
    }  # fmt: skip


def learn_record(report: LearnReport, gleaned: GleanReport | None = None) -> LearnRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "lines": report.lines, "turns": report.turns, "items": report.items, "by_type": dict(report.by_type),
        "outcomes": dict(report.outcomes), "broken": report.broken, "resumed": report.resumed,
        "problems": [{"line": line, "reason": reason} for line, reason in report.problems],
        "gleaned": None if gleaned is None else _gleaned(gleaned),
        "seconds": round(report.seconds, 3),
    }  # fmt: skip


def _gleaned(report: GleanReport) -> GleanedRecord:
    return {
        "turns": report.turns, "items": report.items, "by_type": dict(report.by_type), "answers": report.answers,
        "broken": report.broken, "refused": report.refused, "stopped": report.stopped,
    }  # fmt: skip
