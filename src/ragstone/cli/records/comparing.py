"""The JSON of `compare`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .measures import MeasuredRecord


class CompareRecord(MeasuredRecord):
    """`compare run` and `compare report`; report.json holds the same without `schema_version`."""

    sets: Annotated[list[str], "where the questions are from"]
    setup: Annotated[dict[str, object], "models, repeats, seed, max_tokens, passages, threads, prompts (a hash)"]
    complete: Annotated[bool, "false: interrupted, some answers are missing"]
    answers: Annotated[int, "that count: of questions that every model has answered or failed on in that round"]
    rated: Annotated[bool, "whether quality is people's ratings, not automatic scores"]
    questions: Annotated[list[dict[str, object]], "id, question, tier, language; by model the answer and its scores"]
    models: Annotated[
        list[dict[str, object]],
        "by model: quality (mean, low, high), automatic scores, ratings, first token, tokens/s, seconds, load, switch, "
        "memory, cpu, failures, quality by tier and language; seconds and bytes",
    ]
    pairs: Annotated[list[dict[str, object]], "head to head: wins, losses, ties, rate with a 95 % interval"]
    decision: Annotated[dict[str, object], "weights, points of each model by criterion, totals with intervals"]
    recommendation: Annotated[dict[str, object], "decided, best, and the text"]
    before: Annotated[list[dict[str, object]] | None, "with --before: figures before and after"]
    before_origin: Annotated[dict[str, object] | None, "commit, time, machine and setup of the older report"]


class RateRecord(TypedDict):
    """`compare rate`."""

    schema_version: int
    rater: str
    rated: Annotated[int, "answers this rater has rated"]
    answers: Annotated[int, "answers there are to rate"]
