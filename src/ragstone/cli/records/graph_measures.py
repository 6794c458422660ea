"""The JSON of `eval graph` and `eval entities`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .measures import MeasuredRecord


class NamesRecord(TypedDict):
    texts: int
    characters: int
    seconds: Annotated[float, "of one core, for the whole extraction"]
    marked: Annotated[int, "names that were marked"]
    found: Annotated[int, "names that were found"]
    precision: Annotated[float, "of spans with the same start and end, whatever their type"]
    recall: float
    f1: float


class RelatedRecord(TypedDict):
    texts: int
    characters: int
    seconds: float
    related: Annotated[int, "pairs of entities that were marked as related, direction and label aside"]
    recall: Annotated[float, "share of them that an edge joins"]
    recall_labelled: Annotated[float, "share of them that an edge with a label joins"]
    entities_found: Annotated[float, "share of the marked entities with a node"]
    per_text: Annotated[
        dict[str, float],
        "nodes, edges, labelled_edges; marked entities, entity_pairs (all there could be), those of them that are "
        "joined (entity_pairs_joined) and related",
    ]


class GraphEvaluationRecord(MeasuredRecord):
    """`eval graph DIR`."""

    extractor: Annotated[str, "version of the extraction"]
    folder: str
    mentions: Annotated[dict[str, NamesRecord], "by file"]
    relations: Annotated[dict[str, RelatedRecord], "by file, where relations are marked"]


class MatchRecord(TypedDict):
    threshold: float
    precision: float
    recall: float
    f1: float


class MatchedSetRecord(TypedDict):
    set: Annotated[str, "folder"]
    records: int
    pairs: int
    same: Annotated[int, "pairs that match"]
    precision: float
    recall: float
    f1: float
    supervised: Annotated[float | None, "F1 of Ditto, trained on this set; null: another set"]
    curve: list[MatchRecord]


class MatchedMeanRecord(TypedDict):
    precision: float
    recall: float
    f1: float
    curve: list[MatchRecord]


class LeftOutRecord(TypedDict):
    precision: float
    recall: float
    f1: float
    curve: list[MatchRecord]
    sets: dict[str, dict[str, float]]
    weights: Annotated[dict[str, dict[str, float]], "learned without the set"]


class EntitiesRecord(MeasuredRecord):
    """`eval entities`."""

    space: str
    part: Annotated[str, "train, valid or test"]
    threshold: float
    sets: list[MatchedSetRecord]
    mean: Annotated[MatchedMeanRecord, "over sets"]
    left_out: Annotated[LeftOutRecord | None, "with weights learned from the other sets' train pairs; null: not asked"]
