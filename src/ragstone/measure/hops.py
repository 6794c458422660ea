"""How much of the evidence of a question is found, with the knowledge graph and without, by kind of question."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import InputError
from ..types import Mode, Progress, ProgressCallback
from .beir import judgments, lines, locate
from .evaluate import SCHEMA_VERSION, OpenKnowledgeBase, _folder
from .machine import machine
from .memory import Asked, _asked, _record
from .metrics import percentile

DEPTH: Final = 10
MODES: Final[tuple[Mode, ...]] = ("hybrid", "mixed", "graph")
SEED: Final = 32
"""Of the split. Weights and rules of search are chosen on `tune` alone (docs/decisions/0032-graph-retrieval.md)."""

Part = Literal["tune", "held"]


def evaluate_hops(
    folder: Path,
    *,
    open_at: OpenKnowledgeBase,
    kinds: Sequence[str] = (),
    part: Part | None = None,
    work: Path | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """recall@10 of the evidence, in hybrid, mixed and graph mode: the share of the documents of a question's evidence
    among those of its ten hits. By kind, over all questions and on either part of the split.

    `folder` has contexts (JSON lines: id, text, title?, conversation?; each conversation becomes a collection),
    questions (id, question, conversation?, type? or category?) and judgments. `kinds`, `part`: only these. The split
    is that of `split`. `stage_ms`: of the graph and the reasons alone.
    Raises NotFound, DamagedFile, InputError."""
    contexts = locate(folder, None, "contexts", ("contexts*.jsonl*",))
    judged = judgments(locate(folder, None, "qrels", ("qrels*.tsv*",)))
    question_file = locate(folder, None, "questions", ("qa*.jsonl*",))
    everything = list(_asked(question_file))
    parts = split(everything)
    asked = [
        q for q in everything
        if judged.get(q.id) and (not kinds or q.kind in kinds) and (part is None or parts[q.id] == part)
    ]  # fmt: skip
    if not asked:
        raise InputError(f"no question of {question_file.name} has evidence.", "It needs questions and judgments.")
    texts: defaultdict[str, list[tuple[str, str, str, dict[str, Any]]]] = defaultdict(list)
    for number, line in lines(contexts):
        record = _record(contexts, number, line)
        item: tuple[str, str, str, dict[str, Any]] = (
            str(record["id"]), str(record.get("title") or ""), str(record["text"]), {},
        )  # fmt: skip
        texts[_collection(str(record.get("conversation") or ""))].append(item)
    recalls: dict[str, dict[tuple[str, str], list[float]]] = {mode: defaultdict(list) for mode in MODES}
    stage: list[float] = []
    with _folder(work) as place, open_at(place) as kb:
        for name, items in texts.items():
            kb.add_texts(items, collection=name)
            kb.embed_pending(collection=name, progress=progress)
            kb.graph.build(name, progress=progress)
        for number, question in enumerate(asked, 1):
            name = _collection(question.conversation)
            gold = set(judged[question.id])
            for mode in MODES:
                found = kb.search(question.question, collections=[name], mode=mode, k=DEPTH, cache=False)
                recall = len({hit.chunk.uri for hit in found.hits} & gold) / len(gold)
                for group in ("all", parts[question.id]):
                    recalls[mode][question.kind, group].append(recall)
                if mode == "mixed":
                    stage.append(found.timings.get("graph", 0.0) + found.timings.get("reasons", 0.0))
            if progress:
                progress(Progress("eval", number, len(asked), folder.name))
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "set": folder.resolve().name,
        "questions": len(asked),
        "recall": {mode: _means(recalls[mode]) for mode in MODES},
        "stage_ms": {"p50": percentile(stage, 0.5), "p95": percentile(stage, 0.95)},
    }


def split(questions: Sequence[Asked]) -> dict[str, Part]:
    """The part of each question: half of the conversations, rounded down, is `tune`, where there are several of them;
    else half of the questions. Drawn with SEED from all questions of the file, whatever is measured."""
    several = len({question.conversation for question in questions}) > 1
    drawn = sorted({question.conversation if several else question.id for question in questions})
    random.Random(SEED).shuffle(drawn)
    tune = set(drawn[: len(drawn) // 2])
    return {q.id: "tune" if (q.conversation if several else q.id) in tune else "held" for q in questions}


def _means(recalls: dict[tuple[str, str], list[float]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for kind, group in sorted(recalls):
        values = recalls[kind, group]
        out.setdefault(kind, {})[group] = {"questions": len(values), "recall": sum(values) / len(values)}
    return out


def _collection(conversation: str) -> str:
    return conversation or "all"
