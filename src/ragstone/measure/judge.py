"""Two spaces of one collection, compared on the user's own questions: how far their results agree, which is better by
judgments where there are some, and what each costs. The recommendation says so where the data do not decide."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import DamagedFile, InputError
from ..jobs.intake import JUDGE
from ..jobs.worker import HANDLERS, Handler, Work
from ..knowledge_base import KnowledgeBase
from ..types import Mode, Progress, ProgressCallback, SpaceStatus
from .beir import Record, lines, wrong
from .metrics import ndcg, percentile, recall, reciprocal_rank

SCHEMA_VERSION: Final = 1
SHOWN: Final = 10
"""Hits that are compared."""
DEPTH: Final = 100
RESAMPLED: Final = 2_000
MODES: Final[tuple[Mode, ...]] = ("dense", "hybrid")
MOST_QUESTIONS: Final = 200
"""Of those that were asked most often."""
LEAST_AGREEING: Final = 5
"""Questions that are named for a look by eye."""
LIKE: Final = 0.9
"""Overlap from which two spaces give nearly the same."""


@dataclass(slots=True)
class _Seen:
    """What one space gave: rankings by question, as chunks and as documents, and milliseconds."""

    chunks: dict[str, list[int]] = field(default_factory=dict)
    documents: dict[str, list[str]] = field(default_factory=dict)


def judge(
    kb: KnowledgeBase,
    collection: str,
    spaces: tuple[str, str],
    questions: Sequence[Record],
    judged: Mapping[str, Mapping[str, int]] | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """`spaces` are the ids of the present and of the new one. Judgments name documents by uri or by the end of it.
    Raises InputError without a question, NotFound, ModelError."""
    if not questions:
        raise InputError(
            "there is no question to compare the spaces with.",
            "Give a file with --questions, or set cache.prewarm so that questions are counted.",
        )
    judged = judged or {}
    known = {document for grades in judged.values() for document in grades}
    latency = {space: _latency(kb, collection, space, questions, progress) for space in spaces}
    modes: dict[str, Any] = {}
    for mode in MODES:
        seen = {space: _rank(kb, collection, space, questions, mode, known, progress) for space in spaces}
        modes[mode] = _compared(seen[spaces[0]], seen[spaces[1]], questions, judged)
    waiting = {s.space: s.waiting for s in kb.spaces(collection)}
    return {
        "schema_version": SCHEMA_VERSION,
        "collection": collection,
        "old": spaces[0],
        "new": spaces[1],
        "questions": len(questions),
        "waiting": waiting[spaces[1]],
        "latency_ms": latency,
        "modes": modes,
        "recommendation": recommend(modes, latency, spaces, waiting[spaces[1]]),
    }


def pair(found: Sequence[SpaceStatus], wanted: str | None) -> tuple[str, str]:
    """Ids of the active space and of the one that is compared with it. Raises InputError."""
    others = [s for s in found if s.role not in ("active", "dropping") and s.embedded]
    if wanted is not None:
        exact = [s for s in others if wanted in (s.space, s.recipe.model)]
        others = exact or [s for s in others if s.space.startswith(wanted)]
    if len(others) != 1:
        names = ", ".join(s.space for s in others) or "none"
        raise InputError(
            f"a space to compare with the active one is to be named; there is {names}.",
            "Add one with `ragstone spaces add MODEL`, or name one of several.",
        )
    return next(s.space for s in found if s.role == "active"), others[0].space


def judge_job(kb: KnowledgeBase, work: Work) -> Mapping[str, Any]:
    """Of a queue: compares payload's `space` with the active one on its `questions`, or on what was asked most often.
    Raises as `judge`."""
    payload = work.payload
    spaces = pair(kb.spaces(payload["collection"]), payload["space"])
    asked = payload["questions"] or kb.frequent_questions(MOST_QUESTIONS)
    questions = [Record(str(number), "", text) for number, text in enumerate(asked)]
    return judge(kb, payload["collection"], spaces, questions, progress=work.tell_or_end)


JOBS: Final[Mapping[str, Handler]] = {**HANDLERS, JUDGE: judge_job}
"""What a worker does that may measure too."""


def questions_of(path: Path) -> list[Record]:
    """A file of JSON lines (`text` or `question`, and `_id` or `id` where judgments refer to it), or of plain lines.
    Raises NotFound, DamagedFile."""
    found = []
    for number, line in lines(path):
        if not line.lstrip().startswith("{"):
            found.append(Record(str(number), "", line.strip()))
            continue
        try:
            item: dict[str, Any] = json.loads(line)
            text = item["text"] if "text" in item else item["question"]
        except (ValueError, KeyError) as error:
            raise DamagedFile(
                f"{path}, line {number} is not a question: {wrong(error)}.", "Each line is a question, or an object."
            ) from error
        found.append(Record(str(item.get("_id") or item.get("id") or number), "", str(text)))
    return found


def _latency(
    kb: KnowledgeBase, collection: str, space: str, questions: Sequence[Record], progress: ProgressCallback | None
) -> dict[str, float]:
    """Of a question that was never asked: its vector is made by the model itself, then it is searched for."""
    model = kb.model(space)
    model.embed([questions[0].text], "query")
    taken = []
    for number, question in enumerate(questions, 1):
        started = time.perf_counter()
        model.embed([question.text], "query")
        embedded = time.perf_counter() - started
        kb.embedder(space).embed([question.text], "query")  # so that the search finds it made
        started = time.perf_counter()
        kb.search(question.text, collections=[collection], k=SHOWN, cache=False, space=space)
        taken.append(1000.0 * (embedded + time.perf_counter() - started))
        if progress:
            progress(Progress("verify", number, len(questions), "latency"))
    return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95)}


def _rank(
    kb: KnowledgeBase,
    collection: str,
    space: str,
    questions: Sequence[Record],
    mode: Mode,
    known: set[str],
    progress: ProgressCallback | None,
) -> _Seen:
    seen = _Seen()
    plain: dict[str, Any] = {"collections": [collection], "mode": mode, "highlights": False, "space": space}
    for number, question in enumerate(questions, 1):
        hits = kb.search(question.text, k=SHOWN, cache=False, **plain).hits
        seen.chunks[question.id] = [hit.chunk.id for hit in hits]
        if known:
            deep = kb.search(question.text, k=DEPTH, one_per_document=True, cache=False, **plain).hits
            seen.documents[question.id] = [_named(hit.chunk.uri, known) for hit in deep]
        if progress:
            progress(Progress("verify", number, len(questions), mode))
    return seen


def _named(uri: str, known: set[str]) -> str:
    """What the judgments call the document."""
    name = uri.rsplit("/", 1)[-1]
    return next((n for n in (uri, name, name.rsplit(".", 1)[0]) if n in known), uri)


def _compared(
    old: _Seen, new: _Seen, questions: Sequence[Record], judged: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    overlaps = {q.id: overlap(old.chunks[q.id], new.chunks[q.id]) for q in questions}
    agreements = [agreement(old.chunks[q.id], new.chunks[q.id]) for q in questions]
    differing = sorted(questions, key=lambda q: overlaps[q.id])[:LEAST_AGREEING]
    result: dict[str, Any] = {
        "overlap@10": sum(overlaps.values()) / len(overlaps),
        "agreement@10": sum(agreements) / len(agreements),
        "least_agreeing": [q.text for q in differing if overlaps[q.id] < 1.0],
        "judged": None,
    }
    ids = [q.id for q in questions if any(grade > 0 for grade in judged.get(q.id, {}).values())]
    if ids:
        before = [ndcg(old.documents[q], judged[q], 10) for q in ids]
        after = [ndcg(new.documents[q], judged[q], 10) for q in ids]
        low, high = interval([b - a for a, b in zip(before, after, strict=True)])
        result["judged"] = {
            "questions": len(ids),
            "old": _figures(old, ids, judged),
            "new": _figures(new, ids, judged),
            "difference": (sum(after) - sum(before)) / len(ids),
            "low": low,
            "high": high,
        }
    return result


def _figures(seen: _Seen, ids: Sequence[str], judged: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    return {
        "ndcg@10": mean([ndcg(seen.documents[q], judged[q], 10) for q in ids]),
        "recall@10": mean([recall(seen.documents[q], judged[q], 10) for q in ids]),
        "recall@100": mean([recall(seen.documents[q], judged[q], DEPTH) for q in ids]),
        "mrr": mean([reciprocal_rank(seen.documents[q], judged[q]) for q in ids]),
    }


def overlap(old: Sequence[int], new: Sequence[int]) -> float:
    """Share of the first ten that both have."""
    longest = max(len(old), len(new))
    return len(set(old) & set(new)) / longest if longest else 1.0


def agreement(old: Sequence[int], new: Sequence[int]) -> float:
    """Mean of the overlap at each depth, so that the first ranks weigh most (average overlap: Wu, Crestani, 2003)."""
    depth = max(len(old), len(new))
    if not depth:
        return 1.0
    return sum(overlap(old[:d], new[:d]) for d in range(1, depth + 1)) / depth


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean, by resampling the questions (always with the same random numbers)."""
    chance = random.Random(1)
    count = len(differences)
    means = sorted(sum(chance.choices(differences, k=count)) / count for _ in range(RESAMPLED))
    return means[int(0.025 * RESAMPLED)], means[int(0.975 * RESAMPLED) - 1]


def recommend(
    modes: Mapping[str, Any], latency: Mapping[str, Mapping[str, float]], spaces: tuple[str, str], waiting: int
) -> str:
    """One paragraph. It decides by the hybrid search, which is what people use unless they say otherwise."""
    found = modes["hybrid"]["judged"]
    slower = latency[spaces[1]]["p50"] / max(latency[spaces[0]]["p50"], 1e-9)
    cost = f"A new question takes {slower:.1f} times as long in the new space."
    partly = f" {waiting} chunks have no vector in the new space yet: this is not its final result." if waiting else ""
    if found is None:
        same = modes["hybrid"]["overlap@10"]
        alike = "nearly the same results" if same >= LIKE else "different results"
        text = (
            f"Without judgments nobody can tell which space is better: they give {alike} ({same:.0%} of the first ten "
            "are shared). Look at the questions that are named, or give judgments with --qrels."
        )
    else:
        span = f"{found['difference']:+.3f} nDCG@10, 95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
        if found["low"] > 0:
            text = f"The new space is better on {found['questions']} judged questions ({span}): switch."
        elif found["high"] < 0:
            text = f"The new space is worse on {found['questions']} judged questions ({span}): stay."
        else:
            text = (
                f"The {found['questions']} judged questions do not decide ({span}): stay, unless speed or size decide, "
                "or judge more questions."
            )
    return f"{text} {cost}{partly}"
