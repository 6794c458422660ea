"""Blind rating of the comparisons in the data folder: people see answers side by side, never whose they are.

`ragstone compare -o DATA/comparisons/NAME` puts a comparison there. A key is a rater: its order of questions and of
answers is its own, and the same every time.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict

from msgspec import Meta, Struct

from ...compare import journal, rating
from ...compare.figures import CRITERIA
from ...errors import DamagedFile, InputError, NotFound
from ...knowledge_base import KnowledgeBase
from ..operations import Call, Operation, Reply
from ..tenants import tenant_folder

FOLDER: Final = "comparisons"
Score = Annotated[int, Meta(ge=rating.LOWEST, le=rating.HIGHEST)]


class ComparisonItem(TypedDict):
    name: str
    questions: int
    answers: Annotated[int, "to rate; equal texts are one"]
    rated: Annotated[int, "by the key that asks"]


class ComparisonList(TypedDict):
    items: list[ComparisonItem]


class SideItem(TypedDict):
    id: Annotated[str, "names the answer in a rating"]
    label: str
    text: str
    citations: list[dict[str, str]]
    scores: Annotated[dict[str, int] | None, "by criterion; null: not rated yet"]


class QuestionItem(TypedDict):
    name: str
    number: Annotated[int, "from 1, in this rater's order"]
    questions: int
    answers_rated: int
    answers: int
    question: str
    expected: Annotated[str, "reference answer, or empty"]
    refuse: Annotated[bool, "the documents do not tell; to say so is right"]
    criteria: list[str]
    sides: list[SideItem]


class RatingBody(Struct, forbid_unknown_fields=True):
    """One score for each criterion; a later rating of the same answer takes the place of the earlier one."""

    answer: Annotated[str, Meta(min_length=1, max_length=300)]
    scores: dict[Annotated[str, Meta(max_length=64)], Score]


class QuestionQuery(Struct, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1, le=100_000, description="default: the first that is not rated")] | None = None


def list_comparisons(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    shown = []
    for folder in _folders(call):
        try:
            questions = _questions(folder, call.who.id)
        except (NotFound, DamagedFile, InputError):
            continue  # nothing was answered yet, or it is no comparison
        sides = [item for items in questions for item in items]
        done = rating.rated(folder, call.who.id)
        shown.append(
            {
                "name": folder.name, "questions": len(questions), "answers": len(sides),
                "rated": sum(_scores(item, done) is not None for item in sides),
            }
        )  # fmt: skip
    return {"items": shown}


def question(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001
    folder = _folder(call)
    questions = _questions(folder, call.who.id)
    done = rating.rated(folder, call.who.id)
    query: QuestionQuery = call.query
    number = query.number
    if number is None:
        waiting = (n for n, items in enumerate(questions, 1) if any(_scores(i, done) is None for i in items))
        number = next(waiting, len(questions))
    if number > len(questions):
        raise NotFound(f"{folder.name!r} has {len(questions)} questions.", "Ask for one of them.")
    asked = questions[number - 1][0].question
    sides = [item for items in questions for item in items]
    return {
        "name": folder.name,
        "number": number,
        "questions": len(questions),
        "answers_rated": sum(_scores(item, done) is not None for item in sides),
        "answers": len(sides),
        "question": asked["question"],
        "expected": "" if asked["refuse"] else asked["answer"],
        "refuse": bool(asked["refuse"]),
        "criteria": list(CRITERIA),
        "sides": [_side(item, done) for item in questions[number - 1]],
    }


def rate(call: Call, kb: KnowledgeBase) -> Reply:  # noqa: ARG001
    body: RatingBody = call.body
    folder = _folder(call)
    if set(body.scores) != set(CRITERIA):
        raise InputError("a rating has one score for each criterion.", f"They are {', '.join(CRITERIA)}.")
    found = next((item for item in rating.items(folder, call.who.id) if item.id == body.answer), None)
    if found is None:
        raise NotFound("there is no such answer.", "Rate an answer that this comparison shows.")
    rating.keep(folder, call.who.id, found, body.scores)
    return Reply(None, 204)


def _folders(call: Call) -> list[Path]:
    place = tenant_folder(call.service.data, call.tenant) / FOLDER
    if not place.is_dir():
        return []
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.is_symlink() and (p / journal.PLAN).is_file())


def _folder(call: Call) -> Path:
    """Of those that are there: a name never becomes a path. Raises NotFound."""
    for folder in _folders(call):
        if folder.name == call.path["comparison"]:
            return folder
    raise NotFound("there is no such comparison.", "GET /v1/comparisons lists them.")


def _questions(folder: Path, rater: str) -> list[list[rating.Item]]:
    return [list(found) for _, found in groupby(rating.items(folder, rater), key=lambda item: item.question["id"])]


def _scores(item: rating.Item, done: dict[tuple[str, str], dict[str, int]]) -> dict[str, int] | None:
    """None where any model that gave this text has no rating."""
    found = [done.get((item.question["id"], model)) for model in item.models]
    return None if None in found else found[0]


def _side(item: rating.Item, done: dict[tuple[str, str], dict[str, int]]) -> SideItem:
    return {
        "id": item.id,
        "label": item.label,
        "text": item.text,
        "citations": [{"document": c["document"], "text": c["text"]} for c in item.citations],
        "scores": _scores(item, done),
    }


OPERATIONS = [
    Operation(
        "GET", "/v1/comparisons", "listComparisons", "Comparisons of language models that can be rated.",
        list_comparisons, result=ComparisonList, group="comparisons",
    ),
    Operation(
        "GET", "/v1/comparisons/{comparison}/question", "comparedQuestion",
        "A question with its answers side by side, without saying whose they are.", question, query=QuestionQuery,
        result=QuestionItem, group="comparisons", errors=(404,),
    ),
    Operation(
        "POST", "/v1/comparisons/{comparison}/ratings", "rateAnswer", "Rate an answer; durable on return.", rate,
        body=RatingBody, status=204, group="comparisons", errors=(404,),
        example={"answer": "ton/A", "scores": dict.fromkeys(CRITERIA, 4)},
    ),
]  # fmt: skip
