"""The JSON of vector spaces, and of two of them compared."""

from __future__ import annotations

from typing import Annotated, TypedDict


class LatencyRecord(TypedDict):
    p50: float
    p95: float


class SpaceRecord(TypedDict):
    collection: str
    space: Annotated[str, "id: model, revision, dimension, normalisation, prefix, quantisation"]
    role: Annotated[str, "active, preferred, building, kept or dropping"]
    model: Annotated[str, "name of the model"]
    source: Annotated[str, "path or address of the model, or packaged, or given (by a program)"]
    chunks: Annotated[int, "of the collection"]
    embedded: Annotated[int, "chunks with a vector in this space"]
    waiting: Annotated[int, "chunks without one"]
    revision: Annotated[int, "of the collection, that gave the space its role"]
    since: float
    recorded: Annotated[bool, "false: the space of the settings, in which nothing was embedded yet"]


class SpacesRecord(TypedDict):
    """`spaces list`, `add`, `switch`, `rollback`, `prefer`, `drop`: the spaces as they are now, the active first."""

    schema_version: int
    spaces: list[SpaceRecord]


FiguresRecord = TypedDict("FiguresRecord", {"ndcg@10": float, "recall@10": float, "recall@100": float, "mrr": float})


class JudgedRecord(TypedDict):
    questions: Annotated[int, "with at least one relevant document"]
    old: FiguresRecord
    new: FiguresRecord
    difference: Annotated[float, "of nDCG@10, new - old"]
    low: Annotated[float, "95 % interval of the difference"]
    high: float


ComparedRecord = TypedDict(
    "ComparedRecord",
    {
        "overlap@10": Annotated[float, "share of the first ten hits that both spaces give"],
        "agreement@10": Annotated[float, "mean overlap at the depths 1 to 10"],
        "least_agreeing": Annotated[list[str], "questions whose hits differ most"],
        "judged": Annotated[JudgedRecord | None, "null without judgments"],
    },
)


class JudgeRecord(TypedDict):
    """`spaces judge`."""

    schema_version: int
    collection: str
    old: Annotated[str, "id of the active space"]
    new: Annotated[str, "id of the space that is compared with it"]
    questions: int
    waiting: Annotated[int, "chunks without a vector in the new space"]
    latency_ms: Annotated[dict[str, LatencyRecord], "of a new question, by space"]
    modes: Annotated[dict[str, ComparedRecord], "dense and hybrid"]
    recommendation: str
