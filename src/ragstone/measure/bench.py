"""Speed and memory of this machine with this configuration, component by component.

Every scenario works in folders of its own and returns plain figures; `run` collects them with the machine and the
commit. Ratios inside one run are robust, seconds are not: other work on the machine moves them.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..embedding import bare
from ..embedding.cached import CachedEmbedder
from ..embedding.onnx import OnnxEmbedder
from ..errors import DamagedFile, InputError
from ..knowledge_base import KnowledgeBase
from ..types import Progress, ProgressCallback
from .fill import fill
from .machine import machine
from .metrics import percentile
from .paying import budget
from .samples import sample_sentences
from .synthetic import TextMaker
from .timing import child, process, spread, timed
from .upkeep import OpenKnowledgeBase, recovery, seal
from .warmth import local_model

SCHEMA_VERSION = 1
QUERIES = 200
WARM_UP = 20
_RECALL_ROWS = 20_000  # compared at a time


def run(
    open_at: OpenKnowledgeBase,
    *,
    chunks: int = 10_000,
    megabytes: float = 10.0,
    pdfs: Path | None = None,
    local: bool = False,
    only: frozenset[str] = frozenset(),
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Runs the scenarios (`only`: by name) and returns the report. `chunks` is the size of the searched
    collection, `megabytes` of the text that is added, `pdfs` a folder of PDF files of your own,
    `local` whether a model of this machine answers."""
    scenarios: dict[str, Callable[[], dict[str, Any]]] = {
        "ingest": lambda: ingest(open_at, megabytes),
        "delta": lambda: delta(open_at),
        "embedding": lambda: embedding(open_at),
        "search": lambda: search(open_at, chunks),
        "search_while_adding": lambda: search_while_adding(open_at),
        "cold_start": lambda: cold_start(open_at),
        "cache": lambda: cache(open_at),
        "budget": budget,
        "seal": lambda: seal(open_at, chunks),
        "recovery": lambda: recovery(),
    }
    if pdfs is not None:
        scenarios["pdf"] = lambda: pdf(open_at, pdfs)
    if local:
        scenarios["local_model"] = lambda: local_model(open_at)
    unknown = only - scenarios.keys()
    if unknown:
        raise InputError(f"there is no benchmark called {sorted(unknown)[0]!r}.", f"There are: {', '.join(scenarios)}.")
    chosen = [name for name in scenarios if not only or name in only]
    report: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **machine(), "chunks": chunks, "scenarios": {}}
    for number, name in enumerate(chosen):
        if progress:
            progress(Progress("bench", number, len(chosen), name))
        report["scenarios"][name] = scenarios[name]()
    if progress:
        progress(Progress("bench", len(chosen), len(chosen)))
    return report


def ingest(open_at: OpenKnowledgeBase, megabytes: float) -> dict[str, Any]:
    """Markdown files of 50 kB: from the call to durable and searchable."""
    maker = TextMaker()
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        source = Path(place, "source")
        source.mkdir()
        size = 0
        count = 0
        while size < megabytes * 1e6:
            text = maker.markdown(50_000)
            size += len(text.encode())
            Path(source, f"{count:05}.md").write_text(text, encoding="utf-8")
            count += 1
        with open_at(Path(place, "data")) as kb:
            kb.add([_one_file(source.parent / "warm.md", maker)], remember=False)
            started = time.perf_counter()
            report = kb.add([source])
            seconds = time.perf_counter() - started
            found = kb.search(maker.question(text), mode="lexical")
    return {
        "files": report.count("added"),
        "megabytes": size / 1e6,
        "seconds": seconds,
        "mb_per_s": size / 1e6 / seconds,
        "searchable": bool(found.hits),
    }


def delta(open_at: OpenKnowledgeBase) -> dict[str, Any]:
    """500 unchanged files again, and one paragraph edited in a file of 1 MB."""
    maker = TextMaker(11)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        source = Path(place, "source")
        source.mkdir()
        for number in range(500):
            Path(source, f"{number:05}.md").write_text(maker.markdown(4_000), encoding="utf-8")
        large = Path(place, "large.md")
        large.write_text(maker.markdown(1_000_000), encoding="utf-8")
        with open_at(Path(place, "data")) as kb:
            kb.add([source, large])
            started = time.perf_counter()
            again = kb.add([source])
            unchanged = time.perf_counter() - started
            waiting = kb.collection("default").waiting
            paragraphs = large.read_text(encoding="utf-8").split("\n\n")
            paragraphs[len(paragraphs) // 2] = "Zimtwolke. " + maker.paragraph(500)
            large.write_text("\n\n".join(paragraphs), encoding="utf-8")
            started = time.perf_counter()
            edited = kb.add([large])
            hits = kb.search("Zimtwolke", mode="lexical").hits
            searchable = time.perf_counter() - started
            grown = kb.collection("default").waiting - waiting
    return {
        "unchanged_files": again.count("unchanged"),
        "unchanged_seconds": unchanged,
        "edited_chunks_added": edited.files[0].chunks_added,
        "edited_chunks_removed": edited.files[0].chunks_removed,
        "edited_waiting_change": grown,
        "edited_found": bool(hits),
        "edited_seconds_to_searchable": searchable,
    }


def pdf(open_at: OpenKnowledgeBase, folder: Path) -> dict[str, Any]:
    """Pages per second of the PDF files in a folder, to durable and searchable."""
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place, open_at(Path(place)) as kb:
        started = time.perf_counter()
        report = kb.add([folder], remember=False)
        seconds = time.perf_counter() - started
        pages = sum(len(d.pages) for d in kb.documents() if d.media_type == "application/pdf")
    return {
        "files": report.count("added"), "failed": report.count("failed"), "pages": pages, "seconds": seconds,
        "pages_per_s": pages / seconds,
    }  # fmt: skip


def embedding(open_at: OpenKnowledgeBase, texts: int = 192, turns: int = 3) -> dict[str, Any]:
    """The background worker, from the store and back into it, against the bare model at its best batch and threads:
    in turns, because other work on the machine moves both, on other texts each time."""
    maker = TextMaker(13)
    worker: list[tuple[float, float, int]] = []  # seconds, CPU seconds, tokens
    runs: dict[bare.BareSetting, list[bare.BareRun]] = {}
    chunks = 0
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place, open_at(Path(place)) as kb:
        embedder = kb.embedder()
        embedder.embed(["warm"], "passage")
        model = embedder.wrapped if isinstance(embedder, CachedEmbedder) else embedder
        local = model if isinstance(model, OnnxEmbedder) else None
        space = embedder.space.id
        for turn in range(turns):
            if local:
                for setting in bare.settings(os.cpu_count() or 1, device=local.device):
                    run = bare.bare_run(local, [maker.paragraph(600) for _ in range(texts)], setting)
                    runs.setdefault(setting, []).append(run)
            kb.add_texts((f"{turn}-{i}", "", maker.paragraph(600), {}) for i in range(texts))
            waiting = [p.text for p in kb.store.pending("default", space, 2 * texts)]
            tokens = sum(map(len, local.windows(waiting, "passage"))) if local else len(waiting)
            started, used = time.perf_counter(), time.process_time()
            chunks += kb.embed_pending()
            worker.append((time.perf_counter() - started, time.process_time() - used, tokens))
        alone = [timed(lambda: embedder.embed([maker.title()], "query")) for _ in range(30)]
    seconds, used, tokens = (sum(column) for column in zip(*worker, strict=True))
    report: dict[str, Any] = {
        "chunks": chunks,
        "tokens_per_chunk": tokens / chunks,
        "worker_chunks_per_s": chunks / seconds,
        "worker_tokens_per_s": tokens / seconds,
        "query_ms": spread(alone),
    }
    if runs:
        rates = {s: sum(r.tokens for r in of) / sum(r.seconds for r in of) for s, of in runs.items()}
        best = max(rates, key=lambda setting: rates[setting])
        rate = rates[best]
        cpu_rate = sum(r.tokens for r in runs[best]) / sum(r.cpu_seconds for r in runs[best])
        report["bare"] = {**asdict(best), "tokens_per_s": rate}
        report["worker_share_of_bare"] = tokens / seconds / rate
        report["worker_share_of_bare_by_cpu"] = tokens / used / cpu_rate
    return report


def search(open_at: OpenKnowledgeBase, chunks: int) -> dict[str, Any]:
    """Hybrid search of new questions by stage and in all, and of questions whose vectors are known; recall of the
    vector part against an exact scan; resident memory of a fresh process that searches the same folder."""
    maker = TextMaker(17)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        with open_at(Path(place)) as kb:
            texts = fill(kb, chunks, maker)
            questions = [maker.question(texts[i % len(texts)]) for i in range(QUERIES + WARM_UP)]
            new = [kb.search(question, cache=False, highlights=False).timings for question in questions][WARM_UP:]
            # Now the embedder remembers the vectors of all questions.
            known = [kb.search(question, cache=False, highlights=False).timings for question in questions][WARM_UP:]
            stages = {name for timings in new for name in timings}
            recall = _vector_recall(kb)
            size = kb.collection("default").chunks
        searching = child(_MEMORY, place, json.dumps(questions[:50]))
    return {
        "chunks": size,
        "total_ms": spread([t["total"] for t in new]),
        "total_without_embedding_ms": spread([t["total"] for t in known]),
        "stage_p50_ms": {name: percentile([t.get(name, 0.0) for t in new], 0.5) for name in sorted(stages)},
        "stage_p95_ms": {name: percentile([t.get(name, 0.0) for t in new], 0.95) for name in sorted(stages)},
        "vector_recall@10": recall,
        "searching_process": searching,
    }


def _vector_recall(kb: KnowledgeBase) -> float:
    """Share of the exact ten nearest that the index returns, over vectors read from the store. The questions are
    parts of sentences whose own vectors the stored ones were made from."""
    questions = [" ".join(words[i : i + 6]) for words in map(str.split, sample_sentences()) for i in (0, 4)]
    space = kb.collection("default").space
    queries = kb.embedder().embed(questions, "query")
    index = kb.index("default").vectors(space)
    if index is None:
        return 0.0
    every = kb.store.chunk_ids("default")
    best_ids = np.empty((len(queries), 0), dtype=np.int64)
    best = np.empty((len(queries), 0), dtype=np.float32)
    for first in range(0, len(every), _RECALL_ROWS):
        ids, matrix = kb.store.embeddings(space, every[first : first + _RECALL_ROWS].tolist())
        best = np.concatenate([best, queries @ matrix.T], axis=1)
        best_ids = np.concatenate([best_ids, np.broadcast_to(ids, (len(queries), len(ids)))], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :10]
        best, best_ids = np.take_along_axis(best, order, axis=1), np.take_along_axis(best_ids, order, axis=1)
    found = index.search(queries, 10)
    shared = sum(len(np.intersect1d(exact, got)) for exact, (got, _) in zip(best_ids, found, strict=True))
    return shared / (10 * len(questions))


def search_while_adding(open_at: OpenKnowledgeBase, files: int = 1000) -> dict[str, Any]:
    """p95 of a search while the same process adds files, against a search idle. Every question is a new one."""
    maker = TextMaker(19)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        source = Path(place, "source")
        source.mkdir()
        for number in range(files):
            Path(source, f"{number:05}.md").write_text(maker.markdown(4_000), encoding="utf-8")
        with open_at(Path(place, "data")) as kb:
            texts = fill(kb, 5_000, maker)
            questions = (f"{maker.question(texts[i % len(texts)])} {i}" for i in itertools.count())
            for _ in range(WARM_UP):
                kb.search(next(questions))
            idle = [timed(lambda: kb.search(next(questions))) for _ in range(QUERIES)]
            adding = threading.Thread(target=lambda: kb.add([source], remember=False))
            adding.start()
            busy: list[float] = []
            while adding.is_alive():
                busy.append(timed(lambda: kb.search(next(questions))))
                time.sleep(0.01)
            adding.join()
    idle_p95, busy_p95 = percentile(idle, 0.95), percentile(busy, 0.95)
    return {
        "files": files, "searches_while_adding": len(busy), "idle_p95_ms": idle_p95, "busy_p95_ms": busy_p95,
        "ratio": busy_p95 / idle_p95,
    }  # fmt: skip


def cold_start(open_at: OpenKnowledgeBase, chunks: int = 10_000) -> dict[str, Any]:
    """Whole processes: `--help`, and a hybrid search on 10,000 chunks."""
    maker = TextMaker(23)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        with open_at(Path(place)) as kb:
            texts = fill(kb, chunks, maker)
        question = maker.question(texts[0])
        helps = [process(["--help"]) for _ in range(5)]
        searches = [process(["search", question, "--data", place, "--json"]) for _ in range(5)]
    return {"help_s": percentile(helps, 0.5), "search_s": percentile(searches, 0.5), "chunks": chunks}


def cache(open_at: OpenKnowledgeBase, chunks: int = 5_000, questions: int = 100) -> dict[str, Any]:
    """Searches and answers that are new, that come again in the same process, and, for answers, that come again in the
    next one (which searches anew and knows question vectors and answers from the disk)."""
    maker = TextMaker(29)
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        with open_at(Path(place)) as kb:
            texts = fill(kb, chunks, maker)
            asked = [f"{maker.question(texts[i % len(texts)])} {i}" for i in range(questions)]
            kb.ask(f"{asked[0]} warm")
            searches = [[timed(lambda q=q: kb.search(q)) for q in asked] for _ in range(2)]  # type: ignore[misc]
            answers = [[timed(lambda q=q: kb.ask(q)) for q in asked] for _ in range(2)]  # type: ignore[misc]
        with open_at(Path(place)) as kb:
            kb.index("default")
            later = [timed(lambda q=q: kb.ask(q)) for q in asked]  # type: ignore[misc]
            came = kb.status()["caches"]["answers"]["hits"]
    return {
        "new_search_ms": spread(searches[0]),
        "cached_search_ms": spread(searches[1]),
        "new_answer_ms": spread(answers[0]),
        "cached_answer_ms": spread(answers[1]),
        "answer_of_the_process_before_ms": spread(later),
        "answers_of_the_process_before": came,
        "questions": questions,
    }


def compare(old: dict[str, Any], new: dict[str, Any], tolerance: float = 0.10) -> tuple[list[dict[str, Any]], bool]:
    """Rows (name, old, new, change, regressed) for every figure both reports have, and whether any became worse by
    more than `tolerance`. Figures whose names end in _per_s, recall or share are better when larger, times and memory
    when smaller; others are listed and not judged."""
    before, after = _flat(old.get("scenarios", {})), _flat(new.get("scenarios", {}))
    rows = []
    for name in [n for n in before if n in after]:
        was, now = before[name], after[name]
        change = (now - was) / was if was else 0.0
        better = _direction(name)
        regressed = better != 0 and change * better < -tolerance
        rows.append({"name": name, "old": was, "new": now, "change": change, "regressed": regressed})
    return rows, any(row["regressed"] for row in rows)


def load_report(path: Path) -> dict[str, Any]:
    """Raises DamagedFile, InputError."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DamagedFile(f"{path} is not a benchmark report: {error}") from error
    if not isinstance(report, dict) or "scenarios" not in report:
        raise DamagedFile(f"{path} is not a benchmark report.", "Write one with `ragstone bench --output FILE`.")
    return report


def _direction(name: str) -> int:
    """1: larger is better, -1: smaller is better, 0: neither."""
    last = name.rsplit("/", 1)[-1]
    if last.endswith("_per_s") or "recall" in last or last.startswith("worker_share"):
        return 1
    if last in ("p50", "p95", "ratio") or last.endswith(("_ms", "_s", "_mb")) or "seconds" in last or "_ms/" in name:
        return -1
    return 0


def _flat(value: Any, prefix: str = "") -> dict[str, float]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}/{key}".strip("/")).items()}
    return {prefix: float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def _one_file(path: Path, maker: TextMaker) -> Path:
    path.write_text(maker.markdown(2_000), encoding="utf-8")
    return path


_MEMORY = """
import json, sys
import psutil
import ragstone
with ragstone.open(sys.argv[1], overrides={"embedding.background": False}) as kb:
    for question in json.loads(sys.argv[2]):
        kb.search(question)
    memory = psutil.Process().memory_info()
    mapped = getattr(memory, "shared", 0)  # pages of files, which the system takes back when it needs room
    print(json.dumps({"memory_mb": memory.rss / 1e6, "own_memory_mb": (memory.rss - mapped) / 1e6}))
"""


