"""Retrieval quality on a BEIR-format folder, and answer quality on questions with gold answers."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import DamagedFile, InputError
from ..knowledge_base import KnowledgeBase
from ..types import Mode, Progress, ProgressCallback
from .beir import judgments, lines, locate, records, wrong
from .machine import machine
from .metrics import ndcg, percentile, recall, reciprocal_rank

SCHEMA_VERSION = 1
DEPTH = 100
"""Documents ranked for each question: as deep as recall@100 looks."""
COLLECTION = "eval"
PLAIN: Final[tuple[Mode, ...]] = ("hybrid", "lexical", "dense")
"""Modes that need no graph."""

OpenKnowledgeBase = Callable[[Path], KnowledgeBase]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold answers; without any it cannot be answered from the documents. `id` may be ""."""

    id: str
    question: str
    answers: tuple[str, ...]


def evaluate_beir(
    folder: Path,
    *,
    open_at: OpenKnowledgeBase,
    queries: Path | None = None,
    qrels: Path | None = None,
    corpus: Path | None = None,
    run_file: Path | None = None,
    work: Path | None = None,
    graph: bool = False,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """nDCG@10, recall@10, recall@100, MRR and p50/p95 latency (milliseconds) of lexical, dense and hybrid search, with
    `graph` of mixed search too. `passages_ndcg@10` is of the documents of the ten best passages, which may be fewer.

    `open_at(folder)` opens a knowledge base there; `work` is where it stays for another evaluation of the same
    corpus (default: a temporary folder). Questions without a relevant document in the judgments are left out.
    `run_file` receives the hybrid ranking as a TREC run. Raises NotFound, DamagedFile, InputError.
    """
    corpus_file = locate(folder, corpus, "corpus", ("corpus.jsonl", "corpus.jsonl.gz", "corpus*.jsonl*"))
    query_file = locate(folder, queries, "queries", ("queries.jsonl", "queries.jsonl.gz", "queries*.jsonl*"))
    qrels_file = locate(folder, qrels, "qrels", ("qrels.tsv", "qrels/test.tsv", "qrels*.tsv*", "qrels/*.tsv*"))
    judged = judgments(qrels_file)
    asked = {r.id: r.text for r in records(query_file)}
    wanted = [q for q in asked if any(grade > 0 for grade in judged.get(q, {}).values())]
    if not wanted:
        raise InputError(f"no question of {query_file.name} has a relevant document in {qrels_file.name}.")
    with _folder(work) as place, open_at(place) as kb:
        started = time.perf_counter()
        kb.add_texts(
            ((r.id, r.title, r.text, {}) for r in records(corpus_file)), collection=COLLECTION, progress=progress
        )
        searchable = time.perf_counter() - started
        kb.embed_pending(collection=COLLECTION, progress=progress)
        embedded = time.perf_counter() - started
        if graph:
            kb.graph.build(COLLECTION, progress=progress)
        status = kb.collection(COLLECTION)
        kb.search(asked[wanted[0]], collections=[COLLECTION])  # model and indexes are loaded before timing
        modes: dict[str, Any] = {}
        for mode in (*PLAIN, "mixed") if graph else PLAIN:
            rankings, passages, latency, stages = _rank(kb, {q: asked[q] for q in wanted}, mode, progress)
            modes[mode] = _summary(rankings, passages, judged, latency, stages)
            if mode == "hybrid" and run_file is not None:
                write_run(run_file, rankings)
        space = status.space
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "corpus": f"{folder.resolve().name}/{corpus_file.name}",
        "questions": query_file.name,
        "queries": len(wanted),
        "documents": status.documents,
        "chunks": status.chunks,
        "space": space,
        "seconds": {"searchable": searchable, "embedded": embedded},
        "modes": modes,
    }


def _rank(
    kb: KnowledgeBase, queries: dict[str, str], mode: Mode, progress: ProgressCallback | None
) -> tuple[dict[str, list[tuple[str, float]]], dict[str, list[str]], list[float], dict[str, list[float]]]:
    """By question: documents with their scores, and the documents of the ten best passages; then the times."""
    rankings: dict[str, list[tuple[str, float]]] = {}
    passages: dict[str, list[str]] = {}
    latency: list[float] = []
    stages: dict[str, list[float]] = {}
    for number, (query_id, text) in enumerate(queries.items(), 1):
        started = time.perf_counter()
        found = kb.search(text, collections=[COLLECTION], mode=mode, k=10, cache=False)
        latency.append((time.perf_counter() - started) * 1000.0)
        passages[query_id] = list(dict.fromkeys(hit.chunk.uri for hit in found.hits))
        result = kb.search(text, collections=[COLLECTION], mode=mode, k=DEPTH, one_per_document=True, highlights=False)
        rankings[query_id] = [(hit.chunk.uri, hit.score) for hit in result.hits]
        for stage, milliseconds in result.timings.items():
            stages.setdefault(stage, []).append(milliseconds)
        if progress:
            progress(Progress("eval", number, len(queries), mode))
    return rankings, passages, latency, stages


def _summary(
    rankings: dict[str, list[tuple[str, float]]],
    passages: dict[str, list[str]],
    judged: dict[str, dict[str, int]],
    latency: Sequence[float],
    stages: dict[str, list[float]],
) -> dict[str, Any]:
    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    plain = {query: [doc for doc, _ in ranking] for query, ranking in rankings.items()}
    return {
        "ndcg@10": mean([ndcg(docs, judged[q], 10) for q, docs in plain.items()]),
        "passages_ndcg@10": mean([ndcg(docs, judged[q], 10) for q, docs in passages.items()]),
        "recall@10": mean([recall(docs, judged[q], 10) for q, docs in plain.items()]),
        "recall@100": mean([recall(docs, judged[q], 100) for q, docs in plain.items()]),
        "mrr": mean([reciprocal_rank(docs, judged[q]) for q, docs in plain.items()]),
        "latency_ms": {"p50": percentile(latency, 0.5), "p95": percentile(latency, 0.95)},
        "stage_p50_ms": {stage: percentile(values, 0.5) for stage, values in stages.items()},
    }


def write_run(path: Path, rankings: dict[str, list[tuple[str, float]]]) -> None:
    """A TREC run. Tools sort by score and break ties in their own ways, so equal scores are written apart: each one
    is at least 1e-6 below the one before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for query, ranking in rankings.items():
            last = float("inf")
            for rank, (document, score) in enumerate(ranking, 1):
                last = min(score, last - 1e-6)
                file.write(f"{query} Q0 {document} {rank} {last:.7f} ragstone\n")


def evaluate_answers(
    questions: Path,
    *,
    kb: KnowledgeBase,
    collections: Sequence[str] | None = None,
    limit: int | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Asks every question of a JSON-lines file `{id, question, answers: [...]}` (no or empty answers:
    unanswerable). `grounded` is the share of answerable questions whose cited spans contain a gold answer,
    `refused` the share of unanswerable ones that were not answered. Raises NotFound, DamagedFile."""
    grounded = answered = answerable = refused = unanswerable = cited = 0
    latency: list[float] = []
    missed: list[str] = []
    items = list(islice(questions_of(questions), limit))
    if not items:
        raise InputError(f"there is no question in {questions}.", "Each line is an object with question and answers.")
    for number, item in enumerate(items, 1):
        gold = item.answers
        started = time.perf_counter()
        answer = kb.ask(item.question, collections=collections, cache=False)
        latency.append((time.perf_counter() - started) * 1000.0)
        if gold:
            answerable += 1
            answered += answer.answered
            cited += len(answer.citations)
            spans = " \n ".join(_squeezed(c.text) for c in answer.citations)
            if any(_squeezed(a) in spans for a in gold):
                grounded += 1
            else:
                missed.append(item.id or str(number))
        else:
            unanswerable += 1
            refused += not answer.answered
        if progress:
            progress(Progress("eval", number, len(items), "answers"))
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "set": f"{questions.resolve().parent.name}/{questions.name}",
        "questions": len(items),
        "answerable": answerable,
        "answered": _share(answered, answerable),
        "grounded": _share(grounded, answerable),
        "citations_per_answer": _share(cited, answered),
        "unanswerable": unanswerable,
        "refused": _share(refused, unanswerable),
        "latency_ms": {"p50": percentile(latency, 0.5), "p95": percentile(latency, 0.95)},
        "missed": missed,
    }


def questions_of(path: Path) -> Iterator[Question]:
    """Questions of a JSON-lines file. Raises NotFound, DamagedFile."""
    for number, line in lines(path):
        try:
            item: dict[str, Any] = json.loads(line)
            asked, answers = str(item["question"]), [str(a) for a in item.get("answers") or []]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"{path}, line {number} is not a question: {wrong(error)}.",
                "Each line is an object with question and answers.",
            ) from error
        # an empty text stands in every span
        yield Question(str(item.get("id") or ""), asked, tuple(a for a in answers if a.strip()))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _squeezed(text: str) -> str:
    return " ".join(text.split()).casefold()


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is not None:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="ragstone-eval-") as place:
        yield Path(place)
