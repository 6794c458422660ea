"""How well memory finds what was said, how well it tells what it does not know, and how well it merges repetitions."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DamagedFile, InputError
from ..memory_types import NewItem
from ..types import Progress, ProgressCallback
from .beir import judgments, lines, locate, wrong
from .evaluate import SCHEMA_VERSION, OpenKnowledgeBase, _folder
from .machine import machine
from .metrics import ndcg, percentile, recall

DEPTH = 10
TOLD_TOGETHER = 200
_WHEN = "%I:%M %p on %d %B, %Y"
_STAMP = re.compile(r"(20\d\d)(\d\d)(\d\d)_(\d\d):?(\d\d)")


@dataclass(frozen=True, slots=True)
class Said:
    id: str
    text: str
    conversation: str
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """`kind`: how the set calls this sort of question. `known`: it can be answered; None where the set does not say."""

    id: str
    question: str
    conversation: str
    kind: str
    known: bool | None


def evaluate_memory(
    folder: Path,
    *,
    open_at: OpenKnowledgeBase,
    contexts: Path | None = None,
    questions: Path | None = None,
    qrels: Path | None = None,
    work: Path | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """nDCG@10 and recall@10 of the evidence of each question: over all, by kind of question and by conversation, and
    the area under the curve that tells questions with an answer from those without by `Recall.answerable`.

    `contexts` are JSON lines {id, text, conversation?, date?}: what was said, in order; each conversation becomes a
    project. `questions`: {id, question, conversation?, type? or category?, context_id?}; a type "Null"
    is one without an answer. `qrels`: judgments of ids of contexts. Latency (p50,
    p95, ms) is that of a recall without the stage "embed". Raises NotFound, DamagedFile, InputError."""
    said = list(_said(locate(folder, contexts, "contexts", ("contexts*.jsonl*",))))
    question_file = locate(folder, questions, "questions", ("qa*.jsonl*",))
    judged = judgments(locate(folder, qrels, "qrels", ("qrels*.tsv*",)))
    asked = list(_asked(question_file))
    if not said or not asked:
        raise InputError(f"there is nothing to measure in {folder}.", "It needs contexts, questions and judgments.")
    with _folder(work) as place, open_at(place) as kb:
        ids: dict[str, str] = {}
        items = [_item(one) for one in said]
        for first in range(0, len(items), TOLD_TOGETHER):
            told = kb.memory.remember_many(items[first : first + TOLD_TOGETHER])
            # merged repetitions: the item answers for every turn that it holds
            for one, remembered in zip(said[first : first + TOLD_TOGETHER], told, strict=True):
                ids[one.id] = remembered.item.id
            if progress:
                progress(Progress("store", min(first + TOLD_TOGETHER, len(items)), len(items), folder.name))
        now = max(one.at for one in said) + 1
        rows: list[tuple[Asked, float, float, float]] = []
        likely: list[tuple[bool, float]] = []
        latency: list[float] = []
        for number, question in enumerate(asked, 1):
            found = kb.memory.recall(question.question, k=DEPTH, project=question.conversation, now=now)
            latency.append(found.timings["total"] - found.timings.get("embed", 0.0))
            if question.known is not None:
                likely.append((question.known, found.answerable))
            grades = {ids[id_]: grade for id_, grade in judged.get(question.id, {}).items() if id_ in ids}
            if any(grade > 0 for grade in grades.values()) and question.known is not False:
                ranking = [hit.item.id for hit in found.hits]
                rows.append((question, ndcg(ranking, grades, DEPTH), recall(ranking, grades, DEPTH), found.answerable))
            if progress:
                progress(Progress("eval", number, len(asked), folder.name))
        statistics = kb.memory.statistics()
    if not rows:
        raise InputError(f"no question of {question_file.name} has evidence among what was said.")
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "set": folder.resolve().name,
        "turns": len(said),
        "items": statistics.items,
        "merged": statistics.merged,
        **_mean(rows),
        "by_kind": _grouped(rows, lambda question: question.kind),
        "by_conversation": _grouped(rows, lambda question: question.conversation),
        "unanswerable": sum(not known for known, _ in likely),
        "answerable_auc": area([value for known, value in likely if known], [v for known, v in likely if not known]),
        "latency_ms": {"p50": percentile(latency, 0.5), "p95": percentile(latency, 0.95)},
    }


def area(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Area under the ROC curve: how often a positive value is above a negative one, ties counted half."""
    if not positive or not negative:
        return None
    low = np.sort(np.array(negative))
    high = np.array(positive)
    below, upto = np.searchsorted(low, high, "left"), np.searchsorted(low, high, "right")
    return float(((below + upto) / 2).sum() / (len(high) * len(low)))


def _mean(rows: Sequence[tuple[Asked, float, float, float]]) -> dict[str, Any]:
    return {
        "questions": len(rows),
        "ndcg@10": sum(row[1] for row in rows) / len(rows),
        "recall@10": sum(row[2] for row in rows) / len(rows),
    }


def _grouped(
    rows: Sequence[tuple[Asked, float, float, float]], key: Callable[[Asked], str]
) -> Mapping[str, dict[str, Any]]:
    groups: defaultdict[str, list[tuple[Asked, float, float, float]]] = defaultdict(list)
    for row in rows:
        groups[key(row[0])].append(row)
    return {name: _mean(groups[name]) for name in sorted(groups)}


def _item(one: Said) -> NewItem:
    return NewItem(one.text, kind="episode", project=one.conversation, at=one.at)


def _said(path: Path) -> Iterator[Said]:
    """In order; what was said in one session has its date, a second apart."""
    last, offset = "", 0
    for number, line in lines(path):
        record = _record(path, number, line)
        try:
            id_, text = str(record["id"]), str(record["text"])
        except KeyError as error:
            raise DamagedFile(f"{path}, line {number}: {wrong(error)}.") from error
        conversation, date = str(record.get("conversation") or ""), str(record.get("date") or text[:40])
        offset = offset + 1 if f"{conversation} {date}" == last else 0
        last = f"{conversation} {date}"
        yield Said(id_, text, conversation, _moment(date) + offset)


def _moment(date: str) -> float:
    """POSIX seconds of "1:56 pm on 8 May, 2023", "20260105_11:00" or an ISO 8601 date; 0 where there is none."""
    stamp = _STAMP.search(date)
    try:
        if stamp is not None:
            return datetime(*map(int, stamp.groups()), tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]
        if " on " in date:
            return datetime.strptime(date, _WHEN).replace(tzinfo=UTC).timestamp()
        return datetime.fromisoformat(date).timestamp()
    except ValueError:
        return 0.0


def _asked(path: Path) -> Iterator[Asked]:
    found: list[tuple[Asked, bool]] = []
    for number, line in lines(path):
        record = _record(path, number, line)
        try:
            id_, question = str(record["id"]), str(record["question"])
        except KeyError as error:
            raise DamagedFile(f"{path}, line {number}: {wrong(error)}.") from error
        kind = str(record.get("type") or record.get("category") or "")
        found.append((Asked(id_, question, str(record.get("conversation") or ""), kind, None), kind == "Null"))
    some = any(null for _, null in found)
    for one, null in found:
        yield Asked(one.id, one.question, one.conversation, one.kind, (not null) if some else None)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise DamagedFile(f"{path}, line {number}: {error}.", "Each line is a JSON object.") from error
    return record
