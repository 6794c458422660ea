"""A small comparison over real documents: what the tests of its parts share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ragstone.compare import journal
from ragstone.compare.cases import Case, fingerprint, prepare
from ragstone.compare.questions import Gold, Question
from ragstone.compare.run import Contestant, Limits
from ragstone.errors import ModelUnavailable
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import LLM
from ragstone.types import Call, Delta, Message, Usage

COMPARED = "small-models"
"""Name of a comparison that the page shows."""
QUESTIONS = [
    Question(
        "oil", "How often is the oil changed?", "1", "en", (("4,000 hours",),),
        (Gold("pump.txt", "The oil is changed every 4,000 hours."),), answer="Every 4,000 hours.",
    ),
    Question("seal", "How many drops may the seal lose?", "2", "en", (("ten drops", "10 drops"),)),
    Question("after", "And who checks that?", "follow-up", "en", (("operator",),), after="oil"),
    Question("paint", "Which colour has the crane?", "3", "en", refuse=True),
]  # fmt: skip
TEXT = "The oil is changed every 4,000 hours. The operator checks the level. The seal may lose ten drops a minute.\n"


class Scripted:
    """Answers by rule; fails, or stops everything, where the last message contains a word."""

    def __init__(self, reply: str, *, fails_on: str = "", stops_on: str = "") -> None:
        self.reply, self.fails_on, self.stops_on = reply, fails_on, stops_on
        self.asked: list[tuple[Message, ...]] = []

    name = "scripted"
    context = 4096

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        self.asked.append(tuple(messages))
        if self.fails_on and self.fails_on in messages[-1].content:
            raise ModelUnavailable("It went away.", "Start it.")
        if self.stops_on and self.stops_on in messages[-1].content:
            raise KeyboardInterrupt
        words = self.reply.split(" ")
        for i, word in enumerate(words):
            yield Delta(word if i == 0 else f" {word}")
        yield Delta(finish="stop", usage=Usage(50, len(words)))

    def close(self) -> None:
        return


def contestant(name: str, llm: LLM | None) -> Contestant:
    return Contestant(name, lambda: llm, keep="service" if llm else "extractive")


def cases_of(kb: KnowledgeBase) -> list[Case]:
    return prepare(kb, QUESTIONS, passages=2, context=4096, max_tokens=32)


def plan_of(cases: Sequence[Case], names: Sequence[str], *, repeats: int = 2) -> dict[str, object]:
    questions = [
        {
            "id": c.question.id,
            "question": c.question.text,
            "tier": c.question.tier,
            "language": c.question.language,
            "answer": c.question.answer,
            "refuse": c.question.refuse,
        }
        for c in cases
    ]
    same = {"models": {n: n for n in names}, "repeats": repeats, "seed": 1, "max_tokens": 32, "passages": 2}
    machine = {"processor": "test", "cores": 1, "memory_gb": 1.0, "system": "test", "python": "3"}
    return {
        "same": {**same, "prompts": fingerprint(cases)},
        "version": "0", "commit": "abc", "time": 0, "machine": machine, "sets": ["made"],
        "windows": dict.fromkeys(names, 4096),
        "kinds": {n: "extractive" if n == "extractive" else "service" for n in names},
        "questions": questions,
    }  # fmt: skip


LIMITS = Limits(2, 1, 32, 30.0)


def lines(folder: Path) -> list[dict[str, object]]:
    return journal.Journal(folder / journal.RUNS).read()


def made(folder: Path, qualities: dict[str, list[float]], *, seconds: float = 2.0) -> Path:
    """A comparison with these qualities by question."""
    count = len(next(iter(qualities.values())))
    questions = [
        {"id": f"q{i}", "question": f"Q{i}?", "tier": "1", "language": "en", "answer": "", "refuse": False}
        for i in range(count)
    ]
    plan = {
        "same": {"models": {n: n for n in qualities}, "repeats": 1, "seed": 1, "max_tokens": 9, "passages": 1},
        "version": "0", "commit": "abc", "time": 0, "sets": ["made"],
        "machine": {"processor": "p", "cores": 1, "memory_gb": 1.0, "system": "s", "python": "3"},
        "windows": dict.fromkeys(qualities, 1), "kinds": dict.fromkeys(qualities, "gguf"), "questions": questions,
    }  # fmt: skip
    journal.begin(folder, plan)
    log = journal.Journal(folder / journal.RUNS)
    for name, row in qualities.items():
        log.append({"kind": "load", "round": 1, "model": name, "after": "x", "unload_seconds": 0.1,
                    "load_seconds": 1.0, "memory_bytes": 10**9, "gpu_bytes": None, "error": None})  # fmt: skip
        for i, quality in enumerate(row):
            log.append({
                "kind": "answer", "round": 1, "model": name, "question": f"q{i}", "text": name, "shown": f"by {name}",
                "citations": [], "finish": "stop", "tokens": 5, "estimated": False, "scores": {"quality": quality},
                "first_token_seconds": 0.5, "seconds": seconds, "cpu_seconds": 1.0, "memory_bytes": 10**9,
                "gpu_bytes": None, "error": None,
            })  # fmt: skip
    return folder
