"""How well records are told to be the same thing, over the threshold, on sets of pairs that people judged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFile, InputError
from ..protocols import Embedder
from ..types import Progress, ProgressCallback
from .beir import lines, locate, wrong
from .evaluate import SCHEMA_VERSION
from .machine import machine
from .record_matching import EVIDENCE, THRESHOLD, Record, RecordMatcher, Weights

Part = Literal["train", "valid", "test"]
Floats = NDArray[np.float64]

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)
SUPERVISED: Final = {
    "abt_buy": 0.893, "amazon_google": 0.756, "dblp_acm": 0.990, "fodors_zagats": 1.0, "itunes_amazon": 0.971,
    "beer": 0.944,
}  # fmt: skip
"""F1 of Ditto, a language model fine-tuned on each set's training pairs (Li et al., VLDB 2021), on the test part."""
_RIDGE: Final = 0.2
_PAIRS: Final = 100.0
"""Weight of a set in learning, half of it on the pairs that are the same."""


@dataclass(frozen=True, slots=True)
class _Set:
    name: str
    records: int
    evidence: Mapping[Part, Floats]
    same: Mapping[Part, NDArray[np.bool_]]


def evaluate_entities(
    folders: Sequence[Path],
    embedder: Embedder,
    *,
    part: Part = "valid",
    threshold: float = THRESHOLD,
    leave_one_out: bool = False,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 of each set and their means, at `threshold` and over THRESHOLDS: one setting for all,
    nothing learned from the pairs.

    A folder has records.jsonl {id, source, fields} and pairs.PART.tsv (left, right, match), gzipped or not.
    `leave_one_out` (two sets at least): also with weights learned from the train pairs of the other sets, which says
    how far the fixed weights depend on a set. Raises NotFound, DamagedFile, InputError, ModelError."""
    if leave_one_out and len(folders) < 2:
        raise InputError("leaving one set out needs two sets at least.", "Name more folders.")
    sets = []
    for number, folder in enumerate(folders):
        parts: tuple[Part, ...] = (part, "train") if leave_one_out else (part,)
        sets.append(_read(folder, embedder, tuple(dict.fromkeys(parts))))
        if progress:
            progress(Progress("bench", number + 1, len(folders), folder.name))
    fixed = Weights()
    grid = tuple(sorted({*THRESHOLDS, threshold}))
    weights = np.array([getattr(fixed, name) for name in EVIDENCE] + [fixed.bias])
    judged = {one.name: _curve(one, part, weights, grid) for one in sets}
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "space": embedder.space.id,
        "part": part,
        "threshold": threshold,
        "sets": [
            {
                "set": one.name,
                "records": one.records,
                "pairs": len(one.same[part]),
                "same": int(one.same[part].sum()),
                **_at(judged[one.name], threshold),
                "supervised": next((f1 for name, f1 in SUPERVISED.items() if one.name.endswith(name)), None),
                "curve": judged[one.name],
            }
            for one in sets
        ],
        "mean": _mean(list(judged.values()), threshold),
        "left_out": None,
    }
    if leave_one_out:
        learned = {one.name: _learn([other for other in sets if other is not one]) for one in sets}
        curves = {one.name: _curve(one, part, learned[one.name], grid) for one in sets}
        result["left_out"] = {
            **_mean(list(curves.values()), threshold),
            "sets": {name: _at(curve, threshold) for name, curve in curves.items()},
            "weights": {
                name: dict(zip((*EVIDENCE, "bias"), map(float, found), strict=True)) for name, found in learned.items()
            },
        }
    return result


def _read(folder: Path, embedder: Embedder, parts: Sequence[Part]) -> _Set:
    records = _records(locate(folder, None, "records", ("records.jsonl*",)))
    matcher = RecordMatcher(records, embedder)
    known = {record.id for record in records}
    evidence: dict[Part, Floats] = {}
    same: dict[Part, NDArray[np.bool_]] = {}
    for part in parts:
        file = locate(folder, None, "pairs", (f"pairs.{part}.tsv*",))
        pairs = _pairs(file, known)
        rows = [matcher.evidence(a, b) for a, b, _ in pairs]
        evidence[part] = np.array([[row[name] for name in EVIDENCE] + [1.0] for row in rows])
        same[part] = np.array([match for *_, match in pairs])
    return _Set(folder.resolve().name, len(records), evidence, same)


def _records(file: Path) -> list[Record]:
    found: dict[str, Record] = {}
    for number, line in lines(file):
        try:
            row = json.loads(line)
            fields = {str(name): "" if value is None else str(value) for name, value in row["fields"].items()}
            record = Record(str(row["id"]), fields, str(row.get("source") or ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"{file}, line {number} is not a record: {wrong(error)}.", 'Lines are {"id", "source", "fields"}.'
            ) from error
        if record.id in found:
            raise DamagedFile(f"{file}, line {number}: the id {record.id} stands twice.")
        found[record.id] = record
    return list(found.values())


def _pairs(file: Path, known: set[str]) -> list[tuple[str, str, bool]]:
    found = []
    for number, line in lines(file):
        cells = line.split("\t")
        if number == 1 and cells[-1] == "match":
            continue
        if len(cells) != 3 or not known.issuperset(cells[:2]) or cells[2] not in ("0", "1"):
            raise DamagedFile(f"{file}, line {number}: expected two ids of records and 0 or 1, between tabs.")
        found.append((cells[0], cells[1], cells[2] == "1"))
    if not any(match for *_, match in found) or all(match for *_, match in found):
        raise InputError(f"{file} has no pairs of both sorts.", "It needs pairs that match and pairs that do not.")
    return found


def _curve(one: _Set, part: Part, weights: Floats, grid: Sequence[float]) -> list[dict[str, float]]:
    odds = one.evidence[part] @ weights
    return [_figures(odds >= math.log(t / (1 - t)), one.same[part], t) for t in grid]


def _figures(merged: NDArray[np.bool_], same: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    right = int((merged & same).sum())
    return {
        "threshold": threshold,
        "precision": right / max(1, int(merged.sum())),
        "recall": right / int(same.sum()),
        "f1": 2 * right / int(merged.sum() + same.sum()),
    }


def _at(curve: Sequence[Mapping[str, float]], threshold: float) -> dict[str, float]:
    found = next(point for point in curve if point["threshold"] == threshold)
    return {name: found[name] for name in ("precision", "recall", "f1")}


def _mean(curves: Sequence[Sequence[Mapping[str, float]]], threshold: float) -> dict[str, Any]:
    """Over sets, each counting the same."""
    points = [
        {name: float(np.mean([point[name] for point in row])) for name in ("threshold", "precision", "recall", "f1")}
        for row in zip(*curves, strict=True)
    ]
    for point, first in zip(points, curves[0], strict=True):
        point["threshold"] = first["threshold"]
    return {**_at(points, threshold), "curve": points}


def _learn(sets: Sequence[_Set]) -> Floats:
    """Logistic regression on the train pairs, every set and in it both answers counting the same: so the odds are those
    of the evidence, whatever the share of pairs that match."""
    rows = np.concatenate([one.evidence["train"] for one in sets])
    same = np.concatenate([one.same["train"] for one in sets])
    counts = [
        np.where(one.same["train"], _PAIRS / 2 / one.same["train"].sum(), _PAIRS / 2 / (~one.same["train"]).sum())
        for one in sets
    ]
    count = np.concatenate(counts)
    ridge = np.eye(rows.shape[1]) * _RIDGE
    ridge[-1, -1] = 1e-3
    found = np.zeros(rows.shape[1])
    for _ in range(30):
        likely = 0.5 + 0.5 * np.tanh((rows @ found) / 2)
        slope = rows.T @ (count * (likely - same)) + ridge @ found
        curvature = (rows * (count * likely * (1 - likely))[:, None]).T @ rows + ridge
        step = np.linalg.solve(curvature, slope)
        found = found - step
        if np.abs(step).max() < 1e-6:
            break
    return found
