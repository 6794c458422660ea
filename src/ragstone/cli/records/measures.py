"""The JSON of `eval`, `bench` and `profile`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .spaces import LatencyRecord


class MeasuredRecord(TypedDict):
    """What every measurement says of itself."""

    schema_version: int
    version: str
    commit: Annotated[str, "of the checkout, or empty"]
    time: Annotated[int, "POSIX seconds"]
    machine: Annotated[dict[str, str | int | float], "processor, cores, memory_gb, system, python"]


ModeRecord = TypedDict(
    "ModeRecord",
    {
        "ndcg@10": float,
        "passages_ndcg@10": Annotated[float, "of the documents of the ten best passages"],
        "recall@10": float,
        "recall@100": float,
        "mrr": float,
        "latency_ms": LatencyRecord,
        "stage_p50_ms": dict[str, float],
    },
)


class EvaluationRecord(MeasuredRecord):
    """`eval DIR`."""

    corpus: Annotated[str, "folder and file name"]
    questions: Annotated[str, "file name"]
    queries: Annotated[int, "questions with at least one relevant document"]
    documents: int
    chunks: int
    space: str
    seconds: Annotated[dict[str, float], "until searchable, until embedded"]
    modes: Annotated[dict[str, ModeRecord], "lexical, dense and hybrid; with --graph mixed"]


class AnswersRecord(MeasuredRecord):
    """`eval answers`."""

    set: Annotated[str, "folder and file name"]
    questions: int
    answerable: int
    answered: Annotated[float | None, "share of answerable questions that were answered"]
    grounded: Annotated[float | None, "share of answerable questions whose cited spans contain a gold answer"]
    citations_per_answer: float | None
    unanswerable: int
    refused: Annotated[float | None, "share of unanswerable questions that were not answered"]
    latency_ms: LatencyRecord
    missed: Annotated[list[str], "ids of answerable questions without a gold answer in the cited spans"]


class BenchRecord(MeasuredRecord):
    """`bench run`."""

    chunks: Annotated[int, "chunks of the searched collection"]
    scenarios: Annotated[dict[str, dict[str, object]], "figures by part; the last word of a name is the unit"]


class ComparisonRow(TypedDict):
    name: str
    old: float
    new: float
    change: Annotated[float, "(new - old) / old"]
    regressed: bool


class ComparisonRecord(TypedDict):
    """`bench compare`. Exit code 1 where a figure regressed."""

    schema_version: int
    tolerance: float
    regressed: bool
    rows: list[ComparisonRow]


class MergingPoint(TypedDict):
    merged: int
    unjudged: Annotated[int, "merges of which nobody has said whether they are right; in no other count"]
    precision: float | None
    recall: float | None


class MergingCurvePoint(MergingPoint):
    threshold: Annotated[float, "similarity from which on something repeats"]


class MergingRecord(MeasuredRecord):
    """`eval merging`."""

    sets: Annotated[list[str], "folder and file name"]
    items: int
    repetitions: int
    threshold: Annotated[float, "the default one"]
    curve: list[MergingCurvePoint]
    all: Annotated[MergingPoint, "at the default threshold"]
    held_out: Annotated[MergingPoint, "of the half that the likeness was not fitted on"]


class MemoryEvaluationRecord(MeasuredRecord):
    """`eval memory`."""

    set: Annotated[str, "folder name"]
    turns: int
    items: int
    merged: int
    questions: Annotated[int, "with evidence among what was said"]
    by_kind: Annotated[dict[str, dict[str, float]], "questions, ndcg@10, recall@10 by the set's kind of question"]
    by_conversation: Annotated[dict[str, dict[str, float]], "the same by conversation"]
    unanswerable: int
    answerable_auc: Annotated[float | None, "null: the set has no question without an answer"]
    latency_ms: Annotated[dict[str, float], "p50 and p95 of a recall without embedding the question"]


class HopsRecord(MeasuredRecord):
    """`eval hops`."""

    set: Annotated[str, "folder name"]
    questions: Annotated[int, "with evidence"]
    recall: Annotated[
        dict[str, dict[str, dict[str, dict[str, float]]]],
        "recall@10 by mode (hybrid, mixed, graph), kind of question and part (all, tune, held): questions, recall",
    ]
    stage_ms: Annotated[dict[str, float], "p50 and p95 of what mixed adds to hybrid"]


class CoverageRecord(MeasuredRecord):
    """`eval coverage`."""

    set: Annotated[str, "folder name"]
    questions: Annotated[int, "with a reference answer"]
    coverage: Annotated[
        dict[str, dict[str, dict[str, float]]],
        "by what is read (MODE@5, MODE@10, cited, as_long) and kind of question: questions, share of answers",
    ]


class ProfileRecord(TypedDict):
    """`profile`."""

    schema_version: int
    file: Annotated[str, "the flame graph"]
    seconds: float
    samples: Annotated[int, "stacks of threads that did something"]
    top: Annotated[list[dict[str, object]], "name and samples of the functions that were seen innermost most often"]
