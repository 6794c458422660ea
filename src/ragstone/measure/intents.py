"""How well intents are told from a few examples each, over several draws of the examples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedFile, InputError, NotFound
from ..intent.classifier import Intent, IntentClassifier
from ..protocols import Embedder, Role, Vectors
from ..types import Progress, ProgressCallback, Space
from .beir import lines
from .machine import machine
from .metrics import percentile

SCHEMA_VERSION: Final = 1
OUT_OF_SCOPE: Final = ("oos", "out_of_scope", "none", "")
TIMED: Final = 200
BINS: Final = 15
BATCH: Final = 256


class _Row(msgspec.Struct):
    text: str
    intent: str


def evaluate_intents(
    folder: Path,
    embedder: Embedder,
    *,
    examples: int = 10,
    draws: int = 5,
    limit: int = 0,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Accuracy, expected calibration error (15 bins of equal width), area under the ROC curve of `scope` for turns in
    and out of scope, and milliseconds of one turn with its embedding, one at a time: by the clock, and of processors.

    `folder`: train*.jsonl with lines {text, intent}; val*, valid* or dev*.jsonl (default: the rest of train);
    oos*.jsonl or the intent "oos" are turns that belong to none. `limit`: most turns of each intent that are judged;
    0: all. The seed of a draw is its number. Raises NotFound, DamagedFile, InputError, ModelError."""
    train = [row for row in _rows(folder, ("train*.jsonl*",)) if row.intent not in OUT_OF_SCOPE]
    if not train:
        raise NotFound(f"there is no train*.jsonl in {folder}.", 'Write lines {"text": …, "intent": …}.')
    judged = _rows(folder, ("val*.jsonl*", "valid*.jsonl*", "dev*.jsonl*"))
    strange = [row.text for row in judged if row.intent in OUT_OF_SCOPE]
    strange += [row.text for row in _rows(folder, ("oos*.jsonl*",))]
    own = [row for row in judged if row.intent not in OUT_OF_SCOPE]
    by_intent: dict[str, list[str]] = {}
    for row in train:
        by_intent.setdefault(row.intent, []).append(row.text)
    if min(map(len, by_intent.values())) < examples + (not own):
        raise InputError(f"an intent has fewer than {examples} examples.", "Give --examples fewer.")
    known = _Known(embedder, progress)
    results = []
    for draw in range(draws):
        chosen, rest = _drawn(by_intent, examples, draw)
        asked = own or rest
        asked = _limited(asked, limit, draw) if limit else asked
        results.append(_judged(known, chosen, asked, strange))
    chosen, _ = _drawn(by_intent, examples, 0)
    classifier = IntentClassifier(embedder, chosen)
    milliseconds, busy = [], []
    for row in (own or train)[:TIMED]:
        started, worked = time.perf_counter(), time.process_time()
        classifier.classify(row.text)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        busy.append((time.process_time() - worked) * 1e3)
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": machine(),
        "space": embedder.space.id,
        "intents": len(by_intent),
        "examples": examples,
        "draws": draws,
        "judged": results[0]["judged"],
        "out_of_scope": len(strange),
        **{
            name: {"mean": float(np.mean(values)), "deviation": float(np.std(values))}
            for name in ("accuracy", "calibration_error", "auroc", "kept_in_scope", "kept_out_of_scope")
            if (values := [r[name] for r in results if r[name] is not None])
        },
        "latency_ms": {"p50": percentile(milliseconds, 0.5), "p95": percentile(milliseconds, 0.95)},
        "cpu_ms": {"p50": percentile(busy, 0.5), "p95": percentile(busy, 0.95)},
    }


def _judged(
    known: _Known, chosen: Mapping[str, Sequence[str]], asked: Sequence[_Row], strange: Sequence[str]
) -> dict[str, Any]:
    classifier = IntentClassifier(known, chosen)
    found = classifier.classify_many([row.text for row in asked])
    right = np.array([f.name == row.intent for f, row in zip(found, asked, strict=True)])
    confident = np.array([f.confidence for f in found])
    away: list[Intent] = classifier.classify_many(strange) if strange else []
    return {
        "judged": len(asked),
        "accuracy": float(right.mean()),
        "calibration_error": calibration_error(confident, right),
        "auroc": auroc([f.scope for f in found], [f.scope for f in away]) if away else None,
        "kept_in_scope": float(np.mean([f.in_scope for f in found])),
        "kept_out_of_scope": float(np.mean([f.in_scope for f in away])) if away else None,
    }


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and share that is right, over bins of equal width, weighted by their size."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    error = 0.0
    for b in np.unique(bins):
        inside = bins == b
        error += float(inside.mean()) * abs(float(confidences[inside].mean()) - float(right[inside].mean()))
    return error


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Chance that one of `higher` is above one of `lower`; ties count half."""
    a, b = np.sort(np.asarray(higher)), np.asarray(lower)
    above = len(a) - np.searchsorted(a, b, "right")
    ties = np.searchsorted(a, b, "right") - np.searchsorted(a, b, "left")
    return float((above + ties / 2).sum() / (len(a) * len(b)))


class _Known:
    """An embedder that embeds each text once."""

    def __init__(self, inner: Embedder, progress: ProgressCallback | None) -> None:
        self._inner = inner
        self._progress = progress
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def space(self) -> Space:
        return self._inner.space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            self._vectors.update(zip(batch, self._inner.embed(batch, role), strict=True))
            if self._progress is not None:
                self._progress(Progress("embed", start + len(batch), len(new), ""))
        return np.stack([self._vectors[text] for text in texts])


def _drawn(by_intent: Mapping[str, Sequence[str]], examples: int, draw: int) -> tuple[dict[str, list[str]], list[_Row]]:
    random = np.random.default_rng(draw)
    chosen: dict[str, list[str]] = {}
    rest: list[_Row] = []
    for intent, texts in sorted(by_intent.items()):
        order = random.permutation(len(texts))
        chosen[intent] = [texts[i] for i in order[:examples]]
        rest += [_Row(texts[i], intent) for i in order[examples:]]
    return chosen, rest


def _limited(rows: Sequence[_Row], limit: int, draw: int) -> list[_Row]:
    counts: dict[str, int] = {}
    kept = []
    for i in np.random.default_rng(draw).permutation(len(rows)):
        row = rows[i]
        counts[row.intent] = counts.get(row.intent, 0) + 1
        if counts[row.intent] <= limit:
            kept.append(row)
    return kept


def _rows(folder: Path, patterns: Sequence[str]) -> list[_Row]:
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    found = []
    for file in files:
        for number, line in lines(file):
            try:
                found.append(msgspec.json.decode(line, type=_Row))
            except msgspec.DecodeError as error:
                hint = 'Write lines {"text": …, "intent": …}.'
                raise DamagedFile(f"{file}, line {number}: {error}.", hint) from error
    return found
