"""How well repetitions are told from what only sounds alike: a stream of which a part repeats what was said before."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import DamagedFile
from ..memory.likeness import THRESHOLD, likeness
from ..memory.remembering import LOWEST, NEAREST
from ..protocols import Embedder, Vectors
from ..text.centre import Centre
from .beir import lines, wrong
from .evaluate import SCHEMA_VERSION
from .machine import machine
from .merging_texts import OWN, reworded

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)
SHARE: Final = 0.3
"""Of the stream that repeats something."""
TOGETHER: Final = 256


@dataclass(frozen=True, slots=True)
class Said:
    """`group`: texts of one group say the same. `kin`: whether texts of one kin (an intent, an answer in one passage)
    say the same, nobody has judged. `held_out`: not of the half on which the likeness was fitted."""

    text: str
    group: str
    kin: frozenset[str]
    held_out: bool


@dataclass(frozen=True, slots=True)
class Nearest:
    """The earlier text that something is most like."""

    similarity: float
    other: int


def evaluate_merging(files: Sequence[Path], *, embedder: Embedder, seed: int = 0) -> dict[str, Any]:
    """Precision and recall of merging over the threshold, over all and over the half that nothing was fitted on.

    `files` are JSON lines {text or question, id?, intent?, context_id?, answers?}. Texts of one id in two files say the
    same; those without an id are repeated in other words by rule. A merge of two of one intent, or of two questions
    with one answer in one passage, is left out of all counts and counted as `unjudged`: such sets ask one thing twice
    under two ids, and nobody has said which. To these come sentences of Ragstone's own. Raises NotFound,
    DamagedFile."""
    stream = arranged(files, seed)
    vectors = np.vstack(
        [
            embedder.embed([said.text for said in stream[i : i + TOGETHER]], "passage")
            for i in range(0, len(stream), TOGETHER)
        ]
    )
    best = nearest(stream, Centre(embedder).away(vectors))
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "sets": [f"{path.resolve().parent.name}/{path.name}" for path in files],
        "items": len(stream),
        "repetitions": len(stream) - len({said.group for said in stream}),
        "threshold": THRESHOLD,
        "curve": [{"threshold": at, **figures(stream, best, at)} for at in THRESHOLDS],
        "all": figures(stream, best, THRESHOLD),
        "held_out": figures(stream, best, THRESHOLD, held_out=True),
    }


def arranged(files: Sequence[Path], seed: int) -> list[Said]:
    """The stream: everything once, and as many repetitions as are SHARE of it, in an order that `seed` gives."""
    groups, kin = _read(files)
    for name, texts in groups.items():
        if len(texts) == 1 and (again := reworded(texts[0], random.Random(texts[0]))):
            groups[name] = [*texts, again]
    for number, (one, same, other) in enumerate(OWN):
        groups[f"own {number}"] = [one, same]
        groups[f"alike {number}"] = [other]
    rng = random.Random(seed)
    first: list[Said] = []
    repeats: list[Said] = []
    known: set[str] = set()  # the same words under two ids, in any of the files, are one thing
    for name, texts in groups.items():
        words = {" ".join(text.casefold().split()) for text in texts}
        if words & known:
            continue
        known |= words
        half = hashlib.blake2b(texts[0].encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % 2 == 1
        said = [Said(text, name, frozenset(kin.get(name, ())), half) for text in texts]
        first.append(said[0])
        repeats += said[1:]
    rng.shuffle(repeats)
    stream = [*first, *repeats[: round(len(first) * SHARE / (1 - SHARE))]]
    rng.shuffle(stream)
    return stream


def _read(files: Sequence[Path]) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Texts that say the same, and the kin of each such group."""
    groups: dict[str, list[str]] = {}
    kin: dict[str, set[str]] = {}
    for number, path in enumerate(files):
        for line_number, line in lines(path):
            try:
                record = json.loads(line)
                text = str(record["question"] if "question" in record else record["text"])
                identity, of_kin = record.get("id"), _kin(record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DamagedFile(f"{path}, line {line_number}: {wrong(error)}.") from error
            name = f"id {identity}" if identity else f"{number} {line_number}"
            groups.setdefault(name, []).append(text)
            kin.setdefault(name, set()).update(of_kin)
    return groups, kin


def _kin(record: Mapping[str, Any]) -> set[str]:
    found = {str(record["intent"])} if record.get("intent") else set()
    return found | {
        f"{record['context_id']} {' '.join(str(answer).casefold().split())}"
        for answer in record.get("answers", ())
        if record.get("context_id")
    }


def nearest(stream: Sequence[Said], vectors: Vectors) -> list[Nearest]:
    """For each text what it would be merged into: as `remember` looks for it."""
    found = []
    for number, said in enumerate(stream):
        best = Nearest(0.0, -1)
        for cosine, other in candidates(vectors, number):
            similarity = likeness(said.text, stream[other].text, cosine).similarity
            if similarity > best.similarity:
                best = Nearest(similarity, other)
        found.append(best)
    return found


def candidates(vectors: Vectors, number: int) -> list[tuple[float, int]]:
    """Cosine and place of the earlier texts that a text is compared with word by word."""
    cosines = vectors[:number] @ vectors[number]
    places: list[int] = np.argsort(-cosines)[:NEAREST].tolist()
    return [(float(cosines[place]), place) for place in places if cosines[place] >= LOWEST]


def figures(
    stream: Sequence[Said], best: Sequence[Nearest], threshold: float, *, held_out: bool = False
) -> dict[str, Any]:
    seen: set[str] = set()
    merged = right = repeated = unjudged = 0
    for said, found in zip(stream, best, strict=True):
        repeats = said.group in seen
        seen.add(said.group)
        if held_out and not said.held_out:
            continue
        into = stream[found.other] if found.similarity >= threshold else None
        if into is not None and into.group != said.group and into.kin & said.kin:
            unjudged += 1
            continue
        repeated += repeats
        if into is not None:
            merged += 1
            right += into.group == said.group
    return {
        "merged": merged,
        "unjudged": unjudged,
        "precision": right / merged if merged else None,
        "recall": right / repeated if repeated else None,
    }
