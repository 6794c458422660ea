"""Blind rating: people see an answer and what was asked, never whose answer it is.

The order of questions and of the answers to each is shuffled for each rater, the same every time, so that rating goes
on where it stopped. Equal texts are rated once and count for each model that gave them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import journal
from .figures import CRITERIA, shared

RUBRIC: Mapping[str, str] = {
    "fluency": "1 gibberish … 3 understandable with faults … 5 as a careful person writes",
    "accuracy": "1 wrong … 3 right with a slip … 5 everything in it is right",
    "completeness": "1 misses the point … 3 half of what was asked … 5 all of it",
    "coherence": "1 parts contradict … 3 loosely joined … 5 hangs together",
    "instruction following": "1 not what was asked for … 3 partly … 5 short, in the language of the question, as asked",
    "citation quality": "1 none or wrong … 3 some fit … 5 each shows exactly what the sentence says",
}
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, slots=True)
class Item:
    """One answer to rate. `label` is A, B, …; `models` are whose it is, which is never shown."""

    id: str
    question: Mapping[str, Any]
    label: str
    answers: int
    text: str
    citations: Sequence[Mapping[str, str]]
    models: tuple[str, ...]


def items(folder: Path, rater: str) -> list[Item]:
    """All answers in this rater's order. Raises NotFound, DamagedFile, InputError where nothing was answered yet."""
    plan = journal.read_plan(folder)
    answers = shared(journal.Journal(folder / journal.RUNS).read(), list(plan["same"]["models"]))
    chance = random.Random(f"{plan['same']['seed']}/{rater}")
    questions = [q for q in plan["questions"] if any(r["question"] == q["id"] for r in answers)]
    found = []
    for question in chance.sample(questions, len(questions)):
        first: dict[str, Mapping[str, Any]] = {}
        for run in sorted(answers, key=lambda r: int(r["round"])):
            if run["question"] == question["id"]:
                first.setdefault(run["model"], run)
        texts: dict[str, list[str]] = {}
        for model, run in first.items():
            texts.setdefault(run["shown"], []).append(model)
        for i, text in enumerate(chance.sample(list(texts), len(texts))):
            run = first[texts[text][0]]
            label = chr(ord("A") + i)
            citations = run["citations"]
            key = f"{question['id']}/{label}"
            found.append(Item(key, question, label, len(texts), text, citations, tuple(sorted(texts[text]))))
    return found


def rated(folder: Path, rater: str) -> dict[tuple[str, str], dict[str, int]]:
    """This rater's last word by (question, model)."""
    ratings = journal.Journal(folder / journal.RATINGS).read()
    return {(r["question"], r["model"]): r["scores"] for r in ratings if r["rater"] == rater}


def pending(folder: Path, rater: str) -> tuple[list[Item], int]:
    """What this rater has not rated yet, and how many answers there are."""
    everything = items(folder, rater)
    done = rated(folder, rater)
    return [i for i in everything if any((i.question["id"], m) not in done for m in i.models)], len(everything)


def keep(folder: Path, rater: str, item: Item, scores: Mapping[str, int]) -> None:
    """Durable on return. A rating of an answer counts for each model that gave it."""
    log = journal.Journal(folder / journal.RATINGS)
    for model in item.models:
        log.append(
            {
                "rater": rater,
                "question": item.question["id"],
                "model": model,
                "scores": dict(scores),
                "time": int(time.time()),
            }
        )


def ask(
    folder: Path, rater: str, *, write: Callable[[str], None], read: Callable[[str], str] = input
) -> tuple[int, int]:
    """Asks until all is rated or the rater leaves; (rated answers, answers). `write` shows a line, in which it makes
    characters harmless that steer a terminal."""
    waiting, total = pending(folder, rater)
    done = total - len(waiting)
    write(f"{len(waiting)} of {total} answers to rate. Give {LOWEST} to {HIGHEST}; s skips an answer, q ends.")
    for criterion in CRITERIA:
        write(f"  {criterion}: {RUBRIC[criterion]}")
    for item in waiting:
        _show(item, write)
        given = _given(read, write)
        if given is None:
            break
        if given:
            keep(folder, rater, item, given)
            done += 1
    return done, total


def _show(item: Item, write: Callable[[str], None]) -> None:
    question = item.question
    write("")
    write(f"── {question['question']}  [answer {item.label} of {item.answers}]")
    if question["refuse"]:
        write("   expected: the documents do not tell")
    elif question["answer"]:
        write(f"   expected: {question['answer']}")
    write("")
    write(item.text or "(no answer)")
    for number, citation in enumerate(item.citations, 1):
        write(f"   [{number}] {citation['document']}: {' '.join(citation['text'].split())}")
    write("")


def _given(read: Callable[[str], str], write: Callable[[str], None]) -> dict[str, int] | None:
    """The scores of one answer; {} skipped, None the rater leaves. Nothing is kept of an answer that is half rated."""
    scores: dict[str, int] = {}
    for criterion in CRITERIA:
        while criterion not in scores:
            try:
                word = read(f"{criterion} [{LOWEST}-{HIGHEST}]: ").strip().lower()
            except EOFError:
                return None
            if word in ("q", "quit"):
                return None
            if word in ("s", "skip"):
                return {}
            if word.isdecimal() and LOWEST <= int(word) <= HIGHEST:
                scores[criterion] = int(word)
            else:
                write(f"A number from {LOWEST} to {HIGHEST}, s or q.")
    return scores
